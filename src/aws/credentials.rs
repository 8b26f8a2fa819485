//! The search for credentials, which may take longer than the call that needs them has time.

use std::time::Duration;

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
