//! Another library's AES-256-GCM (AWS-LC) gives the same bytes as the envelope, and opens what the
//! envelope sealed.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

use aws_lc_rs::aead::{AES_256_GCM, Aad as TheirAad, LessSafeKey, Nonce, UnboundKey};
use connect_dynamodb_kms::crypto::data_key::DataKey;
use connect_dynamodb_kms::crypto::envelope::{
    Aad, BoundSeal, Iv, Sealed, open, open_bound, seal, seal_bound,
};
use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::time::EpochSeconds;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

const KEY: [u8; 32] = [7; 32];

/// Lengths around the sizes at which a cipher changes its method (1, 8 and 16 blocks), and the
/// lengths of sessions.
const LENGTHS: [usize; 16] = [
    0, 1, 15, 16, 17, 127, 128, 129, 255, 256, 257, 1_000, 2_048, 4_097, 65_536, 300_000,
];

fn data_key() -> DataKey {
    DataKey::new(Zeroizing::new(KEY.to_vec())).unwrap()
}

fn text(length: usize) -> Vec<u8> {
    (b' '..b'~').cycle().take(length).collect()
}

fn oracle(key: &[u8]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap())
}

fn oracle_seals(key: &LessSafeKey, iv: Iv, aad: &[u8], plaintext: &[u8]) -> Sealed {
    let mut ciphertext = plaintext.to_vec();
    let nonce = Nonce::assume_unique_for_key(iv);
    let tag = key
        .seal_in_place_separate_tag(nonce, TheirAad::from(aad), &mut ciphertext)
        .unwrap();
    Sealed {
        iv,
        ciphertext,
        tag: tag.as_ref().try_into().unwrap(),
    }
}

#[test]
fn version_1_is_sealed_as_another_library_seals_it() {
    let (key, other) = (data_key(), oracle(&KEY));
    for length in LENGTHS {
        let plaintext = text(length);
        let sealed = seal(&key, Plaintext::new(plaintext.clone()));
        let expected = oracle_seals(&other, sealed.iv, b"", &plaintext);
        assert!(sealed == expected, "{length}");
        assert!(*open(&key, expected).unwrap() == plaintext, "{length}");
    }
}

#[test]
fn version_2_is_sealed_as_another_library_seals_it() {
    let key = data_key();
    for length in LENGTHS {
        let plaintext = text(length);
        // Data beside it of other lengths, too.
        let place = "app:".to_owned() + &"k".repeat(length % 40);
        let aad = Aad {
            not_after: EpochSeconds(1_900_000_000),
            table: "sessions",
            key: &place,
        };
        let bound = seal_bound(&key, Plaintext::new(plaintext.clone()), &aad);
        let mut derived = [0; 32];
        Hkdf::<Sha256>::new(Some(&bound.salt), &KEY)
            .expand(b"connect-dynamodb-kms v2 encryption key", &mut derived)
            .unwrap();
        let expected = oracle_seals(&oracle(&derived), bound.sealed.iv, &aad.bytes(), &plaintext);
        assert!(bound.sealed == expected, "{length}");
        let bound = BoundSeal {
            sealed: expected,
            ..bound
        };
        let opened = open_bound(&key, bound, &aad).unwrap();
        assert!(*opened == plaintext, "{length}");
    }
}
