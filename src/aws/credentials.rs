//! The search for credentials, which may take longer than the call that needs them has time.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{
    ProvideCredentials, Result as Found, SharedCredentialsProvider, future,
};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// After this a search that hangs is given up, so that the next call begins a new one.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Searches in a task of its own: when the attempt that needs credentials has no more time, the search goes on, and the next attempt, or call, gets what it finds.
/// The SDK would begin a new one each time, and never come to an end of a search that takes longer than an attempt.
#[derive(Debug)]
pub(super) struct LastingSearch {
    provider: SharedCredentialsProvider,
    search: Mutex<Option<JoinHandle<Found>>>,
}

impl LastingSearch {
    pub(super) fn by(provider: SharedCredentialsProvider) -> LastingSearch {
        LastingSearch {
            provider,
            search: Mutex::default(),
        }
    }

    async fn found(&self) -> Found {
        let mut search = self.search.lock().await;
        // Nobody has waited for its end, which may be long ago.
        if let Some(ended) = search.take_if(|search| search.is_finished())
            && let Ok(Ok(found)) = ended.await
            && found.expiry().is_none_or(|end| end > SystemTime::now())
        {
            return Ok(found);
        }
        let running = search.get_or_insert_with(|| {
            let provider = self.provider.clone();
            tokio::spawn(async move {
                let search = provider.provide_credentials();
                let found = tokio::time::timeout(SEARCH_TIMEOUT, search).await;
                found.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(SEARCH_TIMEOUT)))
            })
        });
        let found = running.await;
        *search = None;
        found.unwrap_or_else(|panic| Err(CredentialsError::unhandled(panic)))
    }
}

impl ProvideCredentials for LastingSearch {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.found())
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.provider.fallback_on_interrupt()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    /// Gives what it is told to, one after the other, each when it is let.
    #[derive(Debug)]
    struct Searches {
        found: Vec<Found>,
        begun: Arc<AtomicUsize>,
        go: Arc<Notify>,
    }

    impl ProvideCredentials for Searches {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            future::ProvideCredentials::new(async move {
                self.go.notified().await;
                match &self.found[number] {
                    Ok(found) => Ok(found.clone()),
                    Err(_) => Err(failed()),
                }
            })
        }
    }

    fn failed() -> CredentialsError {
        CredentialsError::not_loaded("for now")
    }

    fn credentials(access_key_id: &str, ends_in_seconds: u64) -> Credentials {
        let expiry = SystemTime::now() + Duration::from_secs(ends_in_seconds);
        Credentials::new(access_key_id, "secret", None, Some(expiry), "a test")
    }

    /// A search whose caller has gone before it ended, and what the next caller gets, whose own search would give `second`.
    async fn found_later(first: Found, second: Found) -> (Found, usize) {
        let (begun, go) = (Arc::default(), Arc::new(Notify::new()));
        let search = LastingSearch::by(SharedCredentialsProvider::new(Searches {
            found: vec![first, second],
            begun: Arc::clone(&begun),
            go: go.clone(),
        }));
        let gone = tokio::time::timeout(Duration::ZERO, search.found()).await;
        assert!(gone.is_err(), "it has waited");
        tokio::task::yield_now().await;
        go.notify_one();
        while !search.ended().await {
            tokio::task::yield_now().await;
        }
        go.notify_one(); // for the second one, if there is one
        let found = search.found().await;
        (found, begun.load(Ordering::Relaxed))
    }

    impl LastingSearch {
        async fn ended(&self) -> bool {
            let search = self.search.lock().await;
            search.as_ref().is_some_and(JoinHandle::is_finished)
        }
    }

    #[tokio::test]
    async fn what_a_search_has_found_when_nobody_waits_any_more_is_for_the_next() {
        let (found, begun) = found_later(Ok(credentials("first", 60)), Err(failed())).await;
        assert_eq!(found.expect("the first").access_key_id(), "first");
        assert_eq!(begun, 1);
    }

    #[tokio::test]
    async fn what_is_out_of_date_or_has_failed_by_then_is_searched_again() {
        for first in [Ok(credentials("first", 0)), Err(failed())] {
            let (found, begun) = found_later(first, Ok(credentials("second", 60))).await;
            assert_eq!(found.expect("the second").access_key_id(), "second");
            assert_eq!(begun, 2);
        }
    }
}
