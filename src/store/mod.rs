//! What a session store does, over any [`SessionTable`] and any [`DataKeys`](crate::keys::DataKeys).

mod expiry;
mod lease;
mod outlook;
mod policy;
mod removal;
mod save;
mod scanning;
mod sealing;
pub mod session_table;
mod touch;

use std::sync::Arc;

use self::session_table::{Condition, SessionTable};
use crate::crypto::plaintext::Plaintext;
use crate::error::{Error, Result};
use crate::keys::cache::{CacheCounters, KeyCache};
use crate::record::mark::Mark;
use crate::record::partition_key::PartitionKeys;
use crate::record::{
    AUTH_TAG, Attribute, EncryptedSessionRecord, Item, SESSION_ID, Version, is_ours,
};
use crate::time::{EpochMillis, EpochSeconds};

pub use self::expiry::{End, Lifetime, MAX_TTL_SECONDS};
pub use self::lease::Lease;
pub use self::outlook::{Comparison, Outlook};
pub use self::policy::{RecordPolicy, context_of_records};
pub use self::save::{Attempt, Known, OnConflict, Save, Saved, Saving};

/// A session as it was saved.
pub struct OpenedSession {
    /// Without the prefix.
    pub id: String,
    /// What `JSON.stringify` gave.
    pub json: Plaintext<String>,
    /// When it ends; a touch may have moved it past the `cookie.expires` in `json`.
    pub ttl: EpochSeconds,
    /// What to know it again by.
    pub mark: Mark,
    /// Whether it is of a store with hashed ids, which this one, without a prefix, only lists: `id` is the key of its record, and nothing is written in
    /// its place.
    pub hashed: bool,
}

/// What a read found.
pub enum Lookup {
    /// There is no record.
    Missing,
    /// There is one, but its time is over.
    Ended,
    /// A live session.
    Found(OpenedSession),
}

/// The session store.
pub struct SessionStore {
    table: Arc<dyn SessionTable>,
    keys: KeyCache,
    ids: PartitionKeys,
    policy: RecordPolicy,
    saving: Saving,
}

impl SessionStore {
    /// A store of the sessions in `table` that `ids` names.
    #[must_use]
    pub fn new(
        table: Arc<dyn SessionTable>,
        keys: KeyCache,
        ids: PartitionKeys,
        policy: RecordPolicy,
        saving: Saving,
    ) -> SessionStore {
        SessionStore {
            table,
            keys,
            ids,
            policy,
            saving,
        }
    }

    /// Reads a session.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_SERIALIZATION`, and those of the table and the keys.
    pub async fn get(&self, sid: &str, now: EpochMillis) -> Result<Lookup> {
        let since = self.keys.since();
        let item = self.item(sid).await?;
        self.table.tidy(now);
        match item {
            None => Ok(Lookup::Missing),
            Some(item) if self.has_ended(&item, now) => Ok(Lookup::Ended),
            Some(item) => match self.open(self.parse(item)?, &since).await? {
                // This id is only the key of it.
                session if session.hashed => Ok(Lookup::Missing),
                session => Ok(Lookup::Found(session)),
            },
        }
    }

    /// Removes a session and wipes its cached data key.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, and those of the table.
    pub async fn destroy(&self, sid: &str) -> Result<()> {
        let key = self.ids.key(sid)?;
        self.forget(&key);
        // Once more when the record is gone, or nobody knows: a read that began in between has brought the key back.
        let _forgets = Forgets(self, &key);
        self.table.delete(&key, Condition::Always).await?;
        Ok(())
    }

    /// Removes a record of the store's own kind that fails its integrity check, if nobody writes it meanwhile. Items of others stay.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, and those of the table and the keys.
    pub async fn destroy_unreadable(&self, sid: &str) -> Result<()> {
        let key = self.ids.key(sid)?;
        let since = self.keys.since();
        let Some(item) = self.table.get(&key).await? else {
            return Ok(());
        };
        let ours = is_ours(&item, self.policy.unversioned);
        let Some(revision) = item.get(AUTH_TAG).filter(|_| ours).cloned() else {
            return Ok(());
        };
        let opened = match self.parse(item) {
            Ok(record) => self.open(record, &since).await.map(drop),
            Err(error) => Err(error),
        };
        match opened {
            Err(Error::Integrity { .. }) => {
                let _forgets = Forgets(self, &key);
                let unchanged = Condition::Revision(revision);
                self.table.delete(&key, unchanged).await.map(drop)
            }
            opened => opened,
        }
    }

    /// Whether the table and the key encryption key are usable.
    ///
    /// # Errors
    /// What is wrong with them.
    pub async fn ping(&self) -> Result<()> {
        self.table.check().await?;
        self.keys.ping(self.policy.context(self.policy.write)).await
    }

    /// The record as it lies in the table, sealed, ended or not.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, `ERR_INTEGRITY`, `ERR_VERSION`, and those of the table.
    pub async fn stored(&self, sid: &str) -> Result<Option<EncryptedSessionRecord>> {
        let item = self.item(sid).await?;
        item.map(|item| self.parse(item)).transpose()
    }

    /// What lies under a session's key.
    async fn item(&self, sid: &str) -> Result<Option<Item>> {
        let key = self.ids.key(sid)?;
        let item = self.table.get(&key).await?;
        // An answer to somebody else's request holds a record that opens, of another session.
        match item {
            Some(item) if item.get(SESSION_ID) != Some(&Attribute::S(key)) => {
                Err(Error::integrity())
            }
            item => Ok(item),
        }
    }

    /// What a conflict ends in, if the caller does not say.
    #[must_use]
    pub fn on_conflict(&self) -> OnConflict {
        self.saving.on_conflict
    }

    /// What happens in the cache of data keys.
    #[must_use]
    pub fn cache_counters(&self) -> CacheCounters {
        self.keys.counters()
    }

    /// Wipes the cached data keys, after whatever still uses them in the background. That is broken off when `last` resolves.
    pub async fn close(&self, last: impl Future<Output = ()>) {
        self.keys.close(last).await;
        self.table.close().await;
    }

    /// Wipes a session's data key.
    fn forget(&self, key: &str) {
        for version in [Version::V1, Version::V2] {
            self.keys.forget(key, self.policy.context(version));
        }
    }
}

/// Forgets a session's data key when it is dropped, also by a call that ends before its answer.
struct Forgets<'a>(&'a SessionStore, &'a str);

impl Drop for Forgets<'_> {
    fn drop(&mut self) {
        self.0.forget(self.1);
    }
}
