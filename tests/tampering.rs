//! What an attacker can do who can write the table but cannot use the KMS key. In version 2, the
//! attacker can only end a session or move its `ttl`. In version 1, the attacker can do what
//! docs/record-format.md says, and no more.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64_simd::STANDARD as BASE64;
use connect_dynamodb_kms::crypto::data_key::{DataKey, WrappedKey};
use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::error::Result;
use connect_dynamodb_kms::keys::cache::{KeyCache, Limits};
use connect_dynamodb_kms::keys::{DataKeys, EncryptionContext};
use connect_dynamodb_kms::record::partition_key::{IdHashing, PartitionKeys};
use connect_dynamodb_kms::record::{
    AUTH_TAG, Attribute, COMMIT, ENCRYPTED_DATA, ENCRYPTED_KEY, IV, Item, NOT_AFTER, Name, SALT,
    SESSION_ID, TTL, VERSION, Version,
};
use connect_dynamodb_kms::store::session_table::Condition;
use connect_dynamodb_kms::store::{Lookup, RecordPolicy, Saving, SessionStore};
use connect_dynamodb_kms::time::{EpochMillis, EpochSeconds};
use support::{Backend, SetNew, backends, store, store_with};

const NOW: EpochMillis = EpochMillis(1_800_000_000_000.0);
const NOW_SECONDS: i64 = 1_800_000_000;
const HOUR: i64 = 3600;
const VERSIONS: [Version; 2] = [Version::V1, Version::V2];

/// The envelope of version 1: nothing binds it to its place.
const ENVELOPE: [&str; 4] = [ENCRYPTED_KEY, ENCRYPTED_DATA, IV, AUTH_TAG];

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Opened(String),
    Ended,
    Missing,
    Refused(&'static str),
}

const INTEGRITY: Read = Read::Refused("ERR_INTEGRITY");
const UNKNOWN_VERSION: Read = Read::Refused("ERR_VERSION");

async fn read_at(store: &SessionStore, sid: &str, now: EpochMillis) -> Read {
    match store.get(sid, now).await {
        Ok(Lookup::Found(session)) => Read::Opened(session.json.to_string()),
        Ok(Lookup::Ended) => Read::Ended,
        Ok(Lookup::Missing) => Read::Missing,
        Err(error) => Read::Refused(error.code()),
    }
}

async fn read(store: &SessionStore, sid: &str) -> Read {
    read_at(store, sid, NOW).await
}

fn content_of(sid: &str) -> String {
    format!(r#"{{"user":"{sid}"}}"#)
}

fn opened(sid: &str) -> Read {
    Read::Opened(content_of(sid))
}

/// Saves a session that holds its id and lives that many hours, and gives its item.
async fn save(store: &SessionStore, backend: &Backend, sid: &str, hours: i64) -> Item {
    let json = Plaintext::new(content_of(sid).into_bytes());
    let end = EpochSeconds(NOW_SECONDS + hours * HOUR);
    store.set(sid, json, NOW, end).await.unwrap();
    item(backend, &format!("app:{sid}")).await
}

async fn item(backend: &Backend, key: &str) -> Item {
    backend.table.get(key).await.unwrap().expect("an item")
}

async fn write(backend: &Backend, item: &Item) {
    let put = backend.table.put(item.clone(), Condition::Always).await;
    put.unwrap();
}

/// Reads what the attacker wrote with two stores: one that knows nothing, and one that has cached
/// the session's data key.
async fn read_both(backend: &Backend, warm: &SessionStore, changed: &Item, what: &str) -> Read {
    write(backend, changed).await;
    let from_cache = read(warm, "one").await;
    let cold = read(&store(backend, Version::V2), "one").await;
    assert_eq!(from_cache, cold, "{what}: the cache makes a difference");
    item(backend, "app:one").await; // whatever was refused is still there
    cold
}

/// A store that has just read the session `one`, with `original` as its record.
async fn warm(backend: &Backend, original: &Item) -> SessionStore {
    write(backend, original).await;
    let store = store(backend, Version::V2);
    assert_eq!(read(&store, "one").await, opened("one"));
    store
}

/// A store with its own policy, with an empty cache.
fn cold_store(
    backend: &Backend,
    prefix: &str,
    table: &str,
    accept: &[Version],
    context: &[(&str, &str)],
) -> SessionStore {
    let context = context
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    SessionStore::new(
        backend.table.clone(),
        KeyCache::new(backend.keys.clone(), Some(Limits::DEFAULT)),
        PartitionKeys::new(prefix.into(), IdHashing::None),
        RecordPolicy::new(
            Version::V2,
            accept.to_vec(),
            table.into(),
            context.collect::<BTreeMap<_, _>>(),
        ),
        Saving::default(),
    )
}

/// Where a value is bytes: as bytes or as base64.
fn bytes(attribute: &Attribute) -> Vec<u8> {
    match attribute {
        Attribute::S(text) => BASE64.decode_to_vec(text).unwrap(),
        Attribute::B(bytes) => bytes.clone(),
        other => panic!("no bytes: {other:?}"),
    }
}

fn like(attribute: &Attribute, bytes: Vec<u8>) -> Attribute {
    match attribute {
        Attribute::S(_) => Attribute::S(BASE64.encode_to_string(bytes)),
        _ => Attribute::B(bytes),
    }
}

/// Every other value of one changed bit, or of one changed digit. Of bits, every `step`th.
fn flips(attribute: &Attribute, step: usize) -> Vec<Attribute> {
    if let Attribute::N(number) = attribute {
        return (0..number.len())
            .flat_map(|at| ('0'..='9').map(move |digit| (at, digit)))
            .filter(|(at, digit)| !number[*at..].starts_with(*digit))
            .map(|(at, digit)| {
                let mut changed = number.clone();
                changed.replace_range(at..=at, digit.encode_utf8(&mut [0; 4]));
                Attribute::N(changed)
            })
            .collect();
    }
    let bytes = bytes(attribute);
    (0..bytes.len() * 8)
        .step_by(step)
        .map(|bit| {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            like(attribute, changed)
        })
        .collect()
}

/// No value, no bytes, one byte less, one byte more, and the other types. For a number, only no
/// value and the other types.
fn misshapen(attribute: &Attribute) -> Vec<Option<Attribute>> {
    let mut shapes = vec![None, Some(Attribute::Other)];
    if let Attribute::N(number) = attribute {
        shapes.push(Some(Attribute::S(number.clone())));
        shapes.push(Some(Attribute::B(number.clone().into_bytes())));
        return shapes;
    }
    let bytes = bytes(attribute);
    let longer = [&bytes[..], &[0]].concat();
    for other in [&[][..], &bytes[1..], &bytes[..bytes.len() - 1], &longer] {
        shapes.push(Some(like(attribute, other.to_vec())));
    }
    shapes.push(Some(Attribute::N("1".into())));
    shapes.push(Some(match attribute {
        Attribute::S(text) => Attribute::B(text.clone().into_bytes()),
        _ => Attribute::S(BASE64.encode_to_string(&bytes)),
    }));
    shapes
}

/// What a reader makes of a record of the session `one` with another number.
fn expected_of_number(name: &str, number: &str) -> Read {
    let ended = || number.parse::<i64>().unwrap() <= NOW_SECONDS;
    match name {
        VERSION if !matches!(number, "1" | "2") => UNKNOWN_VERSION,
        TTL | NOT_AFTER if ended() => Read::Ended,
        TTL => opened("one"),
        _ => INTEGRITY,
    }
}

fn attributes(item: &Item) -> impl Iterator<Item = (&Name, &Attribute)> {
    // The partition key is where the item lies; what becomes of it elsewhere has tests of its own.
    item.iter().filter(|(name, _)| ***name != *SESSION_ID)
}

fn with(item: &Item, name: &str, value: Option<Attribute>) -> Item {
    let mut changed = item.clone();
    changed.remove(name);
    changed.extend(value.map(|value| (name.to_owned().into(), value)));
    changed
}

#[tokio::test]
async fn no_changed_bit_or_digit_opens_but_of_ttl() {
    for backend in backends() {
        // All bits if a write is cheap. Over HTTP every 11th bit, which covers all positions in a
        // byte.
        let step = if backend.name == "local" { 1 } else { 11 };
        for version in VERSIONS {
            let original = save(&store(&backend, version), &backend, "one", 24).await;
            let mut tried = 0;
            for (name, value) in attributes(&original) {
                let warm = warm(&backend, &original).await;
                for changed in flips(value, step) {
                    let what = format!("{} {version:?} {name:?} {changed:?}", backend.name);
                    let expected = match &changed {
                        Attribute::N(number) => expected_of_number(name, number),
                        _ => INTEGRITY,
                    };
                    let changed = with(&original, name, Some(changed));
                    let found = read_both(&backend, &warm, &changed, &what).await;
                    assert_eq!(found, expected, "{what}");
                    tried += 1;
                }
            }
            assert!(tried > 150, "{tried}");
        }
    }
}

#[tokio::test]
async fn nothing_opens_with_an_attribute_missing_misshapen_or_of_another_type() {
    for backend in backends() {
        for version in VERSIONS {
            let original = save(&store(&backend, version), &backend, "one", 24).await;
            for (name, value) in attributes(&original) {
                let warm = warm(&backend, &original).await;
                for shape in misshapen(value) {
                    let what = format!("{} {version:?} {name:?} {shape:?}", backend.name);
                    let changed = with(&original, name, shape);
                    let found = read_both(&backend, &warm, &changed, &what).await;
                    assert_eq!(found, INTEGRITY, "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_moved_ttl_does_not_outlive_the_sealed_end() {
    for backend in backends() {
        let original = save(&store(&backend, Version::V2), &backend, "one", 24).await;
        let far = Attribute::N((NOW_SECONDS + 10_000 * HOUR).to_string());
        let changed = with(&original, TTL, Some(far));
        let warm = warm(&backend, &original).await;
        let found = read_both(&backend, &warm, &changed, "a later ttl").await;
        assert_eq!(found, opened("one"), "{}", backend.name);
        // Sealed for a day, so it lives two at most.
        for (hours, expected) in [(47, opened("one")), (48, Read::Ended), (9999, Read::Ended)] {
            #[allow(clippy::cast_precision_loss)] // far below 2^53
            let later = EpochMillis(NOW.0 + (hours * HOUR * 1000) as f64);
            assert_eq!(read_at(&warm, "one", later).await, expected, "{hours} h");
        }
    }
}

/// Every subset of the attributes of two records of one version.
fn exchanges<'a>(
    into: &'a Item,
    from: &'a Item,
) -> impl Iterator<Item = (Vec<&'a str>, Item)> + 'a {
    let names: Vec<&str> = attributes(into).map(|(name, _)| &**name).collect();
    (0..1_usize << names.len()).map(move |mask| {
        let taken: Vec<&str> = (0..names.len())
            .filter(|at| mask & (1 << at) != 0)
            .map(|at| names[at])
            .collect();
        let mut mixed = into.clone();
        for name in &taken {
            mixed.insert((*name).to_owned().into(), from[*name].clone());
        }
        (taken, mixed)
    })
}

#[tokio::test]
async fn of_two_records_version_1_lets_the_whole_envelope_be_exchanged_and_version_2_nothing() {
    for backend in backends() {
        for version in VERSIONS {
            let writer = store(&backend, version);
            let one = save(&writer, &backend, "one", 24).await;
            let two = save(&writer, &backend, "two", 36).await;
            let warm = warm(&backend, &one).await;
            assert_eq!(read(&warm, "two").await, opened("two"));
            let mut open = 0;
            for (taken, mixed) in exchanges(&one, &two) {
                let what = format!("{} {version:?} {taken:?}", backend.name);
                let found = read_both(&backend, &warm, &mixed, &what).await;
                let nothing = taken.iter().all(|name| [TTL, VERSION].contains(name));
                let envelope = ENVELOPE.iter().all(|name| taken.contains(name));
                let expected = match version {
                    _ if nothing => opened("one"),
                    Version::V1 if envelope => opened("two"),
                    _ => INTEGRITY,
                };
                open += usize::from(found != INTEGRITY);
                assert_eq!(found, expected, "{what}");
            }
            // `ttl` and `version` (which is the same) are each taken or not. In version 1, the
            // whole envelope is taken or not, too.
            assert_eq!(open, if version == Version::V1 { 8 } else { 4 });
        }
    }
}

#[tokio::test]
async fn an_older_record_of_the_same_session_opens_as_a_whole_alone() {
    for backend in backends() {
        for version in VERSIONS {
            let writer = store(&backend, version);
            let older = save(&writer, &backend, "one", 36).await;
            let end = EpochSeconds(NOW_SECONDS + 24 * HOUR);
            let newer = Plaintext::new(b"{}".to_vec());
            writer.set("one", newer, NOW, end).await.unwrap();
            let newer = item(&backend, "app:one").await;
            for (taken, mixed) in exchanges(&newer, &older) {
                let what = format!("{} {version:?} {taken:?}", backend.name);
                write(&backend, &mixed).await;
                let found = read(&writer, "one").await;
                let sealed = attributes(&newer)
                    .filter(|(name, value)| ***name != *TTL && older[*name] != **value)
                    .map(|(name, _)| taken.contains(&&**name))
                    .collect::<Vec<_>>();
                let expected = if sealed.iter().all(|taken| *taken) {
                    opened("one")
                } else if sealed.iter().any(|taken| *taken) {
                    INTEGRITY
                } else {
                    Read::Opened("{}".into())
                };
                assert_eq!(found, expected, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_record_moved_to_another_session_opens_in_version_1_alone() {
    for backend in backends() {
        for version in VERSIONS {
            let original = save(&store(&backend, version), &backend, "one", 24).await;
            let warm = warm(&backend, &original).await;
            let expected = || match version {
                Version::V1 => opened("one"),
                Version::V2 => INTEGRITY,
            };
            let to = |key: &str| with(&original, SESSION_ID, Some(Attribute::S(key.into())));
            write(&backend, &to("app:three")).await;
            assert_eq!(read(&warm, "three").await, expected(), "{}", backend.name);
            let cold = store(&backend, version);
            assert_eq!(read(&cold, "three").await, expected(), "{}", backend.name);
            item(&backend, "app:three").await;
            // Every key that is one bit away. Without a prefix, a store reads them all.
            let reader = cold_store(&backend, "", "sessions", &VERSIONS, &[]);
            assert_eq!(read(&reader, "app:one").await, opened("one"));
            for bit in 0.."app:one".len() * 8 {
                let mut key = b"app:one".to_vec();
                key[bit / 8] ^= 1 << (bit % 8);
                if let Ok(key) = String::from_utf8(key) {
                    write(&backend, &to(&key)).await;
                    assert_eq!(read(&reader, &key).await, expected(), "{key:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn hashed_ids_bind_records_of_version_1_too() {
    for backend in backends() {
        for version in VERSIONS {
            let reader = store_with(&backend, version, IdHashing::Sha256);
            let keys = PartitionKeys::new("app:".into(), IdHashing::Sha256);
            let mut items = Vec::new();
            for sid in ["one", "two"] {
                let json = Plaintext::new(content_of(sid).into_bytes());
                let end = EpochSeconds(NOW_SECONDS + HOUR);
                reader.set(sid, json, NOW, end).await.unwrap();
                assert_eq!(read(&reader, sid).await, opened(sid));
                items.push(item(&backend, &keys.key(sid).unwrap()).await);
            }
            let place = Some(items[0][SESSION_ID].clone());
            write(&backend, &with(&items[1], SESSION_ID, place)).await;
            assert_eq!(read(&reader, "one").await, INTEGRITY, "{}", backend.name);
            let cold = store_with(&backend, version, IdHashing::Sha256);
            assert_eq!(read(&cold, "one").await, INTEGRITY, "{}", backend.name);
        }
    }
}

/// The record written as the other version would be, all the attributes that it needs included.
fn relabelled(original: &Item, of_version_2: &Item) -> Item {
    let other = |value: &Attribute| match value {
        Attribute::S(text) => Attribute::B(BASE64.decode_to_vec(text).unwrap()),
        Attribute::B(bytes) => Attribute::S(BASE64.encode_to_string(bytes)),
        other => panic!("no bytes: {other:?}"),
    };
    let mut item = original.clone();
    for name in ENVELOPE {
        item.insert(name.into(), other(&original[name]));
    }
    let number = if original.contains_key(COMMIT) {
        for name in [SALT, COMMIT, NOT_AFTER] {
            item.remove(name);
        }
        "1"
    } else {
        for name in [SALT, COMMIT, NOT_AFTER] {
            item.insert(name.into(), of_version_2[name].clone());
        }
        "2"
    };
    item.insert(VERSION.into(), Attribute::N(number.into()));
    item
}

#[tokio::test]
async fn a_record_relabelled_as_the_other_version_does_not_open() {
    for backend in backends() {
        let of_version_2 = save(&store(&backend, Version::V2), &backend, "one", 24).await;
        let of_version_1 = save(&store(&backend, Version::V1), &backend, "one", 24).await;
        for original in [&of_version_1, &of_version_2] {
            let warm = warm(&backend, original).await;
            let changed = relabelled(original, &of_version_2);
            let what = format!("{} {:?}", backend.name, original[VERSION]);
            let found = read_both(&backend, &warm, &changed, &what).await;
            assert_eq!(found, INTEGRITY, "{what}");
        }
    }
}

#[tokio::test]
async fn a_record_of_version_1_takes_the_place_of_version_2_only_while_it_is_accepted() {
    for backend in backends() {
        save(&store(&backend, Version::V2), &backend, "one", 24).await;
        let older = save(&store(&backend, Version::V1), &backend, "two", 24).await;
        let place = Some(Attribute::S("app:one".into()));
        write(&backend, &with(&older, SESSION_ID, place)).await;
        let both = cold_store(&backend, "app:", "sessions", &VERSIONS, &[]);
        assert_eq!(read(&both, "one").await, opened("two"), "{}", backend.name);
        let strict = cold_store(&backend, "app:", "sessions", &[Version::V2], &[]);
        assert_eq!(
            read(&strict, "one").await,
            UNKNOWN_VERSION,
            "{}",
            backend.name
        );
    }
}

#[tokio::test]
async fn a_record_of_version_2_opens_in_its_table_and_under_its_context_alone() {
    for backend in backends() {
        for version in VERSIONS {
            save(&store(&backend, version), &backend, "one", 24).await;
            let expected = || match version {
                Version::V1 => opened("one"),
                Version::V2 => INTEGRITY,
            };
            let others = cold_store(&backend, "app:", "others", &VERSIONS, &[]);
            assert_eq!(read(&others, "one").await, expected(), "{}", backend.name);
            let context = [("stage", "production")];
            let staged = cold_store(&backend, "app:", "sessions", &VERSIONS, &context);
            assert_eq!(read(&staged, "one").await, expected(), "{}", backend.name);
            item(&backend, "app:one").await;
        }
    }
}

/// Data keys that are wrapped without an encryption context, so that only the envelope itself
/// binds.
struct WithoutContext(Arc<dyn DataKeys>);

#[async_trait]
impl DataKeys for WithoutContext {
    fn key_encryption_keys(&self) -> Vec<&str> {
        self.0.key_encryption_keys()
    }

    async fn generate(&self, _: &EncryptionContext) -> Result<(DataKey, WrappedKey)> {
        self.0.generate(&EncryptionContext::default()).await
    }

    async fn decrypt(
        &self,
        wrapped: &WrappedKey,
        _: &EncryptionContext,
    ) -> Result<(DataKey, usize)> {
        let context = EncryptionContext::default();
        self.0.decrypt(wrapped, &context).await
    }
}

#[tokio::test]
async fn the_envelope_of_version_2_binds_table_and_version_without_the_encryption_context_too() {
    for mut backend in backends() {
        backend.keys = Arc::new(WithoutContext(backend.keys.clone()));
        let of_version_2 = save(&store(&backend, Version::V2), &backend, "one", 24).await;
        let others = cold_store(&backend, "app:", "others", &VERSIONS, &[]);
        assert_eq!(read(&others, "one").await, INTEGRITY, "{}", backend.name);
        let of_version_1 = save(&store(&backend, Version::V1), &backend, "one", 24).await;
        for original in [&of_version_1, &of_version_2] {
            let warm = warm(&backend, original).await;
            let changed = relabelled(original, &of_version_2);
            let found = read_both(&backend, &warm, &changed, backend.name).await;
            assert_eq!(found, INTEGRITY, "{}", backend.name);
        }
    }
}
