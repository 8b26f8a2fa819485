//! Ends sessions: one, or all that end before a moment, or all.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::pace::Pace;
use super::run::{Failed, Ran, Run, ending};
use super::walking::{Reading, each_item, each_page};
use crate::error::Result;
use crate::record::{AUTH_TAG, Attribute, Item, SESSION_ID, TTL, seconds};
use crate::store::session_table::{Condition, Outcome};
use crate::store::walk::write_units;
use crate::store::{Belongs, SessionStore};
use crate::time::EpochMillis;

/// Which sessions to end.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DestroyOptions {
    /// How the table is read.
    pub reading: Reading,
    /// How many write units are used in a second at most.
    pub write_units_per_second: Option<f64>,
    /// How many sessions of a page are removed at the same time.
    pub at_once: usize,
    /// Only those that end before this moment, in epoch seconds.
    pub ending_before: Option<f64>,
    /// Only counts what would be removed.
    pub dry_run: bool,
}

/// What a run has done.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DestroyReport {
    /// Sessions that were removed, or with `dryRun` would be.
    pub destroyed: u64,
    /// Sessions that stay: they end later, or somebody has used them meanwhile.
    pub kept: u64,
    /// Items that are no sessions of this store.
    pub others: u64,
    /// Whether nothing was removed.
    pub dry_run: bool,
    /// Whether the run was told to stop before it had read the whole table.
    pub stopped: bool,
    /// The error that ended it before.
    pub failed: Option<Failed>,
}

/// Ends one session. Returns whether there was a record of it, readable or not. Items of other
/// applications stay.
///
/// # Errors
/// `ERR_CONFIG` for an unusable id, and those of the table.
pub async fn destroy(store: &SessionStore, sid: &str, now: EpochMillis) -> Result<bool> {
    let key = store.key_of(sid)?;
    let mut item = store.table().get(&key).await?;
    while let Some(found) = item {
        if !matches!(store.belongs(&found), Belongs::Session | Belongs::OtherKind) {
            break;
        }
        // A logout is final, whoever uses the session meanwhile.
        let same = found
            .get(AUTH_TAG)
            .cloned()
            .map_or(Condition::Exists, Condition::Revision);
        match store.table().delete(&key, same).await? {
            Outcome::Written => {
                store.unlist(&found, now).await;
                return Ok(true);
            }
            Outcome::Refused(stored) => item = stored,
        }
    }
    Ok(false)
}

/// Ends the sessions that the options select. A session that somebody uses meanwhile is looked at
/// again.
pub async fn destroy_many(
    run: &Run,
    store: &SessionStore,
    options: DestroyOptions,
    now: impl Fn() -> EpochMillis + Send + Sync,
) -> DestroyReport {
    let work = Destroying {
        run,
        store,
        options,
        pace: Pace::new(options.write_units_per_second),
        report: Mutex::new(DestroyReport {
            dry_run: options.dry_run,
            ..DestroyReport::default()
        }),
    };
    let walked = work.walk(&now).await;
    let report = work.report.into_inner();
    let mut report = report.unwrap_or_else(PoisonError::into_inner);
    if let Err(halt) = walked {
        (report.stopped, report.failed) = ending(halt);
    }
    report
}

struct Destroying<'a> {
    run: &'a Run,
    store: &'a SessionStore,
    options: DestroyOptions,
    pace: Pace,
    report: Mutex<DestroyReport>,
}

impl Destroying<'_> {
    async fn walk(&self, now: &(impl Fn() -> EpochMillis + Send + Sync)) -> Ran<()> {
        let table = self.store.table().as_ref();
        self.run.patiently(|| table.check()).await?;
        each_page(self.run, table, self.options.reading, |items| {
            each_item(self.run, items, self.options.at_once, move |item| {
                self.destroy(item, now())
            })
        })
        .await?;
        Ok(())
    }

    async fn destroy(&self, item: Item, now: EpochMillis) -> Ran<()> {
        let mut next = Some(item);
        while let Some(item) = next {
            if self.store.belongs(&item) != Belongs::Session {
                self.count(|report| report.others += 1);
                return Ok(());
            }
            if !self.selects(&item) {
                break;
            }
            if !self.options.dry_run {
                let paid = self.pace.take(write_units(&item, &item));
                self.run.unless_stopped(paid).await?;
                let deleted = self.run.patiently(|| self.delete(&item)).await?;
                if let Outcome::Refused(stored) = deleted {
                    next = stored;
                    continue;
                }
                self.store.unlist(&item, now).await;
            }
            self.count(|report| report.destroyed += 1);
            return Ok(());
        }
        self.count(|report| report.kept += 1);
        Ok(())
    }

    /// Whether a session is one of those to end.
    #[allow(clippy::cast_precision_loss)] // exact for the coming centuries
    fn selects(&self, item: &Item) -> bool {
        self.options
            .ending_before
            .is_none_or(|before| seconds(item, TTL).is_ok_and(|ttl| (ttl.0 as f64) < before))
    }

    /// Removes a session as it was read.
    async fn delete(&self, item: &Item) -> Result<Outcome> {
        let unchanged = match (item.get(AUTH_TAG).cloned(), seconds(item, TTL)) {
            (Some(revision), Ok(ttl)) => Condition::Unmoved { revision, ttl },
            (Some(revision), Err(_)) => Condition::Revision(revision),
            (None, _) => Condition::Exists,
        };
        let Some(Attribute::S(key)) = item.get(SESSION_ID) else {
            return Ok(Outcome::Refused(None));
        };
        self.store.table().delete(key, unchanged).await
    }

    fn count(&self, count: impl FnOnce(&mut DestroyReport)) {
        count(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
