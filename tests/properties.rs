//! What holds for any session, record and item, on examples that proptest makes up.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

use connect_dynamodb_kms::crypto::data_key::{DataKey, WrappedKey};
use connect_dynamodb_kms::crypto::envelope::{Aad, Sealed, open, open_bound, seal, seal_bound};
use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::record::listing::Listing;
use connect_dynamodb_kms::record::partition_key::{IdHashing, PartitionKeys};
use connect_dynamodb_kms::record::{
    AUTH_TAG, Attribute, Bound, COMMIT, ENCRYPTED_DATA, ENCRYPTED_KEY, EncryptedSessionRecord,
    ITEM_LIMIT, IV, Item, NOT_AFTER, Name, SALT, SESSION_ID, TTL, VERSION, item_size,
};
use connect_dynamodb_kms::time::EpochSeconds;
use proptest::array::{uniform12, uniform16, uniform32};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use zeroize::Zeroizing;

fn data_key() -> impl Strategy<Value = [u8; 32]> {
    uniform32(any::<u8>())
}

fn key_of(bytes: [u8; 32]) -> DataKey {
    DataKey::new(Zeroizing::new(bytes.to_vec())).unwrap()
}

/// One byte repeated. It is quick to make, and a cipher's result does not depend on the variety of
/// the bytes.
fn large() -> impl Strategy<Value = Vec<u8>> {
    (0..=ITEM_LIMIT, any::<u8>()).prop_map(|(length, byte)| vec![byte; length])
}

/// Seconds that a `Date` can hold, or that are long past.
fn moment() -> impl Strategy<Value = i64> {
    i64::MIN..=8_640_000_000_000
}

fn record() -> impl Strategy<Value = EncryptedSessionRecord> {
    let bound =
        (moment(), uniform16(any::<u8>()), data_key()).prop_map(|(not_after, salt, commitment)| {
            Bound {
                not_after: EpochSeconds(not_after),
                salt,
                commitment,
            }
        });
    let sealed = (
        uniform12(any::<u8>()),
        vec(any::<u8>(), 0..200),
        uniform16(any::<u8>()),
    )
        .prop_map(|(iv, ciphertext, tag)| Sealed {
            iv,
            ciphertext,
            tag,
        });
    (
        any::<String>(),
        vec(any::<u8>(), 1..=6144),
        sealed,
        moment(),
        option::of(bound),
    )
        .prop_map(
            |(key, wrapped_key, sealed, ttl, bound)| EncryptedSessionRecord {
                key,
                wrapped_key: WrappedKey(wrapped_key),
                sealed,
                ttl: EpochSeconds(ttl),
                bound,
                unversioned: false,
                listing: Listing::Unsaid,
            },
        )
}

fn attribute() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        any::<String>().prop_map(Attribute::S),
        "[A-Za-z0-9+/]{0,24}={0,2}".prop_map(Attribute::S),
        any::<String>().prop_map(Attribute::N),
        any::<i64>().prop_map(|number| Attribute::N(number.to_string())),
        (0..4).prop_map(|number: i32| Attribute::N(number.to_string())),
        vec(any::<u8>(), 0..40).prop_map(Attribute::B),
        Just(Attribute::Other),
    ]
}

fn attributes() -> impl Strategy<Value = Item> {
    let known = select(vec![
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
    ]);
    let name = prop_oneof![9 => known.prop_map(str::to_owned), 1 => any::<String>()];
    btree_map(name.prop_map(Name::from), attribute(), 0..12)
}

/// What an item takes by `DynamoDB`'s rules, a number by its upper bound.
fn real_size(item: &Item) -> usize {
    let value = |attribute: &Attribute| match attribute {
        Attribute::S(text) => text.len(),
        Attribute::B(bytes) => bytes.len(),
        Attribute::N(_) => 21,
        Attribute::Other => panic!("no attribute of a record"),
    };
    item.iter()
        .map(|(name, attribute)| name.len() + value(attribute))
        .sum()
}

/// [`IdHashing`], which does not show its secret.
#[derive(Clone, Debug)]
enum Hashing {
    None,
    Sha256,
    Keyed(Vec<u8>),
}

fn hashing() -> impl Strategy<Value = Hashing> {
    prop_oneof![
        Just(Hashing::None),
        Just(Hashing::Sha256),
        vec(any::<u8>(), 0..80).prop_map(Hashing::Keyed),
    ]
}

fn session_keys(prefix: &str, hashing: Hashing) -> PartitionKeys {
    let hashing = match hashing {
        Hashing::None => IdHashing::None,
        Hashing::Sha256 => IdHashing::Sha256,
        Hashing::Keyed(secret) => IdHashing::Keyed(Zeroizing::new(secret)),
    };
    PartitionKeys::new(prefix.to_owned(), hashing)
}

/// Version 1 and version 2: sealed, it has its length and other bytes; opened, it is what it was.
fn seals_and_opens(key: [u8; 32], plaintext: &[u8], aad: &Aad<'_>) {
    let key = key_of(key);
    let payload = || Plaintext::new(plaintext.to_vec());
    let first = seal(&key, payload());
    let second = seal_bound(&key, payload(), aad);
    for sealed in [&first, &second.sealed] {
        assert_eq!(sealed.ciphertext.len(), plaintext.len());
        assert!(plaintext.len() < 16 || sealed.ciphertext != plaintext);
    }
    assert_eq!(*open(&key, first).unwrap(), plaintext);
    assert_eq!(*open_bound(&key, second, aad).unwrap(), plaintext);
}

proptest! {
    #[test]
    fn whatever_is_sealed_opens(
        key in data_key(),
        plaintext in vec(any::<u8>(), 0..4096),
        not_after in any::<i64>(),
        table in any::<String>(),
        partition in any::<String>(),
    ) {
        let not_after = EpochSeconds(not_after);
        let aad = Aad { not_after, table: &table, key: &partition };
        seals_and_opens(key, &plaintext, &aad);
    }

    #[test]
    fn no_two_places_have_the_same_authenticated_data(
        one in (any::<i64>(), any::<String>(), any::<String>()),
        // The same text, cut elsewhere, is what lengths are there for.
        cut in any::<prop::sample::Index>(),
        other in (any::<i64>(), any::<String>(), any::<String>()),
    ) {
        let aad = |(not_after, table, key): &(i64, String, String)| {
            let not_after = EpochSeconds(*not_after);
            Aad { not_after, table, key }.bytes()
        };
        let text: Vec<char> = one.1.chars().chain(one.2.chars()).collect();
        let at = cut.index(text.len() + 1);
        let shifted = (one.0, text[..at].iter().collect(), text[at..].iter().collect());
        prop_assert_eq!(aad(&one) == aad(&shifted), one == shifted);
        prop_assert_eq!(aad(&one) == aad(&other), one == other);
    }

    #[test]
    fn any_record_goes_to_an_item_and_back(record in record()) {
        let item = record.to_item();
        prop_assert_eq!(EncryptedSessionRecord::from_item(item).unwrap(), record);
    }

    #[test]
    fn the_computed_size_is_the_real_one(record in record()) {
        let (wrapped, plaintext) = (record.wrapped_key.0.len(), record.sealed.ciphertext.len());
        let computed = item_size(record.version(), record.key.len(), wrapped, plaintext);
        prop_assert_eq!(computed, real_size(&record.to_item()));
    }

    #[test]
    fn any_item_is_read_or_refused(
        record in option::weighted(0.8, record()),
        changes in attributes(),
        removed in option::of(select(vec![VERSION, TTL, IV, SALT])),
    ) {
        let mut item = record.map(|record| record.to_item()).unwrap_or_default();
        item.extend(changes);
        removed.map(|name| item.remove(name));
        match EncryptedSessionRecord::from_item(item) {
            Ok(record) => {
                let again = EncryptedSessionRecord::from_item(record.to_item());
                prop_assert_eq!(again.unwrap(), record);
            }
            Err(error) => prop_assert!(["ERR_INTEGRITY", "ERR_VERSION"].contains(&error.code())),
        }
    }

    #[test]
    fn a_payload_tells_its_session_and_no_other(
        prefix in "\\PC{0,20}",
        hashing in hashing(),
        id in "(?s).{1,100}",
        other in "(?s).{1,100}",
        // Sessions are objects; what is sealed beside the id may be any text.
        json in prop_oneof![any::<String>(), json_object()],
    ) {
        let keys = session_keys(&prefix, hashing);
        let packed = keys.payload(&id, Plaintext::new(json.clone().into_bytes()));
        let packed = || Plaintext::new(String::from_utf8(packed.to_vec()).unwrap());
        let table_key = keys.key(&id).unwrap();
        prop_assert!(table_key.starts_with(keys.prefix()));
        let (found, session) = keys.unpack(&table_key, packed()).unwrap();
        prop_assert_eq!((found.as_str(), session.as_str()), (id.as_str(), json.as_str()));
        if keys.hashed() && other != id {
            let refused = keys.unpack(&keys.key(&other).unwrap(), packed());
            prop_assert_eq!(refused.err().unwrap().code(), "ERR_INTEGRITY");
        }
    }

    #[test]
    fn a_plain_id_comes_back_from_its_key_which_is_of_one_prefix_alone(
        prefixes in ["[:#%a]{0,6}", "[:#%a]{1,6}"],
        id in "[:#%235Aa]{1,8}|(?s).{1,20}",
    ) {
        let [keys, others] = prefixes.clone().map(|prefix| session_keys(&prefix, Hashing::None));
        let key = keys.key(&id).unwrap();
        prop_assert_eq!(keys.id(&key), id);
        prop_assert!(keys.owns(&key));
        prop_assert!(prefixes[0] == prefixes[1] || prefixes[0].is_empty() || !others.owns(&key));
    }

    #[test]
    fn any_payload_is_unpacked_or_refused(payload in "(\\[?\"?)(?s).{0,40}(\",.{0,20}\\])?") {
        let keys = session_keys("app:", Hashing::Sha256);
        let unpacked = keys.unpack(&keys.key("one").unwrap(), Plaintext::new(payload));
        prop_assert!(!unpacked.is_ok_and(|(id, _)| id != "one"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_largest_sessions_open_too(key in data_key(), plaintext in large()) {
        let not_after = EpochSeconds(1_900_000_000);
        let aad = Aad { not_after, table: "sessions", key: "app:one" };
        seals_and_opens(key, &plaintext, &aad);
    }
}

/// An object as `JSON.stringify` writes it.
fn json_object() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    let value = leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Into::into),
            btree_map(any::<String>(), inner, 0..5)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    });
    btree_map(any::<String>(), value, 0..5)
        .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()).to_string())
}
