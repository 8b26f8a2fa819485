//! Delivers replies to JavaScript in batches. Each call has a number. Its reply goes into a batch,
//! and JavaScript's thread is woken once for all replies in it. A promise of napi's own would cost
//! a thread-safe function, a second task and a wake-up for every call.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use napi::bindgen_prelude::{FnArgs, Function, JsError, ToNapiValue};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result as NapiResult, Status, sys};

use super::objects::{Failure, Observed};
use super::runtime::spawn;
use crate::error::Error;
use crate::observation::Event;

/// Precedes what is no reply, but happened in a call. Calls are numbered from 1.
const NO_CALL: f64 = 0.0;

/// Collects replies, and wakes JavaScript for them.
pub(super) struct Replies {
    ready: Arc<Mutex<Vec<Slot>>>,
    waker: Mutex<Waker>,
}

struct Waker {
    deliver: Deliver,
    /// While there are any, the process stays alive.
    in_flight: usize,
}

type Arguments = FnArgs<(Vec<Slot>,)>;
/// Weak: an idle store does not keep the process alive.
type Deliver = ThreadsafeFunction<(), (), Arguments, Status, false, true>;

/// An element of the array that JavaScript gets: the number of a call, or the reply that follows
/// it. What happened in a call comes before the reply, as the reply to the call [`NO_CALL`].
pub(crate) enum Slot {
    Call(f64),
    Reply(Reply),
}

/// What a call is answered with, of whatever type. With it all calls are of one type, so that the
/// code that runs them is compiled once and not for every method.
pub(crate) type Reply = Box<dyn FnOnce(sys::napi_env) -> NapiResult<sys::napi_value> + Send>;

/// Makes JavaScript's value when the reply is delivered.
pub(super) fn reply<T: ToNapiValue + Send + 'static>(value: T) -> Reply {
    // SAFETY: the environment of JavaScript's thread, which delivers the reply.
    Box::new(move |env| unsafe { T::to_napi_value(env, value) })
}

impl Slot {
    fn ends_call(&self) -> bool {
        matches!(self, Slot::Call(number) if *number > NO_CALL)
    }
}

impl ToNapiValue for Slot {
    /// A reply that cannot be converted becomes an `Error`, so that the rest of the batch is
    /// delivered.
    unsafe fn to_napi_value(env: sys::napi_env, slot: Slot) -> NapiResult<sys::napi_value> {
        // SAFETY: the environment of this very call, passed through.
        unsafe {
            match slot {
                Slot::Call(number) => f64::to_napi_value(env, number),
                Slot::Reply(reply) => {
                    Ok(reply(env).unwrap_or_else(|error| JsError::from(error).into_value(env)))
                }
            }
        }
    }
}

impl Replies {
    /// `deliver` is called with an array: the number of a call, its reply, and so on; the number 0
    /// with what happened in calls while they are observed ([`Observed`]). It must not throw, and must not hold a reference to the store.
    pub(super) fn to(deliver: &Function<'_, Arguments, ()>) -> NapiResult<Arc<Replies>> {
        let ready: Arc<Mutex<Vec<Slot>>> = Arc::default();
        let itself: Arc<OnceLock<Weak<Replies>>> = Arc::default();
        let (batch, owner) = (ready.clone(), itself.clone());
        let deliver = deliver
            .build_threadsafe_function::<()>()
            .weak::<true>()
            .build_callback(move |context| {
                let slots = std::mem::take(&mut *lock(&batch));
                let ended = slots.iter().filter(|slot| slot.ends_call()).count();
                if let Some(replies) = owner.get().and_then(Weak::upgrade) {
                    replies.end(context.env, ended)?;
                }
                Ok(FnArgs::from((slots,)))
            })?;
        let replies = Arc::new(Replies {
            ready,
            waker: Mutex::new(Waker {
                deliver,
                in_flight: 0,
            }),
        });
        let _ = itself.set(Arc::downgrade(&replies));
        Ok(replies)
    }

    /// Runs a call on the runtime and delivers its reply.
    pub(super) fn run(
        self: &Arc<Self>,
        env: Env,
        call: f64,
        work: BoxFuture<'static, Reply>,
    ) -> NapiResult<()> {
        self.begin(env)?;
        let replies = self.clone();
        let started = spawn(async move {
            let ended = AssertUnwindSafe(work).catch_unwind().await;
            let failed = |_| reply(Failure::from(Error::Internal));
            replies.deliver(call, ended.unwrap_or_else(failed));
        });
        if started.is_err() {
            self.end(env, 1)?;
        }
        started
    }

    /// Delivers what happened in a call.
    pub(super) fn tell(&self, event: Event) {
        self.deliver(NO_CALL, reply(Observed::from(event)));
    }

    fn deliver(&self, call: f64, reply: Reply) {
        let first = {
            let mut ready = lock(&self.ready);
            let first = ready.is_empty();
            ready.extend([Slot::Call(call), Slot::Reply(reply)]);
            first
        };
        if first {
            // Refused only while the environment ends. Nobody waits for replies then.
            lock(&self.waker)
                .deliver
                .call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    #[allow(deprecated)] // there is no other way to keep a process alive for as long as calls are in flight
    fn begin(&self, env: Env) -> NapiResult<()> {
        let mut waker = lock(&self.waker);
        waker.in_flight += 1;
        if waker.in_flight == 1 {
            waker.deliver.refer(&env)?;
        }
        Ok(())
    }

    #[allow(deprecated)] // as above
    fn end(&self, env: Env, calls: usize) -> NapiResult<()> {
        let mut waker = lock(&self.waker);
        waker.in_flight -= calls;
        if waker.in_flight == 0 {
            waker.deliver.unref(&env)?;
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
