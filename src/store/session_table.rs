//! The table that holds the records: items with one string key, and conditional writes.

use async_trait::async_trait;

use super::walk::{Walk, WalkPage};
use crate::error::Result;
use crate::record::kind::Kind;
use crate::record::lease::{end_of, owner_of};
use crate::record::listing::{self, GENERATION, USER, UserHash};
use crate::record::{
    AUTH_TAG, Attribute, ENCRYPTED_DATA, ENCRYPTED_KEY, Item, NOT_AFTER, SESSION_ID, TTL, is_ours,
    number,
};
use crate::time::{EpochMillis, EpochSeconds};

/// The condition of a write on the stored item. If it does not hold, the write changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// No condition: the last write wins.
    Always,
    /// There is an item under the key.
    Exists,
    /// The item under the key is alive at `at`, and may live until `until`: its `ttl` is later than
    /// `at`. Its `notAfter`, if it has one, is later than `at`, and not before `until`.
    Lives {
        /// Now.
        at: EpochSeconds,
        /// The new end.
        until: EpochSeconds,
    },
    /// As [`Condition::Lives`], and its `ttl` is earlier than `until`. The end can only move to a
    /// later moment.
    EndsBefore {
        /// Now.
        at: EpochSeconds,
        /// The new end.
        until: EpochSeconds,
    },
    /// The item under the key has this `authTag`: nobody has sealed it again since.
    Revision(Attribute),
    /// As [`Condition::Revision`], and the item has this `ttl`: nobody has moved its end since,
    /// either.
    Unmoved {
        /// The `authTag`.
        revision: Attribute,
        /// The end.
        ttl: EpochSeconds,
    },
    /// There is no item under the key, or it is a lease that ends at this moment or earlier.
    Vacant(EpochMillis),
    /// The item under the key is a lease of this owner.
    Owner(String),
    /// The item under the key is the list of a user in this generation. `None`: there is no item.
    Generation(Option<u64>),
    /// The item under the key is a session of this user, or does not say whose session it is.
    Of(UserHash),
}

impl Condition {
    /// Whether the condition holds for the stored item. DynamoDB evaluates an expression with the
    /// same meaning.
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
            Condition::Generation(None) => stored.is_none(),
            Condition::Generation(Some(generation)) => {
                let number = Attribute::N(generation.to_string());
                there(&|item| item.get(GENERATION) == Some(&number))
            }
            Condition::Of(user) => there(&|item| {
                let is_session = [ENCRYPTED_KEY, ENCRYPTED_DATA]
                    .iter()
                    .all(|name| item.contains_key(*name));
                let says = item.get(USER);
                is_session && says.is_none_or(|says| *says == Attribute::S(listing::text_of(user)))
            }),
        }
    }
}

/// Whether a session is alive at `at`, and may live until `until`.
fn may_live(item: &Item, at: EpochSeconds, until: EpochSeconds) -> bool {
    is_alive(item, at) && number(item, NOT_AFTER).is_none_or(|end| end >= float(until))
}

/// Whether the `ttl` of a session, and its `notAfter` if it has one, are later than `at`.
fn is_alive(item: &Item, at: EpochSeconds) -> bool {
    let later = |name| number(item, name).is_some_and(|end| end > float(at));
    later(TTL) && (!item.contains_key(NOT_AFTER) || later(NOT_AFTER))
}

#[allow(clippy::cast_precision_loss)] // exact for the coming centuries
fn float(seconds: EpochSeconds) -> f64 {
    seconds.0 as f64
}

/// One of several writes that are made together, with the condition on the item that it replaces or
/// removes.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// The whole item. It replaces any other item with the same `sessionId`.
    Put(Item, Condition),
    /// Removes the item under the key.
    Delete(String, Condition),
}

impl Write {
    /// The partition key.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Write::Put(item, _) => match item.get(SESSION_ID) {
                Some(Attribute::S(key)) => key,
                _ => "",
            },
            Write::Delete(key, _) => key,
        }
    }

    /// The condition.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        match self {
            Write::Put(_, condition) | Write::Delete(_, condition) => condition,
        }
    }
}

/// The result of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The condition held.
    Written,
    /// The condition did not hold for this stored item, and nothing was changed. `None` always
    /// means that there is no item.
    Refused(Option<Item>),
}

/// Selects which of the store's own items a scan returns. It never returns items of other
/// applications (see [`crate::record::is_ours`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Only records of this kind.
    pub kind: Kind,
    /// Only items whose key starts with this.
    pub prefix: String,
    /// Only items whose `ttl`, and `notAfter` if they have one, are numbers greater than this.
    /// `None` includes ended sessions.
    pub alive_after: Option<EpochSeconds>,
    /// Whether to return only the key of each item instead of the whole item.
    pub keys_only: bool,
    /// Items without `version`, too.
    pub unversioned: bool,
}

impl Scan {
    /// Whether the scan returns an item. DynamoDB evaluates a filter with the same meaning.
    #[must_use]
    pub fn admits(&self, item: &Item) -> bool {
        let Some(Attribute::S(key)) = item.get(SESSION_ID) else {
            return false;
        };
        is_ours(item, self.unversioned)
            && self.kind.is_of(item)
            && key.starts_with(&self.prefix)
            && self.alive_after.is_none_or(|now| is_alive(item, now))
    }
}

/// One page of a scan.
#[derive(Default)]
pub struct Page {
    /// The items of the page. There can be none even if more pages follow.
    pub items: Vec<Item>,
    /// The key after which the next page starts; `None` on the last page.
    pub next: Option<String>,
}

/// A table of sessions: DynamoDB, or the file of local mode. Every method can fail with
/// `ERR_DYNAMODB_…`, `ERR_TABLE_…`, `ERR_ACCESS_DENIED` and `ERR_CREDENTIALS`.
#[async_trait]
pub trait SessionTable: Send + Sync {
    /// The item under `key`, as the last successful write left it.
    async fn get(&self, key: &str) -> Result<Option<Item>>;

    /// Writes the whole item. It replaces any other item with the same `sessionId`.
    async fn put(&self, item: Item, condition: Condition) -> Result<Outcome>;

    /// Makes all of the writes, or none if the condition of one does not hold. Gives the outcome of
    /// each in its place; if one of them is refused, the others were not written either.
    ///
    /// Also fails with `ERR_TABLE_SCHEMA` if the table has no transactions.
    async fn write_all(&self, writes: Vec<Write>) -> Result<Vec<Outcome>>;

    /// Sets only `ttl`. [`Condition::Always`] would create a missing item, so touches do not use
    /// it.
    async fn extend(&self, key: &str, ttl: EpochSeconds, condition: Condition) -> Result<Outcome>;

    /// Removes the item under `key`. It is a success if there is none.
    async fn delete(&self, key: &str, condition: Condition) -> Result<Outcome>;

    /// Removes the item under `key`, and gives what was there. If the answer of the table is lost
    /// and the removal repeated, nothing was there.
    async fn remove(&self, key: &str) -> Result<Option<Item>>;

    /// Removes the items under all of `keys`.
    async fn delete_all(&self, keys: Vec<String>) -> Result<()>;

    /// Reads one page of the scan, from the start or after the key `after`.
    async fn scan(&self, scan: &Scan, after: Option<String>) -> Result<Page>;

    /// Reads one page of a walk through the whole table, from the start of the segment or after the
    /// key `after`.
    async fn walk(&self, walk: &Walk, after: Option<String>) -> Result<WalkPage>;

    /// About how many items the table has, for estimates of the time that a walk takes. `DynamoDB`
    /// counts them every six hours.
    async fn item_count(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Lets the table remove ended items in the background, if it does not do so by itself.
    /// DynamoDB does. The store calls this often, with its caller's time.
    fn tidy(&self, _now: EpochMillis) {}

    /// Ends the work in the background.
    async fn close(&self) {}

    /// Checks that the table exists, is ACTIVE, and has the key schema of sessions.
    async fn check(&self) -> Result<()>;
}
