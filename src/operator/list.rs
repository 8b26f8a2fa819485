//! Lists sessions, without their content.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::run::{Failed, Halt, Ran, Run, ending};
use super::walking::{Reading, each_page};
use crate::record::{Attribute, Item, SESSION_ID, TTL, seconds};
use crate::store::walk::stored_size;
use crate::store::{Belongs, SessionStore};
use crate::time::EpochMillis;

/// What to list.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListOptions {
    /// How the table is read.
    pub reading: Reading,
    /// How many sessions to list at most.
    pub limit: usize,
    /// Shows ids.
    pub ids: bool,
}

/// Some sessions of a table. Those that end last come first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// The sessions.
    pub sessions: Vec<ListedSession>,
    /// Whether there may be more.
    pub more: bool,
    /// Whether the command was told to stop.
    pub stopped: bool,
    /// The error that ended it.
    pub failed: Option<Failed>,
}

/// A live session.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedSession {
    /// Its fingerprint.
    pub session: String,
    /// Its id, if that was asked for; the hash of it if the table hides the ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The version of its record; 0 if it has none.
    pub version: Option<u32>,
    /// The size of its item, in bytes, if it is known.
    pub bytes: Option<u64>,
    /// When it ends if nobody uses it, in epoch seconds.
    pub ttl: Option<i64>,
}

/// Lists live sessions of a store, up to a number. Reads only as much of the table as it needs.
pub async fn list(
    run: &Run,
    store: &SessionStore,
    options: ListOptions,
    now: EpochMillis,
) -> Listed {
    let found = Mutex::new(Vec::new());
    let table = store.table().as_ref();
    let walk = async || -> Ran<()> {
        run.patiently(|| table.check()).await?;
        each_page(run, table, options.reading, |items| {
            let full = {
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.extend(
                    items
                        .into_iter()
                        .filter_map(|item| listed(store, item, options.ids, now)),
                );
                found.len() > options.limit
            };
            std::future::ready(if full { Err(Halt::Stopped) } else { Ok(()) })
        })
        .await?;
        Ok(())
    };
    let walked = walk().await;
    let mut sessions = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    sessions.sort_by_key(|session: &ListedSession| std::cmp::Reverse(session.ttl));
    let more = sessions.len() > options.limit;
    sessions.truncate(options.limit);
    let (stopped, failed) = walked.map_or_else(ending, |()| (false, None));
    Listed {
        more,
        stopped: stopped && !more,
        failed,
        sessions,
    }
}

fn listed(store: &SessionStore, item: Item, ids: bool, now: EpochMillis) -> Option<ListedSession> {
    if store.belongs(&item) != Belongs::Session {
        return None;
    }
    let Some(Attribute::S(key)) = item.get(SESSION_ID) else {
        return None;
    };
    let (session, id) = (store.fingerprint(key), ids.then(|| store.id_of(key)));
    let (bytes, ttl) = (Some(stored_size(&item) as u64), seconds(&item, TTL).ok());
    let inspected = store.inspect(item, now);
    (!inspected.ended).then_some(ListedSession {
        session,
        id,
        version: inspected.version,
        bytes,
        ttl: ttl.map(|ttl| ttl.0),
    })
}
