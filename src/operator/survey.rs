//! Counts what a table holds: sessions by version, KMS key, size and end, and everything else.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::run::{Failed, Halt, Ran, Run, ending};
use super::tally::{Histogram, Trouble, Troubles};
use super::walking::{Reading, each_item, each_page};
use super::wrapping::{Wrapping, is_of_the_key, version_name, wrapper};
use crate::error::Error;
use crate::record::{Item, NOT_AFTER, TTL, seconds};
use crate::store::walk::stored_size;
use crate::store::{Belongs, Inspected, SessionStore};
use crate::time::EpochMillis;

/// The limits of the sizes, in bytes. The last one is the largest item that `DynamoDB` takes.
const SIZES: [u64; 10] = [
    1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 262_144, 409_600,
];
/// The limits of the remaining lifetimes, in seconds: an hour, a day, a week, 30 days, a year.
const REMAINING: [u64; 5] = [3600, 86_400, 604_800, 2_592_000, 31_536_000];
/// How many records of a page are opened at a time.
const OPEN_AT_ONCE: usize = 16;

/// How to survey.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SurveyOptions {
    /// How the table is read.
    pub reading: Reading,
    /// Opens every session, so that every unreadable one is found and the count of each KMS key is
    /// exact. It costs a call to KMS for each session.
    pub verify: bool,
    /// Names unreadable sessions by their ids instead of fingerprints.
    pub ids: bool,
}

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Survey {
    /// All items.
    pub items: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// The sessions of this store.
    pub sessions: u64,
    /// Sessions that have ended and were not removed yet.
    pub ended: u64,
    /// Sessions by the version of their record.
    pub by_version: BTreeMap<&'static str, u64>,
    /// Sessions by the KMS key that wrapped their data keys. Sessions that have ended, or whose
    /// records cannot be parsed, are left out.
    pub by_key: BTreeMap<String, u64>,
    /// How many data keys were unwrapped to find this out.
    pub keys_asked: u64,
    /// Whether every session was opened.
    pub verified: bool,
    /// The sizes of the sessions' items, in bytes.
    pub sizes: Histogram,
    /// The size of the largest session, in bytes.
    pub largest: u64,
    /// For how many seconds the live sessions go on if nobody uses them.
    pub remaining: Histogram,
    /// Live sessions that cannot be read, and why.
    pub unreadable: Troubles,
    /// Records of stores with other prefixes.
    pub other_prefixes: u64,
    /// Records that hold no session, such as those of `SealedStore`.
    pub other_kinds: u64,
    /// Leases.
    pub leases: u64,
    /// Lists of users' sessions.
    pub user_lists: u64,
    /// Items of other applications.
    pub foreign: u64,
    /// The read units that were used.
    pub read_units: f64,
    /// Whether the survey was told to stop before it had read the whole table.
    pub stopped: bool,
    /// The error that ended it before.
    pub failed: Option<Failed>,
}

impl Survey {
    fn new(verified: bool) -> Survey {
        Survey {
            items: 0,
            bytes: 0,
            sessions: 0,
            ended: 0,
            by_version: BTreeMap::new(),
            by_key: BTreeMap::new(),
            keys_asked: 0,
            verified,
            sizes: Histogram::new(&SIZES),
            largest: 0,
            remaining: Histogram::new(&REMAINING),
            unreadable: Troubles::default(),
            other_prefixes: 0,
            other_kinds: 0,
            leases: 0,
            user_lists: 0,
            foreign: 0,
            read_units: 0.0,
            stopped: false,
            failed: None,
        }
    }
}

/// Surveys the table of a store. If it fails, it says so in its report.
pub async fn survey(
    run: &Run,
    store: &SessionStore,
    options: SurveyOptions,
    now: impl Fn() -> EpochMillis + Send + Sync,
) -> Survey {
    let surveyor = Surveyor {
        run,
        store,
        options,
        survey: Mutex::new(Survey::new(options.verify)),
        wrapping: Wrapping::default(),
    };
    let walked = surveyor.walk(&now).await;
    let (by_key, keys_asked) = surveyor.wrapping.counts();
    let survey = surveyor.survey.into_inner();
    let mut survey = survey.unwrap_or_else(PoisonError::into_inner);
    (survey.by_key, survey.keys_asked) = (by_key, keys_asked);
    match walked {
        Ok(read_units) => survey.read_units = read_units,
        Err(halt) => (survey.stopped, survey.failed) = ending(halt),
    }
    survey
}

struct Surveyor<'a> {
    run: &'a Run,
    store: &'a SessionStore,
    options: SurveyOptions,
    survey: Mutex<Survey>,
    wrapping: Wrapping,
}

impl Surveyor<'_> {
    async fn walk(&self, now: &(impl Fn() -> EpochMillis + Send + Sync)) -> Ran<f64> {
        let table = self.store.table().as_ref();
        self.run.patiently(|| table.check()).await?;
        each_page(self.run, table, self.options.reading, |items| {
            let now = now();
            each_item(self.run, items, OPEN_AT_ONCE, move |item| {
                self.look_at(item, now)
            })
        })
        .await
    }

    async fn look_at(&self, item: Item, now: EpochMillis) -> Ran<()> {
        let belongs = self.store.belongs(&item);
        let size = stored_size(&item) as u64;
        self.count(|survey| {
            survey.items += 1;
            survey.bytes += size;
            match belongs {
                Belongs::Session => survey.sessions += 1,
                Belongs::OtherKind => survey.other_kinds += 1,
                Belongs::OtherPrefix => survey.other_prefixes += 1,
                Belongs::Lease => survey.leases += 1,
                Belongs::UserList => survey.user_lists += 1,
                Belongs::Foreign => survey.foreign += 1,
            }
        });
        if belongs != Belongs::Session {
            return Ok(());
        }
        let remaining = remaining(&item, now);
        let inspected = self.store.inspect(item, now);
        self.count(|survey| {
            let version = version_name(inspected.version);
            *survey.by_version.entry(version).or_default() += 1;
            survey.sizes.add(size);
            survey.largest = survey.largest.max(size);
            match remaining {
                _ if inspected.ended => survey.ended += 1,
                Some(seconds) => survey.remaining.add(seconds),
                None => {}
            }
        });
        if inspected.ended {
            return Ok(());
        }
        self.ask_for_key(inspected).await
    }

    async fn ask_for_key(&self, inspected: Inspected) -> Ran<()> {
        let Inspected { key, record, .. } = inspected;
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                self.unreadable(&key, &error);
                return Ok(());
            }
        };
        if !self.options.verify {
            return self.wrapping.count(self.run, self.store, &record).await;
        }
        let verified = self.run.patiently(|| self.store.verify(record.clone()));
        let (wrapped_by, opened) = match verified.await {
            Ok(verified) => (Ok(verified.wrapped_by), verified.opened),
            Err(Halt::Failed(error)) if is_of_the_session(&error) => {
                (Err(Halt::Failed(error.clone())), Err(error))
            }
            Err(halt) => return Err(halt),
        };
        self.wrapping.add(wrapper(self.store, wrapped_by)?);
        if let Err(error) = opened {
            self.unreadable(&key, &error);
        }
        Ok(())
    }

    fn unreadable(&self, key: &str, error: &Error) {
        let trouble = || Trouble::of(self.store, key, error, self.options.ids);
        self.count(|survey| survey.unreadable.add(trouble));
    }

    fn count(&self, count: impl FnOnce(&mut Survey)) {
        count(&mut self.survey.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Whether a failure concerns this session, and not all others.
pub(super) fn is_of_the_session(error: &Error) -> bool {
    matches!(
        error,
        Error::Integrity { .. }
            | Error::Version
            | Error::Serialization(_)
            | Error::SessionTooLarge { .. }
    ) || is_of_the_key(error)
}

/// For how many seconds a session goes on if nobody uses it.
fn remaining(item: &Item, now: EpochMillis) -> Option<u64> {
    let ends = [TTL, NOT_AFTER].map(|name| seconds(item, name).ok());
    let end = ends.into_iter().flatten().min()?;
    u64::try_from(end.0 - now.floor().0).ok()
}
