//! Any payload is unpacked or refused; what was unpacked is of the session that the partition key says, and packs and unpacks to the same.

#![no_main]

use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::record::partition_key::{IdHashing, PartitionKeys};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use zeroize::Zeroizing;

#[derive(Arbitrary, Debug)]
struct Input {
    prefix: String,
    secret: Option<Vec<u8>>,
    sid: String,
    payload: Payload,
}

#[derive(Arbitrary, Debug)]
enum Payload {
    Any(String),
    /// Between the brackets, with the session id in front or not.
    Bracketed {
        id: bool,
        rest: String,
    },
    Json(String),
}

fuzz_target!(|input: Input| {
    let hashing = match input.secret {
        Some(secret) => IdHashing::Keyed(Zeroizing::new(secret)),
        None => IdHashing::Sha256,
    };
    if input.prefix.len() > 1024 {
        return; // the options do not let it pass
    }
    let keys = PartitionKeys::new(input.prefix, hashing);
    let Ok(table_key) = keys.key(&input.sid) else {
        return;
    };
    let packed = |json: &str| {
        let packed = keys.payload(&input.sid, Plaintext::new(json.as_bytes().to_vec()));
        String::from_utf8(packed.to_vec()).expect("UTF-8 of UTF-8")
    };
    let payload = match &input.payload {
        Payload::Any(text) => text.clone(),
        Payload::Bracketed { id: false, rest } => format!("[{rest}]"),
        Payload::Bracketed { id: true, rest } => {
            let id = packed("");
            format!("{}{rest}]", id.strip_suffix(",]").expect("its end"))
        }
        Payload::Json(json) => packed(json),
    };
    match keys.unpack(&table_key, Plaintext::new(payload)) {
        Ok((id, json)) => {
            assert_eq!(id, input.sid);
            let again = keys.unpack(&table_key, Plaintext::new(packed(&json)));
            let (id, same) = again.expect("its own payload");
            assert!((id, &**same) == (input.sid, &**json), "another payload");
        }
        Err(error) => {
            assert!(!matches!(input.payload, Payload::Json(_)), "{error}");
        }
    }
});
