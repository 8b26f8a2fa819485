//! Where credentials are looked for, how long they are kept, and when they are looked for again.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{
    ProvideCredentials, Result as Provided, SharedCredentialsProvider, future,
};
use aws_runtime::retries::classifiers::THROTTLING_ERRORS;
use aws_sdk_kms::error::ErrorMetadata;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::failure::{chain, plain_texts};
use super::http::LastExchange;
use super::profile_files;
use super::proxy::UnusableProxy;
use crate::call::guarded;
use crate::error::{Cause, Error, Kind, Service, ServiceError};

/// A search that takes longer is given up, so that the next call begins a new one.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Credentials that expire within this time are looked for again, as in the SDK's own cache.
const SOON: Duration = Duration::from_secs(10);

/// The least time between two searches that a service's refusal causes.
const BETWEEN_REFUSALS: Duration = Duration::from_secs(5);

/// Makes a provider that has read nothing yet. The SDK's own providers keep what they have read of
/// the configuration files, including mistakes.
pub(super) type Source =
    Box<dyn Fn() -> BoxFuture<'static, SharedCredentialsProvider> + Send + Sync>;

type Search = Shared<BoxFuture<'static, Result<Credentials, NotFound>>>;

/// Credentials and the search for them, shared by all calls. The search runs in a task of its own:
/// if the call that needs credentials times out, the search continues, and the next call gets its
/// result.
#[derive(Clone)]
pub(super) struct HeldCredentials(Arc<Inner>);

struct Inner {
    source: Source,
    exchange: Arc<LastExchange>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    found: Option<Credentials>,
    /// The provider that found the current credentials, kept for the next search: it can have state
    /// of its own, as the provider for instances does.
    provider: Option<SharedCredentialsProvider>,
    search: Option<(Search, AbortHandle)>,
    /// Somebody wants them read anew.
    outdated: bool,
    /// A service refused them.
    refused: bool,
    /// When a refusal last caused a search.
    refusal_heard: Option<Instant>,
}

/// Why there are none.
#[derive(Clone, Debug)]
pub(super) struct NotFound {
    /// What is wrong with the credentials that were found. Names the setting.
    pub(super) reason: Option<String>,
    pub(super) retryable: bool,
    /// The search panicked.
    pub(super) defect: bool,
    pub(super) cause: Cause,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for NotFound {}

impl NotFound {
    /// The error of a call that needed them.
    pub(super) fn for_call(&self, service: Service, action: &'static str) -> Error {
        if self.defect {
            return Error::Internal;
        }
        let kind = if self.retryable {
            Kind::CredentialsLate
        } else {
            Kind::Credentials
        };
        let failed = ServiceError::new(service, action, kind).because(self.cause.clone());
        let reason = self.reason.clone();
        ServiceError { reason, ..failed }.into()
    }

    /// For settings that lead to none.
    pub(super) fn unusable(reason: String) -> NotFound {
        NotFound {
            cause: Cause::new("InvalidCredentials", &reason),
            reason: Some(reason),
            retryable: false,
            defect: false,
        }
    }

    fn defect() -> NotFound {
        NotFound {
            cause: Cause::new("Panic", "the search for credentials ended in a defect"),
            reason: None,
            retryable: false,
            defect: true,
        }
    }

    /// Says what is wrong with the configuration files, if nobody has credentials.
    async fn or_of_files(self, error: &CredentialsError) -> NotFound {
        use CredentialsError::{CredentialsNotLoaded, InvalidConfiguration};
        let of_settings = matches!(error, CredentialsNotLoaded(_) | InvalidConfiguration(_));
        if !of_settings || self.retryable || self.reason.is_some() {
            return self;
        }
        profile_files::trouble()
            .await
            .map_or(self, NotFound::unusable)
    }

    fn failed(error: &CredentialsError, exchange: &LastExchange) -> NotFound {
        if let Some(known) = chain(error).find_map(|error| error.downcast_ref::<NotFound>()) {
            return known.clone();
        }
        if let Some(proxy) = chain(error).find_map(|error| error.downcast_ref::<UnusableProxy>()) {
            return NotFound::unusable(proxy.to_string());
        }
        let code = chain(error)
            .find_map(|error| error.downcast_ref::<ErrorMetadata>())
            .and_then(ErrorMetadata::code);
        let throttled = code.is_some_and(|code| THROTTLING_ERRORS.contains(&code));
        let retryable = match error {
            CredentialsError::ProviderTimedOut(_) => true,
            CredentialsError::InvalidConfiguration(_) => false,
            // Nobody could be asked, so it is certain that there are no credentials here. If a
            // service was reached but did not answer, it is not.
            CredentialsError::CredentialsNotLoaded(_) => exchange.was_unavailable(),
            _ => exchange.failed() || throttled,
        };
        NotFound {
            reason: None,
            retryable,
            defect: false,
            cause: Cause::new(code.unwrap_or("CredentialsError"), plain_texts(error)),
        }
    }
}

impl HeldCredentials {
    pub(super) fn new(source: Source, exchange: Arc<LastExchange>) -> HeldCredentials {
        HeldCredentials(Arc::new(Inner {
            source,
            exchange,
            state: Mutex::default(),
        }))
    }

    /// The credentials that are held, or the result of a search. Any number of calls share one
    /// search.
    pub(super) async fn get(&self) -> Result<Credentials, NotFound> {
        let search = {
            let mut state = self.0.state();
            if let Some(found) = state.usable() {
                return Ok(found);
            }
            match &state.search {
                // A search whose runtime has ended has cleared itself here.
                Some((search, task)) if !task.is_finished() => search.clone(),
                _ => self.search(&mut state),
            }
        };
        search.await
    }

    /// The next call reads the files again.
    pub(super) fn read_anew(&self) {
        self.0.state().outdated = true;
    }

    /// A service does not accept them.
    pub(super) fn refused(&self) {
        self.0.state().refused = true;
    }

    fn search(&self, state: &mut State) -> Search {
        if state.refused {
            state.refusal_heard = Some(Instant::now());
        }
        let kept = state.provider.take();
        let provider = kept.filter(|_| !state.outdated && !state.refused);
        let refused = std::mem::take(&mut state.refused);
        state.outdated = false;
        let inner = self.0.clone();
        let task = tokio::spawn(async move {
            let work = guarded(async { Ok(inner.find(provider).await) });
            let found = work.await.unwrap_or_else(|_| Err(NotFound::defect()));
            inner.ended(found, refused)
        });
        let handle = task.abort_handle();
        let search = async { task.await.unwrap_or_else(|_| Err(NotFound::defect())) };
        let search = search.boxed().shared();
        state.search = Some((search.clone(), handle));
        search
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find(
        &self,
        provider: Option<SharedCredentialsProvider>,
    ) -> Result<(Credentials, SharedCredentialsProvider), NotFound> {
        self.exchange.begin();
        let search = async {
            let provider = match provider {
                Some(provider) => provider,
                None => (self.source)().await,
            };
            (provider.provide_credentials().await, provider)
        };
        let (found, provider) = match tokio::time::timeout(SEARCH_TIMEOUT, search).await {
            Ok((Ok(found), provider)) => (found, provider),
            Ok((Err(error), _)) => {
                let failed = NotFound::failed(&error, &self.exchange);
                return Err(failed.or_of_files(&error).await);
            }
            Err(_) => {
                let error = CredentialsError::provider_timed_out(SEARCH_TIMEOUT);
                return Err(NotFound::failed(&error, &self.exchange));
            }
        };
        Ok((found, provider))
    }

    /// Keeps the result of a search. A failed search leaves credentials that are still valid, and
    /// the next search reads the files again.
    fn ended(
        &self,
        found: Result<(Credentials, SharedCredentialsProvider), NotFound>,
        after_refusal: bool,
    ) -> Result<Credentials, NotFound> {
        let mut state = self.state();
        state.search = None;
        match found {
            Ok((found, provider)) => {
                state.provider = Some(provider).filter(|_| lasts(&found, Duration::ZERO));
                state.found = Some(found.clone());
                Ok(found)
            }
            Err(failure) => match &state.found {
                Some(found) if !after_refusal && lasts(found, Duration::ZERO) => Ok(found.clone()),
                _ => {
                    state.found = None;
                    Err(failure)
                }
            },
        }
    }
}

impl State {
    fn usable(&self) -> Option<Credentials> {
        let heard = self.refusal_heard;
        let hears_refusal =
            self.refused && heard.is_none_or(|heard| heard.elapsed() >= BETWEEN_REFUSALS);
        let found = self.found.as_ref()?;
        let usable = !self.outdated && !hears_refusal && lasts(found, SOON);
        usable.then(|| found.clone())
    }
}

fn lasts(found: &Credentials, time: Duration) -> bool {
    let end = found.expiry();
    end.is_none_or(|end| end > SystemTime::now() + time)
}

impl fmt::Debug for HeldCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldCredentials")
    }
}

impl ProvideCredentials for HeldCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let found: Provided = self.get().await.map_err(CredentialsError::provider_error);
            found
        })
    }
}

#[cfg(test)]
mod tests;
