//! What JavaScript holds of the native side: calls run on it until it is closed.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use napi::bindgen_prelude::{FnArgs, Function, ToNapiValue};
use napi::{Env, Result as NapiResult};

use super::objects::Failure;
use super::replies::{Replies, Reply, Slot, reply};
use crate::call::{self, Caller};
use crate::closable::{Closable, InUse};
use crate::error::Result;
use crate::requests::Requests;

/// A store or an envelope, with the calls that run on it.
pub(super) struct Host<H> {
    hosted: Closable<H>,
    replies: Arc<Replies>,
    pub(super) requests: Arc<Requests>,
    /// The deadline of a call.
    call_timeout: Option<Duration>,
}

impl<H: Send + Sync + 'static> Host<H> {
    /// `deliver` is called with the replies, as [`Replies::to`] says.
    pub(super) fn new(
        hosted: H,
        call_timeout: Option<Duration>,
        deliver: &Function<'_, FnArgs<(Vec<Slot>,)>, ()>,
    ) -> NapiResult<Host<H>> {
        let replies = Replies::to(deliver)?;
        let requests: Arc<Requests> = Arc::default();
        let to = Arc::downgrade(&replies);
        requests.observation.listen(move |event| {
            if let Some(replies) = to.upgrade() {
                replies.tell(event);
            }
        });
        Ok(Host {
            hosted: Closable::new(hosted),
            replies,
            requests,
            call_timeout,
        })
    }

    /// For one call. It counts as in flight as soon as this is made, also if `close` follows at
    /// once.
    pub(super) fn enter(&self) -> Result<InUse<H>> {
        self.hosted.enter()
    }

    /// From now on, calls without a deadline have that of a call.
    pub(super) fn begin_close(&self) {
        self.hosted.begin_close();
    }

    /// Starts `close` with what is hosted, when all calls have ended. It must end when the future
    /// that it gets resolves.
    pub(super) fn close<F>(
        &self,
        env: Env,
        call: f64,
        close: impl FnOnce(H, BoxedMoment) -> F + Send + 'static,
    ) -> NapiResult<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let closed = self.hosted.close();
        let last: BoxedMoment = Box::pin(self.last_moment());
        self.start(env, call, async move {
            if let Some(hosted) = closed.await {
                close(hosted, last).await;
            }
            Ok(())
        })
    }

    /// Starts a call that ends at its deadline.
    pub(super) fn run<T, F>(
        &self,
        env: Env,
        call: f64,
        work: impl FnOnce(InUse<H>) -> F,
    ) -> NapiResult<()>
    where
        T: ToNapiValue + Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.run_within(self.call_timeout, env, call, work)
    }

    /// Starts a call that ends after `limit`.
    pub(super) fn run_within<T, F>(
        &self,
        limit: Option<Duration>,
        env: Env,
        call: f64,
        work: impl FnOnce(InUse<H>) -> F,
    ) -> NapiResult<()>
    where
        T: ToNapiValue + Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let work = self
            .enter()
            .map(|entered| work(entered).map_ok(reply).boxed());
        let work = self.within(limit, call, work);
        self.replies.run(env, call, answered(work).boxed())
    }

    /// A call that ends after `limit`.
    pub(super) fn within<T: Send + 'static>(
        &self,
        limit: Option<Duration>,
        call: f64,
        work: Result<BoxFuture<'static, Result<T>>>,
    ) -> impl Future<Output = Result<T>> + Send + use<T, H> {
        let caller = self.caller(call);
        async move { call::within(limit, caller, work?).await }
    }

    /// Starts a call that reads the whole table. It can take long and has no deadline of its own:
    /// each of its requests has one, and so has the whole call once the store is being closed.
    pub(super) fn run_while_open<T, F>(
        &self,
        env: Env,
        call: f64,
        work: impl FnOnce(InUse<H>) -> F,
    ) -> NapiResult<()>
    where
        T: ToNapiValue + Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let work = self
            .enter()
            .map(|entered| work(entered).map_ok(reply).boxed());
        let (last, caller) = (self.last_moment(), self.caller(call));
        let work = async move { call::until(last, caller, work?).await };
        self.replies.run(env, call, answered(work).boxed())
    }

    fn caller(&self, call: f64) -> Caller {
        Caller::new(self.requests.clone(), call)
    }

    /// Starts work and delivers its result.
    pub(super) fn start<T: ToNapiValue + Send + 'static>(
        &self,
        env: Env,
        call: f64,
        work: impl Future<Output = std::result::Result<T, Failure>> + Send + 'static,
    ) -> NapiResult<()> {
        let work = work.map(|ended| ended.map_or_else(reply, reply));
        self.replies.run(env, call, work.boxed())
    }

    /// How much of its deadline is left to a call that has waited for its turn.
    pub(super) fn left(&self, waited: Option<f64>) -> Option<Duration> {
        let waited = Duration::try_from_secs_f64(waited.unwrap_or(0.0) / 1000.0);
        self.call_timeout
            .map(|limit| limit.saturating_sub(waited.unwrap_or_default()))
    }

    /// Resolves when closing has lasted as long as the deadline of one call.
    fn last_moment(&self) -> impl Future<Output = ()> + Send + use<H> {
        let (closing, limit) = (self.hosted.closing(), self.call_timeout);
        async move {
            let since = closing.await;
            match limit {
                Some(limit) => tokio::time::sleep_until(since + limit).await,
                None => pending().await,
            }
        }
    }
}

/// The moment at which closing ends in any case.
pub(super) type BoxedMoment = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// The reply of a call, or the data of its failure.
async fn answered(work: impl Future<Output = Result<Reply>>) -> Reply {
    work.await
        .unwrap_or_else(|error| reply(Failure::from(error)))
}
