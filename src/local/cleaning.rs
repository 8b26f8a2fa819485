//! Removes ended sessions from the file of local mode, as `DynamoDB`'s Time to Live does from a
//! table.
//!
//! The time is that of the calls, so a test that changes its clock does not lose sessions that are
//! alive by that clock. A removal runs in the background. It ends with the table, and does not keep
//! the process alive.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, TableError};
use tokio::task::JoinHandle;

use super::LocalFolder;
use super::table::{Items, Redb, decode};
use crate::record::{TTL, number};
use crate::time::EpochMillis;

/// The least time between two removals, in milliseconds.
const EVERY: f64 = 60_000.0;

/// How many items are examined at a time. Other writes can run in between.
const PAGE: usize = 500;

/// The removals of one table.
#[derive(Default)]
pub(super) struct Cleaning {
    last: Mutex<Last>,
    ended: Arc<AtomicBool>,
}

#[derive(Default)]
struct Last {
    began: Option<EpochMillis>,
    task: Option<JoinHandle<()>>,
}

impl Cleaning {
    /// Starts a removal of the sessions that have ended by `now`, if the last removal is long
    /// enough ago.
    pub(super) fn start_if_due(&self, folder: &Arc<LocalFolder>, table: &str, now: EpochMillis) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let running = last.task.as_ref().is_some_and(|task| !task.is_finished());
        // A clock that was set back must not delay the next removal.
        let due = |began: EpochMillis| now < began || now.0 - began.0 >= EVERY;
        if !running && last.began.is_none_or(due) {
            last.began = Some(now);
            let (folder, table) = (folder.clone(), table.to_owned());
            last.task = Some(tokio::spawn(remove_ended(
                folder,
                table,
                now,
                self.ended.clone(),
            )));
        }
    }

    /// Stops a removal that is under way after its current page, and waits for it.
    pub(super) async fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        let task = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.task.take()
        };
        if let Some(task) = task {
            let _ = task.await; // it gives nothing
        }
    }
}

impl Drop for Cleaning {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

async fn remove_ended(
    folder: Arc<LocalFolder>,
    table: String,
    now: EpochMillis,
    ended: Arc<AtomicBool>,
) {
    let mut after = None;
    loop {
        let table = table.clone();
        let page = folder
            .database(move |database| remove_page(database, &table, after.as_deref(), now))
            .await;
        // A file that cannot be read or written fails the calls that need it. The next removal
        // tries again.
        let Ok(Some(last)) = page else {
            return;
        };
        // Looked at behind a page, so that a program that opens a store for one call removes
        // something, too.
        if ended.load(Ordering::Relaxed) {
            return;
        }
        after = Some(last);
    }
}

/// Removes the ended sessions among some items after the key `after`. Returns the last key that was
/// examined, unless it was the table's last.
fn remove_page(
    database: &Database,
    table: &str,
    after: Option<&str>,
    now: EpochMillis,
) -> Redb<Option<String>> {
    let has_ended =
        |value: &[u8]| number(&decode(value), TTL).is_some_and(|end| end * 1000.0 <= now.0);
    let items = match database.begin_read()?.open_table(Items::new(table)) {
        Ok(items) => items,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let (mut ended, mut last) = (Vec::new(), None);
    for (looked_at, entry) in items.range::<&str>((start, Bound::Unbounded))?.enumerate() {
        let (key, value) = entry?;
        if has_ended(value.value()) {
            ended.push(key.value().to_owned());
        }
        if looked_at + 1 == PAGE {
            last = Some(key.value().to_owned());
            break;
        }
    }
    drop(items);
    if !ended.is_empty() {
        let transaction = database.begin_write()?;
        {
            let mut items = transaction.open_table(Items::new(table))?;
            for key in &ended {
                // It may have been written since.
                let still = items
                    .get(key.as_str())?
                    .is_some_and(|value| has_ended(value.value()));
                if still {
                    items.remove(key.as_str())?;
                }
            }
        }
        transaction.commit()?;
    }
    Ok(last)
}
