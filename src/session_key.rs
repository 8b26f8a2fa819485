//! From a session id to the key of its record, and back where that is possible.

use base64_simd::URL_SAFE_NO_PAD as BASE64URL;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::plaintext::Plaintext;

/// The longest partition key, in bytes (Amazon DynamoDB Developer Guide, "Constraints").
const KEY_LIMIT: usize = 2048;

/// How a session id stands in the table.
pub enum IdHashing {
    /// As it is.
    None,
    /// Its SHA-256, in base64url: enough for the long random ids of the frameworks.
    Sha256,
    /// Its HMAC-SHA256 under a secret, in base64url: for ids short enough to be guessed.
    Keyed(Zeroizing<Vec<u8>>),
}

/// What a store does with session ids.
pub struct SessionKeys {
    prefix: String,
    hashing: IdHashing,
}

impl SessionKeys {
    /// Ids of a store with this prefix.
    #[must_use]
    pub fn new(prefix: String, hashing: IdHashing) -> SessionKeys {
        SessionKeys { prefix, hashing }
    }

    /// What all partition keys of the store start with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether the table does not tell the ids, so that they travel inside the sealed payload.
    #[must_use]
    pub fn hashed(&self) -> bool {
        !matches!(self.hashing, IdHashing::None)
    }

    /// The partition key of a session.
    ///
    /// # Errors
    /// `ERR_CONFIG` if the id is empty, or longer than 2,048 bytes with the prefix.
    pub fn key(&self, sid: &str) -> Result<String> {
        if sid.is_empty() || self.prefix.len() + sid.len() > KEY_LIMIT {
            return Err(Error::Config(format!(
                "a session id must have 1 to {} bytes in UTF-8 ({KEY_LIMIT} with the prefix), not {}",
                KEY_LIMIT.saturating_sub(self.prefix.len()),
                sid.len()
            )));
        }
        let hash = match &self.hashing {
            IdHashing::None => return Ok(format!("{}{sid}", self.prefix)),
            IdHashing::Sha256 => Sha256::digest(sid),
            IdHashing::Keyed(secret) => {
                let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
                    return Err(Error::Config("hashSessionIds.secret cannot be used".into()));
                };
                mac.update(sid.as_bytes());
                mac.finalize().into_bytes()
            }
        };
        Ok(format!(
            "{}{}",
            self.prefix,
            BASE64URL.encode_to_string(hash)
        ))
    }

    /// The key of a session's lease, which no session has: it tells a hash of the id alone.
    ///
    /// # Errors
    /// As [`SessionKeys::key`].
    pub fn lease_key(&self, sid: &str) -> Result<String> {
        let hash = BASE64URL.encode_to_string(Sha256::digest(self.key(sid)?));
        Ok(format!("{}lease:{hash}", self.prefix))
    }

    /// The session id that a partition key tells.
    #[must_use]
    pub fn id<'key>(&self, table_key: &'key str) -> &'key str {
        table_key.strip_prefix(&self.prefix).unwrap_or(table_key)
    }

    /// What is sealed: the session's JSON, or, where the table does not tell the id, the JSON array of the id and the session.
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

    /// The id and the session's JSON of a payload from under `table_key`.
    ///
    /// # Errors
    /// `ERR_INTEGRITY` if the payload is of another session than `table_key` says.
    pub fn unpack(
        &self,
        table_key: &str,
        payload: Plaintext<String>,
    ) -> Result<(String, Plaintext<String>)> {
        if !self.hashed() {
            return Ok((self.id(table_key).to_owned(), payload));
        }
        let (id, json) = split(&payload).ok_or_else(Error::integrity)?;
        if self.key(&id)? != table_key {
            return Err(Error::integrity());
        }
        Ok((id, Plaintext::new(json.to_owned())))
    }
}

/// `["id",json]` taken apart; the JSON stays text.
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

    fn keys(hashing: IdHashing) -> SessionKeys {
        SessionKeys::new("app:".into(), hashing)
    }

    fn text(payload: &[u8]) -> Plaintext<String> {
        Plaintext::new(String::from_utf8(payload.to_vec()).unwrap())
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
