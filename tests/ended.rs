//! Sessions that have ended, and those that are saved as ended.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

mod support;

use std::collections::BTreeMap;

use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::keys::cache::KeyCache;
use connect_dynamodb_kms::record::Version;
use connect_dynamodb_kms::record::partition_key::{IdHashing, PartitionKeys};
use connect_dynamodb_kms::store::{
    Attempt, End, Known, Lifetime, Lookup, OnConflict, RecordPolicy, Save, Saved, Saving,
    SessionStore, SessionUser,
};
use connect_dynamodb_kms::time::{EpochMillis, EpochSeconds};
use support::{Backend, SetNew, backends, store};

const NOW: EpochMillis = EpochMillis(1_800_000_000_000.0);
/// Soon enough that local mode does not remove the record meanwhile. It looks for ended records
/// once a minute.
const END: EpochSeconds = EpochSeconds(1_800_000_030);
/// The moment of that end.
const LATER: EpochMillis = EpochMillis(1_800_000_030_000.0);

fn json(text: &str) -> Plaintext {
    Plaintext::new(text.as_bytes().to_vec())
}

/// A store that reads records of its own version alone.
fn reader_of(backend: &Backend, version: Version) -> SessionStore {
    SessionStore::new(
        backend.table.clone(),
        KeyCache::new(backend.keys.clone(), None),
        PartitionKeys::new("app:".into(), IdHashing::None),
        RecordPolicy::new(version, vec![version], "sessions".into(), BTreeMap::new()),
        Saving::default(),
    )
}

#[tokio::test]
async fn an_ended_record_of_a_version_that_is_not_accepted_is_no_session() {
    for backend in backends() {
        for (version, accepted) in [(Version::V1, Version::V2), (Version::V2, Version::V1)] {
            let writer = store(&backend, version);
            writer.set("s", json("{}"), NOW, END).await.unwrap();
            let Lookup::Found(session) = writer.get("s", NOW).await.unwrap() else {
                panic!("it lives");
            };
            let known = Known::record(session.mark);
            let strict = reader_of(&backend, accepted);
            let code = strict.get("s", NOW).await.err().unwrap().code();
            assert_eq!(code, "ERR_VERSION", "while it lives");
            // Before local mode hears that it has ended, and removes it.
            let record = strict.stored("s").await;
            assert_eq!(
                record.err().unwrap().code(),
                "ERR_VERSION",
                "the record itself"
            );
            let found = strict.get("s", LATER).await;
            assert!(matches!(found, Ok(Lookup::Ended)), "{}", backend.name);
            let end = END.plus(3600).into();
            for known in [Known::Nothing, known] {
                let touched = strict.touch("s", LATER, end, known).await;
                assert!(matches!(touched, Ok(Saved::Gone)));
            }
            assert_eq!(strict.length(LATER).await.unwrap(), 0);
            let new = strict.set("s", json("{}"), LATER, END.plus(3600)).await;
            assert!(matches!(new, Ok(Saved::Written { .. })));
            strict.destroy("s", NOW).await.unwrap();
        }
    }
}

/// A cookie that ends in 1970, one that ended within this very second, and one that ends now.
fn ended_ends() -> [End; 3] {
    [EpochMillis(0.0), EpochMillis(NOW.0 - 1.0), NOW]
        .map(|expires| Lifetime::OfCookie.end(NOW, Some(expires)))
}

fn save(text: &str, end: End) -> Save {
    Save {
        sid: "s".into(),
        json: json(text),
        now: NOW,
        end,
        user: SessionUser::Unasked,
        attempt: Attempt::default(),
    }
}

/// What the table says of the session, and what a process knows of it that has just read it.
async fn saved(store: &SessionStore, text: &str) -> Known {
    store.set("s", json(text), NOW, END).await.unwrap();
    match store.get("s", NOW).await.unwrap() {
        Lookup::Found(session) => Known::record(session.mark),
        _ => panic!("it lives"),
    }
}

async fn is_there(store: &SessionStore) -> bool {
    store.stored("s").await.unwrap().is_some()
}

#[tokio::test]
async fn a_session_that_is_saved_or_touched_as_ended_is_removed() {
    for backend in backends() {
        for version in [Version::V1, Version::V2] {
            let store = store(&backend, version);
            for end in ended_ends() {
                let new = store.set("s", json("{}"), NOW, end).await;
                assert!(matches!(new, Ok(Saved::Gone)) && !is_there(&store).await);
                saved(&store, r#"{"n":1}"#).await;
                let unknown = store.set("s", json("{}"), NOW, end).await;
                assert!(matches!(unknown, Ok(Saved::Gone)) && !is_there(&store).await);
                for text in [r#"{"n":1}"#, r#"{"n":2}"#] {
                    let known = saved(&store, r#"{"n":1}"#).await;
                    let outcome = store.save(save(text, end), known, OnConflict::Error).await;
                    assert!(matches!(outcome, Ok(Saved::Gone)), "{}", backend.name);
                    assert!(!is_there(&store).await, "{} {text}", backend.name);
                }
                let known = saved(&store, r#"{"n":1}"#).await;
                for known in [known, Known::Nothing] {
                    saved(&store, r#"{"n":1}"#).await;
                    let touched = store.touch("s", NOW, end, known).await;
                    assert!(matches!(touched, Ok(Saved::Gone)) && !is_there(&store).await);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_change_that_ends_a_session_which_somebody_else_has_changed_is_a_conflict() {
    for backend in backends() {
        let store = store(&backend, Version::V2);
        let [end, ..] = ended_ends();
        for (on_conflict, left) in [
            (OnConflict::Error, true),
            (OnConflict::Drop, true),
            (OnConflict::Overwrite, false),
        ] {
            let known = saved(&store, r#"{"n":1}"#).await;
            saved(&store, r#"{"n":3}"#).await;
            let outcome = store
                .save(save(r#"{"n":2}"#, end), known, on_conflict)
                .await;
            match on_conflict {
                OnConflict::Error => assert_eq!(outcome.err().unwrap().code(), "ERR_CONFLICT"),
                OnConflict::Drop => assert!(matches!(outcome, Ok(Saved::Dropped))),
                OnConflict::Overwrite => assert!(matches!(outcome, Ok(Saved::Gone))),
            }
            assert_eq!(is_there(&store).await, left, "{}", backend.name);
        }
        // What a touch has sealed again is still what was read.
        let known = saved(&store, r#"{"n":1}"#).await;
        let beyond = END.plus(100_000).into();
        let touched = store.touch("s", NOW, beyond, Known::Nothing).await;
        assert!(matches!(touched, Ok(Saved::Extended(_))));
        let outcome = store
            .save(save(r#"{"n":2}"#, end), known, OnConflict::Error)
            .await;
        assert!(matches!(outcome, Ok(Saved::Gone)));
        assert!(!is_there(&store).await);
    }
}

#[tokio::test]
async fn a_request_that_outlives_its_unchanged_session_ends_nobody_elses() {
    for backend in backends() {
        let store = store(&backend, Version::V1);
        let known = saved(&store, r#"{"n":1}"#).await;
        let touched = store.touch("s", NOW, END.plus(3600).into(), Known::Nothing);
        assert!(matches!(touched.await, Ok(Saved::Extended(_))));
        // Its cookie still ends when it did, which is now.
        let late = Save {
            now: LATER,
            ..save(r#"{"n":1}"#, END.into())
        };
        let outcome = store.save(late, known, OnConflict::Overwrite).await;
        assert!(matches!(outcome, Ok(Saved::Unchanged(_))));
        assert!(matches!(store.get("s", LATER).await, Ok(Lookup::Found(_))));
    }
}
