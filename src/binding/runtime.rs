//! The threads that calls run on, at most as many as are set here, in every environment (main or
//! worker thread) that loads the addon. napi's own runtime applies such limits only to the first
//! environment, and makes a runtime without limits if another one loads the addon later.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use napi::bindgen_prelude::{
    AsyncRuntime, AsyncRuntimeRejection, AsyncRuntimeTask, register_async_runtime,
};
use napi::{Error as NapiError, Result as NapiResult};
use tokio::runtime::{Builder, Runtime};

/// Two threads keep the sockets and the cipher busy without crowding out the main thread on small
/// machines.
const THREADS: usize = 2;
/// For name look-ups, credential files, and the file of local mode.
const BLOCKING_THREADS: usize = 8;
/// How long the end of the last environment waits for running work.
const SHUTDOWN: Duration = Duration::from_secs(1);

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

/// Registers the runtime with napi, which keeps the addon's image in memory from then on.
pub(super) fn register() {
    register_async_runtime(Threads);
}

/// Runs a call on the runtime.
pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> NapiResult<()> {
    match &*runtime() {
        Some(runtime) => {
            runtime.spawn(work);
            Ok(())
        }
        None => Err(stopped()),
    }
}

struct Threads;

// SAFETY: registration pins the addon's image, so anything that a task leaves behind (a busy
// thread, a waker) cannot outlive its code.
unsafe impl AsyncRuntime for Threads {
    fn spawn(&self, task: AsyncRuntimeTask) -> Result<(), AsyncRuntimeRejection<AsyncRuntimeTask>> {
        match &*runtime() {
            Some(runtime) => {
                runtime.spawn(task);
                Ok(())
            }
            None => Err(AsyncRuntimeRejection::new(task, stopped())),
        }
    }

    fn block_on(&self, future: Pin<&mut dyn Future<Output = ()>>) -> NapiResult<()> {
        let handle = runtime().as_ref().map(|runtime| runtime.handle().clone());
        handle.ok_or_else(stopped)?.block_on(future);
        Ok(())
    }

    fn start(&self) -> NapiResult<()> {
        let mut runtime = runtime();
        if runtime.is_none() {
            let started = Builder::new_multi_thread()
                .worker_threads(THREADS)
                .max_blocking_threads(BLOCKING_THREADS)
                .thread_name("connect-dynamodb-kms")
                .enable_all()
                .build()
                .map_err(|error| NapiError::from_reason(error.to_string()))?;
            *runtime = Some(started);
        }
        Ok(())
    }

    fn shutdown(&self) -> NapiResult<()> {
        let ended = runtime().take();
        if let Some(runtime) = ended {
            runtime.shutdown_timeout(SHUTDOWN);
        }
        Ok(())
    }
}

fn runtime() -> MutexGuard<'static, Option<Runtime>> {
    RUNTIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stopped() -> NapiError {
    NapiError::from_reason("the runtime of connect-dynamodb-kms has ended")
}
