//! What every backend of the store must do, over the local mode and over AWS's protocols.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

mod support;

use std::sync::Arc;

use connect_dynamodb_kms::data_keys::WrappedKey;
use connect_dynamodb_kms::envelope::{Sealed, seal};
use connect_dynamodb_kms::key_cache::KeyCache;
use connect_dynamodb_kms::record::{
    AUTH_TAG, Attribute, EncryptedSessionRecord, Item, SESSION_ID, TTL,
};
use connect_dynamodb_kms::session_table::{Condition, Outcome, Scan};
use connect_dynamodb_kms::store::{Lifetime, Lookup, SessionStore};
use connect_dynamodb_kms::time::{EpochMillis, EpochSeconds};
use support::backends;
use zeroize::Zeroizing;

const NOW: EpochMillis = EpochMillis(1_800_000_000_000.0);

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
    }
    .to_item()
}

fn everything() -> Scan {
    Scan {
        prefix: String::new(),
        alive_after: None,
        keys_only: false,
    }
}

async fn scan_all(
    table: &dyn connect_dynamodb_kms::session_table::SessionTable,
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
            Outcome::ConditionFailed,
            "{}",
            backend.name
        );
        assert_eq!(put(1, revision(1)).await, Outcome::ConditionFailed);
        assert_eq!(table.get("a").await.unwrap(), None);
        assert_eq!(put(1, Condition::Always).await, Outcome::Written);
        assert_eq!(put(2, Condition::Exists).await, Outcome::Written);
        assert_eq!(put(3, revision(1)).await, Outcome::ConditionFailed);
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
        assert_eq!(
            extend(Condition::Exists).await,
            Outcome::ConditionFailed,
            "{}",
            backend.name
        );
        assert_eq!(table.get("a").await.unwrap(), None, "nothing is created");
        let mut expected = item("a", 1, 10);
        expected.insert("note".into(), Attribute::S("of somebody else".into()));
        table
            .put(expected.clone(), Condition::Always)
            .await
            .unwrap();
        let other = Condition::Revision(item("a", 2, 10)[AUTH_TAG].clone());
        assert_eq!(extend(other).await, Outcome::ConditionFailed);
        let at = |seconds| Condition::AliveAfter(EpochSeconds(seconds));
        assert_eq!(extend(at(10)).await, Outcome::ConditionFailed);
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
        backend.table.delete("a").await.unwrap();
        backend.table.delete("a").await.unwrap();
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
        let token = Item::from([(SESSION_ID.to_owned(), Attribute::S("app:TOKEN#1".into()))]);
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
async fn a_table_and_its_keys_pass_their_check() {
    for backend in backends() {
        backend.table.check().await.unwrap();
        KeyCache::new(backend.keys.clone(), true)
            .check()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_wrapped_key_unwraps_and_a_changed_one_does_not() {
    for backend in backends() {
        let (key, wrapped) = backend.keys.generate().await.unwrap();
        let (other, _) = backend.keys.generate().await.unwrap();
        assert_ne!(key.bytes(), other.bytes(), "{}", backend.name);
        assert_eq!(
            backend.keys.decrypt(&wrapped).await.unwrap().bytes(),
            key.bytes()
        );
        for at in [0, wrapped.0.len() / 2, wrapped.0.len() - 1] {
            let mut changed = wrapped.clone();
            changed.0[at] ^= 1;
            assert_eq!(
                backend.keys.decrypt(&changed).await.err().unwrap().code(),
                "ERR_INTEGRITY",
                "{} byte {at}",
                backend.name
            );
        }
        for length in [1, 20, wrapped.0.len() - 1] {
            let cut = WrappedKey(wrapped.0[..length].to_vec());
            assert_eq!(
                backend.keys.decrypt(&cut).await.err().unwrap().code(),
                "ERR_INTEGRITY",
                "{} cut to {length}",
                backend.name
            );
        }
    }
}

#[tokio::test]
async fn a_store_keeps_a_session_sealed_and_gives_it_back() {
    for backend in backends() {
        let store = SessionStore::new(
            backend.table.clone(),
            KeyCache::new(backend.keys.clone(), true),
            "app:".into(),
        );
        let json = r#"{"user":"ada"}"#;
        let end = Lifetime::DEFAULT.end(NOW, None);
        store
            .set("s1", Zeroizing::new(json.as_bytes().to_vec()), end)
            .await
            .unwrap();
        let Lookup::Found(session) = store.get("s1", NOW).await.unwrap() else {
            panic!("{}: no session", backend.name);
        };
        assert_eq!(
            (session.id.as_str(), session.json.as_str(), session.ttl),
            ("s1", json, end)
        );
        let stored = format!(
            "{:?}",
            backend.table.get("app:s1").await.unwrap().expect("an item")
        );
        assert!(!stored.contains("ada"), "{}: {stored}", backend.name);
        let later = store.get("s1", EpochMillis(1_900_000_000_000.0)).await;
        assert!(matches!(later, Ok(Lookup::Ended)), "{}", backend.name);
    }
}

#[tokio::test]
async fn what_is_no_utf_8_is_refused_as_such() {
    for backend in backends() {
        let (key, wrapped_key) = backend.keys.generate().await.unwrap();
        let record = EncryptedSessionRecord {
            key: "s1".into(),
            wrapped_key,
            sealed: seal(&key, Zeroizing::new(vec![0xff, 0xfe])),
            ttl: NOW.floor().plus(60),
        };
        backend
            .table
            .put(record.to_item(), Condition::Always)
            .await
            .unwrap();
        let store = SessionStore::new(
            backend.table.clone(),
            KeyCache::new(Arc::clone(&backend.keys), true),
            String::new(),
        );
        let error = store.get("s1", NOW).await.err().unwrap();
        assert_eq!(error.code(), "ERR_SERIALIZATION", "{}", backend.name);
    }
}
