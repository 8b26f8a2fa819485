//! Wipes keys past their age in an idle process: moka looks for them only while it is used. The
//! task ends with the last key, or with the cache.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::task::{JoinHandle, spawn_blocking};

use super::cached::Cached;
use super::generation::sweep_interval;

#[derive(Default)]
pub(super) struct Sweeper(Mutex<Option<JoinHandle<()>>>);

impl Sweeper {
    /// Makes sure that the sweeps run, after a key was cached.
    pub(super) fn run(&self, cached: &Arc<Cached>) {
        let mut task = self.lock();
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(sweep(Arc::downgrade(cached))));
        }
    }

    pub(super) fn end(&self) {
        if let Some(task) = self.lock().take() {
            task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep(cached: Weak<Cached>) {
    while let Some(interval) = cached
        .upgrade()
        .map(|cached| sweep_interval(&cached.limits))
    {
        tokio::time::sleep(interval).await;
        let Some(cached) = cached.upgrade() else {
            return;
        };
        let generation = cached.generation();
        let _ = spawn_blocking(move || generation.sweep()).await;
        let mut task = cached.sweeper().lock();
        if cached.entries() == 0 {
            *task = None;
            return;
        }
    }
}
