//! The record: a session's item in the table, in versions 1 and 2. This module is pure: it converts
//! items to records and back.

pub mod kind;
pub mod lease;
pub mod listing;
pub mod mark;
pub mod partition_key;

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use base64_simd::STANDARD as BASE64;

use crate::crypto::data_key::WrappedKey;
use crate::crypto::envelope::{Commitment, IV_LENGTH, Salt, Sealed, TAG_LENGTH};
use crate::error::{Error, Result};
use crate::record::listing::Listing;
use crate::time::{EpochMillis, EpochSeconds};

/// The table's partition key.
pub const SESSION_ID: &str = "sessionId";
/// The session's JSON, encrypted.
pub const ENCRYPTED_DATA: &str = "encryptedData";
/// The wrapped data key.
pub const ENCRYPTED_KEY: &str = "encryptedKey";
/// The IV of the envelope.
pub const IV: &str = "iv";
/// The tag of the envelope, and so the record's revision.
pub const AUTH_TAG: &str = "authTag";
/// When the session ends, in epoch seconds.
pub const TTL: &str = "ttl";
/// The record's version.
pub const VERSION: &str = "version";

/// The latest moment to which the session can live, in epoch seconds (version 2).
pub const NOT_AFTER: &str = "notAfter";
/// The salt that the keys were derived with (version 2).
pub const SALT: &str = "salt";
/// The key commitment (version 2).
pub const COMMIT: &str = "commit";

/// An item without all of these belongs to another application: it is neither counted nor removed.
pub const RECORD_ATTRIBUTES: [&str; 3] = [VERSION, ENCRYPTED_KEY, ENCRYPTED_DATA];

/// What an item without `version` has if an earlier implementation wrote it as a record.
pub const UNVERSIONED_ATTRIBUTES: [&str; 5] = [ENCRYPTED_KEY, ENCRYPTED_DATA, IV, AUTH_TAG, TTL];

/// The latest second that JavaScript's `Date` can hold (ECMA-262, "Time Values and Time Range").
const LATEST: i64 = 8_640_000_000_000;

/// The largest size of an item, in bytes, names included (Amazon DynamoDB Developer Guide,
/// "Constraints": 400 KB).
pub const ITEM_LIMIT: usize = 409_600;

/// The value of an attribute, of the types that records use. A string can be a session id, so
/// `Debug` shows only lengths.
#[derive(Clone, PartialEq, Eq)]
pub enum Attribute {
    /// A string.
    S(String),
    /// A number, in decimal notation.
    N(String),
    /// Bytes.
    B(Vec<u8>),
    /// A type that the store's records do not use.
    Other,
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attribute::S(text) => write!(f, "S({} bytes)", text.len()),
            Attribute::N(number) => write!(f, "N({number})"),
            Attribute::B(bytes) => write!(f, "B({} bytes)", bytes.len()),
            Attribute::Other => f.write_str("Other"),
        }
    }
}

/// The name of an attribute. Names of a record are not copied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(Cow<'static, str>);

impl From<&'static str> for Name {
    fn from(name: &'static str) -> Name {
        Name(Cow::Borrowed(name))
    }
}

impl From<String> for Name {
    fn from(name: String) -> Name {
        Name(Cow::Owned(name))
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0.into_owned()
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// An item as it is in the table.
pub type Item = BTreeMap<Name, Attribute>;

/// How a record is sealed and laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// As a plain implementation writes it: base64 strings, without binding.
    V1,
    /// Bytes, bound to table, session and end of life, and committed to its data key.
    V2,
}

impl Version {
    /// The value of the `version` attribute.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Version::V1 => 1,
            Version::V2 => 2,
        }
    }
}

/// What version 2 adds to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The latest moment to which the session can live.
    pub not_after: EpochSeconds,
    /// The salt that the keys were derived with.
    pub salt: Salt,
    /// The commitment of the record to its data key.
    pub commitment: Commitment,
}

/// A session's record, parsed. Its `Debug` is that of its item, without the session id.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptedSessionRecord {
    /// The partition key: prefix and session id, or a hash of it.
    pub key: String,
    /// The session's data key.
    pub wrapped_key: WrappedKey,
    /// The session's JSON.
    pub sealed: Sealed,
    /// When the session ends.
    pub ttl: EpochSeconds,
    /// Only in a version 2 record.
    pub bound: Option<Bound>,
    /// Whether its item has no `version`. It is read as version 1, and never written so.
    pub unversioned: bool,
    /// Under which user the session is listed.
    pub listing: Listing,
}

impl fmt::Debug for EncryptedSessionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_item().fmt(f)
    }
}

impl EncryptedSessionRecord {
    /// Parses an item. Attributes that do not belong to the record are ignored.
    ///
    /// # Errors
    /// `ERR_VERSION` for a version that this release does not know; `ERR_INTEGRITY` for an
    /// attribute that is missing, of the wrong type, or malformed.
    pub fn from_item(mut item: Item) -> Result<EncryptedSessionRecord> {
        let version = match item.get(VERSION) {
            Some(Attribute::N(version)) if version == "1" => Version::V1,
            Some(Attribute::N(version)) if version == "2" => Version::V2,
            Some(Attribute::N(_)) => return Err(Error::Version),
            _ => return Err(Error::integrity()),
        };
        let listing = Listing::of(&item);
        let item = &mut item;
        let bytes: fn(&mut Item, &str) -> Result<Vec<u8>> = match version {
            Version::V1 => |item, name| decode_base64(&text(item, name)?),
            Version::V2 => binary,
        };
        Ok(EncryptedSessionRecord {
            key: text(item, SESSION_ID)?,
            wrapped_key: WrappedKey::from_stored(bytes(item, ENCRYPTED_KEY)?)?,
            sealed: Sealed {
                iv: array(bytes(item, IV)?)?,
                ciphertext: bytes(item, ENCRYPTED_DATA)?,
                tag: array(bytes(item, AUTH_TAG)?)?,
            },
            ttl: seconds(item, TTL)?,
            bound: match version {
                Version::V1 => None,
                Version::V2 => Some(Bound {
                    not_after: seconds(item, NOT_AFTER)?,
                    salt: array(bytes(item, SALT)?)?,
                    commitment: array(bytes(item, COMMIT)?)?,
                }),
            },
            unversioned: false,
            listing,
        })
    }

    /// Parses an item without `version`, which is otherwise laid out as version 1.
    ///
    /// # Errors
    /// `ERR_INTEGRITY` for an attribute that is missing, of the wrong type, or malformed.
    pub fn from_unversioned(mut item: Item) -> Result<EncryptedSessionRecord> {
        if item.contains_key(VERSION) {
            return Err(Error::integrity());
        }
        let version = Version::V1.number().to_string();
        item.insert(VERSION.into(), Attribute::N(version));
        let record = EncryptedSessionRecord::from_item(item)?;
        Ok(EncryptedSessionRecord {
            unversioned: true,
            ..record
        })
    }

    /// The item to write.
    #[must_use]
    pub fn to_item(&self) -> Item {
        let bytes = |bytes: &[u8]| match self.bound {
            None => Attribute::S(BASE64.encode_to_string(bytes)),
            Some(_) => Attribute::B(bytes.to_vec()),
        };
        let number = |seconds: EpochSeconds| Attribute::N(seconds.0.to_string());
        let mut item = Item::from([
            (SESSION_ID.into(), Attribute::S(self.key.clone())),
            (ENCRYPTED_DATA.into(), bytes(&self.sealed.ciphertext)),
            (ENCRYPTED_KEY.into(), bytes(&self.wrapped_key.0)),
            (IV.into(), bytes(&self.sealed.iv)),
            (AUTH_TAG.into(), bytes(&self.sealed.tag)),
            (TTL.into(), number(self.ttl)),
            (
                VERSION.into(),
                Attribute::N(self.version().number().to_string()),
            ),
        ]);
        if let Some(bound) = &self.bound {
            item.insert(NOT_AFTER.into(), number(bound.not_after));
            item.insert(SALT.into(), bytes(&bound.salt));
            item.insert(COMMIT.into(), bytes(&bound.commitment));
        }
        self.listing.label(&mut item);
        item
    }

    /// The latest moment to which the session can live, if the version seals one.
    #[must_use]
    pub fn not_after(&self) -> Option<EpochSeconds> {
        self.bound.map(|bound| bound.not_after)
    }

    /// The version of the record.
    #[must_use]
    pub fn version(&self) -> Version {
        match self.bound {
            None => Version::V1,
            Some(_) => Version::V2,
        }
    }
}

/// The size of a record's item in bytes, by `DynamoDB`'s rules for item sizes: names and strings in
/// UTF-8 bytes, bytes as they are, and here numbers by the upper limit of 21 bytes each.
#[must_use]
pub fn item_size(
    version: Version,
    key_length: usize,
    wrapped_length: usize,
    plaintext_length: usize,
) -> usize {
    const NUMBER: usize = 21;
    let length = |name: &str| name.len();
    let common = [
        SESSION_ID,
        ENCRYPTED_DATA,
        ENCRYPTED_KEY,
        IV,
        AUTH_TAG,
        TTL,
        VERSION,
    ];
    let names_and_numbers = common.into_iter().map(length).sum::<usize>() + 2 * NUMBER;
    let values = [plaintext_length, wrapped_length, IV_LENGTH, TAG_LENGTH];
    names_and_numbers
        + key_length
        + match version {
            Version::V1 => values
                .iter()
                .map(|length| length.div_ceil(3) * 4)
                .sum::<usize>(),
            Version::V2 => {
                let bound = [NOT_AFTER, SALT, COMMIT]
                    .into_iter()
                    .map(length)
                    .sum::<usize>();
                let sizes = size_of::<Salt>() + size_of::<Commitment>();
                values.iter().sum::<usize>() + bound + NUMBER + sizes
            }
        }
}

/// Whether an item is the record of a session that has ended, of any version. The record need not
/// be readable, because nobody may read it any more. `unversioned` as in [`is_ours`].
#[must_use]
pub fn has_ended(item: &Item, now: EpochMillis, unversioned: bool) -> bool {
    let reached = |name| seconds(item, name).is_ok_and(|end| end.reached(now));
    // In version 1, this attribute would belong to another application.
    let first = Attribute::N("1".into());
    let bound = item.get(VERSION).is_some_and(|version| *version != first);
    is_ours(item, unversioned) && (reached(TTL) || bound && reached(NOT_AFTER))
}

/// Whether an item is a record of this store, readable or not. With `unversioned`, so is one
/// without `version` that has everything else.
#[must_use]
pub fn is_ours(item: &Item, unversioned: bool) -> bool {
    let has = |names: &[&str]| names.iter().all(|name| item.contains_key(*name));
    has(&RECORD_ATTRIBUTES) || unversioned && is_unversioned(item)
}

/// Whether an item has all attributes of a record of version 1 except the version.
#[must_use]
pub fn is_unversioned(item: &Item) -> bool {
    let mut names = UNVERSIONED_ATTRIBUTES.iter();
    !item.contains_key(VERSION) && names.all(|name| item.contains_key(*name))
}

/// Decodes canonical base64: padded, no stray bits, nothing else in between (RFC 4648 §3.5, §4).
///
/// # Errors
/// `ERR_INTEGRITY`.
pub fn decode_base64(text: &str) -> Result<Vec<u8>> {
    BASE64.decode_to_vec(text).map_err(|_| Error::integrity())
}

/// Decodes canonical base64 of exactly `N` bytes.
///
/// # Errors
/// `ERR_INTEGRITY`.
pub fn decode_base64_array<const N: usize>(text: &str) -> Result<[u8; N]> {
    array(decode_base64(text)?)
}

fn text(item: &mut Item, name: &str) -> Result<String> {
    match take(item, name) {
        Some(Attribute::S(text)) => Ok(text),
        _ => Err(Error::integrity()),
    }
}

fn binary(item: &mut Item, name: &str) -> Result<Vec<u8>> {
    match take(item, name) {
        Some(Attribute::B(bytes)) => Ok(bytes),
        _ => Err(Error::integrity()),
    }
}

/// Moves a value out, without shrinking the map: the item is dropped afterwards.
fn take(item: &mut Item, name: &str) -> Option<Attribute> {
    let attribute = item.get_mut(name)?;
    Some(std::mem::replace(attribute, Attribute::Other))
}

/// The number under a name, as precisely as a float holds it. It is only used for comparisons like
/// `DynamoDB`'s.
#[must_use]
pub fn number(item: &Item, name: &str) -> Option<f64> {
    match item.get(name) {
        Some(Attribute::N(number)) => number.parse().ok(),
        _ => None,
    }
}

/// The whole seconds under a name.
///
/// # Errors
/// `ERR_INTEGRITY` if there are none, or more than a `Date` can hold.
pub(crate) fn seconds(item: &Item, name: &str) -> Result<EpochSeconds> {
    match item.get(name) {
        Some(Attribute::N(number)) => match number.parse() {
            Ok(seconds) if seconds <= LATEST => Ok(EpochSeconds(seconds)),
            _ => Err(Error::integrity()),
        },
        _ => Err(Error::integrity()),
    }
}

fn array<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| Error::integrity())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> EncryptedSessionRecord {
        EncryptedSessionRecord {
            key: "app:abc".into(),
            wrapped_key: WrappedKey(vec![7; 184]),
            sealed: Sealed {
                iv: [1; 12],
                ciphertext: b"ciphertext".to_vec(),
                tag: [2; 16],
            },
            ttl: EpochSeconds(1_800_000_000),
            bound: None,
            unversioned: false,
            listing: Listing::Unsaid,
        }
    }

    fn bound_record() -> EncryptedSessionRecord {
        EncryptedSessionRecord {
            bound: Some(Bound {
                not_after: EpochSeconds(1_900_000_000),
                salt: [3; 16],
                commitment: [4; 32],
            }),
            ..record()
        }
    }

    fn with(name: &str, value: Attribute) -> Item {
        let mut item = record().to_item();
        item.insert(name.to_owned().into(), value);
        item
    }

    fn code(item: Item) -> &'static str {
        EncryptedSessionRecord::from_item(item).unwrap_err().code()
    }

    #[test]
    fn a_record_goes_to_an_item_and_back() {
        for record in [record(), bound_record()] {
            assert_eq!(
                EncryptedSessionRecord::from_item(record.to_item()).unwrap(),
                record
            );
        }
    }

    #[test]
    fn a_version_2_record_needs_every_attribute_as_bytes_of_its_length() {
        let refused = |name: &str, value: Option<Attribute>| {
            let mut item = bound_record().to_item();
            item.remove(name);
            item.extend(value.map(|value| (name.to_owned().into(), value)));
            assert_eq!(code(item), "ERR_INTEGRITY", "{name}");
        };
        for name in [
            ENCRYPTED_DATA,
            ENCRYPTED_KEY,
            IV,
            AUTH_TAG,
            SALT,
            COMMIT,
            NOT_AFTER,
        ] {
            refused(name, None);
            refused(name, Some(Attribute::S("AQEB".into())));
        }
        for (name, length) in [(IV, 12), (AUTH_TAG, 16), (SALT, 16), (COMMIT, 32)] {
            refused(name, Some(Attribute::B(vec![1; length - 1])));
            refused(name, Some(Attribute::B(vec![1; length + 1])));
        }
    }

    #[test]
    fn a_version_2_session_ends_at_the_earlier_of_its_two_ends() {
        let ends = |ttl: i64, not_after: i64| {
            let mut record = bound_record();
            record.ttl = EpochSeconds(ttl);
            record.bound.as_mut().unwrap().not_after = EpochSeconds(not_after);
            move |now: f64| has_ended(&record.to_item(), EpochMillis(now * 1000.0), false)
        };
        let by_ttl = ends(10, 20);
        assert!(!by_ttl(9.0) && by_ttl(10.0));
        let by_not_after = ends(20, 10);
        assert!(!by_not_after(9.0) && by_not_after(10.0));
    }

    #[test]
    fn a_record_that_cannot_be_read_has_ended_all_the_same() {
        let at = |seconds: f64| EpochMillis(seconds * 1000.0);
        for item in [
            record().to_item(),
            with(VERSION, Attribute::N("7".into())),
            with(IV, Attribute::Other),
        ] {
            assert!(!has_ended(&item, at(1_799_999_999.0), false));
            assert!(has_ended(&item, at(1_800_000_000.0), false));
        }
        let mut bound = bound_record().to_item();
        bound.insert(TTL.into(), Attribute::N("2000000000".into()));
        assert!(!has_ended(&bound, at(1_899_999_999.0), false));
        assert!(has_ended(&bound, at(1_900_000_000.0), false));
        // An attribute of another application, an invalid end, and an item of another application.
        let foreign = with(NOT_AFTER, Attribute::N("1".into()));
        assert!(!has_ended(&foreign, at(2.0), false));
        assert!(!has_ended(&with(TTL, Attribute::Other), at(2e9), false));
        let mut lease = record().to_item();
        lease.remove(VERSION);
        assert!(!has_ended(&lease, at(2e9), false));
    }

    #[test]
    fn attributes_of_others_are_ignored() {
        let item = with("note", Attribute::Other);
        assert_eq!(EncryptedSessionRecord::from_item(item).unwrap(), record());
    }

    #[test]
    fn a_missing_or_mistyped_attribute_is_an_integrity_failure() {
        for name in [
            SESSION_ID,
            ENCRYPTED_DATA,
            ENCRYPTED_KEY,
            IV,
            AUTH_TAG,
            TTL,
            VERSION,
        ] {
            let mut item = record().to_item();
            item.remove(name);
            assert_eq!(code(item), "ERR_INTEGRITY", "{name} missing");
            assert_eq!(
                code(with(name, Attribute::Other)),
                "ERR_INTEGRITY",
                "{name} mistyped"
            );
        }
        assert_eq!(
            code(with(ENCRYPTED_DATA, Attribute::B(vec![1]))),
            "ERR_INTEGRITY"
        );
        assert_eq!(code(with(TTL, Attribute::N("1.5".into()))), "ERR_INTEGRITY");
        assert_eq!(
            code(with(IV, Attribute::S("AQEBAQEBAQEBAQE=".into()))),
            "ERR_INTEGRITY"
        );
        for length in [0, 6145] {
            let wrapped = BASE64.encode_to_string(vec![1; length]);
            assert_eq!(
                code(with(ENCRYPTED_KEY, Attribute::S(wrapped))),
                "ERR_INTEGRITY",
                "{length}"
            );
        }
        assert_eq!(
            code(with(AUTH_TAG, Attribute::S(String::new()))),
            "ERR_INTEGRITY"
        );
    }

    #[test]
    fn an_unknown_version_is_refused_as_such() {
        assert_eq!(code(with(VERSION, Attribute::N("3".into()))), "ERR_VERSION");
    }

    #[test]
    fn debug_output_shows_no_session_id() {
        for record in [record(), bound_record()] {
            let shown = format!("{record:?} {:?}", record.to_item());
            assert!(shown.contains("S(7 bytes)"), "{shown}");
            assert!(!shown.contains("abc"), "{shown}");
        }
    }

    #[test]
    fn only_canonical_base64_is_read() {
        assert_eq!(decode_base64("AQ==").unwrap(), vec![1]);
        for text in [
            "AQ", "AQ=", "AR==", "AQ==\n", " AQ==", "A-==", "AQ==AQ==", "=",
        ] {
            assert!(decode_base64(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_item_is_ours_with_all_three_marks() {
        assert!(is_ours(&record().to_item(), false));
        for mark in RECORD_ATTRIBUTES {
            let mut item = record().to_item();
            item.remove(mark);
            assert!(!is_ours(&item, false), "without {mark}");
        }
    }

    #[test]
    fn an_item_without_version_is_ours_where_that_is_accepted() {
        let mut item = record().to_item();
        item.remove(VERSION);
        assert!(is_ours(&item, true) && !is_ours(&item, false));
        let parsed = EncryptedSessionRecord::from_unversioned(item.clone()).unwrap();
        assert!(parsed.unversioned);
        let versioned = EncryptedSessionRecord {
            unversioned: false,
            ..parsed
        };
        assert_eq!(versioned, record());
        let end = EpochMillis(1.8e12);
        assert!(has_ended(&item, end, true) && !has_ended(&item, end, false));
        item.insert(NOT_AFTER.into(), Attribute::N("1".into()));
        assert!(!has_ended(&item, EpochMillis(2000.0), true));
        for name in UNVERSIONED_ATTRIBUTES {
            let mut item = item.clone();
            item.remove(name);
            assert!(!is_ours(&item, true), "without {name}");
        }
        let versioned = EncryptedSessionRecord::from_unversioned(record().to_item());
        assert_eq!(versioned.unwrap_err().code(), "ERR_INTEGRITY");
    }

    #[test]
    fn the_size_counts_names_and_values_as_they_are_written() {
        for record in [record(), bound_record()] {
            let exact: usize = record
                .to_item()
                .iter()
                .map(|(name, value)| {
                    name.len()
                        + match value {
                            Attribute::S(text) => text.len(),
                            Attribute::B(bytes) => bytes.len(),
                            _ => 21,
                        }
                })
                .sum();
            let (wrapped, plaintext) = (record.wrapped_key.0.len(), record.sealed.ciphertext.len());
            let computed = item_size(record.version(), record.key.len(), wrapped, plaintext);
            assert_eq!(computed, exact);
        }
    }
}
