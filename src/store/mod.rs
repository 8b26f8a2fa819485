//! What a session store does, over any [`SessionTable`] and any [`DataKeys`](crate::keys::DataKeys).

mod lease;
mod removal;
mod save;
pub mod session_table;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use crate::crypto::envelope::{self, Aad, BoundSeal};
use crate::crypto::plaintext::Plaintext;
use crate::error::{Error, Result};
use crate::keys::EncryptionContext;
use crate::keys::cache::{CacheCounters, KeyCache, Since};
use crate::record::mark::{Content, Mark};
use crate::record::partition_key::SessionKeys;
use crate::record::{
    AUTH_TAG, Attribute, Bound, EncryptedSessionRecord, ITEM_LIMIT, Item, SESSION_ID, Version,
    has_ended, is_ours, item_size,
};
use crate::store::session_table::{Condition, Scan, SessionTable};
use crate::time::{EpochMillis, EpochSeconds};

pub use self::lease::Lease;
pub use self::save::{Attempt, Comparison, End, Known, OnConflict, Outlook, Save, Saved, Saving};

/// No wrapped key is shorter: a data key of 32 bytes and a tag of 16.
const LEAST_WRAPPED_KEY: usize = 48;

/// What KMS wraps a data key of 256 bits in, as a rule.
const USUAL_WRAPPED_KEY: usize = 184;

/// How many records `all` opens at the same time.
const OPEN_AT_ONCE: usize = 16;

/// The longest `ttlSeconds`: ten years. A longer one is more likely milliseconds taken for seconds.
pub const MAX_TTL_SECONDS: f64 = 315_360_000.0;

/// A session as it was saved.
pub struct OpenedSession {
    /// Without the prefix.
    pub id: String,
    /// What `JSON.stringify` gave.
    pub json: Plaintext<String>,
    /// When it ends; a touch may have moved it past the `cookie.expires` in `json`.
    pub ttl: EpochSeconds,
    /// What to know it again by.
    pub mark: Mark,
    /// Whether it is of a store with hashed ids, which this one, without a prefix, only lists: `id` is the key of its record, and nothing is written in
    /// its place.
    pub hashed: bool,
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

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as their cookie, ten years at most; seven days without an end of the cookie, as most session stores have it.
    OfCookie,
    /// So many seconds, a checked `ttlSeconds`; or as long as their cookie, if that is less.
    AtMost(i64),
}

/// How many seconds a session lives whose cookie has no end, where nobody says.
const SEVEN_DAYS: i64 = 604_800;

impl Lifetime {
    /// From seconds; parts of a second are dropped.
    ///
    /// # Errors
    /// `ERR_CONFIG` outside 1 second to ten years.
    #[allow(clippy::cast_possible_truncation)] // the range was checked
    pub fn from_seconds(seconds: f64) -> Result<Lifetime> {
        if (1.0..=MAX_TTL_SECONDS).contains(&seconds) {
            Ok(Lifetime::AtMost(seconds as i64))
        } else {
            Err(Error::Config(format!(
                "ttlSeconds must be 1 to {MAX_TTL_SECONDS} seconds, not {seconds}"
            )))
        }
    }

    /// When a session ends that is saved or touched now.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // a constant
    pub fn end(self, now: EpochMillis, cookie_expires: Option<EpochMillis>) -> End {
        let after = |seconds| End::from(now.floor().plus(seconds));
        let (latest, otherwise) = match self {
            Lifetime::OfCookie => (after(MAX_TTL_SECONDS as i64), after(SEVEN_DAYS)),
            Lifetime::AtMost(seconds) => (after(seconds), after(seconds)),
        };
        match cookie_expires {
            None => otherwise,
            Some(exact) if exact.ceil() <= latest.ttl => End {
                ttl: exact.ceil(),
                exact,
            },
            Some(_) => latest,
        }
    }
}

/// Which records a store writes and reads.
pub struct RecordPolicy {
    write: Version,
    accept: Vec<Version>,
    table_name: String,
    /// Of version 1 records.
    no_context: Arc<EncryptionContext>,
    /// Of version 2 records.
    context: Arc<EncryptionContext>,
}

impl RecordPolicy {
    /// Writes `write` and reads `accept`, in the table `table_name`. `static_context` joins the encryption context of version 2.
    #[must_use]
    pub fn new(
        write: Version,
        accept: Vec<Version>,
        table_name: String,
        static_context: BTreeMap<String, String>,
    ) -> RecordPolicy {
        let context = context_of_records(&table_name, static_context);
        RecordPolicy {
            write,
            accept,
            table_name,
            no_context: Arc::default(),
            context: Arc::new(EncryptionContext::new(context)),
        }
    }

    fn context(&self, version: Version) -> &Arc<EncryptionContext> {
        match version {
            Version::V1 => &self.no_context,
            Version::V2 => &self.context,
        }
    }
}

/// The encryption context of version 2 records in this table, with the caller's own pairs.
#[must_use]
pub fn context_of_records(
    table_name: &str,
    mut own: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    own.extend([
        ("purpose".to_owned(), "session-store".to_owned()),
        ("table".to_owned(), table_name.to_owned()),
        ("v".to_owned(), "2".to_owned()),
    ]);
    own
}

/// The session store.
pub struct SessionStore {
    table: Arc<dyn SessionTable>,
    keys: KeyCache,
    ids: SessionKeys,
    policy: RecordPolicy,
    saving: Saving,
}

impl SessionStore {
    /// A store of the sessions in `table` that `ids` names.
    #[must_use]
    pub fn new(
        table: Arc<dyn SessionTable>,
        keys: KeyCache,
        ids: SessionKeys,
        policy: RecordPolicy,
        saving: Saving,
    ) -> SessionStore {
        SessionStore {
            table,
            keys,
            ids,
            policy,
            saving,
        }
    }

    /// Reads a session.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_SERIALIZATION`, and those of the table and the keys.
    pub async fn get(&self, sid: &str, now: EpochMillis) -> Result<Lookup> {
        let since = self.keys.since();
        let item = self.item(sid).await?;
        self.table.tidy(now);
        match item {
            None => Ok(Lookup::Missing),
            Some(item) if has_ended(&item, now) => Ok(Lookup::Ended),
            Some(item) => match self.open(self.parse(item)?, &since).await? {
                // This id is only the key of it.
                session if session.hashed => Ok(Lookup::Missing),
                session => Ok(Lookup::Found(session)),
            },
        }
    }

    /// Removes a session and wipes its cached data key.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, and those of the table.
    pub async fn destroy(&self, sid: &str) -> Result<()> {
        let key = self.ids.key(sid)?;
        self.forget(&key);
        // Once more when the record is gone, or nobody knows: a read that began in between has brought the key back.
        let _forgets = Forgets(self, &key);
        self.table.delete(&key, Condition::Always).await?;
        Ok(())
    }

    /// Removes a record of the store's own kind that fails its integrity check, if nobody writes it meanwhile. Items of others stay.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, and those of the table and the keys.
    pub async fn destroy_unreadable(&self, sid: &str) -> Result<()> {
        let key = self.ids.key(sid)?;
        let since = self.keys.since();
        let Some(item) = self.table.get(&key).await? else {
            return Ok(());
        };
        let Some(revision) = item.get(AUTH_TAG).filter(|_| is_ours(&item)).cloned() else {
            return Ok(());
        };
        let opened = match self.parse(item) {
            Ok(record) => self.open(record, &since).await.map(drop),
            Err(error) => Err(error),
        };
        match opened {
            Err(Error::Integrity { .. }) => {
                let _forgets = Forgets(self, &key);
                let unchanged = Condition::Revision(revision);
                self.table.delete(&key, unchanged).await.map(drop)
            }
            opened => opened,
        }
    }

    /// Every live session.
    ///
    /// # Errors
    /// Those of [`SessionStore::get`], if any one record cannot be opened.
    pub async fn all(&self, now: EpochMillis) -> Result<Vec<OpenedSession>> {
        let mut sessions = Vec::new();
        let scan = self.own(Some(now.floor()), false);
        let mut pages = std::pin::pin!(self.pages(&scan));
        loop {
            let since = &self.keys.since_of_scan();
            let Some(items) = pages.try_next().await? else {
                break;
            };
            let opened: Vec<OpenedSession> = stream::iter(items)
                .map(|item| async move { self.open(self.parse(item)?, since).await })
                .buffered(OPEN_AT_ONCE)
                .try_collect()
                .await?;
            sessions.extend(opened);
        }
        Ok(sessions)
    }

    /// The ids of every live session. Where the table does not tell them, every session is opened.
    ///
    /// # Errors
    /// Those of the table; those of [`SessionStore::all`] where sessions are opened.
    pub async fn ids(&self, now: EpochMillis) -> Result<Vec<String>> {
        if self.ids.hashed() {
            let sessions = self.all(now).await?;
            return Ok(sessions.into_iter().map(|session| session.id).collect());
        }
        let scan = self.own(Some(now.floor()), true);
        let keys: Vec<Vec<String>> = self
            .pages(&scan)
            .map_ok(|items| items.iter().filter_map(key_of).collect())
            .try_collect()
            .await?;
        Ok(keys
            .into_iter()
            .flatten()
            .map(|key| self.ids.id(&key))
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
        let cleared = self.pages(&scan).try_for_each(|items| {
            self.table
                .delete_all(items.iter().filter_map(key_of).collect())
        });
        let cleared = cleared.await;
        self.keys.clear().await; // what reads in between have brought back
        cleared
    }

    /// Whether the table and the key encryption key are usable.
    ///
    /// # Errors
    /// What is wrong with them.
    pub async fn ping(&self) -> Result<()> {
        self.table.check().await?;
        self.keys.ping(self.policy.context(self.policy.write)).await
    }

    /// The record as it lies in the table, sealed, ended or not.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, `ERR_INTEGRITY`, `ERR_VERSION`, and those of the table.
    pub async fn stored(&self, sid: &str) -> Result<Option<EncryptedSessionRecord>> {
        let item = self.item(sid).await?;
        item.map(|item| self.parse(item)).transpose()
    }

    /// What lies under a session's key.
    async fn item(&self, sid: &str) -> Result<Option<Item>> {
        let key = self.ids.key(sid)?;
        let item = self.table.get(&key).await?;
        // An answer to somebody else's request holds a record that opens, of another session.
        match item {
            Some(item) if item.get(SESSION_ID) != Some(&Attribute::S(key)) => {
                Err(Error::integrity())
            }
            item => Ok(item),
        }
    }

    /// What a conflict ends in, if the caller does not say.
    #[must_use]
    pub fn on_conflict(&self) -> OnConflict {
        self.saving.on_conflict
    }

    /// What happens in the cache of data keys.
    #[must_use]
    pub fn cache_counters(&self) -> CacheCounters {
        self.keys.counters()
    }

    /// Wipes the cached data keys, after whatever still uses them in the background. That is broken off when `last` resolves.
    pub async fn close(&self, last: impl Future<Output = ()>) {
        self.keys.close(last).await;
        self.table.close().await;
    }

    fn parse(&self, item: Item) -> Result<EncryptedSessionRecord> {
        let record = EncryptedSessionRecord::from_item(item)?;
        if self.policy.accept.contains(&record.version()) {
            Ok(record)
        } else {
            Err(Error::Version)
        }
    }

    /// Wipes a session's data key.
    fn forget(&self, key: &str) {
        for version in [Version::V1, Version::V2] {
            self.keys.forget(key, self.policy.context(version));
        }
    }

    async fn seal(
        &self,
        key: String,
        payload: Plaintext,
        now: EpochMillis,
        end: EpochSeconds,
        since: &Since,
    ) -> Result<EncryptedSessionRecord> {
        let version = self.policy.write;
        let length = payload.len();
        let wrapped_length = self.keys.wrapped_length();
        // What cannot fit, however short its wrapped key, is refused before anything is sent; what may fit is judged by the key that it gets.
        let least = wrapped_length.unwrap_or(LEAST_WRAPPED_KEY);
        if check_size(version, &key, least, length).is_err() {
            let usual = wrapped_length.unwrap_or(USUAL_WRAPPED_KEY);
            check_size(version, &key, usual, length)?;
        }
        let context = self.policy.context(version);
        let (data_key, wrapped_key) = self.keys.for_save(&key, context, length, since).await?;
        check_size(version, &key, wrapped_key.0.len(), length)?;
        let (sealed, bound) = match version {
            Version::V1 => (envelope::seal(&data_key, payload), None),
            Version::V2 => {
                let not_after = last_end(now, end);
                let aad = self.aad(not_after, &key);
                let BoundSeal {
                    sealed,
                    salt,
                    commitment,
                } = envelope::seal_bound(&data_key, payload, &aad);
                let bound = Bound {
                    not_after,
                    salt,
                    commitment,
                };
                (sealed, Some(bound))
            }
        };
        Ok(EncryptedSessionRecord {
            key,
            wrapped_key,
            sealed,
            ttl: end,
            bound,
        })
    }

    async fn open(&self, record: EncryptedSessionRecord, since: &Since) -> Result<OpenedSession> {
        let version = record.version();
        let context = self.policy.context(version);
        let tag = record.sealed.tag;
        let EncryptedSessionRecord {
            key,
            wrapped_key,
            sealed,
            ttl,
            bound,
        } = record;
        let (data_key, wrapped_by) = self
            .keys
            .for_read(&key, &wrapped_key, context, since)
            .await?;
        let payload = match bound {
            None => envelope::open(&data_key, sealed)?,
            Some(Bound {
                not_after,
                salt,
                commitment,
            }) => {
                let bound = BoundSeal {
                    sealed,
                    salt,
                    commitment,
                };
                envelope::open_bound(&data_key, bound, &self.aad(not_after, &key))?
            }
        };
        let payload = text(payload)?;
        let other = self.ids.of_a_hashed_id(&payload);
        let hashed = other.is_some();
        let (id, json) = match other {
            Some(json) => (self.ids.id(&key), json),
            None => self.ids.unpack(&key, payload)?,
        };
        self.keys.remember(&key, context, &wrapped_key, since);
        let mark = Mark {
            version,
            tag,
            ttl,
            content: Content::of(json.as_bytes()),
            current: version == self.policy.write && wrapped_by == 0,
        };
        Ok(OpenedSession {
            id,
            json,
            ttl,
            mark,
            hashed,
        })
    }

    fn aad<'a>(&'a self, not_after: EpochSeconds, key: &'a str) -> Aad<'a> {
        Aad {
            not_after,
            table: &self.policy.table_name,
            key,
        }
    }

    fn own(&self, alive_after: Option<EpochSeconds>, keys_only: bool) -> Scan {
        Scan {
            prefix: self.ids.prefix().to_owned(),
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
                let mut page = self.table.scan(scan, after).await?;
                // A longer prefix starts with a shorter one.
                let own = |item: &Item| key_of(item).is_some_and(|key| self.ids.owns(&key));
                page.items.retain(own);
                Ok(Some((page.items, page.next.map(Some))))
            },
        )
    }
}

/// Forgets a session's data key when it is dropped, also by a call that ends before its answer.
struct Forgets<'a>(&'a SessionStore, &'a str);

impl Drop for Forgets<'_> {
    fn drop(&mut self) {
        self.0.forget(self.1);
    }
}

/// The last moment that a session sealed now may live to: twice as long as it lives without a touch, so that touches seldom seal again, and
/// somebody who may write the table but not use the KMS key gains that much at most.
fn last_end(now: EpochMillis, end: EpochSeconds) -> EpochSeconds {
    let lifetime = (end.0 - now.floor().0).max(0);
    end.plus(lifetime)
}

fn check_size(
    version: Version,
    key: &str,
    wrapped_length: usize,
    plaintext_length: usize,
) -> Result<()> {
    let size = item_size(version, key.len(), wrapped_length, plaintext_length);
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
pub fn text(plaintext: Plaintext) -> Result<Plaintext<String>> {
    String::from_utf8(plaintext.take())
        .map(Plaintext::new)
        .map_err(|error| {
            drop(Plaintext::new(error.into_bytes()));
            Error::Serialization(
                "what was sealed is not text in UTF-8; another program wrote it".into(),
            )
        })
}
