//! Removes what has ended from the file of the local mode, as `DynamoDB`'s Time to Live does from a table.
//!
//! The time is that of the calls, so that a program whose clock is turned loses nothing that lives by it. A removal goes on in the background; it ends with
//! the table, and keeps no process from ending.

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

/// How many items are looked at at a time; between them, writes of others have their turn.
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
    /// Starts a removal of what has ended by `now`, if the last one is long enough ago.
    pub(super) fn start_if_due(&self, folder: &Arc<LocalFolder>, table: &str, now: EpochMillis) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let running = last.task.as_ref().is_some_and(|task| !task.is_finished());
        // A clock that was set back must not put the next one off.
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

    /// Ends a removal that is under way behind the page that it is at, and waits for it.
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
        // A file that cannot be read or written is a failure of the calls that need it; the next removal tries again.
        let Ok(Some(last)) = page else {
            return;
        };
        // Looked at behind a page, so that a program that opens a store for one call removes something, too.
        if ended.load(Ordering::Relaxed) {
            return;
        }
        after = Some(last);
    }
}

/// Removes what has ended among some items behind the key `after`. Gives the last key that was looked at, unless it was the table's last.
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
