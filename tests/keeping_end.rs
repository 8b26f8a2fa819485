//! A save that keeps the session's end keeps the one that is there, not the one that was read.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

mod support;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::error::Result;
use connect_dynamodb_kms::record::{AUTH_TAG, Attribute, Item, TTL, VERSION, Version};
use connect_dynamodb_kms::store::session_table::{
    Condition, Outcome, Page, Scan, SessionTable, Write,
};
use connect_dynamodb_kms::store::walk::{Walk, WalkPage};
use connect_dynamodb_kms::store::{
    Attempt, Known, Lookup, OnConflict, Save, Saved, SessionStore, SessionUser,
};
use connect_dynamodb_kms::time::{EpochMillis, EpochSeconds};
use support::{SetNew, backends, is_over, store};

const NOW: EpochMillis = EpochMillis(1_800_000_000_000.0);
const END: EpochSeconds = EpochSeconds(1_800_003_600);

fn json(text: &str) -> Plaintext {
    Plaintext::new(text.as_bytes().to_vec())
}

async fn read(store: &SessionStore) -> (String, EpochSeconds, Known) {
    let Lookup::Found(session) = store.get("s", NOW).await.unwrap() else {
        panic!("it lives");
    };
    let known = Known::record(session.mark);
    (session.json.to_string(), session.ttl, known)
}

async fn keep(store: &SessionStore, known: Known) -> Result<Saved> {
    let save = Save {
        sid: "s".into(),
        json: json(r#"{"n":2}"#),
        now: NOW,
        end: END.into(),
        user: SessionUser::Unasked,
        attempt: Attempt::default(),
    };
    store.save_keeping_end(save, known, OnConflict::Error).await
}

async fn touch(store: &SessionStore, end: EpochSeconds) {
    let (_, _, known) = read(store).await;
    let touched = store.touch("s", NOW, end.into(), known).await;
    assert!(matches!(touched, Ok(Saved::Extended(_))));
}

#[tokio::test]
async fn an_end_that_was_moved_since_the_session_was_read_stays_moved() {
    for backend in backends() {
        for version in [Version::V1, Version::V2] {
            let store = store(&backend, version);
            for end in [END.plus(1800), END.plus(-1800)] {
                store.set("s", json("{}"), NOW, END).await.unwrap();
                let (_, _, known) = read(&store).await;
                touch(&store, end).await;
                let Saved::Written {
                    mark,
                    conflict: false,
                } = keep(&store, known).await.unwrap()
                else {
                    panic!("it is written");
                };
                let (text, ttl, found) = read(&store).await;
                assert_eq!(
                    (text.as_str(), ttl),
                    (r#"{"n":2}"#, end),
                    "{}",
                    backend.name
                );
                assert!(matches!(found, Known::Record { mark: stored, .. } if stored == mark));
            }
        }
    }
}

#[tokio::test]
async fn an_end_behind_the_one_that_was_sealed_in_is_not_cut_short() {
    for backend in backends() {
        let store = store(&backend, Version::V2);
        store.set("s", json("{}"), NOW, END).await.unwrap();
        let (_, _, known) = read(&store).await;
        let beyond = END.plus(100_000);
        touch(&store, beyond).await; // which seals again
        let refused = keep(&store, known).await;
        assert_eq!(
            refused.err().unwrap().code(),
            "ERR_CONFLICT",
            "{}",
            backend.name
        );
        assert_eq!(read(&store).await.1, beyond);
    }
}

#[tokio::test]
async fn a_session_that_was_ended_since_it_was_read_is_not_brought_back() {
    for backend in backends() {
        let store = store(&backend, Version::V1);
        store.set("s", json("{}"), NOW, END).await.unwrap();
        let (_, _, known) = read(&store).await;
        let always = backend
            .table
            .extend("app:s", NOW.floor(), Condition::Exists);
        assert_eq!(always.await.unwrap(), Outcome::Written);
        let refused = keep(&store, known).await;
        assert_eq!(
            refused.err().unwrap().code(),
            "ERR_CONFLICT",
            "{}",
            backend.name
        );
        assert!(is_over(&store.get("s", NOW).await));
    }
}

#[tokio::test]
async fn the_condition_holds_for_one_revision_with_one_end() {
    for backend in backends() {
        let store = store(&backend, Version::V1);
        store.set("s", json("{}"), NOW, END).await.unwrap();
        let table = &backend.table;
        let revision = table.get("app:s").await.unwrap().unwrap()[AUTH_TAG].clone();
        let unmoved = |ttl| Condition::Unmoved {
            revision: revision.clone(),
            ttl,
        };
        let extend = async |key: &str, condition| table.extend(key, END, condition).await.unwrap();
        assert_eq!(extend("app:s", unmoved(END)).await, Outcome::Written);
        let refused = extend("app:s", unmoved(END.plus(1))).await;
        assert!(
            matches!(refused, Outcome::Refused(Some(_))),
            "{}",
            backend.name
        );
        assert_eq!(
            extend("app:none", unmoved(END)).await,
            Outcome::Refused(None)
        );
        store.set("s", json("{}"), NOW, END).await.unwrap();
        let rewritten = extend("app:s", unmoved(END)).await;
        assert!(matches!(rewritten, Outcome::Refused(Some(_))));
    }
}

/// A table where somebody else moves the end of a session right before it is written.
struct Meddling {
    table: Arc<dyn SessionTable>,
    end: Mutex<Option<EpochSeconds>>,
}

#[async_trait]
impl SessionTable for Meddling {
    async fn get(&self, key: &str) -> Result<Option<Item>> {
        self.table.get(key).await
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<Outcome> {
        let end = self.end.lock().unwrap().take();
        if let Some(end) = end {
            let moved = self.table.extend("app:s", end, Condition::Exists).await?;
            assert_eq!(moved, Outcome::Written);
        }
        self.table.put(item, condition).await
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<Vec<Outcome>> {
        self.table.write_all(writes).await
    }

    async fn extend(&self, key: &str, ttl: EpochSeconds, condition: Condition) -> Result<Outcome> {
        self.table.extend(key, ttl, condition).await
    }

    async fn delete(&self, key: &str, condition: Condition) -> Result<Outcome> {
        self.table.delete(key, condition).await
    }

    async fn remove(&self, key: &str) -> Result<Option<Item>> {
        self.table.remove(key).await
    }

    async fn delete_all(&self, keys: Vec<String>) -> Result<()> {
        self.table.delete_all(keys).await
    }

    async fn scan(&self, scan: &Scan, after: Option<String>) -> Result<Page> {
        self.table.scan(scan, after).await
    }

    async fn walk(&self, walk: &Walk, after: Option<String>) -> Result<WalkPage> {
        self.table.walk(walk, after).await
    }

    async fn check(&self) -> Result<()> {
        self.table.check().await
    }
}

#[tokio::test]
async fn a_touch_that_seals_again_takes_back_no_later_one() {
    for mut backend in backends() {
        let plain = store(&backend, Version::V2);
        plain.set("s", json("{}"), NOW, END).await.unwrap();
        let later = END.plus(3000);
        backend.table = Arc::new(Meddling {
            table: backend.table.clone(),
            end: Mutex::new(Some(later)),
        });
        // The end that was sealed in is an hour after this one.
        let (_, _, known) = read(&plain).await;
        let beyond = END.plus(3601).into();
        let other = store(&backend, Version::V2);
        let touched = other.touch("s", NOW, beyond, known);
        assert!(
            matches!(touched.await, Ok(Saved::Extended(_))),
            "{}",
            backend.name
        );
        assert_eq!(read(&plain).await.1, END.plus(3601));

        let later = END.plus(200_000);
        backend.table = Arc::new(Meddling {
            table: backend.table.clone(),
            end: Mutex::new(Some(later)),
        });
        let (_, _, known) = read(&plain).await;
        let beyond = END.plus(100_000).into();
        let other = store(&backend, Version::V2);
        let touched = other.touch("s", NOW, beyond, known);
        assert!(matches!(touched.await, Ok(Saved::Unchanged(_))));
        assert_eq!(
            backend.table.get("app:s").await.unwrap().unwrap()[TTL],
            Attribute::N(later.0.to_string())
        );
    }
}

/// Saves a session without changes. Its record has an older version and must be sealed again.
async fn save_unchanged(store: &SessionStore, known: Known, end: EpochSeconds) -> Saved {
    let save = Save {
        sid: "s".into(),
        json: json("{}"),
        now: NOW,
        end: end.into(),
        user: SessionUser::Unasked,
        attempt: Attempt::default(),
    };
    let saved = store.save(save, known, OnConflict::Error).await;
    saved.unwrap()
}

async fn stored(backend: &support::Backend) -> (EpochSeconds, bool) {
    let item = backend.table.get("app:s").await.unwrap().unwrap();
    let Attribute::N(ttl) = &item[TTL] else {
        panic!("a number");
    };
    let sealed_again = item[VERSION] == Attribute::N("2".into());
    (EpochSeconds(ttl.parse().unwrap()), sealed_again)
}

#[tokio::test]
async fn an_unchanged_save_that_seals_again_takes_back_no_later_end() {
    for backend in backends() {
        let (old, new) = (store(&backend, Version::V1), store(&backend, Version::V2));
        // Each case: the end to which others have moved it meanwhile, the end that the save asks
        // for, and the session's end afterwards.
        for (moved, asked, expected) in [
            (END.plus(30), END.plus(10), END.plus(30)),
            (END.plus(30), END, END.plus(30)),
            (END.plus(5), END.plus(10), END.plus(10)),
            (END, END.plus(10), END.plus(10)),
        ] {
            old.set("s", json("{}"), NOW, END).await.unwrap();
            let (_, _, known) = read(&new).await;
            let extended = backend.table.extend("app:s", moved, Condition::Exists);
            assert_eq!(extended.await.unwrap(), Outcome::Written);
            let saved = save_unchanged(&new, known, asked).await;
            let Saved::Written { mark, conflict } = saved else {
                panic!("it is sealed again");
            };
            assert_eq!((mark.ttl, conflict), (expected, false), "{}", backend.name);
            assert_eq!(stored(&backend).await, (expected, true), "{}", backend.name);
        }
    }
}

#[tokio::test]
async fn an_unchanged_save_that_shortens_a_session_does_so_although_others_prolonged_it() {
    for backend in backends() {
        let (old, new) = (store(&backend, Version::V1), store(&backend, Version::V2));
        old.set("s", json("{}"), NOW, END).await.unwrap();
        let (_, _, known) = read(&new).await;
        let extended = backend
            .table
            .extend("app:s", END.plus(30), Condition::Exists);
        assert_eq!(extended.await.unwrap(), Outcome::Written);
        let shorter = END.plus(-1800);
        save_unchanged(&new, known, shorter).await;
        assert_eq!(stored(&backend).await.0, shorter, "{}", backend.name);
    }
}

#[tokio::test]
async fn an_unchanged_save_that_seals_again_brings_back_nothing_that_was_ended() {
    for backend in backends() {
        let (old, new) = (store(&backend, Version::V1), store(&backend, Version::V2));
        old.set("s", json("{}"), NOW, END).await.unwrap();
        let (_, _, known) = read(&new).await;
        let ended = backend
            .table
            .extend("app:s", NOW.floor(), Condition::Exists);
        assert_eq!(ended.await.unwrap(), Outcome::Written);
        let saved = save_unchanged(&new, known, END.plus(10)).await;
        assert!(matches!(saved, Saved::Gone), "{}", backend.name);
        assert!(is_over(&new.get("s", NOW).await));
    }
}

#[tokio::test]
async fn an_end_that_moves_while_an_unchanged_session_is_sealed_again_stays_moved() {
    for mut backend in backends() {
        let old = store(&backend, Version::V1);
        old.set("s", json("{}"), NOW, END).await.unwrap();
        // Further than the end that a save which asks for END would seal in.
        for (later, sealed_again) in [(END.plus(60), true), (END.plus(100_000), false)] {
            old.set("s", json("{}"), NOW, END).await.unwrap();
            backend.table = Arc::new(Meddling {
                table: backend.table.clone(),
                end: Mutex::new(Some(later)),
            });
            let new = store(&backend, Version::V2);
            let (_, _, known) = read(&new).await;
            let saved = save_unchanged(&new, known, END.plus(10)).await;
            assert_eq!(matches!(saved, Saved::Written { .. }), sealed_again);
            assert_eq!(stored(&backend).await, (later, sealed_again));
        }
    }
}
