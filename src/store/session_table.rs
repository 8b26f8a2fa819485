//! Where records lie: a table of items with one string key, and conditional writes.

use async_trait::async_trait;

use crate::error::Result;
use crate::record::lease::{end_of, owner_of};
use crate::record::{AUTH_TAG, Attribute, Item, NOT_AFTER, SESSION_ID, TTL, is_ours, number};
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

impl Condition {
    /// Whether the condition holds for what is stored. `DynamoDB` evaluates an expression that means the same.
    #[must_use]
    pub fn holds(&self, stored: Option<&Item>) -> bool {
        let there = |holds: &dyn Fn(&Item) -> bool| stored.is_some_and(holds);
        match self {
            Condition::Always => true,
            Condition::Exists => stored.is_some(),
            Condition::Lives { at, until } => there(&|item| may_live(item, *at, *until)),
            Condition::EndsBefore { at, until } => there(&|item| {
                may_live(item, *at, *until)
                    && number(item, TTL).is_some_and(|ttl| ttl < float(*until))
            }),
            Condition::Revision(revision) => there(&|item| item.get(AUTH_TAG) == Some(revision)),
            Condition::Unmoved { revision, ttl } => there(&|item| {
                item.get(AUTH_TAG) == Some(revision) && number(item, TTL) == Some(float(*ttl))
            }),
            Condition::Vacant(at) => {
                stored.is_none_or(|item| end_of(item).is_some_and(|until| until.0 <= at.0.floor()))
            }
            Condition::Owner(owner) => there(&|item| owner_of(item) == Some(owner)),
        }
    }
}

/// Whether a session is alive at a moment, and may live until another.
fn may_live(item: &Item, at: EpochSeconds, until: EpochSeconds) -> bool {
    is_alive(item, at) && number(item, NOT_AFTER).is_none_or(|end| end >= float(until))
}

/// Whether both ends of a session are later than a moment.
fn is_alive(item: &Item, at: EpochSeconds) -> bool {
    let later = |name| number(item, name).is_some_and(|end| end > float(at));
    later(TTL) && (!item.contains_key(NOT_AFTER) || later(NOT_AFTER))
}

#[allow(clippy::cast_precision_loss)] // seconds of this and the coming centuries
fn float(seconds: EpochSeconds) -> f64 {
    seconds.0 as f64
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
    /// Items without `version`, too.
    pub unversioned: bool,
}

impl Scan {
    /// Whether the scan gives an item. `DynamoDB` evaluates a filter that means the same.
    #[must_use]
    pub fn admits(&self, item: &Item) -> bool {
        let Some(Attribute::S(key)) = item.get(SESSION_ID) else {
            return false;
        };
        is_ours(item, self.unversioned)
            && key.starts_with(&self.prefix)
            && self.alive_after.is_none_or(|now| is_alive(item, now))
    }
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
