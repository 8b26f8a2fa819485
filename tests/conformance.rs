//! What every backend of the store must do, over the local mode and over AWS's protocols.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

mod support;

use std::collections::BTreeMap;

use connect_dynamodb_kms::crypto::data_key::WrappedKey;
use connect_dynamodb_kms::crypto::envelope::{Sealed, seal};
use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::keys::EncryptionContext;
use connect_dynamodb_kms::keys::cache::KeyCache;
use connect_dynamodb_kms::record::kind::Kind;
use connect_dynamodb_kms::record::listing::Listing;
use connect_dynamodb_kms::record::partition_key::{IdHashing, PartitionKeys};
use connect_dynamodb_kms::record::{
    AUTH_TAG, Attribute, EncryptedSessionRecord, Item, NOT_AFTER, SESSION_ID, TTL, Version,
    decode_base64,
};
use connect_dynamodb_kms::store::session_table::{Condition, Outcome, Scan};
use connect_dynamodb_kms::store::{Known, Lifetime, Lookup, RecordPolicy, Saving, SessionStore};
use connect_dynamodb_kms::time::{EpochMillis, EpochSeconds};
use support::{SetNew, backends, is_over, store, store_with};

const NOW: EpochMillis = EpochMillis(1_800_000_000_000.0);

fn decoded(text: &str) -> Vec<u8> {
    decode_base64(text).unwrap_or_default()
}

fn plain(json: &str) -> Plaintext {
    Plaintext::new(json.as_bytes().to_vec())
}

fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
    let pairs = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    EncryptionContext::new(pairs.collect())
}

fn item(key: &str, tag: u8, ttl: i64) -> Item {
    EncryptedSessionRecord {
        key: key.to_owned(),
        wrapped_key: WrappedKey(vec![1; 96]),
        sealed: Sealed {
            iv: [2; 12],
            ciphertext: vec![3; 100],
            tag: [tag; 16],
        },
        ttl: EpochSeconds(ttl),
        bound: None,
        unversioned: false,
        listing: Listing::Unsaid,
    }
    .to_item()
}

fn everything() -> Scan {
    Scan {
        kind: Kind::Session,
        prefix: String::new(),
        alive_after: None,
        keys_only: false,
        unversioned: false,
    }
}

async fn scan_all(
    table: &dyn connect_dynamodb_kms::store::session_table::SessionTable,
    scan: &Scan,
) -> (Vec<String>, usize) {
    let (mut keys, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let page = table.scan(scan, after).await.unwrap();
        pages += 1;
        keys.extend(page.items.iter().map(|item| match &item[SESSION_ID] {
            Attribute::S(key) => key.clone(),
            other => panic!("{other:?}"),
        }));
        after = page.next;
        if after.is_none() {
            keys.sort();
            return (keys, pages);
        }
    }
}

#[tokio::test]
async fn an_item_is_read_as_it_was_written() {
    for backend in backends() {
        assert_eq!(
            backend.table.get("a").await.unwrap(),
            None,
            "{}",
            backend.name
        );
        let mut item = item("a", 1, 10);
        item.insert("binary".into(), Attribute::B(vec![0, 255]));
        backend
            .table
            .put(item.clone(), Condition::Always)
            .await
            .unwrap();
        assert_eq!(
            backend.table.get("a").await.unwrap(),
            Some(item),
            "{}",
            backend.name
        );
    }
}

#[tokio::test]
async fn a_condition_that_does_not_hold_changes_nothing() {
    for backend in backends() {
        let table = &backend.table;
        let put =
            async |tag: u8, condition| table.put(item("a", tag, 10), condition).await.unwrap();
        let revision = |tag: u8| Condition::Revision(item("a", tag, 10)[AUTH_TAG].clone());
        assert_eq!(
            put(1, Condition::Exists).await,
            Outcome::Refused(None),
            "{}",
            backend.name
        );
        assert_eq!(put(1, revision(1)).await, Outcome::Refused(None));
        assert_eq!(table.get("a").await.unwrap(), None);
        assert_eq!(put(1, Condition::Always).await, Outcome::Written);
        assert_eq!(put(2, Condition::Exists).await, Outcome::Written);
        let second = Some(item("a", 2, 10));
        assert_eq!(put(3, revision(1)).await, Outcome::Refused(second));
        assert_eq!(table.get("a").await.unwrap(), Some(item("a", 2, 10)));
        assert_eq!(put(3, revision(2)).await, Outcome::Written);
        assert_eq!(table.get("a").await.unwrap(), Some(item("a", 3, 10)));
    }
}

#[tokio::test]
async fn extending_moves_ttl_and_nothing_else() {
    for backend in backends() {
        let table = &backend.table;
        let extend = async |condition| {
            table
                .extend("a", EpochSeconds(99), condition)
                .await
                .unwrap()
        };
        let refused = extend(Condition::Exists).await;
        assert_eq!(refused, Outcome::Refused(None), "{}", backend.name);
        assert_eq!(table.get("a").await.unwrap(), None, "nothing is created");
        let mut expected = item("a", 1, 10);
        expected.insert("note".into(), Attribute::S("of somebody else".into()));
        table
            .put(expected.clone(), Condition::Always)
            .await
            .unwrap();
        let other = Condition::Revision(item("a", 2, 10)[AUTH_TAG].clone());
        let refused = Outcome::Refused(Some(expected.clone()));
        assert_eq!(extend(other).await, refused);
        let at = |seconds| Condition::Lives {
            at: EpochSeconds(seconds),
            until: EpochSeconds(99),
        };
        assert_eq!(extend(at(10)).await, refused);
        assert_eq!(extend(at(9)).await, Outcome::Written);
        assert_eq!(extend(Condition::Exists).await, Outcome::Written);
        expected.insert(TTL.into(), Attribute::N("99".into()));
        assert_eq!(table.get("a").await.unwrap(), Some(expected));
    }
}

#[tokio::test]
async fn deleting_what_is_not_there_is_a_success() {
    for backend in backends() {
        backend
            .table
            .put(item("a", 1, 10), Condition::Always)
            .await
            .unwrap();
        backend.table.delete("a", Condition::Always).await.unwrap();
        backend.table.delete("a", Condition::Always).await.unwrap();
        assert_eq!(
            backend.table.get("a").await.unwrap(),
            None,
            "{}",
            backend.name
        );
    }
}

#[tokio::test]
async fn a_scan_gives_own_items_alone_through_any_number_of_pages() {
    for backend in backends() {
        let table = &backend.table;
        for number in 0..600 {
            let mut big = item(&format!("app:{number:03}"), 1, 10 + number);
            big.insert("padding".into(), Attribute::S("x".repeat(4000)));
            table.put(big, Condition::Always).await.unwrap();
        }
        table
            .put(item("other:1", 1, 10), Condition::Always)
            .await
            .unwrap();
        let token = Item::from([(SESSION_ID.into(), Attribute::S("app:TOKEN#1".into()))]);
        table.put(token, Condition::Always).await.unwrap();

        let app = Scan {
            prefix: "app:".into(),
            ..everything()
        };
        let (keys, pages) = scan_all(table.as_ref(), &app).await;
        assert_eq!(keys.len(), 600, "{}", backend.name);
        assert!(pages > 1, "{}: one page proves nothing", backend.name);
        assert_eq!(scan_all(table.as_ref(), &everything()).await.0.len(), 601);

        let alive = Scan {
            alive_after: Some(EpochSeconds(600)),
            keys_only: true,
            ..app
        };
        let (keys, _) = scan_all(table.as_ref(), &alive).await;
        assert_eq!(
            keys,
            [
                "app:591", "app:592", "app:593", "app:594", "app:595", "app:596", "app:597",
                "app:598", "app:599"
            ]
        );

        table
            .delete_all((0..60).map(|number| format!("app:{number:03}")).collect())
            .await
            .unwrap();
        assert_eq!(scan_all(table.as_ref(), &everything()).await.0.len(), 541);
    }
}

#[tokio::test]
async fn an_item_lives_no_longer_than_was_sealed_into_it() {
    for backend in backends() {
        let table = &backend.table;
        let mut bound = item("a", 1, 10);
        bound.insert(NOT_AFTER.into(), Attribute::N("20".into()));
        table.put(bound, Condition::Always).await.unwrap();
        let extend = async |at, until| {
            let lives = Condition::Lives {
                at: EpochSeconds(at),
                until: EpochSeconds(until),
            };
            let extension = table.extend("a", EpochSeconds(until), lives).await;
            extension.unwrap() == Outcome::Written
        };
        assert!(!extend(5, 21).await, "{}", backend.name);
        assert!(extend(5, 20).await);
        assert!(!extend(20, 20).await);
        let alive = |now| Scan {
            alive_after: Some(EpochSeconds(now)),
            ..everything()
        };
        table
            .put(item("b", 1, 30), Condition::Always)
            .await
            .unwrap();
        table
            .extend("a", EpochSeconds(40), Condition::Exists)
            .await
            .unwrap();
        assert_eq!(scan_all(table.as_ref(), &alive(19)).await.0, ["a", "b"]);
        assert_eq!(scan_all(table.as_ref(), &alive(20)).await.0, ["b"]);
    }
}

#[tokio::test]
async fn a_table_and_its_keys_pass_their_check() {
    for backend in backends() {
        backend.table.check().await.unwrap();
        for version in [Version::V1, Version::V2] {
            store(&backend, version).ping().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_wrapped_key_unwraps_and_a_changed_one_does_not() {
    for backend in backends() {
        for context in [context(&[]), context(&[("table", "sessions"), ("v", "2")])] {
            let generate = async || backend.keys.generate(&context).await.unwrap();
            let keys = &backend.keys;
            let (key, wrapped) = generate().await;
            assert_ne!(key.bytes(), generate().await.0.bytes(), "{}", backend.name);
            let unwrapped = keys.decrypt(&wrapped, &context).await.unwrap();
            assert_eq!((unwrapped.0.bytes(), unwrapped.1), (key.bytes(), 0));
            for at in [0, wrapped.0.len() / 2, wrapped.0.len() - 1] {
                let mut changed = wrapped.clone();
                changed.0[at] ^= 1;
                let error = keys.decrypt(&changed, &context).await.err().unwrap();
                assert_eq!(error.code(), "ERR_INTEGRITY", "{} byte {at}", backend.name);
            }
            for length in [1, 20, wrapped.0.len() - 1] {
                let cut = WrappedKey(wrapped.0[..length].to_vec());
                let error = keys.decrypt(&cut, &context).await.err().unwrap();
                assert_eq!(
                    error.code(),
                    "ERR_INTEGRITY",
                    "{} cut to {length}",
                    backend.name
                );
            }
        }
    }
}

#[tokio::test]
async fn a_wrapped_key_belongs_to_its_context() {
    for backend in backends() {
        let made_for = context(&[("table", "sessions"), ("v", "2")]);
        let (_, wrapped) = backend.keys.generate(&made_for).await.unwrap();
        let others = [
            context(&[]),
            context(&[("table", "others"), ("v", "2")]),
            context(&[("table", "sessions")]),
        ];
        for other in others {
            let error = backend.keys.decrypt(&wrapped, &other).await.err().unwrap();
            assert_eq!(error.code(), "ERR_INTEGRITY", "{}", backend.name);
        }
    }
}

#[tokio::test]
async fn a_store_keeps_a_session_sealed_and_gives_it_back() {
    for backend in backends() {
        for version in [Version::V1, Version::V2] {
            let store = store(&backend, version);
            // Longer than random bytes and their base64 would show by chance.
            let json = r#"{"user":"ada-lovelace"}"#;
            let end = Lifetime::OfCookie.end(NOW, None);
            store.set("s1", plain(json), NOW, end).await.unwrap();
            let Lookup::Found(session) = store.get("s1", NOW).await.unwrap() else {
                panic!("{}: no session", backend.name);
            };
            assert_eq!(
                (session.id.as_str(), session.json.as_str(), session.ttl),
                ("s1", json, end.ttl)
            );
            let item = backend.table.get("app:s1").await.unwrap().expect("an item");
            let name = b"ada-lovelace";
            let shows = |bytes: &[u8]| bytes.windows(name.len()).any(|window| window == name);
            let leaks = item.values().any(|value| match value {
                Attribute::S(text) => shows(text.as_bytes()) || shows(&decoded(text)),
                Attribute::B(bytes) => shows(bytes),
                _ => false,
            });
            assert!(!leaks, "{}", backend.name);
            let later = store.get("s1", EpochMillis(1_900_000_000_000.0)).await;
            assert!(is_over(&later), "{}", backend.name);
        }
    }
}

#[tokio::test]
async fn hashed_ids_come_back_from_the_sealed_payload() {
    for backend in backends() {
        for version in [Version::V1, Version::V2] {
            let store = store_with(&backend, version, IdHashing::Sha256);
            let end = Lifetime::OfCookie.end(NOW, None);
            store.set("an id", plain("{}"), NOW, end).await.unwrap();
            assert!(matches!(
                store.get("an id", NOW).await,
                Ok(Lookup::Found(_))
            ));
            assert_eq!(store.ids(NOW).await.unwrap(), ["an id"], "{}", backend.name);
            let (keys, _) = scan_all(backend.table.as_ref(), &everything()).await;
            assert!(!keys[0].contains("an id"), "{keys:?}");
            store.destroy("an id", NOW).await.unwrap();
            assert!(matches!(store.get("an id", NOW).await, Ok(Lookup::Missing)));
        }
    }
}

#[tokio::test]
async fn a_save_under_version_2_upgrades_and_a_version_is_read_only_where_it_is_accepted() {
    for backend in backends() {
        let end = Lifetime::OfCookie.end(NOW, None);
        let older = store(&backend, Version::V1);
        older.set("s1", plain("{}"), NOW, end).await.unwrap();
        let newer = store(&backend, Version::V2);
        assert!(
            matches!(newer.get("s1", NOW).await, Ok(Lookup::Found(_))),
            "{}",
            backend.name
        );
        let accept = vec![Version::V2];
        let strict = SessionStore::new(
            backend.table.clone(),
            KeyCache::new(backend.keys.clone(), None),
            PartitionKeys::new("app:".into(), IdHashing::None),
            RecordPolicy::new(Version::V2, accept, "sessions".into(), BTreeMap::new()),
            Saving::default(),
        );
        assert_eq!(
            strict.get("s1", NOW).await.err().unwrap().code(),
            "ERR_VERSION"
        );
        newer.set("s1", plain("{}"), NOW, end).await.unwrap();
        assert!(matches!(strict.get("s1", NOW).await, Ok(Lookup::Found(_))));
    }
}

#[tokio::test]
async fn a_touch_past_the_sealed_end_seals_again_with_the_same_content() {
    for backend in backends() {
        let store = store(&backend, Version::V2);
        let lifetime = Lifetime::from_seconds(100.0).unwrap();
        let at = |seconds: f64| EpochMillis(NOW.0 + seconds * 1000.0);
        let touch = async |seconds| {
            let end = lifetime.end(at(seconds), None);
            store
                .touch("s1", at(seconds), end, Known::Nothing)
                .await
                .unwrap();
        };
        let stored = async || store.stored("s1").await.unwrap().unwrap();
        let end = lifetime.end(NOW, None);
        store
            .set("s1", plain(r#"{"a":1}"#), NOW, end)
            .await
            .unwrap();
        let sealed = stored().await;
        touch(90.0).await;
        assert_eq!(
            stored().await.sealed,
            sealed.sealed,
            "{}: within the sealed end",
            backend.name
        );
        assert_eq!(stored().await.ttl, NOW.floor().plus(190));
        touch(180.0).await;
        let resealed = stored().await;
        assert_ne!(resealed.sealed, sealed.sealed);
        assert_eq!(resealed.wrapped_key, sealed.wrapped_key);
        assert_eq!(resealed.ttl, NOW.floor().plus(280));
        assert_eq!(resealed.bound.unwrap().not_after, NOW.floor().plus(380));
        let Lookup::Found(session) = store.get("s1", at(270.0)).await.unwrap() else {
            panic!("{}: no session", backend.name);
        };
        assert_eq!(session.json.as_str(), r#"{"a":1}"#);
        touch(400.0).await;
        let ended = store.get("s1", at(400.0)).await;
        assert!(is_over(&ended), "what has ended stays so");
        store.touch("gone", NOW, end, Known::Nothing).await.unwrap();
        assert!(store.stored("gone").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn what_is_no_utf_8_is_refused_as_such() {
    for backend in backends() {
        let (key, wrapped_key) = backend.keys.generate(&context(&[])).await.unwrap();
        let record = EncryptedSessionRecord {
            key: "app:s1".into(),
            wrapped_key,
            sealed: seal(&key, Plaintext::new(vec![0xff, 0xfe])),
            ttl: NOW.floor().plus(60),
            bound: None,
            unversioned: false,
            listing: Listing::Unsaid,
        };
        backend
            .table
            .put(record.to_item(), Condition::Always)
            .await
            .unwrap();
        let error = store(&backend, Version::V1)
            .get("s1", NOW)
            .await
            .err()
            .unwrap();
        assert_eq!(error.code(), "ERR_SERIALIZATION", "{}", backend.name);
    }
}

#[tokio::test]
async fn closing_wipes_the_data_keys_of_the_store() {
    for backend in backends() {
        let store = store(&backend, Version::V2);
        let end = Lifetime::OfCookie.end(NOW, None);
        store.set("s", plain("{}"), NOW, end).await.unwrap();
        let counters = store.cache_counters();
        assert_eq!(counters.read().entries, 1, "{}", backend.name);
        store.close(std::future::ready(())).await;
        assert_eq!(counters.read().entries, 0, "{}", backend.name);
    }
}
