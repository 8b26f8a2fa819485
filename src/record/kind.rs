//! What a record holds: a session, or a value of a store of items. The records of one kind are foreign items for stores of the other.
//!
//! Whoever may write the table can change the attribute, which only decides what is listed. What is sealed tells the kind as well: a session is a JSON object,
//! an item is a JSON array with its value.

use super::{Attribute, Item};

/// Names the kind of records that hold no session.
pub const KIND: &str = "kind";

/// The value of [`KIND`] in the records of items.
pub const ITEM: &str = "item";

/// What the records of a store hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Sessions.
    #[default]
    Session,
    /// Values that are no sessions.
    Item,
}

impl Kind {
    /// Whether an item of the table is of this kind.
    #[must_use]
    pub fn is_of(self, item: &Item) -> bool {
        let is_item = matches!(item.get(KIND), Some(Attribute::S(kind)) if kind == ITEM);
        is_item == (self == Kind::Item)
    }

    /// Marks a record as one of this kind.
    pub fn label(self, item: &mut Item) {
        if self == Kind::Item {
            item.insert(KIND.into(), Attribute::S(ITEM.into()));
        }
    }

    /// How many bytes the attribute takes.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Kind::Session => 0,
            Kind::Item => KIND.len() + ITEM.len(),
        }
    }

    /// Whether a JSON text that was sealed can be of this kind.
    #[must_use]
    pub fn is_shape_of(self, json: &str) -> bool {
        json.trim_start().starts_with(match self {
            Kind::Session => '{',
            Kind::Item => '[',
        })
    }
}
