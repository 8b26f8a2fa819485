//! The mark: what a process remembers of a record that it has read or written. It is enough to tell
//! later what has changed, and whether somebody else changed it.

use std::collections::BTreeMap;
use std::fmt;

use base64_simd::URL_SAFE_NO_PAD as BASE64URL;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::crypto::envelope::AuthTag;
use crate::error::{Error, Result as StoreResult};
use crate::record::listing::{Entry, Listing, UserHash};
use crate::record::{Attribute, Version};
use crate::time::EpochSeconds;

/// The parts of the cookie that say when it ends. They change with every request of a rolling
/// session, and `ttl` holds the end.
const EXPIRY: [&str; 2] = ["expires", "originalExpires"];
/// The cookie's lifetime in milliseconds. express-session computes it from `expires`, which
/// sometimes loses a millisecond.
const LIFETIME: &str = "originalMaxAge";

/// Half a SHA-256 hash is enough, because it is only compared with hashes of the same process.
pub type Hash = [u8; 16];

/// The content of a session without its cookie's expiry, as hashes. Equal sessions have equal
/// hashes, whatever the order of their properties.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// The cookie, without its expiry.
    pub cookie: Hash,
    /// Everything else.
    pub rest: Hash,
}

impl Content {
    /// From a session's JSON. If another program has sealed something that is not a JSON object,
    /// its content equals only itself.
    #[must_use]
    pub fn of(json: &[u8]) -> Content {
        let mut rest = Sha256::new();
        let mut cookie = None;
        match serde_json::from_slice::<Properties>(json) {
            Ok(session) => {
                for (name, value) in &session {
                    if name.0 == b"cookie" {
                        cookie = Some(value.get());
                    } else {
                        add(&mut rest, &name.0, value.get().as_bytes());
                    }
                }
            }
            // No property has an empty value, so no object has this content.
            Err(_) => add(&mut rest, json, b""),
        }
        Content {
            cookie: cookie_hash(cookie),
            rest: half(rest),
        }
    }
}

/// The hash of a session's cookie, from its JSON, without the expiry. `None` is a session without a
/// cookie.
#[must_use]
pub fn cookie_hash(json: Option<&str>) -> Hash {
    let mut hash = Sha256::new();
    match json.map(|json| (json, serde_json::from_str::<Properties>(json))) {
        None => {}
        Some((json, Err(_))) => add(&mut hash, b"", json.as_bytes()),
        Some((_, Ok(cookie))) => {
            for (name, value) in &cookie {
                add_property(&mut hash, &name.0, value.get());
            }
        }
    }
    half(hash)
}

fn add_property(hash: &mut Sha256, name: &[u8], value: &str) {
    match value {
        // Null counts as missing: @fastify/session writes null for properties that its earlier
        // releases did not have.
        "null" => {}
        _ if EXPIRY.iter().any(|expiry| expiry.as_bytes() == name) => {}
        millis if name == LIFETIME.as_bytes() => match millis.parse::<f64>() {
            Ok(millis) => {
                let rounded = format!("{:.0}", (millis / 100.0).ceil());
                add(hash, name, rounded.as_bytes());
            }
            Err(_) => add(hash, name, millis.as_bytes()),
        },
        value => add(hash, name, value.as_bytes()),
    }
}

/// The properties of an object, sorted by name.
type Properties<'a> = BTreeMap<Name, &'a RawValue>;

/// The name of a property, as bytes: JavaScript's strings can hold lone surrogates, which Rust's
/// cannot.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name(Vec<u8>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a property")
            }

            fn visit_bytes<E>(self, name: &[u8]) -> Result<Name, E> {
                Ok(Name(name.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

fn add(hash: &mut Sha256, name: &[u8], value: &[u8]) {
    for part in [name, value] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
}

fn half(hash: Sha256) -> Hash {
    let mut half = Hash::default();
    half.copy_from_slice(&hash.finalize()[..size_of::<Hash>()]);
    half
}

/// A record, as it was read or written.
#[derive(Clone, PartialEq, Eq)]
pub struct Mark {
    /// The version of its layout, which also decides the type of the revision's attribute.
    pub version: Version,
    /// Its revision.
    pub tag: AuthTag,
    /// The end that its `ttl` said, which somebody who can write the table may have moved.
    pub ttl: EpochSeconds,
    /// The latest moment to which the session can live, as it was sealed (version 2).
    pub not_after: Option<EpochSeconds>,
    /// Its content, as hashes.
    pub content: Content,
    /// Whether a save would use the same layout and the same key encryption key. If not, the next
    /// save writes even an unchanged session, so that a change of either is completed.
    pub up_to_date: bool,
    /// Under which user it was listed.
    pub listing: Listing,
}

impl Mark {
    /// The end that it had: `ttl`, but never later than the sealed one.
    #[must_use]
    pub fn end(&self) -> EpochSeconds {
        self.not_after
            .map_or(self.ttl, |sealed| self.ttl.min(sealed))
    }

    /// The revision as the record's attribute holds it.
    #[must_use]
    pub fn revision(&self) -> Attribute {
        match self.version {
            Version::V1 => Attribute::S(base64_simd::STANDARD.encode_to_string(self.tag)),
            Version::V2 => Attribute::B(self.tag.to_vec()),
        }
    }

    /// Encodes the mark as text, for callers that keep it.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(MARK_LENGTH);
        bytes.push(if self.version == Version::V1 { 1 } else { 2 });
        bytes.extend_from_slice(&self.tag);
        bytes.extend_from_slice(&self.ttl.0.to_be_bytes());
        // Records of version 2 alone have one.
        if let Some(EpochSeconds(sealed)) = self.not_after {
            bytes.extend_from_slice(&sealed.to_be_bytes());
        }
        bytes.extend_from_slice(&self.content.cookie);
        bytes.extend_from_slice(&self.content.rest);
        bytes.push(u8::from(self.up_to_date));
        match self.listing {
            Listing::Unsaid => bytes.push(0),
            Listing::Nobody => bytes.push(1),
            Listing::Under(Entry { user, number }) => {
                bytes.push(2);
                bytes.extend_from_slice(&user);
                bytes.extend_from_slice(&number.to_be_bytes());
            }
        }
        BASE64URL.encode_to_string(bytes)
    }

    /// The reverse of [`Mark::encode`].
    ///
    /// # Errors
    /// `ERR_CONFIG` for any other text.
    pub fn decode(text: &str) -> StoreResult<Mark> {
        BASE64URL
            .decode_to_vec(text)
            .ok()
            .and_then(|bytes| Mark::from_bytes(&bytes))
            .ok_or_else(|| Error::Config("this is no mark of a record".into()))
    }

    fn from_bytes(bytes: &[u8]) -> Option<Mark> {
        let (version, bytes) = bytes.split_first()?;
        let version = match version {
            1 => Version::V1,
            2 => Version::V2,
            _ => return None,
        };
        let (tag, bytes) = bytes.split_first_chunk()?;
        let (ttl, bytes) = bytes.split_first_chunk()?;
        let (not_after, bytes) = match version {
            Version::V1 => (None, bytes),
            Version::V2 => {
                let (sealed, bytes) = bytes.split_first_chunk()?;
                (Some(EpochSeconds(i64::from_be_bytes(*sealed))), bytes)
            }
        };
        let (cookie, bytes) = bytes.split_first_chunk()?;
        let (rest, bytes) = bytes.split_first_chunk()?;
        let (up_to_date, listing) = bytes.split_first()?;
        Some(Mark {
            version,
            tag: *tag,
            ttl: EpochSeconds(i64::from_be_bytes(*ttl)),
            not_after,
            content: Content {
                cookie: *cookie,
                rest: *rest,
            },
            up_to_date: match up_to_date {
                0 => false,
                1 => true,
                _ => return None,
            },
            listing: match listing {
                [0] => Listing::Unsaid,
                [1] => Listing::Nobody,
                [2, entry @ ..] => {
                    let (user, number) = entry.split_first_chunk()?;
                    let number = u64::from_be_bytes(number.try_into().ok()?);
                    Listing::Under(Entry {
                        user: *user,
                        number,
                    })
                }
                _ => return None,
            },
        })
    }
}

/// Bytes of the longest encoded mark: version, tag, `ttl`, `notAfter`, content, whether it is up to
/// date, and the listing.
const MARK_LENGTH: usize =
    3 + size_of::<AuthTag>() + 16 + size_of::<Content>() + size_of::<UserHash>() + 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_encoded() {
        for version in [Version::V1, Version::V2] {
            let entry = Entry {
                user: [9; 32],
                number: 300,
            };
            let listings = [Listing::Unsaid, Listing::Nobody, Listing::Under(entry)];
            for (up_to_date, listing) in [false, true]
                .into_iter()
                .flat_map(|up_to_date| listings.map(|listing| (up_to_date, listing)))
            {
                let mark = Mark {
                    version,
                    tag: [7; 16],
                    ttl: EpochSeconds(1_800_000_000),
                    not_after: (version == Version::V2).then_some(EpochSeconds(1_900_000_000)),
                    content: Content::of(b"{\"cookie\":{},\"user\":\"ada\"}"),
                    up_to_date,
                    listing,
                };
                let text = mark.encode();
                assert!(Mark::decode(&text).is_ok_and(|read| read == mark));
                for wrong in ["", &text[1..], &format!("{text}AAAA"), "not base64!"] {
                    let error = Mark::decode(wrong).err().map(|error| error.code());
                    assert_eq!(error, Some("ERR_CONFIG"));
                }
            }
        }
    }
}
