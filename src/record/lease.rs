//! The item of a lease, in the table of the sessions.

use crate::record::{Attribute, Item, SESSION_ID, TTL, number};
use crate::time::EpochMillis;

/// The attribute that names the holder of a lease.
pub const OWNER: &str = "owner";

/// The attribute that holds the end of a lease, in epoch milliseconds.
pub const LEASE_UNTIL: &str = "leaseUntil";

/// How many seconds after its end the table may delete a lease that was not released.
const LITTER_AGE: i64 = 3600;

/// A lease as it is written.
pub struct LeaseItem<'a> {
    /// Its partition key.
    pub key: String,
    /// Who holds it.
    pub owner: &'a str,
    /// When it ends.
    pub until: EpochMillis,
}

impl LeaseItem<'_> {
    /// The item to write.
    #[must_use]
    pub fn to_item(&self) -> Item {
        let litter = self.until.ceil().plus(LITTER_AGE);
        Item::from([
            (SESSION_ID.into(), Attribute::S(self.key.clone())),
            (OWNER.into(), Attribute::S(self.owner.to_owned())),
            (LEASE_UNTIL.into(), Attribute::N(self.until.number())),
            (TTL.into(), Attribute::N(litter.0.to_string())),
        ])
    }
}

/// The holder of a lease; `None` if the item is not a lease.
#[must_use]
pub fn owner_of(item: &Item) -> Option<&str> {
    match item.get(OWNER) {
        Some(Attribute::S(owner)) => Some(owner),
        _ => None,
    }
}

/// The end of a lease; `None` if the item is not a lease.
#[must_use]
pub fn end_of(item: &Item) -> Option<EpochMillis> {
    number(item, LEASE_UNTIL).map(EpochMillis)
}
