//! Closing: calls in flight end first, later ones are refused.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::error::{Error, Result};

/// Something that can be used by many calls at a time until it is closed.
pub struct Closable<T>(Arc<RwLock<Option<T>>>);

/// The use of it by one call; closing waits until this is dropped.
pub type InUse<T> = OwnedRwLockReadGuard<Option<T>, T>;

impl<T> Closable<T> {
    /// Open, with `inner` to use.
    pub fn new(inner: T) -> Closable<T> {
        Closable(Arc::new(RwLock::new(Some(inner))))
    }

    /// What is inside, for one call. At once, so that whoever called before somebody closed it is served.
    ///
    /// # Errors
    /// `ERR_CLOSED` if it is closed, or waits for calls in flight to be.
    pub fn enter(&self) -> Result<InUse<T>> {
        let guard = self.0.clone().try_read_owned().map_err(|_| Error::Closed)?;
        OwnedRwLockReadGuard::try_map(guard, Option::as_ref).map_err(|_| Error::Closed)
    }

    /// Waits for the calls in flight, then gives what was inside; `None` if it was closed before.
    pub fn close(&self) -> impl Future<Output = Option<T>> + use<T> {
        let inner = self.0.clone();
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
}
