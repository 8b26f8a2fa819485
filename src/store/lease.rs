//! Leases: items in the same table, each held by one owner at a time, for work that a fleet should
//! do only once.

use super::SessionStore;
use super::session_table::{Condition, Outcome};
use crate::error::Result;
use crate::record::lease::{LeaseItem, end_of, owner_of};
use crate::time::EpochMillis;

/// The result of a request for a lease.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lease {
    /// The caller holds it.
    Held,
    /// Somebody else holds it.
    Taken {
        /// When it ends if nobody renews it; `None` if the item does not say.
        until: Option<EpochMillis>,
    },
}

impl SessionStore {
    /// Takes the lease of a session until `until`, if nobody holds it at `now`.
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
            // Each owner asks once, so this is the answer to a retry: the first attempt was
            // applied, and its answer was lost.
            Outcome::Refused(Some(item)) if owner_of(&item) == Some(owner) => Lease::Held,
            Outcome::Refused(item) => Lease::Taken {
                until: item.as_ref().and_then(end_of),
            },
        })
    }

    /// Moves the end of a lease. `false` if the owner no longer holds it.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, and those of the table.
    pub async fn renew_lease(&self, sid: &str, owner: &str, until: EpochMillis) -> Result<bool> {
        let key = self.ids.lease_key(sid)?;
        let item = LeaseItem { key, owner, until }.to_item();
        let own = Condition::Owner(owner.to_owned());
        Ok(self.table.put(item, own).await? == Outcome::Written)
    }

    /// Releases a lease, if the owner still holds it.
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
