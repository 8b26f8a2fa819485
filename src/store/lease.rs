//! Leases: items in the same table that one holder at a time has, for work that a fleet does once.

use super::SessionStore;
use crate::error::Result;
use crate::record::{Attribute, Item, LEASE_UNTIL, OWNER, SESSION_ID, TTL};
use crate::session_table::{Condition, Outcome};
use crate::time::EpochMillis;

/// How many seconds after its end the table may delete a lease that nobody released.
const LITTER_AGE: i64 = 3600;

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
        let item = lease(self.ids.lease_key(sid)?, owner, until);
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
        let item = lease(self.ids.lease_key(sid)?, owner, until);
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

fn lease(key: String, owner: &str, until: EpochMillis) -> Item {
    let litter = until.ceil().plus(LITTER_AGE);
    Item::from([
        (SESSION_ID.into(), Attribute::S(key)),
        (OWNER.into(), Attribute::S(owner.to_owned())),
        (LEASE_UNTIL.into(), Attribute::N(until.number())),
        (TTL.into(), Attribute::N(litter.0.to_string())),
    ])
}

fn owner_of(item: &Item) -> Option<&str> {
    match item.get(OWNER) {
        Some(Attribute::S(owner)) => Some(owner),
        _ => None,
    }
}

fn end_of(item: &Item) -> Option<EpochMillis> {
    match item.get(LEASE_UNTIL) {
        Some(Attribute::N(until)) => until.parse().ok().map(EpochMillis),
        _ => None,
    }
}
