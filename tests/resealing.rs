//! Moving sessions to another version or KMS key.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::error::{Error, Kind, Result, Service, ServiceError};
use connect_dynamodb_kms::operator::reseal::{ResealOptions, ResealReport, reseal};
use connect_dynamodb_kms::operator::run::Run;
use connect_dynamodb_kms::operator::walking::Reading;
use connect_dynamodb_kms::record::{
    Attribute, ENCRYPTED_DATA, Item, NOT_AFTER, SESSION_ID, TTL, VERSION, Version,
};
use connect_dynamodb_kms::store::session_table::{
    Condition, Outcome, Page, Scan, SessionTable, Write,
};
use connect_dynamodb_kms::store::walk::{Walk, WalkPage};
use connect_dynamodb_kms::store::{
    Attempt, Known, Lookup, OnConflict, Save, Saved, SessionStore, SessionUser,
};
use connect_dynamodb_kms::time::{EpochMillis, EpochSeconds};
use support::{SetNew, aws_with_new_key, backends, store};

const NOW: EpochMillis = EpochMillis(1_800_000_000_000.0);
const LATER: EpochMillis = EpochMillis(1_800_003_000_000.0);
const END: EpochSeconds = EpochSeconds(1_800_000_000 + 7200);

fn json(text: &str) -> Plaintext {
    Plaintext::new(text.as_bytes().to_vec())
}

const OPTIONS: ResealOptions = ResealOptions {
    reading: Reading {
        segments: 3,
        units_per_second: None,
        consistent: true,
    },
    write_units_per_second: None,
    at_once: 4,
    dry_run: false,
    ids: false,
};

async fn resealed(store: &SessionStore, options: ResealOptions) -> ResealReport {
    let report = reseal(&Run::default(), store, options, || LATER).await;
    assert_eq!(report.failed, None);
    report
}

async fn read(store: &SessionStore, id: &str) -> Option<(String, EpochSeconds, Known)> {
    match store.get(id, LATER).await.unwrap() {
        Lookup::Found(session) => Some((
            session.json.as_str().to_owned(),
            session.ttl,
            Known::record(session.mark),
        )),
        _ => None,
    }
}

async fn item(table: &dyn SessionTable, key: &str) -> Item {
    table.get(key).await.unwrap().unwrap()
}

#[tokio::test]
async fn sessions_of_version_1_become_version_2_and_nothing_else_changes() {
    for backend in backends() {
        let table = backend.table.as_ref();
        let old = store(&backend, Version::V1);
        for number in 0..20 {
            let content = format!("{{\"number\":{number}}}");
            let id = format!("s{number}");
            old.set(&id, json(&content), NOW, END.plus(number))
                .await
                .unwrap();
        }
        let mut indexed = item(table, "app:s0").await;
        indexed.insert("user".into(), Attribute::S("hash of a user".into()));
        table.put(indexed, Condition::Always).await.unwrap();
        let foreign = Item::from([(SESSION_ID.into(), Attribute::S("TOKEN#1".into()))]);
        table.put(foreign.clone(), Condition::Always).await.unwrap();

        let new = store(&backend, Version::V2);
        let dry = ResealOptions {
            dry_run: true,
            ..OPTIONS
        };
        let report = resealed(&new, dry).await;
        assert_eq!((report.moved, report.write_units), (20, 0.0));
        assert_eq!(
            item(table, "app:s3").await[VERSION],
            Attribute::N("1".into())
        );

        let report = resealed(&new, OPTIONS).await;
        assert_eq!((report.moved, report.others, report.left.count), (20, 1, 0));
        assert!(report.write_units >= 20.0);
        for number in 0..20 {
            let (content, ttl, _) = read(&new, &format!("s{number}")).await.unwrap();
            assert_eq!(content, format!("{{\"number\":{number}}}"));
            assert_eq!(ttl, END.plus(number), "{}", backend.name);
            let item = item(table, &format!("app:s{number}")).await;
            assert_eq!(item[VERSION], Attribute::N("2".into()));
        }
        let user = &item(table, "app:s0").await["user"];
        assert_eq!(*user, Attribute::S("hash of a user".into()));
        assert_eq!(item(table, "TOKEN#1").await, foreign);

        let report = resealed(&new, OPTIONS).await;
        assert_eq!((report.moved, report.up_to_date), (0, 20));
        assert!(report.write_units.abs() < f64::EPSILON);
    }
}

#[tokio::test]
async fn a_life_that_was_sealed_is_not_lengthened() {
    let (mut backend, keys) = aws_with_new_key();
    let old = store(&backend, Version::V2);
    old.set("s", json("{}"), NOW, END).await.unwrap();
    // Sealed at NOW for two hours, and moved on to an end three hours from then.
    let moved = END.plus(3600);
    let table = backend.table.clone();
    table
        .extend("app:s", moved, Condition::Exists)
        .await
        .unwrap();
    let before = item(table.as_ref(), "app:s").await;
    backend.keys = keys;
    let new = store(&backend, Version::V2);
    assert_eq!(resealed(&new, OPTIONS).await.moved, 1);
    let after = item(table.as_ref(), "app:s").await;
    assert_eq!(
        (&after[TTL], &after[NOT_AFTER]),
        (&before[TTL], &before[NOT_AFTER])
    );
    assert_ne!(after[ENCRYPTED_DATA], before[ENCRYPTED_DATA]);
    assert_eq!(resealed(&new, OPTIONS).await.up_to_date, 1);

    // Version 1 has no other end than ttl.
    let beyond = END.plus(999_999);
    table
        .extend("app:s", beyond, Condition::Exists)
        .await
        .unwrap();
    let first = store(&backend, Version::V1);
    assert_eq!(resealed(&first, OPTIONS).await.moved, 1);
    let after = item(table.as_ref(), "app:s").await;
    assert_eq!(after[TTL], before[NOT_AFTER]);
    assert!(!after.contains_key(NOT_AFTER));
}

#[tokio::test]
async fn what_cannot_be_moved_is_named_and_left_as_it_is() {
    for backend in backends() {
        let table = backend.table.as_ref();
        let old = store(&backend, Version::V1);
        for id in ["good", "forged", "ended"] {
            old.set(id, json("{}"), NOW, END).await.unwrap();
        }
        let mut forged = item(table, "app:forged").await;
        forged.insert(ENCRYPTED_DATA.into(), Attribute::S("AAAA".into()));
        table.put(forged.clone(), Condition::Always).await.unwrap();
        let past = EpochSeconds(1_799_999_999);
        table
            .extend("app:ended", past, Condition::Exists)
            .await
            .unwrap();
        let new = store(&backend, Version::V2);
        let report = resealed(&new, OPTIONS).await;
        assert_eq!((report.moved, report.ended, report.left.count), (1, 1, 1));
        assert_eq!(report.left.first[0].code, "ERR_INTEGRITY");
        assert_eq!(report.left.first[0].id, None);
        assert_eq!(item(table, "app:forged").await, forged);
    }
}

/// What somebody else does to a session right before it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meddling {
    Destroys,
    Extends,
    Rewrites,
}

struct Meddled {
    table: Arc<dyn SessionTable>,
    meddling: Mutex<Option<(Meddling, Item)>>,
}

#[async_trait]
impl SessionTable for Meddled {
    async fn get(&self, key: &str) -> Result<Option<Item>> {
        self.table.get(key).await
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<Outcome> {
        let meddling = self.meddling.lock().unwrap().take();
        match meddling {
            Some((Meddling::Destroys, _)) => {
                self.table.delete("app:s", Condition::Always).await?;
            }
            Some((Meddling::Extends, _)) => {
                let end = END.plus(600);
                self.table.extend("app:s", end, Condition::Exists).await?;
            }
            Some((Meddling::Rewrites, other)) => {
                self.table.put(other, Condition::Exists).await?;
            }
            None => {}
        }
        self.table.put(item, condition).await
    }

    async fn extend(&self, key: &str, ttl: EpochSeconds, condition: Condition) -> Result<Outcome> {
        self.table.extend(key, ttl, condition).await
    }

    async fn delete(&self, key: &str, condition: Condition) -> Result<Outcome> {
        self.table.delete(key, condition).await
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<Vec<Outcome>> {
        self.table.write_all(writes).await
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
async fn a_session_that_others_change_meanwhile_is_theirs() {
    for meddling in [Meddling::Destroys, Meddling::Extends, Meddling::Rewrites] {
        for mut backend in backends() {
            let old = store(&backend, Version::V1);
            old.set("s", json("{\"by\":\"other\"}"), NOW, END)
                .await
                .unwrap();
            let other = item(backend.table.as_ref(), "app:s").await;
            old.set("s", json("{\"by\":\"first\"}"), NOW, END)
                .await
                .unwrap();
            let table = backend.table.clone();
            backend.table = Arc::new(Meddled {
                table: table.clone(),
                meddling: Mutex::new(Some((meddling, other))),
            });
            let new = store(&backend, Version::V2);
            let report = resealed(&new, OPTIONS).await;
            let name = format!("{meddling:?} {}", backend.name);
            if meddling == Meddling::Destroys {
                assert_eq!((report.moved, report.gone), (0, 1), "{name}");
                assert_eq!(table.get("app:s").await.unwrap(), None, "{name}");
                continue;
            }
            assert_eq!(report.moved, 1, "{name}");
            let (content, ttl, _) = read(&new, "s").await.unwrap();
            if meddling == Meddling::Extends {
                assert_eq!(ttl, END.plus(600), "{name}");
            } else {
                assert_eq!(content, "{\"by\":\"other\"}", "{name}");
            }
        }
    }
}

#[tokio::test]
async fn an_application_that_has_read_the_session_before_meets_no_conflict() {
    for backend in backends() {
        let old = store(&backend, Version::V1);
        old.set("s", json("{\"a\":1}"), NOW, END).await.unwrap();
        // The same application, which was told of version 2 before.
        let live = store(&backend, Version::V2);
        let (_, _, known) = read(&live, "s").await.unwrap();
        let (_, _, touching) = read(&live, "s").await.unwrap();
        let report = resealed(&store(&backend, Version::V2), OPTIONS).await;
        assert_eq!(report.moved, 1);
        let touched = live.touch("s", LATER, END.plus(1800).into(), touching);
        assert!(matches!(touched.await, Ok(Saved::Extended(_))));
        let save = Save {
            sid: "s".into(),
            json: json("{\"a\":2}"),
            now: LATER,
            end: END.plus(1800).into(),
            user: SessionUser::Unasked,
            attempt: Attempt::default(),
        };
        let saved = live.save(save, known, OnConflict::Error).await;
        let written = matches!(
            saved,
            Ok(Saved::Written {
                conflict: false,
                ..
            })
        );
        assert!(written, "{}", backend.name);
        assert_eq!(read(&live, "s").await.unwrap().0, "{\"a\":2}");
    }
}

#[tokio::test]
async fn a_bound_on_write_units_is_kept() {
    for backend in backends() {
        let old = store(&backend, Version::V1);
        for number in 0..12 {
            let id = format!("s{number}");
            old.set(&id, json("{}"), NOW, END).await.unwrap();
        }
        let options = ResealOptions {
            write_units_per_second: Some(10.0),
            ..OPTIONS
        };
        let began = Instant::now();
        let report = resealed(&store(&backend, Version::V2), options).await;
        assert_eq!(report.moved, 12);
        // The units of the last write are not waited for.
        assert!(began.elapsed().as_secs_f64() > 1.09, "{}", backend.name);
    }
}

/// Fails the calls of one method with one kind of error, for some times.
struct Failing {
    table: Arc<dyn SessionTable>,
    kind: Kind,
    times: Mutex<u32>,
    schema: AtomicBool,
    puts: Mutex<u32>,
}

impl Failing {
    fn error(&self) -> Error {
        ServiceError::new(Service::DynamoDb, "dynamodb:PutItem", self.kind).into()
    }
}

#[async_trait]
impl SessionTable for Failing {
    async fn get(&self, key: &str) -> Result<Option<Item>> {
        self.table.get(key).await
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<Outcome> {
        *self.puts.lock().unwrap() += 1;
        {
            let mut times = self.times.lock().unwrap();
            if *times > 0 {
                *times -= 1;
                return Err(self.error());
            }
        }
        self.table.put(item, condition).await
    }

    async fn extend(&self, key: &str, ttl: EpochSeconds, condition: Condition) -> Result<Outcome> {
        self.table.extend(key, ttl, condition).await
    }

    async fn delete(&self, key: &str, condition: Condition) -> Result<Outcome> {
        self.table.delete(key, condition).await
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<Vec<Outcome>> {
        self.table.write_all(writes).await
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
        if self.schema.load(Ordering::Relaxed) {
            return Err(self.error());
        }
        self.table.check().await
    }
}

#[tokio::test]
async fn throttling_is_waited_for_and_lost_credentials_end_the_run_with_what_was_done() {
    for mut backend in backends() {
        let old = store(&backend, Version::V1);
        for number in 0..6 {
            let id = format!("s{number}");
            old.set(&id, json("{}"), NOW, END).await.unwrap();
        }
        let table = backend.table.clone();
        let mut failing = |kind, times, schema| {
            let failing = Arc::new(Failing {
                table: table.clone(),
                kind,
                times: Mutex::new(times),
                schema: AtomicBool::new(schema),
                puts: Mutex::default(),
            });
            backend.table = failing.clone();
            (failing, store(&backend, Version::V2))
        };
        // A table of another application: nothing is written.
        let (wrong, new) = failing(Kind::TableSchema, 0, true);
        let failed = reseal(&Run::default(), &new, OPTIONS, || LATER).await;
        assert_eq!(failed.failed.unwrap().code, "ERR_TABLE_SCHEMA");
        assert_eq!(*wrong.puts.lock().unwrap(), 0);
        let one = ResealOptions {
            at_once: 1,
            reading: Reading {
                segments: 1,
                ..OPTIONS.reading
            },
            ..OPTIONS
        };
        let (_, new) = failing(Kind::Credentials, 1, false);
        let failed = reseal(&Run::default(), &new, one, || LATER).await;
        assert_eq!(failed.moved, 0);
        assert_eq!(failed.failed.unwrap().code, "ERR_CREDENTIALS");
        let (_, new) = failing(Kind::Throttled, 4, false);
        let report = resealed(&new, one).await;
        assert_eq!(
            (report.moved, report.left.count),
            (6, 0),
            "{}",
            backend.name
        );
    }
}
