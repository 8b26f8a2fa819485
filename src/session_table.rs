//! Where records lie: a table of items with one string key, and conditional writes.

use async_trait::async_trait;

use crate::error::Result;
use crate::record::{Attribute, Item};
use crate::time::{EpochMillis, EpochSeconds};

/// What must hold for the stored item, or the write does nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Nothing: the last write wins.
    Always,
    /// There is an item under the key.
    Exists,
    /// There is an item under the key that lives `at` a moment and may live `until` another: its `ttl`, and its `notAfter` if it has one, are
    /// later than `at`, and the `notAfter` is not before `until`.
    Lives {
        /// Now.
        at: EpochSeconds,
        /// The new end.
        until: EpochSeconds,
    },
    /// As [`Condition::Lives`], and its `ttl` is earlier than `until`: the end moves on, never back.
    EndsBefore {
        /// Now.
        at: EpochSeconds,
        /// The new end.
        until: EpochSeconds,
    },
    /// There is an item under the key, and its `authTag` is this one: nobody has rewritten it since.
    Revision(Attribute),
    /// As [`Condition::Revision`], and its `ttl` is this one: nobody has moved its end since, either.
    Unmoved {
        /// The `authTag`.
        revision: Attribute,
        /// The end.
        ttl: EpochSeconds,
    },
    /// There is no item under the key, or it is a lease that ends at this moment or before.
    Vacant(EpochMillis),
    /// There is a lease under the key, and this is its owner.
    Owner(String),
}

/// What became of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The condition held.
    Written,
    /// The condition did not hold for the item that there is, if there is one; nothing was changed. `None` always means that there is none.
    Refused(Option<Item>),
}

/// Which of the store's own items a scan gives (see [`crate::record::is_ours`]); items of others never come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Only items whose key starts with this.
    pub prefix: String,
    /// Only items whose `ttl`, and `notAfter` if they have one, are numbers greater than this; `None` gives expired ones too.
    pub alive_after: Option<EpochSeconds>,
    /// Whole items, or nothing but their key.
    pub keys_only: bool,
}

/// One page of a scan.
#[derive(Default)]
pub struct Page {
    /// May be empty although more pages follow.
    pub items: Vec<Item>,
    /// The key to go on after; `None` on the last page.
    pub next: Option<String>,
}

/// A table of sessions: `DynamoDB`, or the file of the local mode. Every method may fail with `ERR_DYNAMODB_…`, `ERR_TABLE_…`,
/// `ERR_ACCESS_DENIED` and `ERR_CREDENTIALS`.
#[async_trait]
pub trait SessionTable: Send + Sync {
    /// The item under `key`, as the last successful write left it.
    async fn get(&self, key: &str) -> Result<Option<Item>>;

    /// Writes the whole item, in place of any other under its `sessionId`.
    async fn put(&self, item: Item, condition: Condition) -> Result<Outcome>;

    /// Sets `ttl` and nothing else. Under [`Condition::Always`] a missing item would be created, so that is no touch.
    async fn extend(&self, key: &str, ttl: EpochSeconds, condition: Condition) -> Result<Outcome>;

    /// Removes the item under `key`; that there is none is a success.
    async fn delete(&self, key: &str, condition: Condition) -> Result<Outcome>;

    /// Removes the items under all of `keys`.
    async fn delete_all(&self, keys: Vec<String>) -> Result<()>;

    /// One page of the scan, from the start or behind the key `after`.
    async fn scan(&self, scan: &Scan, after: Option<String>) -> Result<Page>;

    /// Lets a table that does not remove ended items by itself, as `DynamoDB` does, do so in the background. Called often, with the caller's time.
    fn tidy(&self, _now: EpochMillis) {}

    /// Ends what goes on in the background.
    async fn close(&self) {}

    /// Whether the table is there, ACTIVE, and has the key schema of sessions.
    async fn check(&self) -> Result<()>;
}
