//! Loads of data keys. Each load runs in a task of its own, with the full deadline of a call, even
//! if the call that began it ends. All callers that want the same key wait for one load, each as
//! long as its own deadline and signal allow, and share its failure.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared};
use tokio::task::AbortHandle;

use crate::call::{self, Progress};
use crate::error::{Cause, Kind, Result, Service, ServiceError};

/// The loads under way, by what they load.
pub(super) struct Loads<K, V>(Arc<Mutex<HashMap<K, Load<V>>>>);

/// One of them.
#[derive(Clone)]
struct Load<V> {
    outcome: Shared<BoxFuture<'static, Result<V>>>,
    progress: Progress,
    task: AbortHandle,
}

/// Removes a load from the list when it ends: with a result, with a panic, or with the runtime that
/// it ran on.
struct Listed<K: Eq + Hash, V> {
    loads: Arc<Mutex<HashMap<K, Load<V>>>>,
    id: K,
}

impl<K, V> Default for Loads<K, V> {
    fn default() -> Loads<K, V> {
        Loads(Arc::default())
    }
}

impl<K, V> Loads<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Returns what `find` returns, or the result of the load of `id`, which `begin` starts if none
    /// is under way. `find` also finds the result of a load that has just ended.
    pub(super) async fn find_or_load<F, W>(
        &self,
        id: &K,
        limit: Option<Duration>,
        action: &'static str,
        find: impl FnOnce() -> Option<F>,
        begin: impl FnOnce() -> W,
    ) -> Result<Either<F, V>>
    where
        W: Future<Output = Result<V>> + Send + 'static,
    {
        let load = {
            let mut loads = lock(&self.0);
            if let Some(load) = loads.get(id) {
                load.clone()
            } else if let Some(found) = find() {
                return Ok(Either::Left(found));
            } else {
                let load = self.begin(id, limit, action, begin());
                loads.insert(id.clone(), load.clone());
                load
            }
        };
        call::follow(&load.progress);
        load.outcome.await.map(Either::Right)
    }

    fn begin(
        &self,
        id: &K,
        limit: Option<Duration>,
        action: &'static str,
        work: impl Future<Output = Result<V>> + Send + 'static,
    ) -> Load<V> {
        let listed = Listed {
            loads: self.0.clone(),
            id: id.clone(),
        };
        let (progress, work) = call::apart(limit, async move {
            call::waits_for(Service::Kms, action);
            call::guarded(work).await
        });
        let task = tokio::spawn(async move {
            let _listed = listed;
            work.await
        });
        let abort = task.abort_handle();
        // Stopped, or ended with its runtime: nobody may wait forever.
        let outcome = task.map(move |ended| {
            ended.unwrap_or_else(|_| {
                let failed = ServiceError::new(Service::Kms, action, Kind::Unavailable);
                let broken_off = Cause::new("LoadError", "it was broken off");
                Err(failed.because(broken_off).into())
            })
        });
        Load {
            outcome: outcome.boxed().shared(),
            progress,
            task: abort,
        }
    }
}

impl<K, V> Loads<K, V> {
    /// Stops all loads: nobody waits for them any more.
    pub(super) fn end(&self) {
        let loads: Vec<_> = lock(&self.0)
            .values()
            .map(|load| load.task.clone())
            .collect();
        for load in loads {
            load.abort();
        }
    }
}

impl<K: Eq + Hash, V> Drop for Listed<K, V> {
    fn drop(&mut self) {
        let load = lock(&self.loads).remove(&self.id);
        drop(load); // outside the lock: it may hold the last of what it has loaded
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
