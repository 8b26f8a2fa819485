//! Under which user a session is listed, and the item that lists the sessions of a user.
//!
//! Both are outside the envelope. Whoever may write the table can therefore take a session off its
//! user's list, or put it on another one; what a list shows is checked against the sealed session.

use std::collections::BTreeMap;

use base64_simd::URL_SAFE_NO_PAD as BASE64URL;

use crate::error::{Error, Result};
use crate::record::{Attribute, ITEM_LIMIT, Item, SESSION_ID, TTL, seconds};
use crate::time::EpochSeconds;

/// The attribute of a session that names its user, by the user's hash.
pub const USER: &str = "user";

/// The attribute of a session with the number of its entry on the user's list.
pub const USER_ENTRY: &str = "userEntry";

/// The attribute of a list with the number of its latest change.
pub const GENERATION: &str = "generation";

/// The value of [`USER`] in a session without a user.
const NOBODY: &str = "-";

/// Before the name of a session in the names of a list's attributes.
const ENTRY: &str = "s:";

/// What a number takes at most, in bytes (Amazon DynamoDB Developer Guide, "Item sizes").
const NUMBER: usize = 21;

/// HMAC-SHA256 of a user id.
pub type UserHash = [u8; 32];

/// An entry on the list of a user. Its number is the generation of the list that added it, so a
/// session that leaves a list and joins it again has another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The user.
    pub user: UserHash,
    /// The number.
    pub number: u64,
}

/// Under which user a session is listed, as its item says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listing {
    /// The item does not say. It was written without the option `users`.
    #[default]
    Unsaid,
    /// The session has no user.
    Nobody,
    /// The session has this entry.
    Under(Entry),
}

impl Listing {
    /// What an item of the table says. Attributes that this store would not write say nothing.
    #[must_use]
    pub fn of(item: &Item) -> Listing {
        let Some(Attribute::S(user)) = item.get(USER) else {
            return Listing::Unsaid;
        };
        if user == NOBODY {
            return Listing::Nobody;
        }
        let hash = BASE64URL.decode_to_vec(user).ok();
        match (
            hash.and_then(|hash| hash.try_into().ok()),
            whole(item, USER_ENTRY),
        ) {
            (Some(user), Some(number)) => Listing::Under(Entry { user, number }),
            _ => Listing::Unsaid,
        }
    }

    /// Says it in an item.
    pub fn label(self, item: &mut Item) {
        let user = match self {
            Listing::Unsaid => return,
            Listing::Nobody => NOBODY.to_owned(),
            Listing::Under(Entry { user, number }) => {
                item.insert(USER_ENTRY.into(), Attribute::N(number.to_string()));
                text_of(&user)
            }
        };
        item.insert(USER.into(), Attribute::S(user));
    }

    /// How many bytes the attributes take at most.
    #[must_use]
    pub fn largest_size() -> usize {
        let hash = text_of(&[0; 32]).len();
        USER.len() + hash + USER_ENTRY.len() + NUMBER
    }

    /// The entry, if the session has one.
    #[must_use]
    pub fn entry(self) -> Option<Entry> {
        match self {
            Listing::Under(entry) => Some(entry),
            Listing::Unsaid | Listing::Nobody => None,
        }
    }
}

/// A user's hash as it is in the table.
#[must_use]
pub fn text_of(user: &UserHash) -> String {
    BASE64URL.encode_to_string(user)
}

/// The list of a user's sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserList {
    /// Grows by one with every change.
    pub generation: u64,
    /// The number of each session's entry, by the session's partition key without the store's
    /// prefix. A larger number was added later.
    pub entries: BTreeMap<String, u64>,
    /// When the table may delete the list.
    pub ttl: EpochSeconds,
}

impl UserList {
    /// Parses an item.
    ///
    /// # Errors
    /// `ERR_INTEGRITY` for an item that is no list.
    pub fn from_item(item: &Item) -> Result<UserList> {
        let entries = item.keys().filter_map(|name| {
            let session = name.strip_prefix(ENTRY)?;
            Some((session.to_owned(), whole(item, name)?))
        });
        Ok(UserList {
            generation: whole(item, GENERATION).ok_or_else(Error::integrity)?,
            entries: entries.collect(),
            ttl: seconds(item, TTL)?,
        })
    }

    /// The item to write under `key`.
    #[must_use]
    pub fn to_item(&self, key: String) -> Item {
        let number = |number: String| Attribute::N(number);
        let mut item = Item::from([
            (SESSION_ID.into(), Attribute::S(key)),
            (GENERATION.into(), number(self.generation.to_string())),
            (TTL.into(), number(self.ttl.0.to_string())),
        ]);
        item.extend(self.entries.iter().map(|(session, entry)| {
            (
                format!("{ENTRY}{session}").into(),
                number(entry.to_string()),
            )
        }));
        item
    }

    /// Whether the list can take another session with this name.
    #[must_use]
    pub fn takes(&self, session: &str, key_length: usize) -> bool {
        let fixed = SESSION_ID.len() + key_length + GENERATION.len() + TTL.len() + 2 * NUMBER;
        let entry = |session: &str| ENTRY.len() + session.len() + NUMBER;
        let listed: usize = self.entries.keys().map(|session| entry(session)).sum();
        fixed + listed + entry(session) <= ITEM_LIMIT
    }
}

fn whole(item: &Item, name: &str) -> Option<u64> {
    match item.get(name) {
        Some(Attribute::N(number)) => number.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listings() -> [Listing; 3] {
        let entry = Entry {
            user: [7; 32],
            number: u64::MAX,
        };
        [Listing::Unsaid, Listing::Nobody, Listing::Under(entry)]
    }

    #[test]
    fn a_listing_is_read_as_it_was_written() {
        for listing in listings() {
            let mut item = Item::new();
            listing.label(&mut item);
            assert_eq!(Listing::of(&item), listing);
            assert_eq!(item.is_empty(), listing == Listing::Unsaid);
        }
    }

    #[test]
    fn attributes_of_somebody_else_say_nothing() {
        let [_, _, under] = listings();
        for (name, value) in [
            (USER, Attribute::S("ada".into())),
            (USER, Attribute::N("1".into())),
            (USER, Attribute::S(text_of(&[7; 32])[1..].into())),
            (USER_ENTRY, Attribute::S("1".into())),
            (USER_ENTRY, Attribute::N("-1".into())),
            (USER_ENTRY, Attribute::N("1e3".into())),
        ] {
            let mut item = Item::new();
            under.label(&mut item);
            item.insert(name.into(), value);
            assert_eq!(Listing::of(&item), Listing::Unsaid, "{name}");
        }
    }

    fn list(sessions: usize, length: usize) -> UserList {
        let name = |number: usize| format!("{number:0length$}");
        UserList {
            generation: 5,
            entries: (0..sessions).map(|n| (name(n), n as u64)).collect(),
            ttl: EpochSeconds(1_800_000_000),
        }
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        for list in [list(0, 1), list(3, 32)] {
            let mut item = list.to_item("app:user:x".into());
            assert_eq!(UserList::from_item(&item).unwrap(), list);
            item.insert("note".into(), Attribute::S("of somebody else".into()));
            assert_eq!(UserList::from_item(&item).unwrap(), list);
            for name in [GENERATION, TTL] {
                let mut item = item.clone();
                item.remove(name);
                let error = UserList::from_item(&item).unwrap_err();
                assert_eq!(error.code(), "ERR_INTEGRITY");
            }
        }
    }

    #[test]
    fn a_list_takes_what_fits_into_an_item() {
        assert!(list(2000, 32).takes("another", 60));
        let entry = ENTRY.len() + 2040 + NUMBER;
        let full = ITEM_LIMIT / entry;
        assert!(list(full - 1, 2040).takes("short", 60));
        assert!(!list(full, 2040).takes(&"x".repeat(2040), 60));
    }
}
