//! Any parts are refused unless they were sealed so; what was sealed opens, and with any byte of it changed it does not.

#![no_main]

use connect_dynamodb_kms::crypto::data_key::DataKey;
use connect_dynamodb_kms::crypto::envelope::{
    Aad, BoundSeal, Sealed, open, open_bound, seal, seal_bound,
};
use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::time::EpochSeconds;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use zeroize::Zeroizing;

#[derive(Arbitrary, Debug)]
struct Input {
    data_key: [u8; 32],
    iv: [u8; 12],
    ciphertext: Vec<u8>,
    tag: [u8; 16],
    salt: [u8; 16],
    commitment: [u8; 32],
    not_after: i64,
    table: String,
    key: String,
    /// Which byte of what was sealed is changed, and how.
    change: (u16, u8),
}

fuzz_target!(|input: Input| {
    let data_key = DataKey::new(Zeroizing::new(input.data_key.to_vec())).expect("32 bytes");
    let aad = Aad {
        not_after: EpochSeconds(input.not_after),
        table: &input.table,
        key: &input.key,
    };
    let sealed = Sealed {
        iv: input.iv,
        ciphertext: input.ciphertext.clone(),
        tag: input.tag,
    };
    let bound = BoundSeal {
        sealed: sealed.clone(),
        salt: input.salt,
        commitment: input.commitment,
    };
    // A tag of 128 bits is not met by chance.
    assert!(open(&data_key, sealed).is_err());
    assert!(open_bound(&data_key, bound, &aad).is_err());

    let plaintext = || Plaintext::new(input.ciphertext.clone());
    let (at, change) = (usize::from(input.change.0), input.change.1);
    let mut sealed = seal(&data_key, plaintext());
    let mut bound = seal_bound(&data_key, plaintext(), &aad);
    alter(&mut sealed, at, change);
    alter(&mut bound.sealed, at, change);
    for opened in [
        open(&data_key, sealed),
        open_bound(&data_key, bound, &aad),
    ] {
        match opened {
            Ok(opened) => assert!(change == 0 && *opened == *plaintext()),
            Err(error) => assert!(change != 0 && error.code() == "ERR_INTEGRITY"),
        }
    }
});

fn alter(sealed: &mut Sealed, at: usize, change: u8) {
    let mut bytes: Vec<&mut u8> = sealed
        .iv
        .iter_mut()
        .chain(&mut sealed.ciphertext)
        .chain(&mut sealed.tag)
        .collect();
    let at = at % bytes.len();
    *bytes[at] ^= change;
}
