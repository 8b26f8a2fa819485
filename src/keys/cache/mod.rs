//! The cache of data keys in front of any [`DataKeys`]. A session keeps its data key through its
//! saves, and reads unwrap it once.

mod cached;
mod clock;
mod forgotten;
mod generation;
mod loads;
mod revocation;
mod samples;
mod slot;
mod stats;
mod sweeper;

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use self::cached::{Cached, Loaded, Opened};
use self::forgotten::Began;
use self::revocation::Verdict;
use self::samples::Sample;
use self::slot::Slot;
use self::stats::{Counters, Loading, count};
use crate::call;
use crate::crypto::data_key::{DataKey, WrappedKey};
use crate::error::Result;
use crate::keys::{DataKeys, EncryptionContext};

pub use self::clock::{Clock, Moment};
pub use self::stats::{CacheCounters, CacheStats};

/// What bounds the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest number of data keys, and of sessions in the side index.
    pub max_entries: u64,
    /// How long a data key is cached at most after it was made or unwrapped. Use does not extend
    /// it.
    pub max_age: Duration,
    /// How many times a process seals under one data key.
    pub max_seals: u64,
    /// How many bytes a process seals under one data key.
    pub max_sealed_bytes: u64,
    /// The least time between two revocation checks, which happen only while there is traffic: a
    /// cached key is unwrapped again to see whether that is still allowed.
    pub revocation_check: Duration,
}

impl Limits {
    /// For most applications.
    pub const DEFAULT: Limits = Limits {
        max_entries: 10_000,
        max_age: Duration::from_hours(1),
        max_seals: 1 << 20,
        // 2^32 blocks of AES: far below the number at which random collisions matter (NIST SP
        // 800-38D, appendix C).
        max_sealed_bytes: 1 << 36,
        revocation_check: Duration::from_mins(1),
    };

    /// For applications that prefer more KMS calls to keys in memory.
    pub const STRICT: Limits = Limits {
        max_entries: 1000,
        max_age: Duration::from_mins(1),
        max_seals: 1 << 10,
        max_sealed_bytes: 1 << 30,
        revocation_check: Duration::from_secs(10),
    };
}

/// SHA-256 over everything that unwrapping without the cache depends on.
type EntryId = [u8; 32];

/// SHA-256 of the session's key in the table, for one encryption context.
type SessionHash = [u8; 32];

/// Data keys, cached or not.
pub struct KeyCache(Arc<Inner>);

/// The starting point of a call that reads the table and then uses data keys. It must be taken
/// before the first read: keys of sessions that are forgotten later are not cached.
#[derive(Clone)]
pub struct Since {
    began: Option<Arc<Began>>,
    /// A scan caches the keys that it unwraps only where there is room, and evicts none that others
    /// use.
    scan: bool,
}

struct Inner {
    keys: Arc<dyn DataKeys>,
    cached: Option<Arc<Cached>>,
    counters: Arc<Counters>,
    /// Revocation checks that have not ended.
    checks: Mutex<Vec<JoinHandle<()>>>,
    /// How long a load may take.
    load_limit: Option<Duration>,
    /// The shortest wrapped key that was made here, in bytes; `usize::MAX` before the first.
    wrapped_length: AtomicUsize,
}

impl KeyCache {
    /// A cache in front of `keys`. Without `limits`, every save makes a data key and every read
    /// unwraps one.
    #[must_use]
    pub fn new(keys: Arc<dyn DataKeys>, limits: Option<Limits>) -> KeyCache {
        KeyCache::with(keys, limits, None, Clock::of_process())
    }

    /// As [`KeyCache::new`]. A load, which all callers of the same key share, ends after
    /// `load_limit`, the deadline of a call that begins with it. `clock` measures ages.
    #[must_use]
    pub fn with(
        keys: Arc<dyn DataKeys>,
        limits: Option<Limits>,
        load_limit: Option<Duration>,
        clock: Clock,
    ) -> KeyCache {
        let counters = Arc::default();
        let cached = limits.map(|limits| Arc::new(Cached::new(limits, clock, &counters)));
        KeyCache(Arc::new(Inner {
            keys,
            cached,
            counters,
            checks: Mutex::default(),
            load_limit,
            wrapped_length: AtomicUsize::new(usize::MAX),
        }))
    }

    /// The length of the shortest wrapped key that this process has made, in bytes.
    #[must_use]
    pub fn wrapped_length(&self) -> Option<usize> {
        let length = self.0.wrapped_length.load(Ordering::Relaxed);
        (length < usize::MAX).then_some(length)
    }

    /// The names of the key encryption keys, in the order of the indices that
    /// [`KeyCache::for_read`] returns.
    #[must_use]
    pub fn key_encryption_keys(&self) -> Vec<&str> {
        self.0.keys.key_encryption_keys()
    }

    /// As [`DataKeys::family`].
    #[must_use]
    pub fn family<'a>(&self, wrapped: &'a WrappedKey) -> Option<&'a [u8]> {
        self.0.keys.family(wrapped)
    }

    /// For a call that is about to read the table.
    #[must_use]
    pub fn since(&self) -> Since {
        let cached = self.0.cached.as_ref();
        Since {
            began: cached.map(|cached| Arc::new(cached.forgotten.begin())),
            scan: false,
        }
    }

    /// The starting point for a page of a scan that is about to be read.
    #[must_use]
    pub fn since_of_scan(&self) -> Since {
        Since {
            scan: true,
            ..self.since()
        }
    }

    /// The data key to seal `bytes` of a session with: its current one, or a new one. Concurrent
    /// first saves of a session make one.
    ///
    /// # Errors
    /// Those of [`DataKeys::generate`].
    pub async fn for_save(
        &self,
        session: &str,
        context: &Arc<EncryptionContext>,
        bytes: usize,
        since: &Since,
    ) -> Result<(Arc<DataKey>, WrappedKey)> {
        let Some(cached) = &self.0.cached else {
            call::needs_key(false);
            return self.0.generate(context).await;
        };
        let session = hash_session(session, context);
        loop {
            let find = || {
                let entry_id = |wrapped: &WrappedKey| self.0.entry_id(wrapped, context);
                cached.key_to_seal(&session, entry_id, bytes)
            };
            if let Some((key, slot)) = find() {
                return Ok(self.hit(cached, key, &slot));
            }
            count(&self.0.counters.misses);
            call::needs_key(false);
            let load = || {
                let (inner, cached) = (self.0.clone(), cached.clone());
                let (context, since) = (context.clone(), since.clone());
                async move { inner.make(&cached, session, context, &since).await }
            };
            let limit = self.0.load_limit;
            let action = "kms:GenerateDataKey";
            match cached
                .making
                .find_or_load(&session, limit, action, find, load)
                .await?
            {
                Either::Left((key, slot)) => return Ok(self.hit(cached, key, &slot)),
                Either::Right(Loaded { key, slot }) if slot.takes_seal(bytes, &cached.limits) => {
                    return Ok((key, slot.sample.wrapped.clone()));
                }
                // So many saves waited for the key that they have used it up.
                Either::Right(_) => {}
            }
        }
    }

    /// The data key that `wrapped` holds, and the index of the key encryption key that wraps it; 0
    /// is the one that wraps new keys. Any number of concurrent calls for one key make one call to
    /// KMS, and share its failure.
    ///
    /// # Errors
    /// Those of [`DataKeys::decrypt`].
    pub async fn for_read(
        &self,
        session: &str,
        wrapped: &WrappedKey,
        context: &Arc<EncryptionContext>,
        since: &Since,
    ) -> Result<(Arc<DataKey>, usize)> {
        let Some(cached) = &self.0.cached else {
            call::needs_key(false);
            return self.0.decrypt(wrapped, context).await;
        };
        let entry = self.0.entry_id(wrapped, context);
        let find = || cached.key(&entry);
        let hit = |key, slot: &Slot| {
            let (key, _) = self.hit(cached, key, slot);
            Ok((key, slot.sample.wrapped_by))
        };
        if let Some((key, slot)) = find() {
            return hit(key, &slot);
        }
        count(&self.0.counters.misses);
        call::needs_key(false);
        let load = || {
            let ids = (entry, hash_session(session, context));
            let (inner, cached) = (self.0.clone(), cached.clone());
            let (wrapped, context) = (wrapped.clone(), context.clone());
            let since = since.clone();
            async move { inner.unwrap(&cached, ids, wrapped, context, &since).await }
        };
        match cached
            .unwrapping
            .find_or_load(&entry, self.0.load_limit, "kms:Decrypt", find, load)
            .await?
        {
            Either::Left((key, slot)) => hit(key, &slot),
            Either::Right(Loaded { key, slot }) => Ok((key, slot.sample.wrapped_by)),
        }
    }

    /// Notes that the session's record, which was opened or written with it, has this wrapped key.
    /// Its previous one is wiped.
    pub fn remember(
        &self,
        session: &str,
        context: &EncryptionContext,
        wrapped: &WrappedKey,
        since: &Since,
    ) {
        let Some(cached) = &self.0.cached else { return };
        let ids = (
            self.0.entry_id(wrapped, context),
            hash_session(session, context),
        );
        let before = cached.remember(ids, wrapped, since);
        if let Some(before) = before {
            cached.wipe(&self.0.entry_id(&before, context));
        }
    }

    /// Wipes the session's data key. Calls that have read the session before do not bring it back.
    pub fn forget(&self, session: &str, context: &EncryptionContext) {
        let Some(cached) = &self.0.cached else { return };
        let session = hash_session(session, context);
        if let Some(wrapped) = cached.forget(session) {
            cached.wipe(&self.0.entry_id(&wrapped, context));
        }
    }

    /// Wipes every data key, including those of loads under way.
    pub async fn clear(&self) {
        if let Some(cached) = &self.0.cached {
            cached.clear().await;
        }
    }

    /// Wipes every data key, and waits for the revocation checks under way, until `last` resolves.
    /// Nothing uses the key encryption keys after this. Loads under way are stopped: all calls have
    /// ended, so nobody waits for them.
    pub async fn close(&self, last: impl Future<Output = ()>) {
        if let Some(cached) = &self.0.cached {
            cached.end();
        }
        let mut checks = std::mem::take(&mut *self.0.checks());
        select(pin!(last), join_all(&mut checks)).await;
        for check in &checks {
            check.abort();
        }
        self.clear().await;
    }

    /// Makes and unwraps one data key without the cache, to show that the key encryption key is
    /// usable for both.
    ///
    /// # Errors
    /// Those of [`DataKeys`].
    pub async fn ping(&self, context: &EncryptionContext) -> Result<()> {
        let (_, wrapped) = self.0.generate(context).await?;
        self.0.decrypt(&wrapped, context).await?;
        Ok(())
    }

    /// The counters so far, also after the cache is gone.
    #[must_use]
    pub fn counters(&self) -> CacheCounters {
        CacheCounters(self.0.counters.clone())
    }

    /// Notes the use of a cached key, at which a revocation check may be due.
    fn hit(&self, cached: &Cached, key: Arc<DataKey>, slot: &Slot) -> (Arc<DataKey>, WrappedKey) {
        count(&self.0.counters.hits);
        call::needs_key(true);
        self.check(cached, &slot.sample);
        (key, slot.sample.wrapped.clone())
    }

    /// Starts a revocation check if one is due, of the key that was just used and of one key of
    /// every other key encryption key. The call that triggers it does not wait.
    fn check(&self, cached: &Cached, used: &Arc<Sample>) {
        if !cached.revocation.due(cached.clock.now()) {
            return;
        }
        let samples = cached.generation().samples.with(used.clone());
        let inner = self.0.clone();
        let check = tokio::spawn(call::beside(async move {
            join_all(samples.iter().map(|sample| inner.check(sample))).await;
        }));
        let mut checks = self.0.checks();
        checks.retain(|check| !check.is_finished());
        checks.push(check);
    }
}

impl Since {
    fn outlived(&self, session: &SessionHash) -> bool {
        self.began
            .as_ref()
            .is_some_and(|began| began.outlived(session))
    }
}

impl Inner {
    fn checks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn check(&self, sample: &Sample) {
        let checked = self
            .keys
            .decrypt_by(sample.wrapped_by, &sample.wrapped, &sample.context);
        let verdict = Verdict::of(&checked.await);
        match verdict {
            Verdict::Usable => count(&self.counters.checks_usable),
            Verdict::Unknown => count(&self.counters.checks_unknown),
            Verdict::Revoked => {
                if let Some(cached) = &self.cached {
                    cached.clear().await;
                }
                count(&self.counters.checks_revoked);
            }
        }
        call::has_checked(verdict.name());
    }

    async fn generate(&self, context: &EncryptionContext) -> Result<(Arc<DataKey>, WrappedKey)> {
        let loading = Loading::counted_by(&self.counters);
        let (key, wrapped) = self.keys.generate(context).await?;
        loading.succeeded();
        self.wrapped_length
            .fetch_min(wrapped.0.len(), Ordering::Relaxed);
        Ok((Arc::new(key), wrapped))
    }

    async fn decrypt(
        &self,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
    ) -> Result<(Arc<DataKey>, usize)> {
        let loading = Loading::counted_by(&self.counters);
        let (key, wrapped_by) = self.keys.decrypt(wrapped, context).await?;
        loading.succeeded();
        Ok((Arc::new(key), wrapped_by))
    }

    /// Makes a session's data key. Unwrapping the previous one, which is too old, too much used, or
    /// evicted, would cost as much.
    async fn make(
        &self,
        cached: &Arc<Cached>,
        session: SessionHash,
        context: Arc<EncryptionContext>,
        since: &Since,
    ) -> Result<Loaded> {
        let generation = cached.generation();
        let (key, wrapped) = self.generate(&context).await?;
        let entry = self.entry_id(&wrapped, &context);
        let sample = Sample {
            wrapped,
            context,
            wrapped_by: 0,
        };
        let ids = (entry, session);
        Ok(cached.put_away(&generation, key, sample, ids, Opened::Yes, since))
    }

    /// Unwraps a data key.
    async fn unwrap(
        &self,
        cached: &Arc<Cached>,
        ids: (EntryId, SessionHash),
        wrapped: WrappedKey,
        context: Arc<EncryptionContext>,
        since: &Since,
    ) -> Result<Loaded> {
        let generation = cached.generation();
        let (key, wrapped_by) = self.decrypt(&wrapped, &context).await?;
        let sample = Sample {
            wrapped,
            context,
            wrapped_by,
        };
        Ok(cached.put_away(&generation, key, sample, ids, Opened::NotYet, since))
    }

    /// The context depends on the record's version: version 1 has an empty one.
    fn entry_id(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> EntryId {
        let names = self.keys.key_encryption_keys().join(" ");
        hash(&[names.as_bytes(), &context.canonical(), &wrapped.0])
    }
}

fn hash_session(session: &str, context: &EncryptionContext) -> SessionHash {
    hash(&[&context.canonical(), session.as_bytes()])
}

/// SHA-256 over parts, each behind its length.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
