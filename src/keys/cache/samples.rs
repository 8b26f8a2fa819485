//! What the revocation check unwraps: for each key encryption key with cached data keys, the
//! wrapped key that was loaded last. So a check need not search the cache, however large that is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::crypto::data_key::WrappedKey;
use crate::keys::EncryptionContext;

/// A wrapped key that was made or unwrapped, without its data key.
pub(super) struct Sample {
    pub(super) wrapped: WrappedKey,
    pub(super) context: Arc<EncryptionContext>,
    /// The index of the key encryption key that wraps it.
    pub(super) wrapped_by: usize,
}

/// Counts the cached data keys of one key encryption key.
#[derive(Clone, Default)]
pub(super) struct Tally(Arc<AtomicUsize>);

impl Tally {
    pub(super) fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// One sample for each key encryption key.
#[derive(Default)]
pub(super) struct Samples(Mutex<BTreeMap<usize, (Arc<Sample>, Tally)>>);

impl Samples {
    /// Takes the sample of a key that is about to be cached, and counts the key.
    pub(super) fn enter(&self, sample: &Arc<Sample>) -> Tally {
        let mut samples = self.lock();
        let (last, tally) = samples
            .entry(sample.wrapped_by)
            .or_insert_with(|| (sample.clone(), Tally::default()));
        last.clone_from(sample);
        tally.0.fetch_add(1, Ordering::Relaxed);
        tally.clone()
    }

    /// One sample for each key encryption key that has keys in the cache. `used` is the sample for
    /// its own.
    pub(super) fn with(&self, used: Arc<Sample>) -> Vec<Arc<Sample>> {
        let others = self.lock();
        let others = others
            .iter()
            .filter(|(wrapped_by, (_, tally))| **wrapped_by != used.wrapped_by && !tally.is_empty())
            .map(|(_, (sample, _))| sample.clone());
        let mut samples: Vec<_> = others.collect();
        samples.push(used);
        samples
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, (Arc<Sample>, Tally)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
