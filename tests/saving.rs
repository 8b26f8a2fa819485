//! What a save or touch does to the table, depending on what the caller knows of the record. Also
//! leases.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

mod support;

use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::record::Version;
use connect_dynamodb_kms::record::mark::{Content, Mark};
use connect_dynamodb_kms::store::{
    Attempt, End, Known, Lease, Lookup, OnConflict, Save, Saved, SessionStore, SessionUser,
};
use connect_dynamodb_kms::time::{EpochMillis, EpochSeconds};
use support::{SetNew, backends, store};

const NOW: EpochMillis = EpochMillis(1_800_000_000_000.0);
const END: EpochSeconds = EpochSeconds(1_800_003_600);

fn json(text: &str) -> Plaintext {
    Plaintext::new(text.as_bytes().to_vec())
}

fn save(text: &str, end: EpochSeconds) -> Save {
    Save {
        sid: "s".into(),
        json: json(text),
        now: NOW,
        end: end.into(),
        user: SessionUser::Unasked,
        attempt: Attempt::default(),
    }
}

fn record(mark: &Mark) -> Known {
    Known::record(mark.clone())
}

async fn read(store: &SessionStore) -> Option<(String, EpochSeconds, Mark)> {
    match store.get("s", NOW).await.unwrap() {
        Lookup::Found(session) => Some((session.json.to_string(), session.ttl, session.mark)),
        _ => None,
    }
}

/// The mark of a session that was just saved.
async fn saved(store: &SessionStore, text: &str) -> Mark {
    match store.set("s", json(text), NOW, END).await.unwrap() {
        Saved::Written {
            mark,
            conflict: false,
        } => mark,
        _ => panic!("a new session is written"),
    }
}

#[tokio::test]
async fn an_unchanged_session_moves_its_end_when_that_is_due_and_is_never_rewritten() {
    for backend in backends() {
        for version in [Version::V1, Version::V2] {
            let store = store(&backend, version);
            let mark = saved(&store, r#"{"cookie":{"expires":"a"},"n":1}"#).await;
            let (_, _, read_mark) = read(&store).await.unwrap();
            assert!(read_mark == mark, "what is read is what was written");
            let later = |seconds| save(r#"{"n":1,"cookie":{"expires":"b"}}"#, END.plus(seconds));
            let known = |mark: &Mark| record(mark);
            let overwrite = OnConflict::Overwrite;
            // 1 % of an hour, and a little more for the longer life.
            let within = store
                .save(later(36), known(&mark), overwrite)
                .await
                .unwrap();
            assert!(matches!(within, Saved::Unchanged(same) if same == mark));
            let due = store
                .save(later(37), known(&mark), overwrite)
                .await
                .unwrap();
            let Saved::Extended(Some(moved)) = due else {
                panic!("its end is due");
            };
            assert_eq!(moved.ttl, END.plus(37));
            let (text, ttl, found) = read(&store).await.unwrap();
            assert_eq!(ttl, END.plus(37), "{}", backend.name);
            assert!(found == moved && text.contains(r#""a""#));
            // A stale copy takes no end back.
            let stale = store.save(later(36), known(&mark), overwrite).await;
            assert!(matches!(stale.unwrap(), Saved::Unchanged(_)));
            assert_eq!(read(&store).await.unwrap().1, END.plus(37));
            // A shorter life is no touch to put off.
            let shorter = store.save(later(-1), known(&moved), overwrite).await;
            assert!(matches!(shorter.unwrap(), Saved::Extended(_)));
            assert_eq!(read(&store).await.unwrap().1, END.plus(-1));
            let inexact = Known::Record {
                mark: moved,
                attempts: Vec::new(),
                untouched: None,
                ends: None,
            };
            let unknown = store.save(later(-600), inexact, overwrite).await;
            assert!(matches!(unknown.unwrap(), Saved::Unchanged(_)));
        }
    }
}

#[tokio::test]
async fn a_known_session_that_is_gone_stays_gone() {
    for backend in backends() {
        let store = store(&backend, Version::V2);
        let mark = saved(&store, r#"{"n":1}"#).await;
        store.destroy("s", NOW).await.unwrap();
        for on_conflict in [OnConflict::Overwrite, OnConflict::Error, OnConflict::Drop] {
            for known in [record(&mark), Known::Gone] {
                let changed = save(r#"{"n":2}"#, END);
                let outcome = store.save(changed, known, on_conflict).await.unwrap();
                assert!(matches!(outcome, Saved::Gone), "{}", backend.name);
            }
        }
        let same = store
            .save(
                save(r#"{"n":1}"#, END.plus(999)),
                record(&mark),
                OnConflict::Overwrite,
            )
            .await;
        assert!(matches!(same.unwrap(), Saved::Gone));
        for known in [record(&mark), Known::Gone, Known::Nothing] {
            let touched = store.touch("s", NOW, END.plus(999).into(), known).await;
            assert!(matches!(touched.unwrap(), Saved::Gone));
        }
        assert!(read(&store).await.is_none());
    }
}

#[tokio::test]
async fn a_change_of_what_somebody_else_has_changed_is_a_conflict() {
    for backend in backends() {
        for version in [Version::V1, Version::V2] {
            let store = store(&backend, version);
            let first = saved(&store, r#"{"n":1}"#).await;
            let change = |text| save(text, END);
            let outcome = store
                .save(change(r#"{"n":2}"#), record(&first), OnConflict::Error)
                .await;
            assert!(matches!(
                outcome.unwrap(),
                Saved::Written {
                    conflict: false,
                    ..
                }
            ));
            let refused = store
                .save(change(r#"{"n":3}"#), record(&first), OnConflict::Error)
                .await;
            assert_eq!(
                refused.err().unwrap().code(),
                "ERR_CONFLICT",
                "{}",
                backend.name
            );
            let dropped = store
                .save(change(r#"{"n":3}"#), record(&first), OnConflict::Drop)
                .await;
            assert!(matches!(dropped.unwrap(), Saved::Dropped));
            assert_eq!(read(&store).await.unwrap().0, r#"{"n":2}"#);
            // A stale copy that changed nothing takes nothing back.
            let stale = store
                .save(
                    save(r#"{"n":1}"#, END.plus(600)),
                    record(&first),
                    OnConflict::Overwrite,
                )
                .await;
            assert!(matches!(stale.unwrap(), Saved::Extended(_)));
            assert_eq!(read(&store).await.unwrap().0, r#"{"n":2}"#);
            let overwritten = store
                .save(change(r#"{"n":3}"#), record(&first), OnConflict::Overwrite)
                .await;
            assert!(matches!(
                overwritten.unwrap(),
                Saved::Written { conflict: true, .. }
            ));
            assert_eq!(read(&store).await.unwrap().0, r#"{"n":3}"#);
        }
    }
}

#[tokio::test]
async fn the_caller_may_know_better_whether_a_session_was_changed() {
    for backend in backends() {
        let store = store(&backend, Version::V1);
        let mark = saved(&store, r#"{"n":2,"cookie":{"path":"/"}}"#).await;
        let known = |untouched| Known::Record {
            mark: mark.clone(),
            attempts: Vec::new(),
            untouched: Some(untouched),
            ends: None,
        };
        let stale = save(r#"{"n":1,"cookie":{"path":"/"}}"#, END);
        let outcome = store.save(stale, known(true), OnConflict::Overwrite).await;
        assert!(matches!(outcome.unwrap(), Saved::Unchanged(_)));
        let cookie = save(r#"{"n":1,"cookie":{"path":"/app"}}"#, END);
        let outcome = store.save(cookie, known(true), OnConflict::Overwrite).await;
        assert!(matches!(outcome.unwrap(), Saved::Written { .. }));
        let same = save(r#"{"n":1,"cookie":{"path":"/app"}}"#, END);
        let outcome = store.save(same, known(false), OnConflict::Overwrite).await;
        assert!(
            matches!(outcome.unwrap(), Saved::Written { .. }),
            "{}",
            backend.name
        );
    }
}

#[tokio::test]
async fn a_life_of_less_than_two_seconds_is_kept_to_the_millisecond() {
    for backend in backends() {
        let store = store(&backend, Version::V1);
        let within_a_second = |millis| End {
            ttl: NOW.floor().plus(1),
            exact: EpochMillis(NOW.0 + millis),
        };
        let first = json(r#"{"cookie":{"expires":"a"}}"#);
        let first = store.set("s", first, NOW, within_a_second(500.0)).await;
        let Saved::Written { mark, .. } = first.unwrap() else {
            panic!("a new session is written");
        };
        let known = || Known::Record {
            mark: mark.clone(),
            attempts: Vec::new(),
            untouched: None,
            ends: Some(within_a_second(500.0).exact),
        };
        let rolled = async |cookie: &str, millis| {
            let text = format!(r#"{{"cookie":{{"expires":"{cookie}"}}}}"#);
            let save = Save {
                end: within_a_second(millis),
                ..save(&text, END)
            };
            let saved = store.save(save, known(), OnConflict::Overwrite).await;
            saved.unwrap()
        };
        // No end that ttl could tell, and none that is asked for.
        assert!(matches!(rolled("b", 500.0).await, Saved::Unchanged(_)));
        assert!(matches!(
            rolled("b", 900.0).await,
            Saved::Written {
                conflict: false,
                ..
            }
        ));
        // Somebody else has written it since: nothing is taken back.
        let stale = rolled("c", 950.0).await;
        assert!(matches!(stale, Saved::Unchanged(_)), "{}", backend.name);
        assert!(read(&store).await.unwrap().0.contains('b'));
    }
}

#[tokio::test]
async fn an_unchanged_session_of_an_older_version_is_written_again_once() {
    for backend in backends() {
        saved(&store(&backend, Version::V1), r#"{"n":1}"#).await;
        let newer = store(&backend, Version::V2);
        let version = async || newer.stored("s").await.unwrap().unwrap().version();
        let (_, _, old) = read(&newer).await.unwrap();
        let touched = newer.touch("s", NOW, END.plus(99).into(), record(&old));
        assert!(matches!(touched.await.unwrap(), Saved::Extended(_)));
        assert_eq!(version().await, Version::V1, "a touch seals nothing");
        for (round, expected) in ["written", "unchanged"].into_iter().enumerate() {
            let (_, ttl, mark) = read(&newer).await.unwrap();
            let same = save(r#"{"n":1}"#, ttl);
            let outcome = newer.save(same, record(&mark), OnConflict::Drop).await;
            let outcome = match outcome.unwrap() {
                Saved::Written { .. } => "written",
                Saved::Unchanged(_) => "unchanged",
                _ => "something else",
            };
            assert_eq!(outcome, expected, "{} {round}", backend.name);
            assert_eq!(version().await, Version::V2);
        }
        // One that has ended is not brought back for it.
        saved(&store(&backend, Version::V1), r#"{"n":1}"#).await;
        let (_, ttl, mark) = read(&newer).await.unwrap();
        let late = Save {
            now: EpochMillis(NOW.0 + 3_600_000.0),
            ..save(r#"{"n":1}"#, ttl.plus(3600))
        };
        let outcome = newer.save(late, record(&mark), OnConflict::Overwrite).await;
        assert!(matches!(outcome.unwrap(), Saved::Gone));
    }
}

#[test]
fn the_content_of_a_session_is_everything_but_its_cookies_expiry() {
    let of = |json: &str| Content::of(json.as_bytes());
    let base =
        of(r#"{"cookie":{"expires":"x","originalMaxAge":60000,"path":"/"},"a":[1,2],"b":"c"}"#);
    for same in [
        r#"{"b":"c","a":[1,2],"cookie":{"path":"/","originalMaxAge":59999,"expires":"y"}}"#,
        r#"{"cookie":{"originalExpires":"z","originalMaxAge":60000,"path":"/","domain":null},"a":[1,2],"b":"c"}"#,
    ] {
        assert!(of(same) == base, "{same}");
    }
    for other in [
        r#"{"cookie":{"expires":"x","originalMaxAge":61000,"path":"/"},"a":[1,2],"b":"c"}"#,
        r#"{"cookie":{"expires":"x","originalMaxAge":60000,"path":"/app"},"a":[1,2],"b":"c"}"#,
        r#"{"cookie":{"expires":"x","originalMaxAge":60000,"path":"/"},"a":[1,3],"b":"c"}"#,
        r#"{"cookie":{"expires":"x","originalMaxAge":60000,"path":"/"},"a":[1,2],"b":"c","d":null}"#,
        r#"{"cookie":{"expires":"x","originalMaxAge":60000,"path":"/"},"a":[1,2]}"#,
        r#"{"cookie":{"expires":"x","originalMaxAge":60000,"path":"/"},"ab":"c","a":[1,2]}"#,
        r#"{"a":[1,2],"b":"c"}"#,
    ] {
        assert!(of(other) != base, "{other}");
    }
    let no_objects = ["[]", "1", "null", "{", ""];
    for (i, no_object) in no_objects.into_iter().enumerate() {
        assert!(of(no_object) == of(no_object), "{no_object}");
        let others = no_objects[..i].iter().chain(&["{}"]);
        for other in others {
            assert!(of(no_object) != of(other), "{no_object} and {other}");
        }
    }
    // JSON.stringify writes a lone surrogate as its escape; Rust's strings hold none.
    let surrogate = of(r#"{"\ud83d":1,"cookie":{"\udc00":1}}"#);
    assert!(surrogate == of(r#"{"cookie":{"\udc00":1},"\ud83d":1}"#));
    assert!(surrogate != of(r#"{"\ud83d":2,"cookie":{"\udc00":1}}"#));
    assert!(surrogate != of(r#"{"\ud83d":1,"cookie":{"\udc00":2}}"#));
    assert!(surrogate != of(r#"{"\ud83e":1,"cookie":{"\udc00":1}}"#));
}

#[tokio::test]
async fn a_mark_is_the_same_after_a_journey_as_text() {
    for backend in backends() {
        for version in [Version::V1, Version::V2] {
            let mark = saved(&store(&backend, version), "{}").await;
            assert!(Mark::decode(&mark.encode()).unwrap() == mark);
        }
    }
    for text in ["", "x", "AAAA", "!"] {
        assert_eq!(Mark::decode(text).err().unwrap().code(), "ERR_CONFIG");
    }
}

#[tokio::test]
async fn one_owner_at_a_time_has_a_lease() {
    for backend in backends() {
        let store = store(&backend, Version::V1);
        let at = |seconds: f64| EpochMillis(NOW.0 + seconds * 1000.0);
        let take = async |owner, now, until| store.take_lease("s", owner, at(now), at(until)).await;
        assert_eq!(
            take("a", 0.0, 10.0).await.unwrap(),
            Lease::Held,
            "{}",
            backend.name
        );
        let until_10 = Lease::Taken {
            until: Some(at(10.0)),
        };
        assert_eq!(take("b", 9.999, 20.0).await.unwrap(), until_10);
        // The answer to a repetition of a request that was applied.
        assert_eq!(take("a", 1.0, 10.0).await.unwrap(), Lease::Held);
        assert!(store.renew_lease("s", "a", at(15.0)).await.unwrap());
        assert!(!store.renew_lease("s", "b", at(15.0)).await.unwrap());
        assert!(matches!(
            take("b", 14.0, 20.0).await.unwrap(),
            Lease::Taken { .. }
        ));
        assert_eq!(
            take("b", 15.0, 20.0).await.unwrap(),
            Lease::Held,
            "the lease has ended"
        );
        assert!(!store.renew_lease("s", "a", at(30.0)).await.unwrap());
        store.release_lease("s", "a").await.unwrap();
        assert!(matches!(
            take("c", 16.0, 20.0).await.unwrap(),
            Lease::Taken { .. }
        ));
        store.release_lease("s", "b").await.unwrap();
        store.release_lease("s", "b").await.unwrap();
        assert_eq!(take("c", 16.0, 20.0).await.unwrap(), Lease::Held);
        // A lease is no session.
        assert_eq!(store.length(NOW).await.unwrap(), 0);
        store.clear().await.unwrap();
        assert!(store.renew_lease("s", "c", at(30.0)).await.unwrap());
    }
}
