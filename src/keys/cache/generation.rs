//! The keys that are cached now. Emptying the cache starts a new generation, which takes no time.
//! The old one is wiped in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::oneshot;

use super::cached::Opened;
use super::samples::Samples;
use super::slot::Slot;
use super::stats::{Counters, count};
use super::{EntryId, Limits, SessionHash};
use crate::crypto::data_key::WrappedKey;

/// The number of sweeps within the greatest age, unless they would be too rare then.
const SWEEPS: u32 = 20;
const LONGEST_SWEEP: Duration = Duration::from_secs(30);

/// If there are more keys than this, they are wiped on a thread of their own: each takes a
/// microsecond.
const WIPED_AT_ONCE: u64 = 1000;

/// Where a session's data key is.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) wrapped: WrappedKey,
    pub(super) opened: Opened,
}

pub(super) struct Generation {
    pub(super) data_keys: Cache<EntryId, Arc<Slot>>,
    pub(super) sessions: Cache<SessionHash, Place>,
    pub(super) samples: Samples,
    over: AtomicBool,
    counters: Arc<Counters>,
}

/// The time between two sweeps. Keys expire earlier by this much, so that none outlives the
/// greatest age.
pub(super) fn sweep_interval(limits: &Limits) -> Duration {
    (limits.max_age / SWEEPS).min(LONGEST_SWEEP)
}

impl Generation {
    pub(super) fn new(limits: &Limits, counters: &Arc<Counters>) -> Arc<Generation> {
        let max_age = limits.max_age.saturating_sub(sweep_interval(limits));
        let listener = counters.clone();
        Arc::new(Generation {
            data_keys: Cache::builder()
                .max_capacity(limits.max_entries)
                .eviction_policy(EvictionPolicy::lru()) // moka's default refuses what is new for the sake of what was popular
                .time_to_live(max_age) // by moka's own clock, also without traffic
                .eviction_listener(move |_, slot: Arc<Slot>, _| release(&slot, &listener))
                .build(),
            sessions: Cache::builder()
                .max_capacity(limits.max_entries)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(max_age)
                .build(),
            samples: Samples::default(),
            over: AtomicBool::new(false),
            counters: counters.clone(),
        })
    }

    /// Caches a key, unless the cache was emptied since the load began.
    pub(super) fn keep(&self, entry: EntryId, slot: &Arc<Slot>) {
        count(&self.counters.entries);
        self.data_keys.insert(entry, slot.clone());
        if self.over.load(Ordering::SeqCst) {
            release(slot, &self.counters);
        }
    }

    /// Wipes the keys past their age. Blocks, so it must not run on the threads of calls.
    pub(super) fn sweep(&self) {
        loop {
            let before = self.data_keys.entry_count();
            self.data_keys.run_pending_tasks();
            if self.data_keys.entry_count() >= before {
                break;
            }
        }
        self.sessions.run_pending_tasks();
    }

    /// Wipes all keys, including those that a load under way is about to cache. The receiver is
    /// notified at the end.
    pub(super) fn wipe(self: Arc<Generation>) -> oneshot::Receiver<()> {
        let (done, wiped) = oneshot::channel();
        self.over.store(true, Ordering::SeqCst);
        if self.counters.entries.load(Ordering::Relaxed) <= WIPED_AT_ONCE {
            self.empty();
            let _ = done.send(());
            return wiped;
        }
        let old = self.clone();
        let thread = std::thread::Builder::new().name("connect-dynamodb-kms wipe".into());
        let started = thread.spawn(move || {
            old.empty();
            drop(old);
            let _ = done.send(());
        });
        if started.is_err() {
            self.empty();
        }
        wiped
    }

    fn empty(&self) {
        for (_, slot) in &self.data_keys {
            release(&slot, &self.counters);
        }
    }
}

fn release(slot: &Slot, counters: &Counters) {
    if slot.empty() {
        counters.entries.fetch_sub(1, Ordering::Relaxed);
        count(&counters.evictions);
    }
}
