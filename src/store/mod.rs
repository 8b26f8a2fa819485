//! The operations of a session store, over any [`SessionTable`] and any
//! [`DataKeys`](crate::keys::DataKeys).

mod expiry;
mod import;
mod inspection;
mod lease;
mod outlook;
mod policy;
mod removal;
mod reseal;
mod save;
mod scanning;
mod sealing;
pub mod session_table;
mod take;
mod touch;
mod users;
pub mod walk;

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

pub use self::expiry::{End, Lifetime, MAX_TTL_SECONDS, TouchAfter};
pub use self::import::{Adopted, Imported, Receipt};
pub use self::inspection::{Belongs, Inspected, Verified};
pub use self::lease::Lease;
pub use self::outlook::{Comparison, Outlook};
pub use self::policy::{RecordPolicy, context_of_records};
pub use self::reseal::Resealed;
pub use self::save::{Attempt, Known, OnConflict, Save, Saved, Saving};
pub use self::users::{SessionUser, Users};

/// A session as it was saved.
pub struct OpenedSession {
    /// The session id, without the prefix.
    pub id: String,
    /// The output of `JSON.stringify`.
    pub json: Plaintext<String>,
    /// The end of the session, never later than the sealed one. A touch may have moved it past the
    /// `cookie.expires` in `json`.
    pub ttl: EpochSeconds,
    /// The mark of the revision that was read.
    pub mark: Mark,
    /// Whether the session belongs to a store with hashed ids. This store, which has no prefix,
    /// only lists it: `id` is the key of its record, and nothing is written in its place.
    pub hashed: bool,
}

/// The result of a read.
pub enum Lookup {
    /// There is no record.
    Missing,
    /// There is a record, but it has ended.
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
    users: Option<Users>,
}

impl SessionStore {
    /// Makes a store of the sessions in `table` whose partition keys come from `ids`.
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
            users: None,
        }
    }

    /// The same, which knows whose its sessions are.
    #[must_use]
    pub fn with_users(self, users: Option<Users>) -> SessionStore {
        SessionStore { users, ..self }
    }

    /// Reads a session.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_SERIALIZATION`, and
    /// those of the table and the keys.
    pub async fn get(&self, sid: &str, now: EpochMillis) -> Result<Lookup> {
        let since = self.keys.since();
        let item = self.item(sid).await?;
        self.table.tidy(now);
        match item {
            None => Ok(Lookup::Missing),
            Some(item) if self.has_ended(&item, now) => Ok(Lookup::Ended),
            Some(item) => match self.open(self.parse(item)?, &since).await? {
                // The given id is not a session id, but the key of this record.
                session if session.hashed => Ok(Lookup::Missing),
                session => Ok(Lookup::Found(session)),
            },
        }
    }

    /// Removes a session, and takes it off its user's list. Wipes its cached data key.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, and those of the table.
    pub async fn destroy(&self, sid: &str, now: EpochMillis) -> Result<()> {
        let key = self.ids.key(sid)?;
        self.forget(&key);
        // Forget the key again when the call ends, even if nobody knows whether the record is gone:
        // a read that began in between may have cached the key again.
        let _forgets = Forgets(self, &key);
        self.remove_any(&key, now).await
    }

    /// Removes a record of this store that fails its integrity check, unless somebody writes it
    /// meanwhile. Items of other applications stay.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, and those of the table and the keys.
    pub async fn destroy_unreadable(&self, sid: &str) -> Result<()> {
        let key = self.ids.key(sid)?;
        let since = self.keys.since();
        let Some(item) = self.table.get(&key).await? else {
            return Ok(());
        };
        let Some(revision) = item.get(AUTH_TAG).filter(|_| self.owns(&item)).cloned() else {
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

    /// Checks that the table and the key encryption key are usable.
    ///
    /// # Errors
    /// Those of the table and the keys.
    pub async fn ping(&self) -> Result<()> {
        self.ping_table().await?;
        self.keys.ping(self.policy.context(self.policy.write)).await
    }

    /// Checks that the table is usable, and asks no key encryption key.
    ///
    /// # Errors
    /// Those of the table.
    pub async fn ping_table(&self) -> Result<()> {
        self.table.check().await
    }

    /// Returns the record as it is in the table, still sealed. It may have ended.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, `ERR_INTEGRITY`, `ERR_VERSION`, and those of the table.
    pub async fn stored(&self, sid: &str) -> Result<Option<EncryptedSessionRecord>> {
        let item = self.item(sid).await?;
        item.map(|item| self.parse(item)).transpose()
    }

    /// Whether an item is a record of the kind that this store keeps, readable or not.
    fn owns(&self, item: &Item) -> bool {
        is_ours(item, self.policy.unversioned) && self.policy.kind.is_of(item)
    }

    /// The item under a session's key.
    async fn item(&self, sid: &str) -> Result<Option<Item>> {
        let key = self.ids.key(sid)?;
        let item = self.table.get(&key).await?;
        // If the answer belonged to another request, its record would open, but as another session.
        match item {
            Some(item) if item.get(SESSION_ID) != Some(&Attribute::S(key)) => {
                Err(Error::integrity())
            }
            item => Ok(item),
        }
    }

    /// How a conflict is handled if the caller does not say.
    #[must_use]
    pub fn on_conflict(&self) -> OnConflict {
        self.saving.on_conflict
    }

    /// The counters of the data key cache.
    #[must_use]
    pub fn cache_counters(&self) -> CacheCounters {
        self.keys.counters()
    }

    /// Waits for background work that still uses the cached data keys, then wipes them. The work is
    /// stopped when `last` resolves.
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

/// Forgets a session's data key when it is dropped, even if the call ends before it has an answer.
struct Forgets<'a>(&'a SessionStore, &'a str);

impl Drop for Forgets<'_> {
    fn drop(&mut self) {
        self.0.forget(self.1);
    }
}
