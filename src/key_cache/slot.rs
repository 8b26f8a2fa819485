//! One cached data key, with what bounds its use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Limits;
use crate::data_keys::{DataKey, EncryptionContext, WrappedKey};
use crate::time::EpochMillis;

/// Where the cache keeps a data key. moka frees what it lets go of when it pleases; the slot is emptied at once.
pub(super) struct Slot {
    key: Mutex<Option<Arc<DataKey>>>,
    pub(super) wrapped: WrappedKey,
    pub(super) context: Arc<EncryptionContext>,
    /// By which of the key encryption keys it is wrapped.
    pub(super) wrapped_by: usize,
    cached_at: EpochMillis,
    /// Milliseconds.
    max_age: f64,
    seals: AtomicU64,
    sealed_bytes: AtomicU64,
}

impl Slot {
    /// A key that stays for the configured age, less up to a tenth of it at random: keys that were cached together, when a server
    /// starts, do not all go together.
    pub(super) fn new(
        key: Arc<DataKey>,
        wrapped: WrappedKey,
        context: Arc<EncryptionContext>,
        wrapped_by: usize,
        limits: &Limits,
        now: EpochMillis,
    ) -> Arc<Slot> {
        let jitter = 0.1 * rand::random::<f64>();
        Arc::new(Slot {
            key: Mutex::new(Some(key)),
            wrapped,
            context,
            wrapped_by,
            cached_at: now,
            max_age: limits.max_age.as_secs_f64() * 1000.0 * (1.0 - jitter),
            seals: AtomicU64::new(0),
            sealed_bytes: AtomicU64::new(0),
        })
    }

    /// The key, unless its time is over or it was let go of. A clock that stands well before the moment of caching was set back: nobody
    /// knows how old the key is then.
    pub(super) fn key(&self, now: EpochMillis) -> Option<Arc<DataKey>> {
        let age = now.0 - self.cached_at.0;
        if (-super::CLOCK_SLACK_MILLIS..self.max_age).contains(&age) {
            self.lock().clone()
        } else {
            None
        }
    }

    /// The key for one more seal of so many bytes, if the limits leave room for it and the key encryption key is still the one that seals:
    /// after a change of that, sessions in use get new data keys.
    pub(super) fn key_to_seal(
        &self,
        bytes: usize,
        limits: &Limits,
        now: EpochMillis,
    ) -> Option<Arc<DataKey>> {
        let key = self.key(now).filter(|_| self.wrapped_by == 0)?;
        let (seals, sealed_bytes) = self.count_seal(bytes);
        (seals <= limits.max_seals && sealed_bytes <= limits.max_sealed_bytes).then_some(key)
    }

    /// Counts a seal; gives how many there are now, and their bytes.
    pub(super) fn count_seal(&self, bytes: usize) -> (u64, u64) {
        let bytes = bytes as u64;
        let seals = self.seals.fetch_add(1, Ordering::Relaxed) + 1;
        let sealed_bytes = self.sealed_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (seals, sealed_bytes)
    }

    /// Lets go of the key; it is overwritten as soon as no call uses it any more.
    pub(super) fn empty(&self) {
        self.lock().take();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<DataKey>>> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
