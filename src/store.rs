//! What a session store does, over any [`SessionTable`] and any [`DataKeys`](crate::data_keys::DataKeys).

use std::sync::Arc;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use zeroize::Zeroizing;

use crate::envelope;
use crate::error::{Error, Result};
use crate::key_cache::KeyCache;
use crate::record::{Attribute, EncryptedSessionRecord, ITEM_LIMIT, Item, SESSION_ID};
use crate::session_table::{Condition, Scan, SessionTable};
use crate::time::{EpochMillis, EpochSeconds};

/// The longest partition key, in bytes (Amazon DynamoDB Developer Guide, "Constraints").
const KEY_LIMIT: usize = 2048;

/// Room for the wrapped key in the size check before anything is sent. KMS wraps a 256-bit data key in 184 bytes.
const WRAPPED_KEY_ALLOWANCE: usize = 256;

/// How many records `all` opens at the same time.
const OPEN_AT_ONCE: usize = 16;

/// The longest `ttlSeconds`: ten years. A longer one is more likely milliseconds taken for seconds.
pub const MAX_TTL_SECONDS: f64 = 315_360_000.0;

/// A session as it was saved.
pub struct OpenedSession {
    /// Without the prefix.
    pub id: String,
    /// What `JSON.stringify` gave.
    pub json: Zeroizing<String>,
    /// When it ends; a touch may have moved it past the `cookie.expires` in `json`.
    pub ttl: EpochSeconds,
}

/// What a read found.
pub enum Lookup {
    /// There is no record.
    Missing,
    /// There is one, but its time is over.
    Ended,
    /// A live session.
    Found(OpenedSession),
}

/// How long sessions live: checked `ttlSeconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(i64);

impl Lifetime {
    /// Seven days, as most session stores have it.
    pub const DEFAULT: Lifetime = Lifetime(604_800);

    /// From seconds; parts of a second are dropped.
    ///
    /// # Errors
    /// `ERR_CONFIG` outside 1 second to ten years.
    #[allow(clippy::cast_possible_truncation)] // the range was checked
    pub fn from_seconds(seconds: f64) -> Result<Lifetime> {
        if (1.0..=MAX_TTL_SECONDS).contains(&seconds) {
            Ok(Lifetime(seconds as i64))
        } else {
            Err(Error::Config(format!(
                "ttlSeconds must be 1 to {MAX_TTL_SECONDS} seconds, not {seconds}"
            )))
        }
    }

    /// When a session ends that is saved or touched now: after this lifetime, or when its cookie does, whichever comes first.
    #[must_use]
    pub fn end(self, now: EpochMillis, cookie_expires: Option<EpochMillis>) -> EpochSeconds {
        let end = now.floor().plus(self.0);
        cookie_expires.map_or(end, |expires| end.min(expires.ceil()))
    }
}

/// The session store.
pub struct SessionStore {
    table: Arc<dyn SessionTable>,
    keys: KeyCache,
    prefix: String,
}

impl SessionStore {
    /// A store of the sessions whose keys in `table` start with `prefix`.
    #[must_use]
    pub fn new(table: Arc<dyn SessionTable>, keys: KeyCache, prefix: String) -> SessionStore {
        SessionStore {
            table,
            keys,
            prefix,
        }
    }

    /// Reads a session.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_SERIALIZATION`, and those of the table and the keys.
    pub async fn get(&self, sid: &str, now: EpochMillis) -> Result<Lookup> {
        match self.stored(sid).await? {
            None => Ok(Lookup::Missing),
            Some(record) if record.ttl.reached(now) => Ok(Lookup::Ended),
            Some(record) => self.open(record).await.map(Lookup::Found),
        }
    }

    /// Seals and writes a session that ends at `end`.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, `ERR_SESSION_TOO_LARGE`, and those of the table and the keys; nothing was written then.
    pub async fn set(&self, sid: &str, json: Zeroizing<Vec<u8>>, end: EpochSeconds) -> Result<()> {
        let key = self.key(sid)?;
        check_size(&key, WRAPPED_KEY_ALLOWANCE, json.len())?;
        let (data_key, wrapped_key) = self.keys.for_save(&key).await?;
        check_size(&key, wrapped_key.0.len(), json.len())?;
        let record = EncryptedSessionRecord {
            key,
            wrapped_key,
            sealed: envelope::seal(&data_key, json),
            ttl: end,
        };
        self.table.put(record.to_item(), Condition::Always).await?;
        Ok(())
    }

    /// Moves a session's end. One that is gone or has ended stays so, which is a success.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, and those of the table.
    pub async fn touch(&self, sid: &str, now: EpochMillis, end: EpochSeconds) -> Result<()> {
        let key = self.key(sid)?;
        let alive = Condition::AliveAfter(now.floor());
        self.table.extend(&key, end, alive).await?;
        Ok(())
    }

    /// Removes a session and wipes its cached data key.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, and those of the table.
    pub async fn destroy(&self, sid: &str) -> Result<()> {
        let key = self.key(sid)?;
        self.keys.forget(&key).await;
        self.table.delete(&key).await
    }

    /// Every live session.
    ///
    /// # Errors
    /// Those of [`SessionStore::get`], if any one record cannot be opened.
    pub async fn all(&self, now: EpochMillis) -> Result<Vec<OpenedSession>> {
        let mut sessions = Vec::new();
        let scan = self.own(Some(now.floor()), false);
        let mut pages = std::pin::pin!(self.pages(&scan));
        while let Some(items) = pages.try_next().await? {
            let opened: Vec<OpenedSession> =
                stream::iter(items)
                    .map(|item| async move {
                        self.open(EncryptedSessionRecord::from_item(&item)?).await
                    })
                    .buffered(OPEN_AT_ONCE)
                    .try_collect()
                    .await?;
            sessions.extend(opened);
        }
        Ok(sessions)
    }

    /// The ids of every live session.
    ///
    /// # Errors
    /// Those of the table.
    pub async fn ids(&self, now: EpochMillis) -> Result<Vec<String>> {
        let scan = self.own(Some(now.floor()), true);
        let keys: Vec<Vec<String>> = self
            .pages(&scan)
            .map_ok(|items| items.iter().filter_map(key_of).collect())
            .try_collect()
            .await?;
        Ok(keys
            .into_iter()
            .flatten()
            .map(|key| self.id(&key))
            .collect())
    }

    /// How many live sessions there are.
    ///
    /// # Errors
    /// Those of the table.
    pub async fn length(&self, now: EpochMillis) -> Result<usize> {
        let scan = self.own(Some(now.floor()), true);
        self.pages(&scan)
            .try_fold(0, |count, items| async move { Ok(count + items.len()) })
            .await
    }

    /// Removes every session, expired ones too, and wipes the cached data keys.
    ///
    /// # Errors
    /// Those of the table; sessions removed until then stay removed.
    pub async fn clear(&self) -> Result<()> {
        self.keys.clear().await;
        let scan = self.own(None, true);
        self.pages(&scan)
            .try_for_each(|items| {
                self.table
                    .delete_all(items.iter().filter_map(key_of).collect())
            })
            .await
    }

    /// Whether the table and the key encryption key are usable.
    ///
    /// # Errors
    /// What is wrong with them.
    pub async fn ping(&self) -> Result<()> {
        self.table.check().await?;
        self.keys.check().await
    }

    /// The record as it lies in the table, sealed, expired or not.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, `ERR_INTEGRITY`, `ERR_VERSION`, and those of the table.
    pub async fn stored(&self, sid: &str) -> Result<Option<EncryptedSessionRecord>> {
        let key = self.key(sid)?;
        self.table
            .get(&key)
            .await?
            .map(|item| EncryptedSessionRecord::from_item(&item))
            .transpose()
    }

    /// Wipes the cached data keys.
    pub async fn wipe(&self) {
        self.keys.clear().await;
    }

    async fn open(&self, record: EncryptedSessionRecord) -> Result<OpenedSession> {
        let EncryptedSessionRecord {
            key,
            wrapped_key,
            sealed,
            ttl,
        } = record;
        let data_key = self.keys.for_read(&wrapped_key).await?;
        let json = text(envelope::open(&data_key, sealed)?)?;
        self.keys.remember(&key, &wrapped_key).await;
        Ok(OpenedSession {
            id: self.id(&key),
            json,
            ttl,
        })
    }

    fn own(&self, alive_after: Option<EpochSeconds>, keys_only: bool) -> Scan {
        Scan {
            prefix: self.prefix.clone(),
            alive_after,
            keys_only,
        }
    }

    /// The items of all pages of a scan, page by page.
    fn pages<'a>(&'a self, scan: &'a Scan) -> impl Stream<Item = Result<Vec<Item>>> + 'a {
        stream::try_unfold(
            Some(None),
            move |position: Option<Option<String>>| async move {
                let Some(after) = position else {
                    return Ok(None);
                };
                let page = self.table.scan(scan, after).await?;
                Ok(Some((page.items, page.next.map(Some))))
            },
        )
    }

    fn key(&self, sid: &str) -> Result<String> {
        let length = self.prefix.len() + sid.len();
        if sid.is_empty() || length > KEY_LIMIT {
            return Err(Error::Config(format!(
                "a session id must have 1 to {} bytes in UTF-8 ({KEY_LIMIT} with the prefix), not {}",
                KEY_LIMIT - self.prefix.len(),
                sid.len()
            )));
        }
        Ok(format!("{}{sid}", self.prefix))
    }

    fn id(&self, key: &str) -> String {
        key.strip_prefix(&self.prefix).unwrap_or(key).to_owned()
    }
}

fn check_size(key: &str, wrapped_length: usize, plaintext_length: usize) -> Result<()> {
    let size = EncryptedSessionRecord::item_size(key.len(), wrapped_length, plaintext_length);
    if size > ITEM_LIMIT {
        return Err(Error::SessionTooLarge {
            size,
            limit: ITEM_LIMIT,
        });
    }
    Ok(())
}

fn key_of(item: &Item) -> Option<String> {
    match item.get(SESSION_ID) {
        Some(Attribute::S(key)) => Some(key.clone()),
        _ => None,
    }
}

/// The plaintext as text, without a second copy of it.
///
/// # Errors
/// `ERR_SERIALIZATION` if it is no UTF-8.
pub fn text(mut plaintext: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>> {
    String::from_utf8(std::mem::take(&mut plaintext))
        .map(Zeroizing::new)
        .map_err(|error| {
            drop(Zeroizing::new(error.into_bytes()));
            Error::Serialization(
                "what was sealed is not text in UTF-8; another program wrote it".into(),
            )
        })
}
