//! How far a long operation is. Its caller asks now and then, from another thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

/// Written by the operation, read by the command. `stop` goes the other way.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    waiting: Mutex<Option<&'static str>>,
    stop: watch::Sender<bool>,
}

/// A reading of [`Progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// How many items are behind.
    pub done: u64,
    /// How many there are in all, as far as is known; 0 if it is not.
    pub total: u64,
    /// The code of the failure that a call was last answered with, while calls are repeated and
    /// none has succeeded since.
    pub waiting: Option<&'static str>,
}

impl Progress {
    /// An operation on about `total` items begins.
    pub fn begin(&self, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// So many more items are behind.
    pub fn advance(&self, items: u64) {
        self.done.fetch_add(items, Ordering::Relaxed);
    }

    /// How far it is.
    #[must_use]
    pub fn read(&self) -> Reading {
        Reading {
            done: self.done.load(Ordering::Relaxed),
            total: self.total.load(Ordering::Relaxed),
            waiting: *self.waiting.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// A call will be repeated because of a failure with this code, or has succeeded.
    pub fn waits_for(&self, code: Option<&'static str>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = code;
    }

    /// Asks the operation to end in order.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether it is to end: after the item that it is at, with a report of what it did.
    #[must_use]
    pub fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Resolves when the operation is to end.
    pub async fn until_stopped(&self) {
        let mut told = self.stop.subscribe();
        let _ = told.wait_for(|stop| *stop).await;
    }
}
