//! What an operator learns of an item without opening its session.

use std::sync::Arc;

use base64_simd::URL_SAFE_NO_PAD as BASE64URL;
use sha2::{Digest, Sha256};

use super::session_table::SessionTable;
use super::{OpenedSession, SessionStore};
use crate::crypto::data_key::WrappedKey;
use crate::error::Result;
use crate::record::lease::{end_of, owner_of};
use crate::record::listing::{Listing, UserList};
use crate::record::{
    Attribute, EncryptedSessionRecord, Item, SESSION_ID, VERSION, Version, is_ours,
};
use crate::time::EpochMillis;

/// What an item of the table is to this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// The record of a session of this store, readable or not.
    Session,
    /// A record of the other kind, such as an item of `SealedStore`.
    OtherKind,
    /// The record of a store with another prefix.
    OtherPrefix,
    /// A lease, of this store or of another.
    Lease,
    /// The list of a user's sessions, of this store or of another.
    UserList,
    /// An item of another application.
    Foreign,
}

/// A record whose data key could be unwrapped.
pub struct Verified {
    /// As [`SessionStore::wrapped_by`].
    pub wrapped_by: usize,
    /// Whether the rest could be opened.
    pub opened: Result<()>,
}

/// The record of a session, as an operator sees it.
pub struct Inspected {
    /// The partition key.
    pub key: String,
    /// The value of `version`; 0 if the item has none, `None` if that is no number.
    pub version: Option<u32>,
    /// Whether the session has ended.
    pub ended: bool,
    /// The record, or why it cannot be parsed.
    pub record: Result<EncryptedSessionRecord>,
}

impl SessionStore {
    /// What an item of the table is to this store.
    #[must_use]
    pub fn belongs(&self, item: &Item) -> Belongs {
        let ours = is_ours(item, self.policy.unversioned);
        let owned = || key_of(item).is_some_and(|key| self.ids.owns(key));
        if !ours && owner_of(item).is_some() && end_of(item).is_some() {
            Belongs::Lease
        } else if !ours && UserList::from_item(item).is_ok() {
            Belongs::UserList
        } else if !ours {
            Belongs::Foreign
        } else if !owned() {
            Belongs::OtherPrefix
        } else if self.policy.kind.is_of(item) {
            Belongs::Session
        } else {
            Belongs::OtherKind
        }
    }

    /// Looks at the record of a session of this store.
    #[must_use]
    pub fn inspect(&self, item: Item, now: EpochMillis) -> Inspected {
        Inspected {
            key: key_of(&item).unwrap_or_default().to_owned(),
            version: match item.get(VERSION) {
                None => Some(0),
                Some(Attribute::N(number)) => number.parse().ok(),
                Some(_) => None,
            },
            ended: self.has_ended(&item, now),
            record: self.parse(item),
        }
    }

    /// Unwraps the data key of a record. Returns the index of the key encryption key that wraps it,
    /// in [`SessionStore::key_encryption_keys`].
    ///
    /// # Errors
    /// Those of [`DataKeys::decrypt`](crate::keys::DataKeys::decrypt).
    pub async fn wrapped_by(&self, record: &EncryptedSessionRecord) -> Result<usize> {
        let since = self.keys.since_of_scan();
        Ok(self.unwrapped(record, &since).await?.1)
    }

    /// Opens a record to see whether it can be opened.
    ///
    /// # Errors
    /// As [`SessionStore::wrapped_by`], if its data key cannot be unwrapped.
    pub async fn verify(&self, record: EncryptedSessionRecord) -> Result<Verified> {
        let since = self.keys.since_of_scan();
        let unwrapped = self.unwrapped(&record, &since).await?;
        Ok(Verified {
            wrapped_by: unwrapped.1,
            opened: self.open_with(record, unwrapped, &since).map(drop),
        })
    }

    /// Opens a record.
    ///
    /// # Errors
    /// Those of [`SessionStore::get`].
    pub async fn opened(&self, record: EncryptedSessionRecord) -> Result<OpenedSession> {
        self.open(record, &self.keys.since_of_scan()).await
    }

    /// The partition key of a session.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id.
    pub fn key_of(&self, sid: &str) -> Result<String> {
        self.ids.key(sid)
    }

    /// The fingerprint of the session under a partition key, as in the store's log: the first 8 hex
    /// digits of the SHA-256 of its id. If the table hides the ids, of the hash that it has instead.
    #[must_use]
    pub fn fingerprint(&self, key: &str) -> String {
        let id = self.ids.id(key);
        let hash = match BASE64URL.decode_to_vec(&id) {
            Ok(hash) if self.ids.hashed() => hash,
            _ => Sha256::digest(&id).to_vec(),
        };
        let first = hash.first_chunk().copied().unwrap_or_default();
        format!("{:08x}", u32::from_be_bytes(first))
    }

    /// The session id of a partition key. If the table hides the ids, the key without the prefix.
    #[must_use]
    pub fn id_of(&self, key: &str) -> String {
        self.ids.id(key)
    }

    /// Takes a session that was removed off its user's list, if the store knows users.
    pub async fn unlist(&self, item: &Item, now: EpochMillis) {
        if let Some(key) = key_of(item) {
            self.strike_off(key, Listing::of(item), now).await;
        }
    }

    /// The names of the key encryption keys. New data keys are wrapped by the first.
    #[must_use]
    pub fn key_encryption_keys(&self) -> Vec<&str> {
        self.keys.key_encryption_keys()
    }

    /// As [`DataKeys::family`](crate::keys::DataKeys::family).
    #[must_use]
    pub fn family<'a>(&self, wrapped: &'a WrappedKey) -> Option<&'a [u8]> {
        self.keys.family(wrapped)
    }

    /// The table of this store.
    #[must_use]
    pub fn table(&self) -> &Arc<dyn SessionTable> {
        &self.table
    }

    /// The version of the records that this store writes.
    #[must_use]
    pub fn writes(&self) -> Version {
        self.policy.write
    }
}

pub(super) fn key_of(item: &Item) -> Option<&str> {
    match item.get(SESSION_ID) {
        Some(Attribute::S(key)) => Some(key),
        _ => None,
    }
}
