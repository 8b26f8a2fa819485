//! Seals sessions into records, and opens records.

use std::sync::Arc;

use super::{OpenedSession, SessionStore};
use crate::crypto::data_key::DataKey;
use crate::crypto::envelope::{self, Aad, BoundSeal};
use crate::crypto::plaintext::{Plaintext, text};
use crate::error::{Error, Result};
use crate::keys::cache::Since;
use crate::record::listing::Listing;
use crate::record::mark::{Content, Mark};
use crate::record::{
    Bound, EncryptedSessionRecord, ITEM_LIMIT, Item, Version, has_ended, is_unversioned, item_size,
};
use crate::time::{EpochMillis, EpochSeconds};

/// The shortest possible wrapped key, in bytes: a data key of 32 bytes and a tag of 16.
const LEAST_WRAPPED_KEY: usize = 48;

/// The usual length in bytes of a data key of 256 bits that KMS has wrapped.
const USUAL_WRAPPED_KEY: usize = 184;

impl SessionStore {
    /// Whether an item is the record of a session that has ended.
    pub(super) fn has_ended(&self, item: &Item, now: EpochMillis) -> bool {
        has_ended(item, now, self.policy.unversioned)
    }

    pub(super) fn parse(&self, item: Item) -> Result<EncryptedSessionRecord> {
        if !self.policy.kind.is_of(&item) {
            return Err(Error::integrity());
        }
        if self.policy.unversioned && is_unversioned(&item) {
            return EncryptedSessionRecord::from_unversioned(item);
        }
        let record = EncryptedSessionRecord::from_item(item)?;
        if self.policy.accept.contains(&record.version()) {
            Ok(record)
        } else {
            Err(Error::Version)
        }
    }

    pub(super) async fn seal(
        &self,
        key: String,
        payload: Plaintext,
        now: EpochMillis,
        end: EpochSeconds,
        listing: Listing,
        since: &Since,
    ) -> Result<EncryptedSessionRecord> {
        self.seal_until(key, payload, end, last_end(now, end), listing, since)
            .await
    }

    /// As [`SessionStore::seal`], with this `notAfter` if the version has one.
    pub(super) async fn seal_until(
        &self,
        key: String,
        payload: Plaintext,
        end: EpochSeconds,
        not_after: EpochSeconds,
        listing: Listing,
        since: &Since,
    ) -> Result<EncryptedSessionRecord> {
        let policy = &self.policy;
        let version = policy.write;
        let length = payload.len();
        let wrapped_length = self.keys.wrapped_length();
        // A session that cannot fit even with the shortest wrapped key is refused before anything
        // is sent. If it may fit, the length of the wrapped key that it gets decides.
        let least = wrapped_length.unwrap_or(LEAST_WRAPPED_KEY);
        if self.check_size(&key, least, length).is_err() {
            let usual = wrapped_length.unwrap_or(USUAL_WRAPPED_KEY);
            self.check_size(&key, usual, length)?;
        }
        let context = self.policy.context(version);
        let (data_key, wrapped_key) = self.keys.for_save(&key, context, length, since).await?;
        self.check_size(&key, wrapped_key.0.len(), length)?;
        let (sealed, bound) = match version {
            Version::V1 => (envelope::seal(&data_key, payload), None),
            Version::V2 => {
                let aad = self.aad(not_after, &key);
                let BoundSeal {
                    sealed,
                    salt,
                    commitment,
                } = envelope::seal_bound(&data_key, payload, &aad);
                let bound = Bound {
                    not_after,
                    salt,
                    commitment,
                };
                (sealed, Some(bound))
            }
        };
        Ok(EncryptedSessionRecord {
            key,
            wrapped_key,
            sealed,
            ttl: end,
            bound,
            unversioned: false,
            listing,
        })
    }

    pub(super) async fn open(
        &self,
        record: EncryptedSessionRecord,
        since: &Since,
    ) -> Result<OpenedSession> {
        let unwrapped = self.unwrapped(&record, since).await?;
        self.open_with(record, unwrapped, since)
    }

    /// The data key of a record, and the index of the key encryption key that wraps it.
    pub(super) async fn unwrapped(
        &self,
        record: &EncryptedSessionRecord,
        since: &Since,
    ) -> Result<(Arc<DataKey>, usize)> {
        let context = self.policy.context(record.version());
        self.keys
            .for_read(&record.key, &record.wrapped_key, context, since)
            .await
    }

    pub(super) fn open_with(
        &self,
        record: EncryptedSessionRecord,
        (data_key, wrapped_by): (Arc<DataKey>, usize),
        since: &Since,
    ) -> Result<OpenedSession> {
        let version = record.version();
        let context = self.policy.context(version);
        let tag = record.sealed.tag;
        let sealed_end = record.not_after();
        let EncryptedSessionRecord {
            key,
            wrapped_key,
            sealed,
            ttl,
            bound,
            unversioned,
            listing,
        } = record;
        let payload = match bound {
            None => envelope::open(&data_key, sealed)?,
            Some(Bound {
                not_after,
                salt,
                commitment,
            }) => {
                let bound = BoundSeal {
                    sealed,
                    salt,
                    commitment,
                };
                envelope::open_bound(&data_key, bound, &self.aad(not_after, &key))?
            }
        };
        let payload = text(payload)?;
        let other = self.ids.of_a_hashed_id(&payload);
        let hashed = other.is_some();
        let (id, json) = match other {
            Some(json) => (self.ids.id(&key), json),
            None => self.ids.unpack(&key, payload)?,
        };
        self.keys.remember(&key, context, &wrapped_key, since);
        let mark = Mark {
            version,
            tag,
            ttl,
            not_after: sealed_end,
            content: Content::of(json.as_bytes()),
            up_to_date: version == self.policy.write && wrapped_by == 0 && !unversioned,
            listing,
        };
        Ok(OpenedSession {
            id,
            json,
            ttl: mark.end(),
            mark,
            hashed,
        })
    }

    fn check_size(&self, key: &str, wrapped_length: usize, plaintext_length: usize) -> Result<()> {
        let policy = &self.policy;
        let listing = match self.users {
            Some(_) => Listing::largest_size(),
            None => 0,
        };
        let size = item_size(policy.write, key.len(), wrapped_length, plaintext_length)
            + policy.kind.size()
            + listing;
        if size > ITEM_LIMIT {
            return Err(Error::SessionTooLarge {
                size,
                limit: ITEM_LIMIT,
            });
        }
        Ok(())
    }

    fn aad<'a>(&'a self, not_after: EpochSeconds, key: &'a str) -> Aad<'a> {
        Aad {
            not_after,
            table: &self.policy.table_name,
            key,
        }
    }
}

/// The `notAfter` of a session that is sealed now and ends at `end`. It allows twice the lifetime,
/// so that touches seldom have to seal again. Somebody who can write the table but cannot use the
/// KMS key can prolong the session until then at most.
pub(super) fn last_end(now: EpochMillis, end: EpochSeconds) -> EpochSeconds {
    let lifetime = (end.0 - now.floor().0).max(0);
    end.plus(lifetime)
}
