//! Leases: items in the same table that one holder at a time has, for work that a fleet does once.

use super::SessionStore;
use super::session_table::{Condition, Outcome};
use crate::error::Result;
use crate::record::lease::{LeaseItem, end_of, owner_of};
use crate::time::EpochMillis;

/// What became of a request for a lease.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lease {
    /// It is the caller's.
    Held,
    /// Somebody else has it.
    Taken {
        /// Until when, if nobody renews it and the item says so.
        until: Option<EpochMillis>,
    },
}

impl SessionStore {
    /// Takes the lease of a session until a moment, if nobody holds it at `now`.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, and those of the table.
    pub async fn take_lease(
        &self,
        sid: &str,
        owner: &str,
        now: EpochMillis,
        until: EpochMillis,
    ) -> Result<Lease> {
        let key = self.ids.lease_key(sid)?;
        let item = LeaseItem { key, owner, until }.to_item();
        Ok(match self.table.put(item, Condition::Vacant(now)).await? {
            Outcome::Written => Lease::Held,
            // Each owner asks once, so this is the answer to a repetition: the first attempt was applied, and its answer was lost.
            Outcome::Refused(Some(item)) if owner_of(&item) == Some(owner) => Lease::Held,
            Outcome::Refused(item) => Lease::Taken {
                until: item.as_ref().and_then(end_of),
            },
        })
    }

    /// Moves the end of a lease; `false` if it is the owner's no more.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, and those of the table.
    pub async fn renew_lease(&self, sid: &str, owner: &str, until: EpochMillis) -> Result<bool> {
        let key = self.ids.lease_key(sid)?;
        let item = LeaseItem { key, owner, until }.to_item();
        let own = Condition::Owner(owner.to_owned());
        Ok(self.table.put(item, own).await? == Outcome::Written)
    }

    /// Gives a lease back, if it still is the owner's.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, and those of the table.
    pub async fn release_lease(&self, sid: &str, owner: &str) -> Result<()> {
        let key = self.ids.lease_key(sid)?;
        let own = Condition::Owner(owner.to_owned());
        self.table.delete(&key, own).await?;
        Ok(())
    }
}
