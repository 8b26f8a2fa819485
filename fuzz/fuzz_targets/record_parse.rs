//! Any item is read or refused; what was read is written as an item that reads the same.

#![no_main]

use base64_simd::STANDARD as BASE64;
use connect_dynamodb_kms::crypto::data_key::WrappedKey;
use connect_dynamodb_kms::crypto::envelope::Sealed;
use connect_dynamodb_kms::record::listing::Listing;
use connect_dynamodb_kms::record::{
    AUTH_TAG, Attribute, Bound, COMMIT, ENCRYPTED_DATA, ENCRYPTED_KEY, EncryptedSessionRecord, IV,
    Item, NOT_AFTER, SALT, SESSION_ID, TTL, VERSION,
};
use connect_dynamodb_kms::time::EpochSeconds;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    /// A whole record to start from, or nothing.
    start: Option<Record>,
    changes: Vec<(Name, Value)>,
}

#[derive(Arbitrary, Debug)]
struct Record {
    key: String,
    wrapped_key: Vec<u8>,
    iv: [u8; 12],
    ciphertext: Vec<u8>,
    tag: [u8; 16],
    ttl: i64,
    bound: Option<(i64, [u8; 16], [u8; 32])>,
}

#[derive(Arbitrary, Debug)]
enum Name {
    Known(u8),
    Other(String),
}

#[derive(Arbitrary, Debug)]
enum Value {
    S(String),
    Base64(Vec<u8>),
    N(String),
    Number(i64),
    B(Vec<u8>),
    Other,
    Missing,
}

const NAMES: [&str; 10] = [
    SESSION_ID,
    VERSION,
    TTL,
    ENCRYPTED_KEY,
    ENCRYPTED_DATA,
    IV,
    AUTH_TAG,
    NOT_AFTER,
    SALT,
    COMMIT,
];

impl Record {
    fn item(self) -> Item {
        let record = EncryptedSessionRecord {
            key: self.key,
            wrapped_key: WrappedKey(self.wrapped_key),
            sealed: Sealed {
                iv: self.iv,
                ciphertext: self.ciphertext,
                tag: self.tag,
            },
            ttl: EpochSeconds(self.ttl),
            bound: self.bound.map(|(not_after, salt, commitment)| Bound {
                not_after: EpochSeconds(not_after),
                salt,
                commitment,
            }),
            unversioned: false,
            listing: Listing::Unsaid,
        };
        record.to_item()
    }
}

fuzz_target!(|input: Input| {
    let mut item = input.start.map(Record::item).unwrap_or_default();
    for (name, value) in input.changes {
        let name = match name {
            Name::Known(at) => NAMES[usize::from(at) % NAMES.len()].to_owned(),
            Name::Other(name) => name,
        };
        let value = match value {
            Value::S(text) => Attribute::S(text),
            Value::Base64(bytes) => Attribute::S(BASE64.encode_to_string(bytes)),
            Value::N(number) => Attribute::N(number),
            Value::Number(number) => Attribute::N(number.to_string()),
            Value::B(bytes) => Attribute::B(bytes),
            Value::Other => Attribute::Other,
            Value::Missing => {
                item.remove(name.as_str());
                continue;
            }
        };
        item.insert(name.into(), value);
    }
    match EncryptedSessionRecord::from_item(item.clone()) {
        Err(error) => assert!(["ERR_INTEGRITY", "ERR_VERSION"].contains(&error.code())),
        Ok(record) => {
            let written = record.to_item();
            for (name, value) in &written {
                // A number may have stood there with a sign or zeros in front.
                let same = matches!(value, Attribute::N(_)) || item.get(name) == Some(value);
                assert!(same, "{name:?} changed");
            }
            let again = EncryptedSessionRecord::from_item(written).expect("its own item");
            assert_eq!(again, record);
        }
    }
});
