//! Converts a session id to the partition key of its record, and back where that is possible.
//!
//! Stores with different prefixes share a table, so no key may belong to two of them. A prefix ends
//! in a delimiter, which is added if it is missing. A prefix can have several parts, each with its
//! delimiter, such as `app:admin:`. An id that starts like such a part therefore has its delimiters
//! escaped, and so has a prefix with other characters in its parts. A store of plain ids without a
//! prefix has the whole table.

use std::borrow::Cow;

use base64_simd::URL_SAFE_NO_PAD as BASE64URL;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::crypto::plaintext::Plaintext;
use crate::error::{Error, Result};
use crate::record::listing::{UserHash, text_of};

/// The longest partition key, in bytes (Amazon DynamoDB Developer Guide, "Constraints").
const KEY_LIMIT: usize = 2048;

/// The delimiters that end a prefix. The frameworks' ids contain neither.
const DELIMITERS: [char; 2] = [':', '#'];

/// Added to a prefix without a delimiter, so that it differs from the prefix that has one.
const TERMINATOR: &str = "%:";

/// Characters that are written as `%` and two digits where they would be ambiguous: the delimiters,
/// and `%` before such digits.
const ESCAPES: [(char, &str); 3] = [(':', "3A"), ('#', "23"), ('%', "25")];

/// The text before the hash in the key of a lease.
const LEASE: &str = "lease:";

/// The text before the hash in the key of a user's list.
const USER: &str = "user:";

/// SHA-256 in base64url.
const HASH_LENGTH: usize = 43;

/// Added to a session's key that would look like one of a lease or of a user's list, so that no
/// session id reaches either.
const NOT_RESERVED: char = '%';

/// How a session id is written in the table.
pub enum IdHashing {
    /// As it is.
    None,
    /// Its SHA-256, in base64url: enough for the long random ids of the frameworks.
    Sha256,
    /// Its HMAC-SHA256 under a secret, in base64url: for ids short enough to be guessed.
    Keyed(Zeroizing<Vec<u8>>),
}

/// Converts the session ids of a store to partition keys, and back.
pub struct PartitionKeys {
    /// As it is in the table, with its delimiter.
    prefix: String,
    /// The bytes of the prefix as it was given.
    given: usize,
    hashing: IdHashing,
}

impl PartitionKeys {
    /// For the ids of a store with this prefix.
    #[must_use]
    pub fn new(mut prefix: String, hashing: IdHashing) -> PartitionKeys {
        let given = prefix.len();
        let ended = prefix.ends_with(DELIMITERS) && !prefix.ends_with(TERMINATOR);
        if !prefix.is_empty() && !ended {
            prefix.push_str(TERMINATOR);
        }
        if let Some(delimiter) = prefix.pop() {
            let mut parts = prefix.split(DELIMITERS).skip(1);
            let unusual = parts.any(|part| !is_part(part));
            prefix = escaped(&prefix, unusual).into_owned();
            prefix.push(delimiter);
        }
        PartitionKeys {
            prefix,
            given,
            hashing,
        }
    }

    /// The start of all partition keys of the store.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether the table hides the ids, so that they must be part of the sealed payload.
    #[must_use]
    pub fn hashed(&self) -> bool {
        !matches!(self.hashing, IdHashing::None)
    }

    /// Checks that the keys of leases and of hashed ids, the longest keys of fixed length, fit into
    /// a partition key after the prefix.
    ///
    /// # Errors
    /// `ERR_CONFIG` if they do not, because no call could succeed.
    pub fn check_prefix(&self) -> Result<()> {
        let longest = KEY_LIMIT - LEASE.len() - HASH_LENGTH;
        if self.prefix.len() <= longest {
            return Ok(());
        }
        Err(Error::Config(format!(
            "prefix takes {} bytes in the table, where some of its signs take three: {longest} at most, so that ids and leases fit into a partition key of \
             {KEY_LIMIT} bytes",
            self.prefix.len()
        )))
    }

    /// The partition key of a session.
    ///
    /// # Errors
    /// `ERR_CONFIG` if the id is empty, or longer than 2,048 bytes with the prefix.
    pub fn key(&self, sid: &str) -> Result<String> {
        let unusable = || {
            Error::Config(format!(
                "an id must have 1 to {} bytes in UTF-8 ({KEY_LIMIT} with the prefix), not {}",
                KEY_LIMIT.saturating_sub(self.given),
                sid.len()
            ))
        };
        if sid.is_empty() || self.given + sid.len() > KEY_LIMIT {
            return Err(unusable());
        }
        let hash = match &self.hashing {
            IdHashing::None => return self.plain(sid),
            IdHashing::Sha256 => Sha256::digest(sid),
            IdHashing::Keyed(secret) => {
                let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
                    return Err(Error::Config("hashSessionIds.secret cannot be used".into()));
                };
                mac.update(sid.as_bytes());
                mac.finalize().into_bytes()
            }
        };
        let hash = BASE64URL.encode_to_string(hash);
        Ok(not_reserved(format!("{}{hash}", self.prefix)))
    }

    fn plain(&self, sid: &str) -> Result<String> {
        let id = if self.prefix.is_empty() {
            Cow::Borrowed(sid)
        } else {
            escaped(sid, starts_like_a_part(sid))
        };
        let key = not_reserved(format!("{}{id}", self.prefix));
        if key.len() > KEY_LIMIT {
            return Err(Error::Config(format!(
                "the id takes {} bytes in the table with the prefix, where some signs of both take three: {KEY_LIMIT} at most",
                key.len()
            )));
        }
        Ok(key)
    }

    /// Whether the record of a session under this key would belong to this store, and to no store
    /// with another prefix. Without a prefix and with plain ids, it always does.
    #[must_use]
    pub fn owns(&self, table_key: &str) -> bool {
        let Some(rest) = table_key.strip_prefix(&self.prefix) else {
            return false;
        };
        if self.hashed() {
            let hash = rest.strip_suffix(NOT_RESERVED).unwrap_or(rest);
            return is_hash(hash) && not_reserved(format!("{}{hash}", self.prefix)) == table_key;
        }
        self.key(&self.id(table_key))
            .is_ok_and(|own| own == table_key)
    }

    /// The partition key of a session's lease, which no session has. It contains only a hash of the
    /// id.
    ///
    /// # Errors
    /// As [`PartitionKeys::key`].
    pub fn lease_key(&self, sid: &str) -> Result<String> {
        let hash = BASE64URL.encode_to_string(Sha256::digest(self.key(sid)?));
        Ok(format!("{}{LEASE}{hash}", self.prefix))
    }

    /// The partition key of a user's list, which no session has.
    #[must_use]
    pub fn user_key(&self, user: &UserHash) -> String {
        format!("{}{USER}{}", self.prefix, text_of(user))
    }

    /// A partition key of this store without the prefix.
    #[must_use]
    pub fn without_prefix<'key>(&self, table_key: &'key str) -> &'key str {
        table_key.strip_prefix(&self.prefix).unwrap_or(table_key)
    }

    /// The reverse of [`PartitionKeys::without_prefix`]; `None` if no session of this store can
    /// have the key.
    #[must_use]
    pub fn with_prefix(&self, name: &str) -> Option<String> {
        let key = format!("{}{name}", self.prefix);
        self.owns(&key).then_some(key)
    }

    /// The session id in a partition key.
    #[must_use]
    pub fn id(&self, table_key: &str) -> String {
        let mut id = table_key.strip_prefix(&self.prefix).unwrap_or(table_key);
        if looks_reserved(table_key) {
            id = id.strip_suffix(NOT_RESERVED).unwrap_or(id);
        }
        if self.prefix.is_empty() {
            return id.to_owned();
        }
        unescaped(id)
    }

    /// The payload to seal: the session's JSON, or, if the table hides the ids, the JSON array of
    /// the id and the session.
    #[must_use]
    pub fn payload(&self, sid: &str, json: Plaintext) -> Plaintext {
        if !self.hashed() {
            return json;
        }
        let id = serde_json::Value::from(sid).to_string();
        let mut payload = Plaintext::new(Vec::with_capacity(id.len() + json.len() + 3));
        payload.push(b'[');
        payload.extend_from_slice(id.as_bytes());
        payload.push(b',');
        payload.extend_from_slice(&json);
        payload.push(b']');
        payload
    }

    /// The session's JSON in a payload that a store with hashed ids sealed, for a store that has
    /// the whole table. It lists that session with the others under its key, which is not a session
    /// id.
    #[must_use]
    pub fn of_a_hashed_id(&self, payload: &str) -> Option<Plaintext<String>> {
        if self.hashed() || !self.prefix.is_empty() {
            return None;
        }
        split(payload).map(|(_, json)| Plaintext::new(json.to_owned()))
    }

    /// The id and the session's JSON in the payload of the record at `table_key`.
    ///
    /// # Errors
    /// `ERR_INTEGRITY` if the payload belongs to another session than `table_key` says.
    pub fn unpack(
        &self,
        table_key: &str,
        payload: Plaintext<String>,
    ) -> Result<(String, Plaintext<String>)> {
        if !self.hashed() {
            return Ok((self.id(table_key), payload));
        }
        let (id, json) = split(&payload).ok_or_else(Error::integrity)?;
        if self.key(&id)? != table_key {
            return Err(Error::integrity());
        }
        Ok((id, Plaintext::new(json.to_owned())))
    }
}

/// Whether this can be a partition key of a table.
#[must_use]
pub fn is_table_key(text: &str) -> bool {
    (1..=KEY_LIMIT).contains(&text.len())
}

/// The characters of a prefix's second and later parts.
fn is_part(text: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !text.is_empty() && text.bytes().all(usual)
}

/// Whether an id starts like a continuation of the prefix.
fn starts_like_a_part(id: &str) -> bool {
    id.find(DELIMITERS).is_some_and(|end| is_part(&id[..end]))
}

/// Escapes whatever looks like an escape in a text, and its delimiters if that is requested. Most
/// texts have nothing to escape.
fn escaped(text: &str, delimiters: bool) -> Cow<'_, str> {
    let escape = |at: usize, found: char| {
        let (_, digits) = ESCAPES.into_iter().find(|(escaped, _)| *escaped == found)?;
        let must = if found == '%' {
            escape_at(&text[at..]).is_some()
        } else {
            delimiters
        };
        must.then_some(digits)
    };
    let mut found = text.char_indices();
    if !found.any(|(at, found)| escape(at, found).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len() + 8);
    for (at, found) in text.char_indices() {
        match escape(at, found) {
            None => result.push(found),
            Some(digits) => {
                result.push('%');
                result.push_str(digits);
            }
        }
    }
    Cow::Owned(result)
}

/// The reverse of [`escaped`].
fn unescaped(mut text: &str) -> String {
    let mut id = String::with_capacity(text.len());
    while let Some(at) = text.find('%') {
        id.push_str(&text[..at]);
        text = &text[at..];
        let (found, length) = escape_at(text).map_or(('%', 1), |found| (found, 3));
        id.push(found);
        text = &text[length..];
    }
    id.push_str(text);
    id
}

/// The character that the escape at the start of a text stands for, if there is one.
fn escape_at(text: &str) -> Option<char> {
    let digits = text.strip_prefix('%')?;
    let mut escapes = ESCAPES.into_iter();
    escapes
        .find(|(_, escape)| digits.starts_with(escape))
        .map(|(found, _)| found)
}

/// Marks a session's key that looks reserved, so that no lease and no list has it.
fn not_reserved(mut key: String) -> String {
    if looks_reserved(&key) {
        key.push(NOT_RESERVED);
    }
    key
}

/// Whether a key is that of a lease or of a user's list, or of a session whose key was marked to
/// differ from one.
fn looks_reserved(key: &str) -> bool {
    let key = key.trim_end_matches(NOT_RESERVED);
    let hash = key
        .len()
        .checked_sub(HASH_LENGTH)
        .and_then(|at| key.split_at_checked(at));
    hash.is_some_and(|(before, hash)| {
        [LEASE, USER].iter().any(|label| before.ends_with(label)) && is_hash(hash)
    })
}

fn is_hash(text: &str) -> bool {
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() == HASH_LENGTH && text.bytes().all(base64url)
}

/// Parses `["id",json]`. The JSON stays text.
fn split(payload: &str) -> Option<(String, &str)> {
    let inner = payload.strip_prefix('[')?.strip_suffix(']')?;
    let mut values = serde_json::Deserializer::from_str(inner).into_iter::<serde_json::Value>();
    let Some(Ok(serde_json::Value::String(id))) = values.next() else {
        return None;
    };
    let json = inner[values.byte_offset()..].strip_prefix(',')?;
    Some((id, json))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(hashing: IdHashing) -> PartitionKeys {
        PartitionKeys::new("app:".into(), hashing)
    }

    #[test]
    fn a_prefix_is_as_long_as_the_key_of_a_lease_allows() {
        let of = |length: usize| {
            PartitionKeys::new(format!("{}:", "p".repeat(length - 1)), IdHashing::None)
        };
        // 2,048 bytes, less `lease:` and a SHA-256 in base64url.
        assert!(of(1999).check_prefix().is_ok());
        assert_eq!(of(2000).check_prefix().unwrap_err().code(), "ERR_CONFIG");
        let longest = of(1999);
        assert_eq!(longest.prefix().len(), 1999);
        assert_eq!(longest.lease_key("sid").unwrap().len(), 2048);
        assert!(
            longest
                .lease_key("sid")
                .unwrap()
                .starts_with(longest.prefix())
        );
    }

    fn text(payload: &[u8]) -> Plaintext<String> {
        Plaintext::new(String::from_utf8(payload.to_vec()).unwrap())
    }

    /// Ids of the frameworks, and ids that resemble another store's, another id's, or a lease's
    /// key.
    const IDS: [&str; 19] = [
        "iVnKkJYcgUwRBJ3uLMFyOQtSpLzEcm1A",
        "x",
        "2:x",
        "2#x",
        "admin:x",
        "admin:2:x",
        "#a:b %_*?&=+",
        ":",
        "%",
        "%:",
        "%3A",
        "%%3A",
        "%25",
        "%2:",
        "100%",
        "\u{1f600}:%",
        "lease:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0",
        "user:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0",
        "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0",
    ];
    const PREFIXES: [&str; 29] = [
        "app:admin:",
        "app:admin:2:",
        "app:admin:2",
        "app: a:",
        "app%3A a:",
        "app::",
        "app%:admin:",
        "::",
        "app:#a:",
        "app:%:",
        "app",
        "app2",
        "app:",
        "app2:",
        "app:2",
        "app:2:",
        "app#",
        "app%:",
        "app%",
        "app%:%:",
        "a",
        "ap",
        ":",
        "#",
        "lease:",
        "app:lease:",
        "user:",
        "app:user:",
        "%:",
    ];

    fn all_keys() -> impl Iterator<Item = (&'static str, bool, PartitionKeys)> {
        let hashing = |hashed| {
            if hashed {
                IdHashing::Sha256
            } else {
                IdHashing::None
            }
        };
        PREFIXES.into_iter().flat_map(move |prefix| {
            [false, true].map(|hashed| {
                (
                    prefix,
                    hashed,
                    PartitionKeys::new(prefix.into(), hashing(hashed)),
                )
            })
        })
    }

    #[test]
    fn no_key_is_of_two_prefixes() {
        for (prefix, hashed, keys) in all_keys() {
            for id in IDS {
                let key = keys.key(id).unwrap();
                assert!(
                    keys.owns(&key) && key.starts_with(keys.prefix()),
                    "{prefix} {id}"
                );
                if !hashed {
                    assert_eq!(keys.id(&key), id, "{prefix}");
                }
                for (other, _, others) in all_keys().filter(|(other, ..)| *other != prefix) {
                    assert!(!others.owns(&key), "{prefix} {id} is {other}'s, too");
                }
            }
            assert!(!keys.owns(keys.prefix()) && !keys.owns("elsewhere"));
        }
    }

    #[test]
    fn no_session_has_the_key_of_a_lease_or_of_a_list() {
        let whole = PartitionKeys::new(String::new(), IdHashing::None);
        let stores: Vec<_> = all_keys().map(|(.., keys)| keys).chain([whole]).collect();
        let reserved =
            |keys: &PartitionKeys| [keys.lease_key("s").unwrap(), keys.user_key(&[5; 32])];
        for taken in stores.iter().flat_map(reserved) {
            for keys in &stores {
                assert!(!keys.owns(&taken));
                // Ids that could lead to that key.
                for id in [Some(taken.as_str()), taken.strip_prefix(keys.prefix())] {
                    let id = id.unwrap_or("s").to_owned();
                    for id in [id.clone(), format!("{id}%"), format!("{id}%%")] {
                        let key = keys.key(&id).unwrap();
                        assert_ne!(key, taken);
                        assert!(keys.hashed() || keys.id(&key) == id, "{id}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_ids_of_frameworks_stand_as_they_are_behind_a_prefix_with_a_delimiter() {
        for (prefix, id) in [
            ("app:", "iVnKkJYcgUwRBJ3uLMFyOQtSpLzEcm1A"),
            ("TENANT#1#", "0b7c-4f_~.+/=@ 100%"),
            ("", "koa:sess:1#2%3A"),
            ("prod:app.eu:sess-1#", "iVnKkJYcgUwRBJ3uLMFyOQtSpLzEcm1A"),
            ("ids:", "#a:b %_*?&=+"),
            ("made during an outage:", "\u{1f600} :x"),
        ] {
            let keys = PartitionKeys::new(prefix.into(), IdHashing::None);
            assert_eq!(keys.key(id).unwrap(), format!("{prefix}{id}"));
        }
        let key = |prefix: &str, id| {
            PartitionKeys::new(prefix.into(), IdHashing::None)
                .key(id)
                .unwrap()
        };
        assert_eq!(key("app", "x"), "app%:x");
        assert_eq!(key("app:", "admin:x"), "app:admin%3Ax");
        assert_eq!(key("app: a:", "x"), "app%3A a:x");
    }

    #[test]
    fn without_a_prefix_plain_ids_stand_for_the_whole_table() {
        let whole = PartitionKeys::new(String::new(), IdHashing::None);
        for (.., keys) in all_keys() {
            for id in IDS {
                let key = keys.key(id).unwrap();
                assert!(whole.owns(&key));
                assert_eq!(whole.key(&whole.id(&key)).unwrap(), key);
            }
        }
        let hashed = PartitionKeys::new(String::new(), IdHashing::Sha256);
        assert!(hashed.owns(&hashed.key("s").unwrap()));
        assert!(!hashed.owns("app:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"));
    }

    #[test]
    fn a_plain_id_is_its_own_key() {
        assert_eq!(keys(IdHashing::None).key("abc").unwrap(), "app:abc");
        assert_eq!(keys(IdHashing::None).id("app:abc"), "abc");
    }

    #[test]
    fn a_hashed_id_is_the_sha_256_of_the_id_alone() {
        let key = keys(IdHashing::Sha256).key("abc").unwrap();
        // FIPS 180-2, appendix B.1: the SHA-256 of "abc".
        assert_eq!(key, "app:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    }

    #[test]
    fn a_keyed_hash_needs_the_secret() {
        // RFC 4231, test case 2.
        let jefe = IdHashing::Keyed(Zeroizing::new(b"Jefe".to_vec()));
        let key = keys(jefe).key("what do ya want for nothing?").unwrap();
        assert_eq!(key, "app:W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM");
    }

    #[test]
    fn the_id_travels_with_the_session() {
        for id in ["abc", "with \"quotes\", and ]", "\u{1f600}\u{0}"] {
            let keys = keys(IdHashing::Sha256);
            let json = r#"{"a":["],"]}"#;
            let payload = text(&keys.payload(id, Plaintext::new(json.as_bytes().to_vec())));
            let (found, session) = keys.unpack(&keys.key(id).unwrap(), payload).unwrap();
            assert_eq!((found.as_str(), session.as_str()), (id, json));
        }
    }

    #[test]
    fn a_payload_of_another_session_is_refused() {
        let keys = keys(IdHashing::Sha256);
        let other = keys.key("other").unwrap();
        let payload = text(&keys.payload("abc", Plaintext::new(b"{}".to_vec())));
        assert_eq!(
            keys.unpack(&other, payload).err().unwrap().code(),
            "ERR_INTEGRITY"
        );
        for payload in ["{}", "[]", "[1,{}]", "[\"abc\"]", "[\"abc\" {}]", ""] {
            let payload = Plaintext::new(payload.to_owned());
            assert!(keys.unpack(&keys.key("abc").unwrap(), payload).is_err());
        }
    }

    #[test]
    fn an_id_must_fit_into_the_partition_key() {
        let keys = keys(IdHashing::None);
        assert!(keys.key(&"x".repeat(2044)).is_ok());
        assert_eq!(
            keys.key(&"x".repeat(2045)).err().unwrap().code(),
            "ERR_CONFIG"
        );
        assert!(keys.key("").is_err());
    }
}
