//! The cache of data keys in front of any [`DataKeys`]: a session keeps its data key through its saves, and reads unwrap it once.

mod canary;
mod slot;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{join_all, select};
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use self::canary::{Canary, Verdict};
use self::slot::Slot;
use crate::call;
use crate::data_keys::{DataKey, DataKeys, EncryptionContext, WrappedKey};
use crate::error::{Result, Service};
use crate::time::EpochMillis;

/// What bounds the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many data keys, and how many sessions' places in the side index, are kept at most.
    pub max_entries: u64,
    /// How long a data key is kept at most after it was made or unwrapped; use does not prolong it.
    pub max_age: Duration,
    /// How many times a process seals under one data key.
    pub max_seals: u64,
    /// How many bytes a process seals under one data key.
    pub max_sealed_bytes: u64,
    /// How often, at most and while there is traffic, a cached key is unwrapped again to see whether that is still allowed.
    pub revocation_check: Duration,
}

impl Limits {
    /// For most applications.
    pub const DEFAULT: Limits = Limits {
        max_entries: 10_000,
        max_age: Duration::from_hours(1),
        max_seals: 1 << 20,
        // 2^32 blocks of AES: far below where random collisions begin to tell (NIST SP 800-38D, appendix C).
        max_sealed_bytes: 1 << 36,
        revocation_check: Duration::from_mins(1),
    };

    /// For those who would rather pay KMS than keep keys.
    pub const STRICT: Limits = Limits {
        max_entries: 1000,
        max_age: Duration::from_mins(1),
        max_seals: 1 << 10,
        max_sealed_bytes: 1 << 30,
        revocation_check: Duration::from_secs(10),
    };
}

/// What happened in the cache since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Data keys in the cache now.
    pub entries: u64,
    /// Uses of a cached data key.
    pub hits: u64,
    /// Uses that found none.
    pub misses: u64,
    /// Data keys that the key encryption key made or unwrapped.
    pub loads: u64,
    /// Calls to make or unwrap one that failed.
    pub load_failures: u64,
    /// Data keys that were let go of for room, for age, or because a session was destroyed.
    pub evictions: u64,
    /// Revocation checks that found the key usable.
    pub checks_usable: u64,
    /// Revocation checks that found it taken away; each emptied the cache.
    pub checks_revoked: u64,
    /// Revocation checks that got no answer; nothing was done.
    pub checks_unknown: u64,
}

/// How far apart, in milliseconds, the moments of calls in flight at the same time may lie: twice the longest call.
const CLOCK_SLACK_MILLIS: f64 = 10_000.0;

/// SHA-256 over everything that unwrapping without the cache would depend on.
type EntryId = [u8; 32];

/// SHA-256 of the session's key in the table, for one encryption context.
type SessionHash = [u8; 32];

/// Data keys, cached or not.
pub struct KeyCache(Arc<Inner>);

/// The counters of a [`KeyCache`], which outlive it and hold nothing of it.
#[derive(Clone)]
pub struct CacheCounters(Arc<Counters>);

struct Inner {
    keys: Arc<dyn DataKeys>,
    cached: Option<Cached>,
    counters: Arc<Counters>,
    /// Revocation checks that have not ended.
    checks: Mutex<Vec<JoinHandle<()>>>,
}

struct Cached {
    limits: Limits,
    data_keys: Cache<EntryId, Arc<Slot>>,
    /// Which wrapped key a session's record has, so that a save finds its data key.
    sessions: Cache<SessionHash, WrappedKey>,
    canary: Canary,
}

#[derive(Default)]
struct Counters {
    entries: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    loads: AtomicU64,
    load_failures: AtomicU64,
    evictions: AtomicU64,
    checks_usable: AtomicU64,
    checks_revoked: AtomicU64,
    checks_unknown: AtomicU64,
}

impl Cached {
    fn new(limits: Limits, counters: &Arc<Counters>) -> Cached {
        let counters = counters.clone();
        Cached {
            data_keys: Cache::builder()
                .max_capacity(limits.max_entries)
                .eviction_policy(EvictionPolicy::lru()) // moka's default refuses what is new for the sake of what was popular
                .time_to_live(limits.max_age) // by moka's own, monotonic clock: whichever of the two is first
                .eviction_listener(move |_, slot: Arc<Slot>, _| {
                    slot.empty();
                    counters.entries.fetch_sub(1, Ordering::Relaxed);
                    count(&counters.evictions);
                })
                .build(),
            sessions: Cache::builder()
                .max_capacity(limits.max_entries)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(limits.max_age)
                .build(),
            canary: Canary::new(limits.revocation_check),
            limits,
        }
    }

    fn empty_all(&self) {
        for (_, slot) in &self.data_keys {
            slot.empty();
        }
    }

    async fn clear(&self) {
        self.empty_all();
        self.sessions.invalidate_all();
        self.data_keys.invalidate_all();
        self.data_keys.run_pending_tasks().await;
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        self.empty_all();
    }
}

impl KeyCache {
    /// A cache in front of `keys`; without `limits` every save makes a data key and every read unwraps one.
    #[must_use]
    pub fn new(keys: Arc<dyn DataKeys>, limits: Option<Limits>) -> KeyCache {
        let counters = Arc::default();
        let cached = limits.map(|limits| Cached::new(limits, &counters));
        KeyCache(Arc::new(Inner {
            keys,
            cached,
            counters,
            checks: Mutex::default(),
        }))
    }

    /// The data key to seal `bytes` of a session with: the one it has, or a new one.
    ///
    /// # Errors
    /// Those of [`DataKeys::generate`].
    pub async fn for_save(
        &self,
        session: &str,
        context: &Arc<EncryptionContext>,
        bytes: usize,
        now: EpochMillis,
    ) -> Result<(Arc<DataKey>, WrappedKey)> {
        let Some(cached) = &self.0.cached else {
            return self.0.generate(context).await;
        };
        let session = hash_session(session, context);
        // The first of several concurrent first saves makes the key for all of them; a call that ends meanwhile leaves that to the next.
        call::waits_for(Service::Kms, "kms:GenerateDataKey");
        let mut made = None;
        let wrapped = cached
            .sessions
            .try_get_with(session, async {
                let (key, wrapped) = self.0.generate_into(cached, context, bytes, now).await?;
                made = Some(key);
                Ok(wrapped)
            })
            .await
            .map_err(Arc::unwrap_or_clone)?;
        if let Some(key) = made {
            return Ok((key, wrapped));
        }
        if let Some(slot) = cached
            .data_keys
            .get(&self.0.entry_id(&wrapped, context))
            .await
            && let Some(key) = slot.key_to_seal(bytes, &cached.limits, now)
        {
            count(&self.0.counters.hits);
            self.check(cached, slot, now);
            return Ok((key, wrapped));
        }
        // The session's key is too old, too much used, or was let go of. Unwrapping it again would cost what a new one does.
        let (key, wrapped) = self.0.generate_into(cached, context, bytes, now).await?;
        cached.sessions.insert(session, wrapped.clone()).await;
        Ok((key, wrapped))
    }

    /// The data key that `wrapped` holds, and by which of the key encryption keys it is wrapped, 0 being the one that new ones are wrapped with. Any number of
    /// concurrent calls for one key make one call to KMS, and share its failure.
    ///
    /// # Errors
    /// Those of [`DataKeys::decrypt`].
    pub async fn for_read(
        &self,
        wrapped: &WrappedKey,
        context: &Arc<EncryptionContext>,
        now: EpochMillis,
    ) -> Result<(Arc<DataKey>, usize)> {
        let Some(cached) = &self.0.cached else {
            return self.0.decrypt(wrapped, context).await;
        };
        let entry = self.0.entry_id(wrapped, context);
        if let Some(slot) = cached.data_keys.get(&entry).await {
            if let Some(key) = slot.key(now) {
                count(&self.0.counters.hits);
                let wrapped_by = slot.wrapped_by;
                self.check(cached, slot, now);
                return Ok((key, wrapped_by));
            }
            cached.data_keys.invalidate(&entry).await;
        }
        count(&self.0.counters.misses);
        call::waits_for(Service::Kms, "kms:Decrypt");
        let slot = cached
            .data_keys
            .try_get_with(entry, async {
                let (key, wrapped_by) = self.0.decrypt(wrapped, context).await?;
                Ok(self.0.slot(cached, key, wrapped, context, wrapped_by, now))
            })
            .await
            .map_err(Arc::unwrap_or_clone)?;
        match slot.key(now) {
            Some(key) => Ok((key, slot.wrapped_by)),
            None => self.0.decrypt(wrapped, context).await,
        }
    }

    /// Notes that the session's record, which was opened or written with it, has this wrapped key.
    pub async fn remember(&self, session: &str, context: &EncryptionContext, wrapped: &WrappedKey) {
        let Some(cached) = &self.0.cached else { return };
        let session = hash_session(session, context);
        if cached.sessions.get(&session).await.as_ref() != Some(wrapped) {
            cached.sessions.insert(session, wrapped.clone()).await;
        }
    }

    /// Wipes the session's data key.
    pub async fn forget(&self, session: &str, context: &EncryptionContext) {
        let Some(cached) = &self.0.cached else { return };
        let session = hash_session(session, context);
        if let Some(wrapped) = cached.sessions.remove(&session).await {
            let entry = self.0.entry_id(&wrapped, context);
            cached.data_keys.invalidate(&entry).await;
        }
    }

    /// Wipes every data key.
    pub async fn clear(&self) {
        if let Some(cached) = &self.0.cached {
            cached.clear().await;
        }
    }

    /// Wipes every data key, and waits for the revocation checks under way, until `last` resolves: nothing uses the key encryption keys after this.
    pub async fn close(&self, last: impl Future<Output = ()>) {
        let mut checks = std::mem::take(&mut *self.0.checks());
        select(pin!(last), join_all(&mut checks)).await;
        for check in &checks {
            check.abort();
        }
        self.clear().await;
    }

    /// Makes and unwraps one data key beside the cache, to show that the key encryption key is usable for both.
    ///
    /// # Errors
    /// Those of [`DataKeys`].
    pub async fn ping(&self, context: &EncryptionContext) -> Result<()> {
        let (_, wrapped) = self.0.generate(context).await?;
        self.0.decrypt(&wrapped, context).await?;
        Ok(())
    }

    /// What happened so far, also when the cache is gone.
    #[must_use]
    pub fn counters(&self) -> CacheCounters {
        CacheCounters(self.0.counters.clone())
    }

    /// Runs the revocation canary, if it is due: on the key that was just used, and on one of every other key encryption key. The call that
    /// came upon it does not wait.
    fn check(&self, cached: &Cached, used: Arc<Slot>, now: EpochMillis) {
        if !cached.canary.due(now) {
            return;
        }
        let mut checked = BTreeMap::from([(used.wrapped_by, used)]);
        for (_, slot) in &cached.data_keys {
            checked.entry(slot.wrapped_by).or_insert(slot);
        }
        let inner = self.0.clone();
        let check = tokio::spawn(call::beside(async move {
            for slot in checked.into_values() {
                inner.check(&slot).await;
            }
        }));
        let mut checks = self.0.checks();
        checks.retain(|check| !check.is_finished());
        checks.push(check);
    }
}

impl CacheCounters {
    /// The counts at this moment.
    #[must_use]
    pub fn read(&self) -> CacheStats {
        let counters = &self.0;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            entries: read(&counters.entries),
            hits: read(&counters.hits),
            misses: read(&counters.misses),
            loads: read(&counters.loads),
            load_failures: read(&counters.load_failures),
            evictions: read(&counters.evictions),
            checks_usable: read(&counters.checks_usable),
            checks_revoked: read(&counters.checks_revoked),
            checks_unknown: read(&counters.checks_unknown),
        }
    }
}

impl Inner {
    fn checks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn check(&self, slot: &Slot) {
        match Verdict::of(&self.keys.decrypt(&slot.wrapped, &slot.context).await) {
            Verdict::Usable => count(&self.counters.checks_usable),
            Verdict::Unknown => count(&self.counters.checks_unknown),
            Verdict::Revoked => {
                if let Some(cached) = &self.cached {
                    cached.clear().await;
                }
                count(&self.counters.checks_revoked);
            }
        }
    }

    async fn generate(&self, context: &EncryptionContext) -> Result<(Arc<DataKey>, WrappedKey)> {
        let (key, wrapped) = self.loaded(self.keys.generate(context).await)?;
        Ok((Arc::new(key), wrapped))
    }

    async fn decrypt(
        &self,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
    ) -> Result<(Arc<DataKey>, usize)> {
        let (key, wrapped_by) = self.loaded(self.keys.decrypt(wrapped, context).await)?;
        Ok((Arc::new(key), wrapped_by))
    }

    /// A place in the cache for a key that was just made or unwrapped.
    fn slot(
        &self,
        cached: &Cached,
        key: Arc<DataKey>,
        wrapped: &WrappedKey,
        context: &Arc<EncryptionContext>,
        wrapped_by: usize,
        now: EpochMillis,
    ) -> Arc<Slot> {
        count(&self.counters.entries);
        cached.canary.arm(now);
        let (wrapped, context) = (wrapped.clone(), context.clone());
        Slot::new(key, wrapped, context, wrapped_by, &cached.limits, now)
    }

    fn loaded<T>(&self, result: Result<T>) -> Result<T> {
        let counter = match &result {
            Ok(_) => &self.counters.loads,
            Err(_) => &self.counters.load_failures,
        };
        count(counter);
        result
    }

    /// A new data key that is used at once to seal `bytes`.
    async fn generate_into(
        &self,
        cached: &Cached,
        context: &Arc<EncryptionContext>,
        bytes: usize,
        now: EpochMillis,
    ) -> Result<(Arc<DataKey>, WrappedKey)> {
        count(&self.counters.misses);
        let (key, wrapped) = self.generate(context).await?;
        let slot = self.slot(cached, key.clone(), &wrapped, context, 0, now);
        slot.count_seal(bytes);
        cached
            .data_keys
            .insert(self.entry_id(&wrapped, context), slot)
            .await;
        Ok((key, wrapped))
    }

    /// The context tells the record's version: version 1 has an empty one.
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

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
