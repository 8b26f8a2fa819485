//! Moves every session to the configured version and the first KMS key. A run that was killed is
//! repeated from the start: sessions that it has moved are up to date, and are passed by.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::pace::Pace;
use super::run::{Failed, Halt, Ran, Run, ending};
use super::survey::is_of_the_session;
use super::tally::{Trouble, Troubles};
use super::walking::{Reading, each_item, each_page};
use crate::error::Error;
use crate::record::{Attribute, Item, SESSION_ID};
use crate::store::{Belongs, Resealed, SessionStore};
use crate::time::EpochMillis;

/// How to seal again.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResealOptions {
    /// How the table is read.
    pub reading: Reading,
    /// How many write units are used in a second at most.
    pub write_units_per_second: Option<f64>,
    /// How many sessions of a page are sealed at the same time.
    pub at_once: usize,
    /// Only counts what would be moved.
    pub dry_run: bool,
    /// Names sessions by their ids instead of fingerprints.
    pub ids: bool,
}

/// What a run has done.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResealReport {
    /// Sessions that were moved, or with `dryRun` would be.
    pub moved: u64,
    /// Sessions that were as they should be.
    pub up_to_date: u64,
    /// Sessions that have ended.
    pub ended: u64,
    /// Sessions that somebody has removed meanwhile.
    pub gone: u64,
    /// Items that are no sessions of this store.
    pub others: u64,
    /// Sessions that could not be moved, and why.
    pub left: Troubles,
    /// The write units that were used.
    pub write_units: f64,
    /// The read units that were used.
    pub read_units: f64,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Whether the run was told to stop before it had read the whole table.
    pub stopped: bool,
    /// The error that ended it before.
    pub failed: Option<Failed>,
}

/// Seals every session again that does not have the configured version, or is not under the first
/// key. A failure that concerns all sessions, such as lost credentials, ends it; its report says
/// so. What was moved stays moved.
pub async fn reseal(
    run: &Run,
    store: &SessionStore,
    options: ResealOptions,
    now: impl Fn() -> EpochMillis + Send + Sync,
) -> ResealReport {
    let work = Resealing {
        run,
        store,
        options,
        pace: Pace::new(options.write_units_per_second),
        report: Mutex::new(ResealReport {
            dry_run: options.dry_run,
            ..ResealReport::default()
        }),
    };
    let walked = work.walk(&now).await;
    let report = work.report.into_inner();
    let mut report = report.unwrap_or_else(PoisonError::into_inner);
    match walked {
        Ok(read_units) => report.read_units = read_units,
        Err(halt) => (report.stopped, report.failed) = ending(halt),
    }
    report
}

struct Resealing<'a> {
    run: &'a Run,
    store: &'a SessionStore,
    options: ResealOptions,
    pace: Pace,
    report: Mutex<ResealReport>,
}

impl Resealing<'_> {
    async fn walk(&self, now: &(impl Fn() -> EpochMillis + Send + Sync)) -> Ran<f64> {
        // A table of another application, or a first key that cannot be used, is found before
        // anything is written.
        self.run.patiently(|| self.store.ping()).await?;
        let table = self.store.table().as_ref();
        each_page(self.run, table, self.options.reading, |items| {
            each_item(self.run, items, self.options.at_once, move |item| {
                self.reseal(item, now)
            })
        })
        .await
    }

    async fn reseal(&self, item: Item, now: &(impl Fn() -> EpochMillis + Send + Sync)) -> Ran<()> {
        if self.store.belongs(&item) != Belongs::Session {
            self.count(|report| report.others += 1);
            return Ok(());
        }
        let key = match item.get(SESSION_ID) {
            Some(Attribute::S(key)) => key.clone(),
            _ => String::new(),
        };
        let trouble = |error: &Error| Trouble::of(self.store, &key, error, self.options.ids);
        let pay = |units| async move {
            let paid = self.run.unless_stopped(self.pace.take(units)).await.is_ok();
            if paid {
                self.count(|report| report.write_units += units);
            }
            paid
        };
        let resealed = self
            .run
            .patiently(|| {
                self.store
                    .reseal_stored(item.clone(), now(), self.options.dry_run, pay)
            })
            .await;
        match resealed {
            Ok(Resealed::Moved) => {
                self.count(|report| report.moved += 1);
            }
            Ok(Resealed::UpToDate) => self.count(|report| report.up_to_date += 1),
            Ok(Resealed::Ended) => self.count(|report| report.ended += 1),
            Ok(Resealed::Gone) => self.count(|report| report.gone += 1),
            Ok(Resealed::NotPaid) => return Err(Halt::Stopped),
            Ok(Resealed::NotOurs) => self.left(|| Trouble {
                code: "ERR_CONFIG".into(),
                detail: "it belongs to a store with hashSessionIds; run the command with that \
                         store's options"
                    .into(),
                ..trouble(&Error::Version)
            }),
            Ok(Resealed::Overtaken) => {
                self.left(|| trouble(&Error::Conflict));
            }
            Err(Halt::Failed(error)) if is_of_the_session(&error) => {
                self.left(|| trouble(&error));
            }
            Err(halt) => return Err(halt),
        }
        Ok(())
    }

    fn left(&self, trouble: impl FnOnce() -> Trouble) {
        self.count(|report| report.left.add(trouble));
    }

    fn count(&self, count: impl FnOnce(&mut ResealReport)) {
        count(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
