//! The record: what one session looks like in the table (version 1). Pure: items in, records out, and back.

use std::collections::BTreeMap;

use base64_simd::STANDARD as BASE64;

use crate::data_keys::WrappedKey;
use crate::envelope::{IV_LENGTH, Sealed, TAG_LENGTH};
use crate::error::{Error, Result};
use crate::time::EpochSeconds;

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

/// An item without all of these belongs to somebody else: it is neither counted nor removed.
pub const MARKS: [&str; 3] = [VERSION, ENCRYPTED_KEY, ENCRYPTED_DATA];

/// What an item may hold, in bytes, names included (Amazon DynamoDB Developer Guide, "Constraints": 400 KB).
pub const ITEM_LIMIT: usize = 409_600;

/// The value of an attribute, of the kinds that records use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A string.
    S(String),
    /// A number, in decimal notation.
    N(String),
    /// Bytes.
    B(Vec<u8>),
    /// A kind that no record of ours uses.
    Other,
}

/// An item as it lies in the table.
pub type Item = BTreeMap<String, Attribute>;

/// A session's record, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedSessionRecord {
    /// The partition key: prefix and session id.
    pub key: String,
    /// The session's data key.
    pub wrapped_key: WrappedKey,
    /// The session's JSON.
    pub sealed: Sealed,
    /// When the session ends.
    pub ttl: EpochSeconds,
}

impl EncryptedSessionRecord {
    /// Reads an item. Attributes that are not of the record are ignored.
    ///
    /// # Errors
    /// `ERR_VERSION` for a version that this release does not know; `ERR_INTEGRITY` for an attribute that is missing, of the wrong type, or
    /// malformed.
    pub fn from_item(item: &Item) -> Result<EncryptedSessionRecord> {
        match item.get(VERSION) {
            Some(Attribute::N(version)) if version == "1" => {}
            Some(Attribute::N(_)) => return Err(Error::Version),
            _ => return Err(Error::integrity()),
        }
        let Some(Attribute::N(ttl)) = item.get(TTL) else {
            return Err(Error::integrity());
        };
        Ok(EncryptedSessionRecord {
            key: text(item, SESSION_ID)?.to_owned(),
            wrapped_key: WrappedKey::from_stored(bytes(item, ENCRYPTED_KEY)?)?,
            sealed: Sealed {
                iv: array::<IV_LENGTH>(item, IV)?,
                ciphertext: bytes(item, ENCRYPTED_DATA)?,
                tag: array::<TAG_LENGTH>(item, AUTH_TAG)?,
            },
            ttl: EpochSeconds(ttl.parse().map_err(|_| Error::integrity())?),
        })
    }

    /// The item to write.
    #[must_use]
    pub fn to_item(&self) -> Item {
        let base64 = |bytes: &[u8]| Attribute::S(BASE64.encode_to_string(bytes));
        Item::from([
            (SESSION_ID.to_owned(), Attribute::S(self.key.clone())),
            (ENCRYPTED_DATA.to_owned(), base64(&self.sealed.ciphertext)),
            (ENCRYPTED_KEY.to_owned(), base64(&self.wrapped_key.0)),
            (IV.to_owned(), base64(&self.sealed.iv)),
            (AUTH_TAG.to_owned(), base64(&self.sealed.tag)),
            (TTL.to_owned(), Attribute::N(self.ttl.0.to_string())),
            (VERSION.to_owned(), Attribute::N("1".to_owned())),
        ])
    }

    /// How many bytes the item of such a record takes, by `DynamoDB`'s rules for item sizes: names and strings in UTF-8 bytes, numbers
    /// here by the upper bound of 21 bytes each.
    #[must_use]
    pub fn item_size(key_length: usize, wrapped_length: usize, plaintext_length: usize) -> usize {
        const NUMBERS: usize = 2 * 21;
        let names: usize = [
            SESSION_ID,
            ENCRYPTED_DATA,
            ENCRYPTED_KEY,
            IV,
            AUTH_TAG,
            TTL,
            VERSION,
        ]
        .iter()
        .map(|name| name.len())
        .sum();
        let base64 = [plaintext_length, wrapped_length, IV_LENGTH, TAG_LENGTH]
            .iter()
            .map(|length| length.div_ceil(3) * 4)
            .sum::<usize>();
        names + NUMBERS + key_length + base64
    }
}

/// Whether an item is one of this store's records, readable or not.
#[must_use]
pub fn is_ours(item: &Item) -> bool {
    MARKS.iter().all(|mark| item.contains_key(*mark))
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
    decode_base64(text)?
        .try_into()
        .map_err(|_| Error::integrity())
}

fn text<'item>(item: &'item Item, name: &str) -> Result<&'item str> {
    match item.get(name) {
        Some(Attribute::S(text)) => Ok(text),
        _ => Err(Error::integrity()),
    }
}

fn bytes(item: &Item, name: &str) -> Result<Vec<u8>> {
    decode_base64(text(item, name)?)
}

fn array<const N: usize>(item: &Item, name: &str) -> Result<[u8; N]> {
    decode_base64_array(text(item, name)?)
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
        }
    }

    fn with(name: &str, value: Attribute) -> Item {
        let mut item = record().to_item();
        item.insert(name.to_owned(), value);
        item
    }

    fn code(item: &Item) -> &'static str {
        EncryptedSessionRecord::from_item(item).unwrap_err().code()
    }

    #[test]
    fn a_record_goes_to_an_item_and_back() {
        assert_eq!(
            EncryptedSessionRecord::from_item(&record().to_item()).unwrap(),
            record()
        );
    }

    #[test]
    fn attributes_of_others_are_ignored() {
        let item = with("note", Attribute::Other);
        assert_eq!(EncryptedSessionRecord::from_item(&item).unwrap(), record());
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
            assert_eq!(code(&item), "ERR_INTEGRITY", "{name} missing");
            assert_eq!(
                code(&with(name, Attribute::Other)),
                "ERR_INTEGRITY",
                "{name} mistyped"
            );
        }
        assert_eq!(
            code(&with(ENCRYPTED_DATA, Attribute::B(vec![1]))),
            "ERR_INTEGRITY"
        );
        assert_eq!(
            code(&with(TTL, Attribute::N("1.5".into()))),
            "ERR_INTEGRITY"
        );
        assert_eq!(
            code(&with(IV, Attribute::S("AQEBAQEBAQEBAQE=".into()))),
            "ERR_INTEGRITY"
        );
        for length in [0, 6145] {
            let wrapped = BASE64.encode_to_string(vec![1; length]);
            assert_eq!(
                code(&with(ENCRYPTED_KEY, Attribute::S(wrapped))),
                "ERR_INTEGRITY",
                "{length}"
            );
        }
        assert_eq!(
            code(&with(AUTH_TAG, Attribute::S(String::new()))),
            "ERR_INTEGRITY"
        );
    }

    #[test]
    fn an_unknown_version_is_refused_as_such() {
        assert_eq!(
            code(&with(VERSION, Attribute::N("3".into()))),
            "ERR_VERSION"
        );
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
        assert!(is_ours(&record().to_item()));
        for mark in MARKS {
            let mut item = record().to_item();
            item.remove(mark);
            assert!(!is_ours(&item), "without {mark}");
        }
    }

    #[test]
    fn the_size_counts_names_and_base64() {
        let item = record().to_item();
        let exact: usize = item
            .iter()
            .map(|(name, value)| {
                name.len()
                    + match value {
                        Attribute::S(text) => text.len(),
                        _ => 21,
                    }
            })
            .sum();
        let record = record();
        let computed = EncryptedSessionRecord::item_size(
            record.key.len(),
            record.wrapped_key.0.len(),
            record.sealed.ciphertext.len(),
        );
        assert_eq!(computed, exact);
    }
}
