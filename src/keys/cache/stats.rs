//! What happens in the cache, counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Data keys that left the cache: to make room, because of their age, or because a session was
    /// destroyed.
    pub evictions: u64,
    /// Revocation checks that found the key usable.
    pub checks_usable: u64,
    /// Revocation checks that KMS refused; each emptied the cache.
    pub checks_revoked: u64,
    /// Revocation checks that got no answer; the cache was kept.
    pub checks_unknown: u64,
}

/// The counters of a [`KeyCache`](super::KeyCache), which outlive it and hold nothing of it.
#[derive(Clone)]
pub struct CacheCounters(pub(super) Arc<Counters>);

#[derive(Default)]
pub(super) struct Counters {
    pub(super) entries: AtomicU64,
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) loads: AtomicU64,
    pub(super) load_failures: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) checks_usable: AtomicU64,
    pub(super) checks_revoked: AtomicU64,
    pub(super) checks_unknown: AtomicU64,
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

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A load, which counts as failed unless it says that it has succeeded: also one that is stopped
/// at its deadline.
pub(super) struct Loading<'a>(Option<&'a Counters>);

impl<'a> Loading<'a> {
    pub(super) fn counted_by(counters: &'a Counters) -> Loading<'a> {
        Loading(Some(counters))
    }

    pub(super) fn succeeded(mut self) {
        if let Some(counters) = self.0.take() {
            count(&counters.loads);
        }
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        if let Some(counters) = self.0 {
            count(&counters.load_failures);
        }
    }
}
