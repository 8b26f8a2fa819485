//! One cached data key and the limits of its use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Limits;
use super::clock::Moment;
use super::samples::{Sample, Tally};
use crate::crypto::data_key::DataKey;

/// Where the cache keeps a data key. moka frees evicted entries at a time of its own choice; the
/// slot is emptied at once.
pub(super) struct Slot {
    key: Mutex<Option<Arc<DataKey>>>,
    /// What the key was unwrapped from.
    pub(super) sample: Arc<Sample>,
    tally: Tally,
    ends: Moment,
    seals: AtomicU64,
    sealed_bytes: AtomicU64,
}

impl Slot {
    /// A key that stays for the configured age, less up to a tenth of it at random. Otherwise keys
    /// that were cached together, when a server starts, would all expire together.
    pub(super) fn new(
        key: Arc<DataKey>,
        sample: Arc<Sample>,
        tally: Tally,
        limits: &Limits,
        now: Moment,
    ) -> Arc<Slot> {
        let jitter = 0.1 * rand::random::<f64>();
        Arc::new(Slot {
            key: Mutex::new(Some(key)),
            sample,
            tally,
            ends: now.plus(limits.max_age.mul_f64(1.0 - jitter)),
            seals: AtomicU64::new(0),
            sealed_bytes: AtomicU64::new(0),
        })
    }

    /// The key, unless it has expired or was evicted.
    pub(super) fn key(&self, now: Moment) -> Option<Arc<DataKey>> {
        if now < self.ends {
            self.lock().clone()
        } else {
            None
        }
    }

    /// The key for one more seal of so many bytes, if the limits allow it and its key encryption
    /// key is still the one that wraps new keys. After a change of that, sessions in use get new
    /// data keys.
    pub(super) fn key_to_seal(
        &self,
        bytes: usize,
        limits: &Limits,
        now: Moment,
    ) -> Option<Arc<DataKey>> {
        let key = self.key(now).filter(|_| self.sample.wrapped_by == 0)?;
        let (seals, sealed_bytes) = self.count_seal(bytes);
        (seals <= limits.max_seals && sealed_bytes <= limits.max_sealed_bytes).then_some(key)
    }

    /// Counts a seal of so many bytes under a key that was just made, if the limits allow it. The
    /// first seal is always allowed.
    pub(super) fn takes_seal(&self, bytes: usize, limits: &Limits) -> bool {
        let (seals, sealed_bytes) = self.count_seal(bytes);
        seals == 1 || seals <= limits.max_seals && sealed_bytes <= limits.max_sealed_bytes
    }

    /// Counts a seal; returns the number of seals and their bytes so far.
    fn count_seal(&self, bytes: usize) -> (u64, u64) {
        let bytes = bytes as u64;
        let seals = self.seals.fetch_add(1, Ordering::Relaxed) + 1;
        let sealed_bytes = self.sealed_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (seals, sealed_bytes)
    }

    /// Drops the key, which is overwritten as soon as no call uses it any more. Returns whether it
    /// was still there.
    pub(super) fn empty(&self) -> bool {
        let key = self.lock().take();
        if key.is_some() {
            self.tally.leave();
        }
        key.is_some()
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<DataKey>>> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
