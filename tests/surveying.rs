//! The survey of a table with every kind of item.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

mod support;

use std::collections::BTreeMap;

use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::keys::cache::KeyCache;
use connect_dynamodb_kms::operator::run::Run;
use connect_dynamodb_kms::operator::survey::{Survey, SurveyOptions, survey};
use connect_dynamodb_kms::operator::walking::Reading;
use connect_dynamodb_kms::record::kind::Kind;
use connect_dynamodb_kms::record::partition_key::{IdHashing, PartitionKeys};
use connect_dynamodb_kms::record::{
    AUTH_TAG, Attribute, ENCRYPTED_DATA, Item, SESSION_ID, VERSION, Version,
};
use connect_dynamodb_kms::store::session_table::{Condition, SessionTable};
use connect_dynamodb_kms::store::{RecordPolicy, Saving, SessionStore};
use connect_dynamodb_kms::time::{EpochMillis, EpochSeconds};
use support::{Backend, SetNew, aws_with_new_key, backends, store};

const NOW: EpochMillis = EpochMillis(1_800_000_000_000.0);
const END: EpochSeconds = EpochSeconds(1_800_000_000 + 7200);

fn json(text: &str) -> Plaintext {
    Plaintext::new(text.as_bytes().to_vec())
}

fn options(verify: bool) -> SurveyOptions {
    SurveyOptions {
        reading: Reading {
            segments: 3,
            units_per_second: None,
            consistent: false,
        },
        verify,
        ids: false,
    }
}

async fn change(table: &dyn SessionTable, key: &str, change: impl FnOnce(&mut Item)) {
    let mut item = table.get(key).await.unwrap().unwrap();
    change(&mut item);
    table.put(item, Condition::Always).await.unwrap();
}

fn another_store(backend: &Backend, prefix: &str, kind: Kind) -> SessionStore {
    let versions = vec![Version::V1, Version::V2];
    let context = BTreeMap::new();
    SessionStore::new(
        backend.table.clone(),
        KeyCache::new(backend.keys.clone(), None),
        PartitionKeys::new(prefix.into(), IdHashing::None),
        RecordPolicy::new(Version::V2, versions, "sessions".into(), context).of_kind(kind),
        Saving::default(),
    )
}

/// Three sessions of version 1 and four of version 2, of which one has ended, one fails its
/// integrity check and one cannot be parsed; a session of an unknown version; and others' items.
async fn fill(backend: &Backend) -> SessionStore {
    let (first, second) = (store(backend, Version::V1), store(backend, Version::V2));
    for id in ["a", "b", "c"] {
        first.set(id, json("{}"), NOW, END).await.unwrap();
    }
    for id in ["d", "e", "forged", "cut", "unknown"] {
        second.set(id, json("{\"of\":2}"), NOW, END).await.unwrap();
    }
    let table = backend.table.as_ref();
    let past = EpochSeconds(1_799_999_999);
    table
        .extend("app:e", past, Condition::Exists)
        .await
        .unwrap();
    change(table, "app:forged", |item| {
        item.insert(ENCRYPTED_DATA.into(), Attribute::B(vec![1; 8]));
    })
    .await;
    change(table, "app:cut", |item| drop(item.remove(AUTH_TAG))).await;
    change(table, "app:unknown", |item| {
        item.insert(VERSION.into(), Attribute::N("7".into()));
    })
    .await;
    another_store(backend, "other:", Kind::Session)
        .set("a", json("{}"), NOW, END)
        .await
        .unwrap();
    another_store(backend, "app:", Kind::Item)
        .set("item", json("[1]"), NOW, END)
        .await
        .unwrap();
    let until = EpochMillis(NOW.0 + 1000.0);
    second.take_lease("a", "owner", NOW, until).await.unwrap();
    let foreign = Item::from([
        (SESSION_ID.into(), Attribute::S("TOKEN#1".into())),
        ("token".into(), Attribute::S("x".into())),
    ]);
    table.put(foreign, Condition::Always).await.unwrap();
    second
}

async fn surveyed(store: &SessionStore, options: SurveyOptions) -> Survey {
    let found = survey(&Run::default(), store, options, || NOW).await;
    assert_eq!(found.failed, None);
    found
}

#[tokio::test]
async fn every_item_is_counted_as_what_it_is() {
    for backend in backends() {
        let store = fill(&backend).await;
        for verify in [false, true] {
            let found = surveyed(&store, options(verify)).await;
            let name = backend.name;
            assert_eq!(found.items, 12, "{name}");
            assert_eq!((found.sessions, found.ended), (8, 1), "{name}");
            let versions = BTreeMap::from([("1", 3), ("2", 4), ("unknown", 1)]);
            assert_eq!(found.by_version, versions, "{name}");
            let others = (found.other_prefixes, found.other_kinds, found.leases);
            assert_eq!((others, found.foreign), ((1, 1, 1), 1), "{name}");
            // All have two hours left, but for the one that has ended.
            let left: Vec<_> = found.remaining.counts.iter().map(|of| of.count).collect();
            assert_eq!(left, [0, 7, 0, 0, 0, 0], "{name}");
            let sizes: u64 = found.sizes.counts.iter().map(|of| of.count).sum();
            assert!(sizes == 8 && (200..1000).contains(&found.largest), "{name}");
            // A record that was forged shows only when it is opened.
            let unreadable = if verify { 3 } else { 2 };
            assert_eq!(found.unreadable.count, unreadable, "{name}");
            assert!(found.read_units > 0.0 && found.verified == verify, "{name}");
            let key = backend.keys.key_encryption_keys()[0].to_owned();
            assert_eq!(found.by_key, BTreeMap::from([(key, 5)]), "{name}");
        }
    }
}

#[tokio::test]
async fn unreadable_sessions_are_named_by_their_fingerprints() {
    for backend in backends() {
        let store = fill(&backend).await;
        let found = surveyed(&store, options(true)).await;
        let named = |id: &str| {
            let mut all = found.unreadable.first.iter();
            all.find(|trouble| trouble.session == store.fingerprint(&format!("app:{id}")))
                .map(|trouble| trouble.code.as_str())
        };
        assert_eq!(named("forged"), Some("ERR_INTEGRITY"));
        assert_eq!(named("cut"), Some("ERR_INTEGRITY"));
        assert_eq!(named("unknown"), Some("ERR_VERSION"));
        let text = serde_json::to_string(&found).unwrap();
        assert!(!text.contains("forged"), "{text}");
        // FIPS 180-2, appendix B.1: the SHA-256 of "abc".
        assert_eq!(store.fingerprint("app:abc"), "ba7816bf");
        let ids = SurveyOptions {
            ids: true,
            ..options(true)
        };
        let found = surveyed(&store, ids).await;
        let mut all = found.unreadable.first.iter();
        assert!(all.any(|trouble| trouble.id.as_deref() == Some("forged")));
    }
}

#[tokio::test]
async fn sessions_are_counted_by_kms_key_with_few_calls() {
    let (mut backend, keys) = aws_with_new_key();
    for number in 0..30 {
        let id = format!("old {number}");
        let old = store(&backend, Version::V2);
        old.set(&id, json("{}"), NOW, END).await.unwrap();
    }
    let old_keys = std::mem::replace(&mut backend.keys, keys);
    for number in 0..12 {
        let id = format!("new {number}");
        let new = store(&backend, Version::V2);
        new.set(&id, json("{}"), NOW, END).await.unwrap();
    }
    let names = |store: &SessionStore| -> Vec<String> {
        let names = store.key_encryption_keys().into_iter();
        names.map(str::to_owned).collect()
    };
    let both = store(&backend, Version::V2);
    let [new, old] = &names(&both)[..] else {
        panic!("two keys");
    };
    let expected = BTreeMap::from([(new.clone(), 12), (old.clone(), 30)]);
    let found = surveyed(&both, options(false)).await;
    assert_eq!(found.by_key, expected);
    // For the first and the tenth session of each key.
    assert_eq!(found.keys_asked, 4);
    let found = surveyed(&both, options(true)).await;
    assert_eq!((found.by_key, found.keys_asked), (expected, 42));
    // A store without the new key.
    backend.keys = old_keys;
    let before = store(&backend, Version::V2);
    let found = surveyed(&before, options(false)).await;
    let other = "none of the configured keys".to_owned();
    assert_eq!(
        found.by_key,
        BTreeMap::from([(old.clone(), 30), (other, 12)])
    );
    let found = surveyed(&before, options(true)).await;
    assert_eq!(found.unreadable.count, 12);
}
