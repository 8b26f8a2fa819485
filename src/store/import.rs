//! Takes a session of another store over, for an operator. Requests go on meanwhile: what this
//! store has already is never replaced.

use super::SessionStore;
use super::inspection::Belongs;
use super::session_table::{Condition, Outcome};
use super::users::{Before, SessionUser};
use super::walk::write_units;
use crate::crypto::plaintext::Plaintext;
use crate::error::{Error, Result};
use crate::record::listing::Listing;
use crate::record::{AUTH_TAG, Attribute, Item};
use crate::store::expiry::ttl_of;
use crate::time::{EpochMillis, EpochSeconds};

/// What became of a session that was to be taken over.
#[derive(Clone, Debug, PartialEq)]
pub enum Imported {
    /// It was written.
    Written(Receipt),
    /// With `dry_run`, it would be written.
    Missing,
    /// There is a session under its id, which stays as it is.
    AlreadyThere,
    /// The item of another application has its key.
    Occupied,
    /// It had ended.
    Ended,
    /// The write units were not to be had, and nothing was written.
    NotPaid,
}

/// What undoes a write of [`SessionStore::import`] until somebody uses the session.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    key: String,
    listing: Listing,
    as_written: Condition,
}

/// A session as another store has it.
pub struct Adopted {
    /// The session id.
    pub sid: String,
    /// The session's JSON.
    pub json: Plaintext,
    /// When it ends.
    pub end: EpochSeconds,
    /// Whose it is.
    pub user: SessionUser,
}

impl SessionStore {
    /// Writes a session if there is none under its id.
    ///
    /// `pay` waits until that many write units may be used. If it gives `false`, nothing is written.
    ///
    /// # Errors
    /// Those of [`SessionStore::save`]. `ERR_DYNAMODB_…` can leave it unknown whether the session
    /// was written; a repetition finds out.
    pub async fn import<P>(
        &self,
        session: Adopted,
        now: EpochMillis,
        dry_run: bool,
        pay: impl Fn(f64) -> P + Send + Sync,
    ) -> Result<Imported>
    where
        P: Future<Output = bool> + Send,
    {
        let Adopted {
            sid,
            json,
            end,
            user,
        } = session;
        if end.reached(now) {
            return Ok(Imported::Ended);
        }
        let key = self.ids.key(&sid)?;
        // A repetition finds most sessions there, and makes no data keys for them.
        let (condition, before) = match self.table.get(&key).await? {
            None => (Condition::Vacant(EpochMillis(0.0)), Listing::Unsaid),
            Some(stored) => match self.replaceable(&stored, now) {
                Ok(condition) => (condition, Listing::of(&stored)),
                Err(found) => return Ok(found),
            },
        };
        let before = Before::known(before);
        if dry_run {
            return Ok(Imported::Missing);
        }
        let since = &self.keys.since();
        let payload = self.ids.payload(&sid, json);
        let mut record = self
            .seal(key.clone(), payload, now, end, Listing::Unsaid, since)
            .await?;
        let item = record.to_item();
        if !pay(write_units(&item, &item)).await {
            return Ok(Imported::NotPaid);
        }
        let revision = item.get(AUTH_TAG).cloned();
        let written = self.put_listed(&mut record, condition, user, before, now, |_| ());
        match written.await? {
            Outcome::Written => Ok(Imported::Written(Receipt {
                key,
                listing: record.listing,
                as_written: Condition::Unmoved {
                    revision: revision.unwrap_or(Attribute::Other),
                    ttl: end,
                },
            })),
            Outcome::Refused(None) => Err(Error::Conflict),
            Outcome::Refused(Some(stored)) => Ok(self
                .replaceable(&stored, now)
                .err()
                .unwrap_or(Imported::AlreadyThere)),
        }
    }

    /// Removes what [`SessionStore::import`] has written, unless somebody has used it since.
    ///
    /// # Errors
    /// Those of the table.
    pub async fn take_back(&self, receipt: &Receipt, now: EpochMillis) -> Result<()> {
        let as_written = receipt.as_written.clone();
        if self.table.delete(&receipt.key, as_written).await? == Outcome::Written {
            self.strike_off(&receipt.key, receipt.listing, now).await;
        }
        Ok(())
    }

    /// The condition to replace an item that is under the key of a session; what it is, if it must
    /// stay.
    fn replaceable(
        &self,
        stored: &Item,
        now: EpochMillis,
    ) -> std::result::Result<Condition, Imported> {
        if self.belongs(stored) != Belongs::Session {
            return Err(Imported::Occupied);
        }
        match (stored.get(AUTH_TAG).cloned(), ttl_of(stored)) {
            (Some(revision), Some(ttl)) if self.has_ended(stored, now) => {
                Ok(Condition::Unmoved { revision, ttl })
            }
            _ => Err(Imported::AlreadyThere),
        }
    }
}
