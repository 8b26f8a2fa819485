//! The sessions of a user, on both backends.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

mod support;

use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::record::listing::{Listing, USER, UserList};
use connect_dynamodb_kms::record::partition_key::{IdHashing, PartitionKeys};
use connect_dynamodb_kms::record::{
    AUTH_TAG, Attribute, ENCRYPTED_DATA, Item, SESSION_ID, TTL, Version,
};
use connect_dynamodb_kms::store::session_table::{Condition, Outcome, Write};
use connect_dynamodb_kms::store::{
    Attempt, Known, Lookup, OnConflict, Save, Saved, SessionStore, SessionUser, Users,
};
use connect_dynamodb_kms::time::{EpochMillis, EpochSeconds};
use futures_util::future::join_all;
use support::{Backend, SetNew, backends, store, store_with};
use zeroize::Zeroizing;

const NOW: EpochMillis = EpochMillis(1_800_000_000_000.0);
const END: EpochSeconds = EpochSeconds(1_800_003_600);
const SECRET: &[u8] = b"0123456789abcdef";

fn knowing(store: SessionStore, max_sessions: usize) -> SessionStore {
    let secret = Zeroizing::new(SECRET.to_vec());
    store.with_users(Some(Users::new(secret, max_sessions)))
}

fn json(user: Option<&str>) -> Plaintext {
    let text = user.map_or("{}".to_owned(), |user| format!(r#"{{"user":"{user}"}}"#));
    Plaintext::new(text.into_bytes())
}

async fn save(store: &SessionStore, sid: &str, user: Option<&str>, known: Known) -> Saved {
    save_as(store, sid, user, known, OnConflict::Overwrite)
        .await
        .unwrap()
}

async fn save_as(
    store: &SessionStore,
    sid: &str,
    user: Option<&str>,
    known: Known,
    on_conflict: OnConflict,
) -> connect_dynamodb_kms::error::Result<Saved> {
    let save = Save {
        sid: sid.to_owned(),
        json: json(user),
        now: NOW,
        end: END.into(),
        user: store.session_user(user).unwrap(),
        attempt: Attempt::default(),
    };
    store.save(save, known, on_conflict).await
}

async fn log_in(store: &SessionStore, sid: &str, user: &str) -> Known {
    match save(store, sid, Some(user), Known::Nothing).await {
        Saved::Written { mark, .. } => Known::record(mark),
        _ => panic!("a new session is written"),
    }
}

async fn known(store: &SessionStore, sid: &str) -> Known {
    match store.get(sid, NOW).await.unwrap() {
        Lookup::Found(session) => Known::record(session.mark),
        _ => panic!("{sid} is there"),
    }
}

async fn ids(store: &SessionStore, user: &str) -> Vec<String> {
    let sessions = store.sessions_of(user, NOW).await.unwrap();
    sessions.into_iter().map(|session| session.id).collect()
}

async fn lives(store: &SessionStore, sid: &str) -> bool {
    matches!(store.get(sid, NOW).await.unwrap(), Lookup::Found(_))
}

/// The list of a user, by the partition key that DESIGN gives it.
async fn list(backend: &Backend, user: &str) -> Option<(Item, UserList)> {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(user.as_bytes());
    let hash: [u8; 32] = mac.finalize().into_bytes().into();
    let key = PartitionKeys::new("app:".into(), IdHashing::None).user_key(&hash);
    let item = backend.table.get(&key).await.unwrap()?;
    let list = UserList::from_item(&item).unwrap();
    Some((item, list))
}

fn both(backend: &Backend, max: usize) -> [SessionStore; 4] {
    [Version::V1, Version::V2]
        .into_iter()
        .flat_map(|version| {
            [IdHashing::None, IdHashing::Sha256]
                .map(|hashing| knowing(store_with(backend, version, hashing), max))
        })
        .collect::<Vec<_>>()
        .try_into()
        .ok()
        .unwrap()
}

#[tokio::test]
async fn writes_that_belong_together_are_all_made_or_none() {
    for backend in backends() {
        let table = &backend.table;
        let item = |key: &str, value: &str| {
            Item::from([
                (SESSION_ID.into(), Attribute::S(key.into())),
                ("value".into(), Attribute::S(value.into())),
            ])
        };
        let put = |key: &str, value: &str, condition| Write::Put(item(key, value), condition);
        let delete = |key: &str, condition| Write::Delete(key.into(), condition);
        let absent = Condition::Generation(None);
        let writes = vec![
            put("a", "1", absent.clone()),
            put("b", "1", Condition::Always),
        ];
        assert_eq!(
            table.write_all(writes).await.unwrap(),
            [Outcome::Written, Outcome::Written],
            "{}",
            backend.name
        );
        let writes = vec![
            put("a", "2", Condition::Exists),
            put("b", "2", absent),
            put("c", "2", Condition::Exists),
        ];
        let refused = [
            Outcome::Written,
            Outcome::Refused(Some(item("b", "1"))),
            Outcome::Refused(None),
        ];
        assert_eq!(table.write_all(writes).await.unwrap(), refused);
        assert_eq!(table.get("a").await.unwrap(), Some(item("a", "1")));
        let writes = vec![
            put("a", "3", Condition::Exists),
            delete("c", Condition::Exists),
            delete("b", Condition::Exists),
        ];
        let refused = [Outcome::Written, Outcome::Refused(None), Outcome::Written];
        assert_eq!(table.write_all(writes).await.unwrap(), refused);
        assert_eq!(table.get("a").await.unwrap(), Some(item("a", "1")));
        assert_eq!(table.get("b").await.unwrap(), Some(item("b", "1")));
        let writes = vec![
            delete("b", Condition::Exists),
            put("a", "3", Condition::Exists),
        ];
        assert_eq!(
            table.write_all(writes).await.unwrap(),
            [Outcome::Written, Outcome::Written]
        );
        assert_eq!(table.get("b").await.unwrap(), None);
        assert_eq!(table.remove("a").await.unwrap(), Some(item("a", "3")));
        assert_eq!(table.remove("a").await.unwrap(), None);
    }
}

#[tokio::test]
async fn the_sessions_of_a_user_are_listed_and_ended() {
    for backend in backends() {
        for store in both(&backend, 10) {
            for (sid, user) in [("a", "ada"), ("b", "ada"), ("c", "bob"), ("d", "ada")] {
                log_in(&store, sid, user).await;
            }
            save(&store, "n", None, Known::Nothing).await;
            assert_eq!(
                ids(&store, "ada").await,
                ["d", "b", "a"],
                "{}",
                backend.name
            );
            assert_eq!(ids(&store, "nobody").await, [""; 0]);
            store.destroy("b", NOW).await.unwrap();
            assert_eq!(list(&backend, "ada").await.unwrap().1.entries.len(), 2);
            assert_eq!(store.length(NOW).await.unwrap(), 4, "lists are no sessions");
            assert_eq!(
                store.destroy_all_of("ada", Some("d"), NOW).await.unwrap(),
                1
            );
            assert_eq!(ids(&store, "ada").await, ["d"]);
            assert_eq!(store.destroy_all_of("ada", None, NOW).await.unwrap(), 1);
            assert_eq!(store.destroy_all_of("ada", None, NOW).await.unwrap(), 0);
            assert!(list(&backend, "ada").await.unwrap().1.entries.is_empty());
            assert!(lives(&store, "c").await && lives(&store, "n").await);
            store.clear().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_session_that_keeps_its_user_writes_no_list() {
    for backend in backends() {
        let store = knowing(store(&backend, Version::V1), 10);
        log_in(&store, "a", "ada").await;
        let (before, _) = list(&backend, "ada").await.unwrap();
        let known = known(&store, "a").await;
        let end = EpochSeconds(END.0 + 3000);
        let touched = store.touch("a", NOW, end.into(), known).await.unwrap();
        assert!(
            matches!(touched, Saved::Extended(Some(_))),
            "{}",
            backend.name
        );
        let item = backend.table.get("app:a").await.unwrap().unwrap();
        let entry = Listing::of(&item);
        assert!(entry.entry().is_some());
        let Lookup::Found(read) = store.get("a", NOW).await.unwrap() else {
            panic!("it lives");
        };
        let save = Save {
            sid: "a".into(),
            json: Plaintext::new(br#"{"user":"ada","n":2}"#.to_vec()),
            now: NOW,
            end: END.into(),
            user: store.session_user(Some("ada")).unwrap(),
            attempt: Attempt::default(),
        };
        let saved = store.save(save, Known::record(read.mark), OnConflict::Error);
        assert!(matches!(saved.await, Ok(Saved::Written { .. })));
        let rewritten = backend.table.get("app:a").await.unwrap().unwrap();
        assert_ne!(rewritten[AUTH_TAG], item[AUTH_TAG]);
        assert_eq!(Listing::of(&rewritten), entry);
        assert_eq!(list(&backend, "ada").await.unwrap().0, before);
    }
}

#[tokio::test]
async fn a_session_changes_its_user() {
    for backend in backends() {
        for store in both(&backend, 10) {
            let known = log_in(&store, "a", "ada").await;
            let Saved::Written { mark, .. } = save(&store, "a", Some("bob"), known).await else {
                panic!("it is written");
            };
            assert_eq!(ids(&store, "ada").await, [""; 0], "{}", backend.name);
            assert_eq!(ids(&store, "bob").await, ["a"]);
            assert!(list(&backend, "ada").await.unwrap().1.entries.is_empty());
            save(&store, "a", None, Known::record(mark)).await;
            assert!(list(&backend, "bob").await.unwrap().1.entries.is_empty());
            assert_eq!(store.destroy_all_of("bob", None, NOW).await.unwrap(), 0);
            assert!(lives(&store, "a").await);
            store.clear().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_session_from_before_the_option_joins_with_its_next_save() {
    for backend in backends() {
        let plain = store(&backend, Version::V1);
        let store = knowing(support::store(&backend, Version::V1), 10);
        plain.set("a", json(Some("ada")), NOW, END).await.unwrap();
        let item = backend.table.get("app:a").await.unwrap().unwrap();
        assert_eq!(item.len(), 7, "the item of a plain implementation");
        assert_eq!(ids(&store, "ada").await, [""; 0], "{}", backend.name);
        let read = known(&store, "a").await;
        assert!(matches!(
            save(&store, "a", Some("ada"), read).await,
            Saved::Written {
                conflict: false,
                ..
            }
        ));
        assert_eq!(ids(&store, "ada").await, ["a"]);
        // A process without the option drops what the item says, and it is still ended.
        let read = known(&plain, "a").await;
        let save = Save {
            sid: "a".into(),
            json: Plaintext::new(br#"{"user":"ada","n":2}"#.to_vec()),
            now: NOW,
            end: END.into(),
            user: SessionUser::Unasked,
            attempt: Attempt::default(),
        };
        plain.save(save, read, OnConflict::Error).await.unwrap();
        let item = backend.table.get("app:a").await.unwrap().unwrap();
        assert!(!item.contains_key(USER));
        assert_eq!(ids(&store, "ada").await, ["a"]);
        assert_eq!(store.destroy_all_of("ada", None, NOW).await.unwrap(), 1);
        assert!(!lives(&store, "a").await);
    }
}

#[tokio::test]
async fn an_overwritten_session_is_on_the_list_of_the_user_that_it_got() {
    for backend in backends() {
        let store = knowing(store(&backend, Version::V2), 10);
        let ours = log_in(&store, "a", "ada").await;
        let theirs = known(&store, "a").await;
        save(&store, "a", Some("bob"), theirs).await;
        // This save knows the revision of ada, to whom it also belongs.
        let save = Save {
            sid: "a".into(),
            json: Plaintext::new(br#"{"user":"ada","n":2}"#.to_vec()),
            now: NOW,
            end: END.into(),
            user: store.session_user(Some("ada")).unwrap(),
            attempt: Attempt::default(),
        };
        let saved = store.save(save, ours, OnConflict::Overwrite).await;
        assert!(matches!(saved, Ok(Saved::Written { conflict: true, .. })));
        assert_eq!(ids(&store, "ada").await, ["a"], "{}", backend.name);
        assert!(list(&backend, "bob").await.unwrap().1.entries.is_empty());
    }
}

#[tokio::test]
async fn a_login_beyond_the_limit_ends_the_oldest_session() {
    for backend in backends() {
        for store in both(&backend, 3) {
            for sid in ["a", "b", "c", "d"] {
                log_in(&store, sid, "ada").await;
            }
            assert_eq!(
                ids(&store, "ada").await,
                ["d", "c", "b"],
                "{}",
                backend.name
            );
            assert!(!lives(&store, "a").await);
            // One that is gone leaves room, and so does one that has ended.
            backend.table.remove("app:c").await.unwrap();
            store.destroy("c", NOW).await.unwrap();
            log_in(&store, "e", "ada").await;
            assert_eq!(ids(&store, "ada").await, ["e", "d", "b"]);
            // A session that joins again is not one more.
            log_in(&store, "b", "ada").await;
            assert_eq!(ids(&store, "ada").await, ["b", "e", "d"]);
            store.clear().await.unwrap();
            // All of its entries are of sessions that are gone now.
            log_in(&store, "f", "ada").await;
            assert_eq!(list(&backend, "ada").await.unwrap().1.entries.len(), 1);
            store.destroy_all_of("ada", None, NOW).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_ended_session_makes_room_before_a_live_one() {
    for backend in backends() {
        let store = knowing(store(&backend, Version::V1), 2);
        log_in(&store, "a", "ada").await;
        log_in(&store, "b", "ada").await;
        let past = EpochSeconds(NOW.floor().0 - 1);
        backend
            .table
            .extend("app:b", past, Condition::Exists)
            .await
            .unwrap();
        log_in(&store, "c", "ada").await;
        assert_eq!(ids(&store, "ada").await, ["c", "a"], "{}", backend.name);
        assert_eq!(backend.table.get("app:b").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_lowered_limit_ends_all_sessions_beyond_it() {
    for backend in backends() {
        let store = |max| knowing(store(&backend, Version::V1), max);
        let many = store(1000);
        for n in 0..100 {
            log_in(&many, &format!("s{n}"), "ada").await;
        }
        let few = store(2);
        log_in(&few, "new", "ada").await;
        assert_eq!(ids(&few, "ada").await, ["new", "s99"], "{}", backend.name);
        assert_eq!(few.length(NOW).await.unwrap(), 2);
    }
}

/// The user's name is on items that are no sessions: nobody removes them, and the login goes on.
#[tokio::test]
async fn what_is_no_session_makes_room_and_stays() {
    for backend in backends() {
        let store = knowing(store(&backend, Version::V1), 1);
        log_in(&store, "a", "ada").await;
        let mut item = backend.table.get("app:a").await.unwrap().unwrap();
        item.remove(ENCRYPTED_DATA);
        let put = backend.table.put(item.clone(), Condition::Always);
        assert_eq!(put.await.unwrap(), Outcome::Written);
        log_in(&store, "b", "ada").await;
        assert_eq!(ids(&store, "ada").await, ["b"], "{}", backend.name);
        assert_eq!(backend.table.get("app:a").await.unwrap(), Some(item));
    }
}

#[tokio::test]
async fn concurrent_logins_of_a_user_are_all_listed() {
    for backend in backends() {
        let stores = [Version::V1, Version::V2].map(|v| knowing(store(&backend, v), 100));
        let sids: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
        let logins = sids.iter().enumerate().map(|(n, sid)| {
            let store = &stores[n % 2];
            async move { drop(log_in(store, sid, "ada").await) }
        });
        join_all(logins).await;
        let mut listed = ids(&stores[0], "ada").await;
        listed.sort();
        let mut expected = sids.clone();
        expected.sort();
        assert_eq!(listed, expected, "{}", backend.name);
        let (_, list) = list(&backend, "ada").await.unwrap();
        for (session, number) in &list.entries {
            let key = format!("app:{session}");
            let item = backend.table.get(&key).await.unwrap().unwrap();
            let entry = Listing::of(&item).entry().unwrap();
            assert_eq!(entry.number, *number);
        }
    }
}

#[tokio::test]
async fn concurrent_logins_do_not_exceed_the_limit() {
    for backend in backends() {
        let store = knowing(store(&backend, Version::V1), 3);
        let sids: Vec<String> = (0..12).map(|n| format!("s{n}")).collect();
        join_all(sids.iter().map(|sid| log_in(&store, sid, "ada"))).await;
        assert_eq!(ids(&store, "ada").await.len(), 3, "{}", backend.name);
        assert_eq!(store.length(NOW).await.unwrap(), 3);
    }
}

#[tokio::test]
async fn a_session_that_comes_again_keeps_its_entry() {
    for backend in backends() {
        let store = knowing(store(&backend, Version::V1), 10);
        for _ in 0..10 {
            log_in(&store, "a", "ada").await;
            let again = async { drop(log_in(&store, "a", "ada").await) };
            let gone = async { store.destroy("a", NOW).await.unwrap() };
            futures_util::future::join(again, gone).await;
            let alive = lives(&store, "a").await;
            let listed = ids(&store, "ada").await == ["a"];
            assert_eq!(alive, listed, "{}", backend.name);
        }
    }
}

#[tokio::test]
async fn a_list_outlives_the_sessions_on_it() {
    for backend in backends() {
        let store = knowing(store(&backend, Version::V1), 10);
        log_in(&store, "a", "ada").await;
        let (item, list) = list(&backend, "ada").await.unwrap();
        assert_eq!(list.ttl, END.plus(315_360_000), "{}", backend.name);
        assert!(matches!(&item[TTL], Attribute::N(_)));
        store.destroy("a", NOW).await.unwrap();
        let (_, list) = self::list(&backend, "ada").await.unwrap();
        assert_eq!(list.ttl, NOW.floor().plus(86_400), "an empty list may go");
        log_in(&store, "a", "ada").await;
        let (_, list) = self::list(&backend, "ada").await.unwrap();
        assert_eq!(list.ttl, END.plus(315_360_000));
    }
}

#[tokio::test]
async fn every_way_to_end_a_session_takes_it_off_the_list() {
    for backend in backends() {
        let store = knowing(store(&backend, Version::V1), 10);
        let entries = async || list(&backend, "ada").await.unwrap().1.entries.len();
        log_in(&store, "a", "ada").await;
        assert!(matches!(store.take("a", NOW).await, Ok(Lookup::Found(_))));
        assert_eq!(entries().await, 0, "{}", backend.name);
        for known_before in [true, false] {
            let read = log_in(&store, "a", "ada").await;
            let save = Save {
                sid: "a".into(),
                json: json(Some("ada")),
                now: NOW,
                end: EpochSeconds(1).into(),
                user: store.session_user(Some("ada")).unwrap(),
                attempt: Attempt::default(),
            };
            let read = if known_before { read } else { Known::Nothing };
            let saved = store.save(save, read, OnConflict::Error).await;
            assert!(matches!(saved, Ok(Saved::Gone)));
            assert_eq!(entries().await, 0);
        }
    }
}

#[tokio::test]
async fn a_list_that_somebody_has_written_ends_nothing_else() {
    for backend in backends() {
        let store = knowing(store(&backend, Version::V1), 10);
        log_in(&store, "a", "ada").await;
        log_in(&store, "b", "bob").await;
        let foreign = Item::from([
            (SESSION_ID.into(), Attribute::S("app:bearer".into())),
            ("token".into(), Attribute::S("t".into())),
        ]);
        let put = backend.table.put(foreign.clone(), Condition::Always);
        put.await.unwrap();
        let (mut item, _) = list(&backend, "ada").await.unwrap();
        for name in ["s:b", "s:bearer", "s:../x", "s:lease:"] {
            item.insert(name.to_owned().into(), Attribute::N("1".into()));
        }
        backend.table.put(item, Condition::Always).await.unwrap();
        assert_eq!(ids(&store, "ada").await, ["a"], "{}", backend.name);
        assert_eq!(store.destroy_all_of("ada", None, NOW).await.unwrap(), 1);
        assert!(lives(&store, "b").await);
        assert_eq!(
            backend.table.get("app:bearer").await.unwrap(),
            Some(foreign)
        );
    }
}

#[tokio::test]
async fn a_store_without_users_says_so() {
    let [backend, _] = backends();
    let store = store(&backend, Version::V1);
    for error in [
        store.sessions_of("ada", NOW).await.err(),
        store.destroy_all_of("ada", None, NOW).await.err(),
        store.session_user(Some("ada")).err(),
    ] {
        assert_eq!(error.unwrap().code(), "ERR_CONFIG");
    }
}
