//! Takes the sessions of another store over. A session that this store has already is never
//! replaced, so a repetition is safe, and what the application has written meanwhile is newer.

pub mod layouts;
mod lines;
mod moments;

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use self::layouts::{Found, Layout};
use super::pace::Pace;
use super::run::{Failed, Halt, Ran, Run, ending};
use super::survey::is_of_the_session;
use super::tally::{Trouble, Troubles};
use super::users::UserPath;
use super::walking::{Reading, each_item, each_page_of};
use crate::crypto::plaintext::Plaintext;
use crate::error::{Error, Result};
use crate::store::walk::{Walk, WalkPage};
use crate::store::{Adopted, Imported, Lifetime, SessionStore, SessionUser};
use crate::time::EpochMillis;

pub use self::lines::{LineOptions, import_lines};

/// An item of another store's table, as JSON.
pub type SourceItem = serde_json::Map<String, serde_json::Value>;

/// The table of another store.
#[async_trait]
pub trait Source: Send + Sync {
    /// Checks that the table exists and has the partition key.
    async fn check(&self) -> Result<()>;

    /// About how many items it has.
    async fn item_count(&self) -> Result<Option<u64>>;

    /// As [`SessionTable::walk`](crate::store::session_table::SessionTable::walk).
    async fn walk(&self, walk: &Walk, after: Option<String>) -> Result<WalkPage<SourceItem>>;

    /// Whether there is still an item under a key.
    async fn has(&self, key: &str) -> Result<bool>;
}

/// How to take sessions over.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportOptions {
    /// How the other table is read.
    pub reading: Reading,
    /// How many write units are used in a second at most.
    pub write_units_per_second: Option<f64>,
    /// How many sessions of a page are written at the same time.
    pub at_once: usize,
    /// Only counts what would be written.
    pub dry_run: bool,
    /// Names sessions by their ids instead of fingerprints.
    pub ids: bool,
    /// Where sessions have the id of their user, if the store lists users.
    pub users: Option<UserPath>,
    /// How the other store lays its items out.
    pub layout: Layout,
}

/// What a run has done.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    /// Sessions that were written, or with `dryRun` would be.
    pub imported: u64,
    /// Sessions that this store has already.
    pub already_there: u64,
    /// Sessions that have ended.
    pub ended: u64,
    /// Sessions that were destroyed in the other store while they were taken over.
    pub gone: u64,
    /// Items that are no sessions of the other store.
    pub others: u64,
    /// Sessions that could not be taken over, and why.
    pub left: Troubles,
    /// The write units that were used.
    pub write_units: f64,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Whether the run was told to stop before it was done.
    pub stopped: bool,
    /// The error that ended it before.
    pub failed: Option<Failed>,
}

/// Takes the sessions of another store's table over.
pub async fn import_table(
    run: &Run,
    store: &SessionStore,
    lifetime: Lifetime,
    source: &dyn Source,
    options: ImportOptions,
    now: impl Fn() -> EpochMillis + Send + Sync,
) -> ImportReport {
    let pace = Pace::new(options.write_units_per_second);
    let importing = Importing {
        run,
        store,
        lifetime,
        pace: &pace,
        dry_run: options.dry_run,
        ids: options.ids,
        users: options.users.as_ref(),
        report: Mutex::default(),
    };
    let walk = importing.walk(source, &options, &now);
    let walked = walk.await;
    importing.report(walked)
}

/// One run.
struct Importing<'a> {
    run: &'a Run,
    store: &'a SessionStore,
    lifetime: Lifetime,
    pace: &'a Pace,
    dry_run: bool,
    ids: bool,
    users: Option<&'a UserPath>,
    report: Mutex<ImportReport>,
}

impl Importing<'_> {
    async fn walk(
        &self,
        source: &dyn Source,
        options: &ImportOptions,
        now: &(impl Fn() -> EpochMillis + Send + Sync),
    ) -> Ran<()> {
        self.run.patiently(|| self.store.ping()).await?;
        self.run.patiently(|| source.check()).await?;
        if let Ok(Some(count)) = source.item_count().await {
            self.run.progress.begin(count);
        }
        let read = |walk, after| async move { source.walk(&walk, after).await };
        each_page_of(self.run, options.reading, read, |items: Vec<SourceItem>| {
            each_item(self.run, items, options.at_once, move |item| async move {
                let Some((key, found)) = options.layout.read(item) else {
                    self.count(|report| report.others += 1);
                    return Ok(());
                };
                self.take_over(found, Some((source, key)), now()).await
            })
        })
        .await?;
        Ok(())
    }

    /// Takes one session over. `origin` is the table that has it, and its key there.
    async fn take_over(
        &self,
        found: Result<Found>,
        origin: Option<(&dyn Source, String)>,
        now: EpochMillis,
    ) -> Ran<()> {
        let Found { sid, json, expires } = match found {
            Ok(found) => found,
            Err(error) => {
                let name = origin.map(|(_, key)| key).unwrap_or_default();
                self.left(&name, &error);
                return Ok(());
            }
        };
        let end = self.lifetime.end(now, expires).ttl;
        let user = match self.users {
            None => SessionUser::Unasked,
            Some(path) => self.store.session_user(path.user_of(&json).as_deref())?,
        };
        let pay = |units| async move {
            let paid = self.run.unless_stopped(self.pace.take(units)).await.is_ok();
            if paid {
                self.count(|report| report.write_units += units);
            }
            paid
        };
        let imported = self.run.patiently(|| {
            let session = Adopted {
                sid: sid.clone(),
                json: Plaintext::new(json.as_bytes().to_vec()),
                end,
                user,
            };
            self.store.import(session, now, self.dry_run, pay)
        });
        match imported.await {
            Ok(Imported::Written(receipt)) => {
                // If the session was destroyed in both stores while it was between them, it must
                // not come back.
                if let Some((source, key)) = origin
                    && !self.run.patiently(|| source.has(&key)).await?
                {
                    self.run
                        .patiently(|| self.store.take_back(&receipt, now))
                        .await?;
                    self.count(|report| report.gone += 1);
                    return Ok(());
                }
                self.count(|report| report.imported += 1);
            }
            Ok(Imported::Missing) => self.count(|report| report.imported += 1),
            Ok(Imported::AlreadyThere) => self.count(|report| report.already_there += 1),
            Ok(Imported::Ended) => self.count(|report| report.ended += 1),
            Ok(Imported::NotPaid) => return Err(Halt::Stopped),
            Ok(Imported::Occupied) => self.left(&sid, &Error::Conflict),
            Err(Halt::Failed(error)) if is_of_one(&error) => self.left(&sid, &error),
            Err(halt) => return Err(halt),
        }
        Ok(())
    }

    /// A line that cannot be read has no session to name.
    fn unread(&self, line: u64, error: &Error) {
        let trouble = || Trouble {
            session: format!("line {line}"),
            ..Trouble::of_id(self.store, "", error, false)
        };
        self.count(|report| report.left.add(trouble));
    }

    fn left(&self, sid: &str, error: &Error) {
        let trouble = || Trouble::of_id(self.store, sid, error, self.ids);
        self.count(|report| report.left.add(trouble));
    }

    fn count(&self, count: impl FnOnce(&mut ImportReport)) {
        count(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn report(self, ended: Ran<()>) -> ImportReport {
        let report = self.report.into_inner();
        let mut report = report.unwrap_or_else(PoisonError::into_inner);
        report.dry_run = self.dry_run;
        if let Err(halt) = ended {
            (report.stopped, report.failed) = ending(halt);
        }
        report
    }
}

/// Whether a failure concerns this session, such as an id that is too long, and not all others.
fn is_of_one(error: &Error) -> bool {
    matches!(error, Error::Config(_) | Error::Conflict) || is_of_the_session(error)
}
