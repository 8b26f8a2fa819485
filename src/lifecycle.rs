//! Closing: calls in flight end first, later ones are refused.

use tokio::sync::{RwLock, RwLockReadGuard};

use crate::error::{Error, Result};

/// Something that can be used by many calls at a time until it is closed.
pub struct Closable<T>(RwLock<Option<T>>);

impl<T> Closable<T> {
    /// Open, with `inner` to use.
    pub fn new(inner: T) -> Closable<T> {
        Closable(RwLock::new(Some(inner)))
    }

    /// What is inside, for one call; closing waits until the guard is dropped.
    ///
    /// # Errors
    /// `ERR_CLOSED`.
    pub async fn enter(&self) -> Result<RwLockReadGuard<'_, T>> {
        RwLockReadGuard::try_map(self.0.read().await, Option::as_ref).map_err(|_| Error::Closed)
    }

    /// Waits for the calls in flight, then gives what was inside; `None` if it was closed before.
    pub async fn close(&self) -> Option<T> {
        self.0.write().await.take()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn closing_waits_for_calls_in_flight_and_refuses_later_ones() {
        let closable = Arc::new(Closable::new(7));
        let in_flight = closable.enter().await.unwrap();
        let closing = tokio::spawn({
            let closable = closable.clone();
            async move { closable.close().await }
        });
        tokio::task::yield_now().await;
        assert!(!closing.is_finished());
        assert_eq!(*in_flight, 7);
        drop(in_flight);
        assert_eq!(closing.await.unwrap(), Some(7));
        assert_eq!(closable.enter().await.unwrap_err().code(), "ERR_CLOSED");
        assert_eq!(closable.close().await, None);
    }
}
