//! Closing: calls in flight end first, later ones are refused.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, RwLock, watch};
use tokio::time::Instant;

use crate::error::{Error, Result};

/// A value that many calls can use at a time until it is closed.
pub struct Closable<T> {
    inner: Arc<RwLock<Option<T>>>,
    /// Since when it is being closed.
    closing: watch::Sender<Option<Instant>>,
}

/// One call's use of the value. Closing waits until this is dropped.
pub type InUse<T> = OwnedRwLockReadGuard<Option<T>, T>;

impl<T> Closable<T> {
    /// Open, with `inner` to use.
    pub fn new(inner: T) -> Closable<T> {
        Closable {
            inner: Arc::new(RwLock::new(Some(inner))),
            closing: watch::Sender::default(),
        }
    }

    /// The value, for one call. Taken at once, so that a call made before `close` is served.
    ///
    /// # Errors
    /// `ERR_CLOSED` if it is closed, or waits for calls in flight so that it can be.
    pub fn enter(&self) -> Result<InUse<T>> {
        let guard = self.inner.clone().try_read_owned();
        let guard = guard.map_err(|_| Error::Closed)?;
        OwnedRwLockReadGuard::try_map(guard, Option::as_ref).map_err(|_| Error::Closed)
    }

    /// Informs those who wait for [`Closable::closing`]; `close` follows.
    pub fn begin_close(&self) {
        self.closing.send_if_modified(|since| {
            let first = since.is_none();
            since.get_or_insert_with(Instant::now);
            first
        });
    }

    /// Resolves once it is being closed, with the moment when that began.
    pub fn closing(&self) -> impl Future<Output = Instant> + use<T> {
        let mut closing = self.closing.subscribe();
        async move {
            let since = closing.wait_for(Option::is_some).await.map(|since| *since);
            match since {
                Ok(Some(since)) => since,
                // It was let go of without being closed.
                _ => pending().await,
            }
        }
    }

    /// Waits for the calls in flight, then returns the value; `None` if it was already closed.
    pub fn close(&self) -> impl Future<Output = Option<T>> + use<T> {
        self.begin_close();
        let inner = self.inner.clone();
        async move { inner.write().await.take() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn closing_waits_for_calls_in_flight_and_refuses_later_ones() {
        let closable = Closable::new(7);
        let in_flight = closable.enter().unwrap();
        let closing = tokio::spawn(closable.close());
        tokio::task::yield_now().await;
        assert!(!closing.is_finished());
        assert_eq!(closable.enter().unwrap_err().code(), "ERR_CLOSED");
        assert_eq!(*in_flight, 7);
        drop(in_flight);
        assert_eq!(closing.await.unwrap(), Some(7));
        assert_eq!(closable.enter().unwrap_err().code(), "ERR_CLOSED");
        assert_eq!(closable.close().await, None);
    }

    #[tokio::test]
    async fn who_asks_is_told_since_when_it_is_being_closed() {
        let closable = Closable::new(7);
        let early = tokio::spawn(closable.closing());
        tokio::task::yield_now().await;
        assert!(!early.is_finished());
        closable.begin_close();
        let since = early.await.unwrap();
        assert_eq!(*closable.enter().unwrap(), 7, "calls may still begin");
        assert_eq!(closable.close().await, Some(7));
        assert_eq!(closable.closing().await, since, "the first time counts");
    }
}
