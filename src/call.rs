//! One call of the store: its deadline, and the service that it waits for.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};

use crate::error::{Cause, Error, Kind, Result, Service, ServiceError};
use crate::observation::Event;
use crate::requests::Requests;

tokio::task_local! {
    static CALL: Call;
}

struct Call {
    progress: Progress,
    caller: Caller,
    /// Whether those who look know that a data key was cached, and that one was not.
    told: [AtomicBool; 2],
}

/// Who makes a call.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    requests: Arc<Requests>,
    /// The number of the call, for those who observe it; 0 if it has none.
    number: f64,
}

impl Caller {
    /// The call of this number, whose requests are counted in `requests`.
    #[must_use]
    pub fn new(requests: Arc<Requests>, number: f64) -> Caller {
        Caller { requests, number }
    }

    /// Notes what happens in this call. `event` gets the number of the call.
    pub(crate) fn note(&self, event: impl FnOnce(f64) -> Event) {
        self.requests.observation.note(event(self.number));
    }

    fn is_observed(&self) -> bool {
        self.requests.observation.is_on()
    }
}

impl From<Arc<Requests>> for Caller {
    fn from(requests: Arc<Requests>) -> Caller {
        Caller::new(requests, 0.0)
    }
}

/// What a call waits for.
#[derive(Clone)]
pub struct Progress(Arc<Mutex<State>>);

struct State {
    wait: Wait,
    /// The progress of separate work that the call waits for.
    followed: Option<Progress>,
}

/// What a call waits for that has not asked for anything.
const NOTHING_YET: &str = "dynamodb:*";

#[derive(Clone, Copy)]
struct Wait {
    service: Service,
    action: &'static str,
    /// Whether a request has been sent. Until then, the call can only be waiting for credentials.
    sent: bool,
}

/// Runs `work` as a call that ends after `limit`, whatever it is doing: reading files, looking for
/// credentials, or waiting for the result of another call. `None` is for work that waits for
/// nobody, as in local mode. Its requests are counted with those of `caller`.
///
/// # Errors
/// Those of `work`; at the limit `ERR_DYNAMODB_UNAVAILABLE`, `ERR_KMS_UNAVAILABLE` or
/// `ERR_CREDENTIALS`, depending on what it waited for.
pub async fn within<T>(
    limit: Option<Duration>,
    caller: impl Into<Caller>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    Call::new(caller.into()).run(limit, work).await
}

/// Prepares work that runs in a task of its own, so that several calls can wait for it and the end
/// of none of them stops it. It ends after `limit`, and its requests are counted with those of this
/// call. Callers that wait for it follow its progress.
pub fn apart<T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T>>,
) -> (Progress, impl Future<Output = Result<T>>) {
    let caller = CALL.try_with(|call| call.caller.clone());
    let call = Call::new(caller.unwrap_or_default());
    (call.progress.clone(), call.run(limit, work))
}

/// The progress of this call, for others that wait for it.
pub(crate) fn progress() -> Option<Progress> {
    CALL.try_with(|call| call.progress.clone()).ok()
}

/// Notes that the call waits for whatever the separate work waits for.
pub fn follow(progress: &Progress) {
    let _ = CALL.try_with(|call| call.progress.follow(progress.clone()));
}

/// Runs `work` as a call that is limited only by its requests, until its store is closed and `last`
/// resolves.
///
/// # Errors
/// Those of `work`; `ERR_CLOSED` if `last` resolves first.
pub async fn until<T>(
    last: impl Future<Output = ()>,
    caller: impl Into<Caller>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let bounded = async {
        match select(pin!(work), pin!(last)).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(Error::Closed),
        }
    };
    CALL.scope(Call::new(caller.into()), bounded).await
}

/// Turns a panic into an error. Otherwise the panic would drop the caller's promise and everything
/// else that waits for the same work.
///
/// # Errors
/// Those of `work`; `ERR_INTERNAL` if it panics.
pub async fn guarded<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    ended.unwrap_or_else(|_| Err(Error::Internal))
}

/// Lets work that continues beside this call count its requests with those of the store. They belong
/// to no call.
pub fn beside<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let requests = CALL.try_with(|call| call.caller.requests.clone());
    CALL.scope(Call::new(requests.unwrap_or_default().into()), work)
}

/// Notes that the call is about to ask for this.
pub fn asks(service: Service, action: &'static str) {
    wait(service, action, false);
}

/// Notes that the call waits for this, even if another call has requested it.
pub fn waits_for(service: Service, action: &'static str) {
    wait(service, action, true);
}

fn wait(service: Service, action: &'static str, sent: bool) {
    let wait = Wait {
        service,
        action,
        sent,
    };
    let _ = CALL.try_with(|call| call.progress.set(wait));
}

/// Counts a request that is about to be sent.
pub(crate) fn sends(service: Service, retry: bool) {
    let _ = CALL.try_with(|call| {
        call.progress.sent();
        call.caller.requests.count(service, retry);
    });
}

/// Notes that this call needs a data key, if anybody looks. A call that reads many sessions says so
/// once, or twice.
pub(crate) fn needs_key(cached: bool) {
    let _ = CALL.try_with(|call| {
        let told = &call.told[usize::from(cached)];
        if call.caller.is_observed() && !told.swap(true, Ordering::Relaxed) {
            let needed = |call| Event::KeyNeeded { call, cached };
            call.caller.note(needed);
        }
    });
}

/// Notes the outcome of a revocation check, if anybody looks.
pub(crate) fn has_checked(outcome: &'static str) {
    let _ = CALL.try_with(|call| {
        if call.caller.is_observed() {
            call.caller.note(|_| Event::RevocationCheck { outcome });
        }
    });
}

/// Who makes this call, if anybody looks at what happens in it.
pub(crate) fn observed() -> Option<Caller> {
    CALL.try_with(|call| call.caller.is_observed().then(|| call.caller.clone()))
        .unwrap_or_default()
}

/// Counts a request for several reads that is about to be sent.
pub(crate) fn batches(reads: u64) {
    let _ = CALL.try_with(|call| call.caller.requests.count_batch(reads));
}

/// Notes that the service refuses requests for several reads.
pub(crate) fn refuses_batches() {
    let _ = CALL.try_with(|call| call.caller.requests.refuse_batches());
}

/// Whether anybody looks at what happens in this call.
pub(crate) fn is_observed() -> bool {
    CALL.try_with(|call| call.caller.is_observed())
        .unwrap_or(false)
}

/// Whether what the call asks for has been sent to the service.
pub(crate) fn sent() -> bool {
    CALL.try_with(|call| call.progress.get().sent)
        .unwrap_or(true)
}

fn late() -> Error {
    let Wait {
        service,
        action,
        sent,
    } = CALL.with(|call| call.progress.get());
    if !sent {
        return no_credentials_in_time(service, action);
    }
    if action == NOTHING_YET {
        let late = Cause::new("TimeoutError", "nothing was sent in time");
        let reason = "the time of the call was over before it could send anything: calls of the same session that were made before it had \
                      taken it, or this process was too busy; see their errors, and try again";
        let failed = ServiceError {
            reason: Some(reason.to_owned()),
            ..ServiceError::new(service, action, Kind::Unavailable)
        };
        return failed.because(late).into();
    }
    let late = Cause::new("TimeoutError", "no answer in time");
    ServiceError::new(service, action, Kind::Unavailable)
        .because(late)
        .into()
}

/// For a call whose time was over before there were credentials; the search for them goes on.
pub(crate) fn no_credentials_in_time(service: Service, action: &'static str) -> Error {
    let late = Cause::new("TimeoutError", "no credentials in time");
    ServiceError::new(service, action, Kind::CredentialsLate)
        .because(late)
        .into()
}

impl Call {
    fn new(caller: Caller) -> Call {
        let wait = Wait {
            service: Service::DynamoDb,
            action: NOTHING_YET,
            sent: true,
        };
        Call {
            progress: Progress(Arc::new(Mutex::new(State {
                wait,
                followed: None,
            }))),
            caller,
            told: Default::default(),
        }
    }

    async fn run<T>(
        self,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let bounded = async {
            let Some(limit) = limit else {
                return work.await;
            };
            if limit.is_zero() {
                return Err(late());
            }
            // The limit is checked first. Otherwise the SDK's own deadline, which can pass at the
            // same moment, would fail all that wait for the same key.
            match select(pin!(tokio::time::sleep(limit)), pin!(work)).await {
                Either::Left(_) => Err(late()),
                Either::Right((result, _)) => result,
            }
        };
        CALL.scope(self, bounded).await
    }
}

impl Progress {
    fn get(&self) -> Wait {
        let state = self.lock();
        match state.followed.clone() {
            None => state.wait,
            Some(followed) => {
                drop(state);
                followed.get()
            }
        }
    }

    fn set(&self, wait: Wait) {
        let mut state = self.lock();
        state.wait = wait;
        state.followed = None;
    }

    fn sent(&self) {
        self.lock().wait.sent = true;
    }

    fn follow(&self, progress: Progress) {
        self.lock().followed = Some(progress);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures_util::future::poll_immediate;

    use super::*;
    use crate::requests::RequestStats;

    async fn ended(work: impl Future<Output = Result<()>>) -> Error {
        within(Some(Duration::from_millis(1)), Caller::default(), work)
            .await
            .expect_err("ended by itself")
    }

    #[tokio::test]
    async fn a_call_that_hangs_ends_with_the_code_of_what_it_waited_for() {
        let error = ended(pending()).await;
        assert_eq!(error.code(), "ERR_DYNAMODB_UNAVAILABLE");
        let error = ended(async {
            waits_for(Service::Kms, "kms:Decrypt");
            pending().await
        })
        .await;
        assert_eq!(error.code(), "ERR_KMS_UNAVAILABLE");
        assert!(error.to_string().contains("kms:Decrypt"));
        assert_eq!(error.cause().expect("a cause").name, "TimeoutError");
    }

    #[tokio::test]
    async fn a_call_without_time_does_not_begin() {
        let begun = async { panic!("it has begun") };
        let error = within::<()>(Some(Duration::ZERO), Caller::default(), begun)
            .await
            .expect_err("no time");
        assert_eq!(error.code(), "ERR_DYNAMODB_UNAVAILABLE");
    }

    #[tokio::test]
    async fn a_call_without_a_limit_ends_with_what_it_uses() {
        let requests: Arc<Requests> = Arc::default();
        let error = until::<()>(std::future::ready(()), requests.clone(), async {
            sends(Service::DynamoDb, false);
            pending().await
        })
        .await
        .expect_err("ended by itself");
        assert_eq!(error.code(), "ERR_CLOSED");
        assert_eq!(requests.read(Service::DynamoDb).sent, 1);
        let done = until(pending(), requests, async { Ok(7) }).await;
        assert_eq!(done.expect("work that ends"), 7);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_for_its_caller() {
        let error = guarded::<()>(async { panic!("a defect") }).await;
        let error = error.expect_err("a panic");
        assert_eq!(error.code(), "ERR_INTERNAL");
        assert!(!error.retryable());
        assert_eq!(guarded(async { Ok(7) }).await.expect("no panic"), 7);
    }

    #[tokio::test]
    async fn a_call_whose_request_never_left_lacked_credentials() {
        let error = ended(async {
            asks(Service::DynamoDb, "dynamodb:GetItem");
            pending().await
        })
        .await;
        assert_eq!(error.code(), "ERR_CREDENTIALS");
        assert!(error.retryable(), "the search goes on");
        let error = ended(async {
            asks(Service::DynamoDb, "dynamodb:GetItem");
            sends(Service::DynamoDb, false);
            pending().await
        })
        .await;
        assert_eq!(error.code(), "ERR_DYNAMODB_UNAVAILABLE");
    }

    #[tokio::test]
    async fn a_call_that_waits_for_work_apart_ends_with_the_code_of_what_that_waits_for() {
        let (progress, work) = apart(None, async {
            asks(Service::Kms, "kms:Decrypt");
            pending::<Result<()>>().await
        });
        let mut work = pin!(work);
        assert!(poll_immediate(&mut work).await.is_none());
        let error = ended(async {
            follow(&progress);
            pending().await
        })
        .await;
        assert_eq!(error.code(), "ERR_CREDENTIALS");
        let error = ended(async {
            follow(&progress);
            waits_for(Service::DynamoDb, "dynamodb:PutItem");
            pending().await
        })
        .await;
        assert_eq!(error.code(), "ERR_DYNAMODB_UNAVAILABLE");
    }

    #[tokio::test]
    async fn what_happens_is_told_with_the_number_of_its_call_while_somebody_looks() {
        let requests: Arc<Requests> = Arc::default();
        let told: Arc<Mutex<Vec<Event>>> = Arc::default();
        let to = told.clone();
        requests
            .observation
            .listen(move |event| to.lock().expect("no panic").push(event));
        for on in [false, true, false] {
            requests.observation.switch(on);
            let caller = Caller::new(requests.clone(), 7.0);
            let call = within(None, caller, async {
                needs_key(true);
                needs_key(true); // is known
                needs_key(false);
                beside(async { needs_key(true) }).await;
                let (_, apart) = apart(None, async {
                    needs_key(true);
                    Ok(observed().is_some())
                });
                apart.await
            });
            assert_eq!(call.await.expect("no limit"), on);
        }
        let numbers = told.lock().expect("no panic");
        let needed = |call, cached| Event::KeyNeeded { call, cached };
        assert_eq!(
            *numbers,
            [
                needed(7.0, true),
                needed(7.0, false),
                needed(0.0, true),
                needed(7.0, true)
            ]
        );
    }

    #[tokio::test]
    async fn what_is_sent_is_counted_also_beside_the_call() {
        let requests: Arc<Requests> = Arc::default();
        let call = within(None, requests.clone(), async {
            sends(Service::DynamoDb, false);
            sends(Service::DynamoDb, true);
            beside(async { sends(Service::Kms, false) }).await;
            Ok(())
        });
        call.await.expect("no limit");
        sends(Service::Kms, false); // of no call
        let counted = |sent, retries| RequestStats { sent, retries };
        assert_eq!(requests.read(Service::DynamoDb), counted(2, 1));
        assert_eq!(requests.read(Service::Kms), counted(1, 0));
    }
}
