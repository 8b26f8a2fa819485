//! Moves a stored session to the configured version and the first key encryption key, for an
//! operator. Requests of the session go on meanwhile.

use super::SessionStore;
use super::inspection::Belongs;
use super::sealing::last_end;
use super::session_table::{Condition, Outcome};
use super::walk::write_units;
use crate::crypto::plaintext::Plaintext;
use crate::error::Result;
use crate::record::{AUTH_TAG, COMMIT, EncryptedSessionRecord, Item, NOT_AFTER, SALT, Version};
use crate::time::EpochMillis;

/// What became of a session that was to be sealed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resealed {
    /// It was sealed again.
    Moved,
    /// It has the configured version and is under the first key.
    UpToDate,
    /// It has ended.
    Ended,
    /// Somebody has removed it meanwhile.
    Gone,
    /// It is no session of this store, or one of a store with hashed ids.
    NotOurs,
    /// Others kept writing it.
    Overtaken,
    /// The write units were not to be had, and nothing was written.
    NotPaid,
}

/// How often a session is tried that others write at the same time.
const ATTEMPTS: usize = 10;

impl SessionStore {
    /// Seals the stored session again if it does not have the configured version or is not under
    /// the first key. Its ends stay as they are: `ttl`, and `notAfter` if it has one. It is written
    /// only in the place of the revision that was opened, so that a session which others have
    /// removed stays removed. With `dry_run`, nothing is written.
    ///
    /// `pay` waits until that many write units may be used. If it gives `false`, nothing is written.
    ///
    /// # Errors
    /// Those of [`SessionStore::get`] and [`SessionStore::save`]. `ERR_DYNAMODB_…` can leave it
    /// unknown whether the session was moved; a repetition finds out.
    pub async fn reseal_stored<P>(
        &self,
        mut item: Item,
        now: EpochMillis,
        dry_run: bool,
        pay: impl Fn(f64) -> P + Send + Sync,
    ) -> Result<Resealed>
    where
        P: Future<Output = bool> + Send,
    {
        for _ in 0..ATTEMPTS {
            if self.belongs(&item) != Belongs::Session {
                return Ok(Resealed::NotOurs);
            }
            if self.has_ended(&item, now) {
                return Ok(Resealed::Ended);
            }
            let (after, unmoved) = match self.sealed_again(&item, now).await? {
                Sealing::NotNeeded(why) => return Ok(why),
                Sealing::Sealed { after, unmoved } => (after, unmoved),
            };
            if dry_run {
                return Ok(Resealed::Moved);
            }
            if !pay(write_units(&item, &after)).await {
                return Ok(Resealed::NotPaid);
            }
            let revision = after.get(AUTH_TAG).cloned();
            match self.table.put(after, unmoved).await? {
                Outcome::Written => return Ok(Resealed::Moved),
                Outcome::Refused(None) => return Ok(Resealed::Gone),
                // The answer to a retry: the first attempt was applied, and its answer was lost.
                Outcome::Refused(Some(stored)) if stored.get(AUTH_TAG) == revision.as_ref() => {
                    return Ok(Resealed::Moved);
                }
                Outcome::Refused(Some(stored)) => item = stored,
            }
        }
        Ok(Resealed::Overtaken)
    }

    /// The item that takes the place of `item`, with the same session and ends.
    async fn sealed_again(&self, item: &Item, now: EpochMillis) -> Result<Sealing> {
        let since = &self.keys.since_of_scan();
        let record = self.parse(item.clone())?;
        let EncryptedSessionRecord {
            ref key,
            ttl,
            bound,
            ..
        } = record;
        let key = key.clone();
        let session = self.open(record, since).await?;
        if session.hashed {
            return Ok(Sealing::NotNeeded(Resealed::NotOurs));
        }
        if session.mark.up_to_date {
            return Ok(Sealing::NotNeeded(Resealed::UpToDate));
        }
        let json = Plaintext::new(session.json.as_bytes().to_vec());
        let payload = self.ids.payload(&session.id, json);
        let not_after = bound.map_or(last_end(now, ttl), |bound| bound.not_after);
        // Version 1 has no other end than `ttl`.
        let end = match self.policy.write {
            Version::V1 => bound.map_or(ttl, |bound| ttl.min(bound.not_after)),
            Version::V2 => ttl,
        };
        let listing = session.mark.listing;
        let sealed = self
            .seal_until(key, payload, end, not_after, listing, since)
            .await?;
        // Attributes that the record does not have, such as the index of users, stay.
        let mut after = item.clone();
        for name in [NOT_AFTER, SALT, COMMIT] {
            after.remove(name);
        }
        after.extend(sealed.to_item());
        let revision = session.mark.revision();
        Ok(Sealing::Sealed {
            after,
            unmoved: Condition::Unmoved { revision, ttl },
        })
    }
}

enum Sealing {
    NotNeeded(Resealed),
    Sealed { after: Item, unmoved: Condition },
}
