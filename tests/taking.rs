//! Taking a session, and records of the two kinds in one table, over the local mode and over AWS's protocols.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

mod support;

use std::collections::BTreeMap;

use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::keys::cache::{KeyCache, Limits};
use connect_dynamodb_kms::record::kind::Kind;
use connect_dynamodb_kms::record::partition_key::{IdHashing, PartitionKeys};
use connect_dynamodb_kms::record::{AUTH_TAG, Attribute, Version};
use connect_dynamodb_kms::store::session_table::Condition;
use connect_dynamodb_kms::store::{Lookup, RecordPolicy, Saving, SessionStore};
use connect_dynamodb_kms::time::EpochMillis;
use support::{Backend, SetNew, backends, store};

const NOW: EpochMillis = EpochMillis(1_800_000_000_000.0);
/// Soon enough that local mode does not remove the record. It looks for ended records once a minute.
const END: EpochMillis = EpochMillis(1_800_000_030_000.0);
const BOTH: [Version; 2] = [Version::V1, Version::V2];

async fn save(store: &SessionStore, sid: &str, json: &str) {
    let json = Plaintext::new(json.as_bytes().to_vec());
    let saved = store.set(sid, json, NOW, END.ceil()).await;
    saved.unwrap();
}

fn taken(lookup: Lookup) -> Option<String> {
    match lookup {
        Lookup::Found(session) => Some(session.json.as_str().to_owned()),
        Lookup::Missing | Lookup::Ended => None,
    }
}

/// A store of all records of a kind, without a prefix.
fn of_kind(backend: &Backend, kind: Kind, write: Version) -> SessionStore {
    let accept = BOTH.to_vec();
    SessionStore::new(
        backend.table.clone(),
        KeyCache::new(backend.keys.clone(), Some(Limits::DEFAULT)),
        PartitionKeys::new(String::new(), IdHashing::None),
        RecordPolicy::new(write, accept, "sessions".into(), BTreeMap::new()).of_kind(kind),
        Saving::default(),
    )
}

#[tokio::test]
async fn a_session_is_taken_once() {
    for backend in backends() {
        for version in BOTH {
            let own = store(&backend, version);
            save(&own, "sid", r#"{"user":"Ada"}"#).await;
            let other = store(&backend, version);
            let both = tokio::join!(own.take("sid", NOW), other.take("sid", NOW));
            let won: Vec<String> = [both.0, both.1]
                .into_iter()
                .filter_map(|lookup| taken(lookup.unwrap()))
                .collect();
            assert_eq!(won, [r#"{"user":"Ada"}"#], "{}", backend.name);
            assert_eq!(backend.table.get("app:sid").await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn an_ended_session_and_one_that_does_not_open_stay() {
    for backend in backends() {
        let own = store(&backend, Version::V2);
        save(&own, "sid", r#"{"user":"Ada"}"#).await;
        assert!(matches!(own.take("sid", END).await.unwrap(), Lookup::Ended));
        let mut item = backend.table.get("app:sid").await.unwrap().unwrap();
        item.insert(AUTH_TAG.into(), Attribute::B(vec![7; 16]));
        let put = backend.table.put(item.clone(), Condition::Always);
        put.await.unwrap();
        let failed = own.take("sid", NOW).await.err().unwrap();
        assert_eq!(failed.code(), "ERR_INTEGRITY", "{}", backend.name);
        assert_eq!(backend.table.get("app:sid").await.unwrap(), Some(item));
    }
}

#[tokio::test]
async fn stores_of_one_kind_neither_list_nor_open_nor_clear_records_of_the_other() {
    for backend in backends() {
        for version in BOTH {
            let sessions = of_kind(&backend, Kind::Session, version);
            let items = of_kind(&backend, Kind::Item, version);
            save(&sessions, "session", "{}").await;
            save(&items, "item", "[1]").await;
            for (store, own, other) in [(&sessions, "session", "item"), (&items, "item", "session")]
            {
                assert_eq!(store.ids(NOW).await.unwrap(), [own], "{}", backend.name);
                assert_eq!(store.length(NOW).await.unwrap(), 1);
                assert_eq!(store.all(NOW).await.unwrap().len(), 1);
                assert!(matches!(store.get(own, NOW).await, Ok(Lookup::Found(_))));
                let failures = [
                    store.get(other, NOW).await.err(),
                    store.take(other, NOW).await.err(),
                    store.stored(other).await.err(),
                ];
                for failed in failures {
                    assert_eq!(failed.unwrap().code(), "ERR_INTEGRITY");
                }
                store.destroy_unreadable(other).await.unwrap();
            }
            sessions.clear().await.unwrap();
            assert_eq!(items.length(NOW).await.unwrap(), 1);
            items.clear().await.unwrap();
        }
    }
}
