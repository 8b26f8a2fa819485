//! The cache of data keys in front of any [`DataKeys`]: a session keeps its data key through its saves, and reads unwrap it once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use sha2::{Digest, Sha256};

use crate::data_keys::{DataKey, DataKeys, WrappedKey};
use crate::error::Result;

/// How many data keys, and how many sessions' places in the side index, are kept at most.
const MAX_ENTRIES: u64 = 10_000;

/// How long a data key is kept at most after it was made or unwrapped; use does not prolong it.
const MAX_AGE: Duration = Duration::from_hours(1);

/// SHA-256 over everything that unwrapping without the cache would depend on.
type EntryId = [u8; 32];

/// SHA-256 of the session's key in the table.
type SessionHash = [u8; 32];

impl Cached {
    fn empty_all(&self) {
        for (_, slot) in &self.data_keys {
            slot.empty();
        }
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        self.empty_all();
    }
}

/// Data keys, cached or not.
pub struct KeyCache {
    keys: Arc<dyn DataKeys>,
    cached: Option<Cached>,
}

/// Where the cache keeps a data key. moka frees what it lets go of when it pleases; the slot is emptied at once.
struct Slot(Mutex<Option<Arc<DataKey>>>);

impl Slot {
    fn new(key: Arc<DataKey>) -> Arc<Slot> {
        Arc::new(Slot(Mutex::new(Some(key))))
    }

    /// The key, unless it was let go of in the meantime.
    fn key(&self) -> Option<Arc<DataKey>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Lets go of the key; it is overwritten as soon as no call uses it any more.
    fn empty(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

struct Cached {
    data_keys: Cache<EntryId, Arc<Slot>>,
    /// Which wrapped key a session's record has, so that a save finds its data key.
    sessions: Cache<SessionHash, WrappedKey>,
}

impl KeyCache {
    /// A cache in front of `keys`; with `enabled` false every save makes a data key and every read unwraps one.
    #[must_use]
    pub fn new(keys: Arc<dyn DataKeys>, enabled: bool) -> KeyCache {
        KeyCache::with_capacity(keys, enabled.then_some(MAX_ENTRIES))
    }

    fn with_capacity(keys: Arc<dyn DataKeys>, entries: Option<u64>) -> KeyCache {
        let cached = entries.map(|entries| Cached {
            data_keys: Cache::builder()
                .max_capacity(entries)
                .time_to_live(MAX_AGE)
                .eviction_listener(|_, slot: Arc<Slot>, _| slot.empty())
                .build(),
            sessions: Cache::builder()
                .max_capacity(entries)
                .time_to_live(MAX_AGE)
                .build(),
        });
        KeyCache { keys, cached }
    }

    /// The data key to seal a session with: the one it has, or a new one.
    ///
    /// # Errors
    /// Those of [`DataKeys::generate`].
    pub async fn for_save(&self, session: &str) -> Result<(Arc<DataKey>, WrappedKey)> {
        let Some(cached) = &self.cached else {
            let (key, wrapped) = self.keys.generate().await?;
            return Ok((Arc::new(key), wrapped));
        };
        // The first of several concurrent first saves makes the key for all of them.
        let mut made = None;
        let wrapped = cached
            .sessions
            .try_get_with(hash_session(session), async {
                let (key, wrapped) = self.generate_into(cached).await?;
                made = Some(key);
                Ok(wrapped)
            })
            .await
            .map_err(Arc::unwrap_or_clone)?;
        let slot = cached.data_keys.get(&self.entry_id(&wrapped)).await;
        if let Some(key) = made.or_else(|| slot?.key()) {
            return Ok((key, wrapped));
        }
        // The side index remembers a key that was let go of: unwrapping it again would cost what a new one does.
        let (key, wrapped) = self.generate_into(cached).await?;
        self.remember(session, &wrapped).await;
        Ok((key, wrapped))
    }

    /// The data key that `wrapped` holds. Any number of concurrent calls for one key make one call to KMS, and share its failure.
    ///
    /// # Errors
    /// Those of [`DataKeys::decrypt`].
    pub async fn for_read(&self, wrapped: &WrappedKey) -> Result<Arc<DataKey>> {
        let Some(cached) = &self.cached else {
            return Ok(Arc::new(self.keys.decrypt(wrapped).await?));
        };
        let slot = cached
            .data_keys
            .try_get_with(self.entry_id(wrapped), async {
                self.keys
                    .decrypt(wrapped)
                    .await
                    .map(|key| Slot::new(Arc::new(key)))
            })
            .await
            .map_err(Arc::unwrap_or_clone)?;
        match slot.key() {
            Some(key) => Ok(key),
            None => Ok(Arc::new(self.keys.decrypt(wrapped).await?)),
        }
    }

    /// Notes that the session's record, which was opened or written with it, has this wrapped key.
    pub async fn remember(&self, session: &str, wrapped: &WrappedKey) {
        let Some(cached) = &self.cached else { return };
        let session = hash_session(session);
        if cached.sessions.get(&session).await.as_ref() != Some(wrapped) {
            cached.sessions.insert(session, wrapped.clone()).await;
        }
    }

    /// Wipes the session's data key.
    pub async fn forget(&self, session: &str) {
        let Some(cached) = &self.cached else { return };
        if let Some(wrapped) = cached.sessions.remove(&hash_session(session)).await {
            cached.data_keys.invalidate(&self.entry_id(&wrapped)).await;
        }
    }

    /// Wipes every data key.
    pub async fn clear(&self) {
        let Some(cached) = &self.cached else { return };
        cached.empty_all();
        cached.sessions.invalidate_all();
        cached.data_keys.invalidate_all();
        cached.data_keys.run_pending_tasks().await;
    }

    /// Makes and unwraps one data key beside the cache, to show that the key encryption key is usable for both.
    ///
    /// # Errors
    /// Those of [`DataKeys`].
    pub async fn check(&self) -> Result<()> {
        let (_, wrapped) = self.keys.generate().await?;
        self.keys.decrypt(&wrapped).await?;
        Ok(())
    }

    async fn generate_into(&self, cached: &Cached) -> Result<(Arc<DataKey>, WrappedKey)> {
        let (key, wrapped) = self.keys.generate().await?;
        let key = Arc::new(key);
        cached
            .data_keys
            .insert(self.entry_id(&wrapped), Slot::new(key.clone()))
            .await;
        Ok((key, wrapped))
    }

    fn entry_id(&self, wrapped: &WrappedKey) -> EntryId {
        let mut hash = Sha256::new();
        for part in [self.keys.key_encryption_key().as_bytes(), &wrapped.0] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

fn hash_session(session: &str) -> SessionHash {
    Sha256::digest(session).into()
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use tokio::sync::Semaphore;
    use zeroize::Zeroizing;

    use super::*;
    use crate::error::{Error, Service};

    /// Wraps by appending; lets `gate` calls through and counts them.
    struct Counting {
        generated: AtomicUsize,
        decrypted: AtomicUsize,
        gate: Semaphore,
        fails: bool,
    }

    impl Counting {
        fn new(gate: usize, fails: bool) -> Arc<Counting> {
            Arc::new(Counting {
                generated: AtomicUsize::new(0),
                decrypted: AtomicUsize::new(0),
                gate: Semaphore::new(gate),
                fails,
            })
        }

        fn calls(&self) -> (usize, usize) {
            (
                self.generated.load(Ordering::SeqCst),
                self.decrypted.load(Ordering::SeqCst),
            )
        }
    }

    #[async_trait]
    impl DataKeys for Counting {
        fn key_encryption_key(&self) -> &'static str {
            "test"
        }

        async fn generate(&self) -> Result<(DataKey, WrappedKey)> {
            let number = self.generated.fetch_add(1, Ordering::SeqCst);
            let bytes = vec![u8::try_from(number % 256).unwrap(); 32];
            Ok((
                DataKey::new(Zeroizing::new(bytes))?,
                WrappedKey(number.to_be_bytes().to_vec()),
            ))
        }

        async fn decrypt(&self, wrapped: &WrappedKey) -> Result<DataKey> {
            self.decrypted.fetch_add(1, Ordering::SeqCst);
            let _pass = self.gate.acquire().await.unwrap();
            if self.fails {
                return Err(Error::Unavailable {
                    service: Service::Kms,
                    action: "kms:Decrypt",
                    source: None,
                });
            }
            DataKey::new(Zeroizing::new(vec![*wrapped.0.last().unwrap(); 32]))
        }
    }

    #[tokio::test]
    async fn a_session_keeps_its_data_key_through_its_saves_and_reads() {
        let keys = Counting::new(1, false);
        let cache = KeyCache::new(keys.clone(), true);
        let (_, first) = cache.for_save("a").await.unwrap();
        let (_, second) = cache.for_save("a").await.unwrap();
        assert_eq!(first, second);
        cache.for_read(&first).await.unwrap();
        assert_eq!(keys.calls(), (1, 0));
    }

    #[tokio::test]
    async fn two_sessions_never_share_a_data_key() {
        let cache = KeyCache::new(Counting::new(1, false), true);
        let (a, _) = cache.for_save("a").await.unwrap();
        let (b, _) = cache.for_save("b").await.unwrap();
        assert_ne!(a.bytes(), b.bytes());
    }

    #[tokio::test]
    async fn without_the_cache_every_save_and_read_asks() {
        let keys = Counting::new(9, false);
        let cache = KeyCache::new(keys.clone(), false);
        let (_, wrapped) = cache.for_save("a").await.unwrap();
        cache.for_save("a").await.unwrap();
        cache.for_read(&wrapped).await.unwrap();
        cache.for_read(&wrapped).await.unwrap();
        assert_eq!(keys.calls(), (2, 2));
    }

    #[tokio::test]
    async fn a_save_after_a_read_takes_the_key_that_was_read() {
        let keys = Counting::new(1, false);
        let cache = KeyCache::new(keys.clone(), true);
        let wrapped = WrappedKey(vec![9]);
        cache.for_read(&wrapped).await.unwrap();
        cache.remember("a", &wrapped).await;
        assert_eq!(cache.for_save("a").await.unwrap().1, wrapped);
        assert_eq!(keys.calls(), (0, 1));
    }

    #[tokio::test]
    async fn a_forgotten_session_gets_a_new_key_and_its_old_one_must_be_unwrapped_again() {
        let keys = Counting::new(9, false);
        let cache = KeyCache::new(keys.clone(), true);
        let (_, old) = cache.for_save("a").await.unwrap();
        cache.forget("a").await;
        assert_ne!(cache.for_save("a").await.unwrap().1, old);
        cache.for_read(&old).await.unwrap();
        assert_eq!(keys.calls(), (2, 1));
    }

    #[tokio::test]
    async fn the_cache_lets_go_of_wiped_and_evicted_keys() {
        let cache = KeyCache::with_capacity(Counting::new(9, false), Some(2));
        let mut kept = Vec::new();
        for session in ["forgotten", "cleared"] {
            let (key, _) = cache.for_save(session).await.unwrap();
            kept.push(Arc::downgrade(&key));
        }
        cache.forget("forgotten").await;
        cache.clear().await;
        for number in 0..100 {
            let (key, _) = cache.for_save(&format!("session {number}")).await.unwrap();
            kept.push(Arc::downgrade(&key));
        }
        let cached = cache.cached.as_ref().unwrap();
        cached.data_keys.run_pending_tasks().await;
        // Nothing but the cache held them, and a DataKey that nobody holds has been overwritten.
        let alive =
            |keys: &[Weak<DataKey>]| keys.iter().filter(|key| key.strong_count() > 0).count();
        assert_eq!(alive(&kept[..2]), 0);
        assert!(alive(&kept) <= 2, "{} keys are still there", alive(&kept));
        drop(cache);
        assert_eq!(alive(&kept), 0);
    }

    #[tokio::test]
    async fn concurrent_reads_of_one_key_make_one_call() {
        for fails in [false, true] {
            let keys = Counting::new(0, fails);
            let cache = Arc::new(KeyCache::new(keys.clone(), true));
            let wrapped = WrappedKey(vec![1]);
            let reads: Vec<_> = (0..100)
                .map(|_| {
                    let (cache, wrapped) = (cache.clone(), wrapped.clone());
                    tokio::spawn(async move { cache.for_read(&wrapped).await.map(|_| ()) })
                })
                .collect();
            tokio::task::yield_now().await;
            keys.gate.add_permits(1);
            for read in reads {
                assert_eq!(read.await.unwrap().is_err(), fails);
            }
            assert_eq!(keys.calls(), (0, 1));
        }
    }

    #[tokio::test]
    async fn a_failure_is_not_cached() {
        let keys = Counting::new(9, true);
        let cache = KeyCache::new(keys.clone(), true);
        let wrapped = WrappedKey(vec![1]);
        assert!(cache.for_read(&wrapped).await.is_err());
        assert!(cache.for_read(&wrapped).await.is_err());
        assert_eq!(keys.calls(), (0, 2));
    }

    #[tokio::test]
    async fn the_cache_is_bounded_and_goes_on_when_a_key_was_evicted() {
        let keys = Counting::new(1000, false);
        let cache = KeyCache::with_capacity(keys.clone(), Some(10));
        for number in 0..200 {
            cache.for_save(&format!("session {number}")).await.unwrap();
        }
        let cached = cache.cached.as_ref().unwrap();
        cached.data_keys.run_pending_tasks().await;
        cached.sessions.run_pending_tasks().await;
        assert!(cached.data_keys.entry_count() <= 10);
        assert!(cached.sessions.entry_count() <= 10);
        for number in 0..200 {
            cache.for_save(&format!("session {number}")).await.unwrap();
        }
    }
}
