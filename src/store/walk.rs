//! A walk through a whole table, in parts that can be read at the same time. Unlike a
//! [`Scan`](super::session_table::Scan), it returns every item, also those of other applications.

use crate::record::{Attribute, Item};

/// One of the parts that a table is divided into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Which part, from 0.
    pub index: u32,
    /// How many parts there are.
    pub of: u32,
}

impl Segment {
    /// All parts of a table that is divided into `of`.
    pub fn all(of: u32) -> impl Iterator<Item = Segment> {
        (0..of.max(1)).map(move |index| Segment {
            index,
            of: of.max(1),
        })
    }
}

/// How a page of a walk is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The part of the table.
    pub segment: Segment,
    /// How many items the page has at most.
    pub limit: Option<u32>,
    /// Whether the page reflects all writes that were acknowledged before. It then costs twice as
    /// many read units.
    pub consistent: bool,
}

/// One page of a walk.
#[derive(Debug)]
pub struct WalkPage<T = Item> {
    /// The items of the page. There can be none even if more pages follow.
    pub items: Vec<T>,
    /// The key after which the next page starts; `None` on the last page of the segment.
    pub next: Option<String>,
    /// The read units that the page has consumed.
    pub read_units: f64,
}

impl<T> Default for WalkPage<T> {
    fn default() -> WalkPage<T> {
        WalkPage {
            items: Vec::new(),
            next: None,
            read_units: 0.0,
        }
    }
}

/// Bytes of a read unit: a strongly consistent read of 4 KB (Amazon DynamoDB Developer Guide, "Read
/// and write operations").
const READ_UNIT: f64 = 4096.0;
/// Bytes of a write unit.
const WRITE_UNIT: usize = 1024;

/// The read units of a page with these items, for tables that do not say what they consume.
#[must_use]
#[allow(clippy::cast_precision_loss)] // of a page's bytes
pub fn read_units(items: &[Item], consistent: bool) -> f64 {
    let bytes: usize = items.iter().map(stored_size).sum();
    let units = (bytes as f64 / READ_UNIT).ceil();
    if consistent { units } else { units / 2.0 }
}

/// The write units of replacing an item by another. `DynamoDB` charges for the larger one.
#[must_use]
#[allow(clippy::cast_precision_loss)] // an item has at most 400 KB
pub fn write_units(before: &Item, after: &Item) -> f64 {
    let size = stored_size(before).max(stored_size(after));
    size.div_ceil(WRITE_UNIT).max(1) as f64
}

/// The size of an item in bytes, by `DynamoDB`'s rules for item sizes. Values of types that no
/// record has count as nothing.
#[must_use]
pub fn stored_size(item: &Item) -> usize {
    let value = |value: &Attribute| match value {
        Attribute::S(text) => text.len(),
        // A byte for two digits, and one more (Amazon DynamoDB Developer Guide, "DynamoDB item
        // sizes and formats").
        Attribute::N(number) => number.len().div_ceil(2) + 1,
        Attribute::B(bytes) => bytes.len(),
        Attribute::Other => 0,
    };
    item.iter().map(|(name, of)| name.len() + value(of)).sum()
}
