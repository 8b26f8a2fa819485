//! One run of a command: how far it is, whether it was told to stop, and how it goes on after
//! failures that pass.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::Progress;

use crate::error::{Error, Kind, Result};

/// Why a command ended before its work was done. What it has done so far stays done.
#[derive(Debug)]
pub enum Halt {
    /// It was told to stop.
    Stopped,
    /// A call failed, and others would fail as well.
    Failed(Error),
}

/// The result of work that can be told to stop.
pub type Ran<T> = std::result::Result<T, Halt>;

impl From<Error> for Halt {
    fn from(error: Error) -> Halt {
        Halt::Failed(error)
    }
}

/// The error that ended a command, in its report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Its code.
    pub code: String,
    /// What went wrong, and what to do.
    pub detail: String,
    /// What AWS said.
    pub cause: Option<String>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed {
            code: error.code().to_owned(),
            detail: error.to_string(),
            cause: error.cause().map(ToString::to_string),
        }
    }
}

/// How a command ended that did not do all its work: whether it was told to stop, or its error.
#[must_use]
pub fn ending(halt: Halt) -> (bool, Option<Failed>) {
    match halt {
        Halt::Stopped => (true, None),
        Halt::Failed(error) => (false, Some(error.into())),
    }
}

/// The first wait before a failed call is repeated. Each wait is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How often a call is repeated that fails because a service is unavailable: about two minutes. A
/// call that is throttled is repeated for as long as it takes.
const REPETITIONS: u32 = 16;

/// One run of a command.
#[derive(Default)]
pub struct Run {
    /// How far it is, and whether it is to stop.
    pub progress: Arc<Progress>,
}

impl Run {
    /// Whether it was told to stop.
    ///
    /// # Errors
    /// [`Halt::Stopped`].
    pub fn go_on(&self) -> Ran<()> {
        if self.progress.stopped() {
            Err(Halt::Stopped)
        } else {
            Ok(())
        }
    }

    /// Waits for `work`, unless it is told to stop before.
    ///
    /// # Errors
    /// [`Halt::Stopped`].
    pub async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Ran<T> {
        tokio::select! {
            biased;
            () = self.progress.until_stopped() => Err(Halt::Stopped),
            done = work => Ok(done),
        }
    }

    /// Repeats a call while it fails for a reason that passes.
    ///
    /// # Errors
    /// The last error of the call; [`Halt::Stopped`].
    pub async fn patiently<T, F>(&self, mut call: impl FnMut() -> F) -> Ran<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut wait = FIRST_WAIT;
        let mut unavailable = 0;
        loop {
            self.go_on()?;
            let error = match call().await {
                Ok(value) => {
                    self.progress.waits_for(None);
                    return Ok(value);
                }
                Err(error) => error,
            };
            if error.kind() != Some(Kind::Throttled) {
                unavailable += 1;
                if !error.retryable() || unavailable > REPETITIONS {
                    return Err(Halt::Failed(error));
                }
            }
            self.progress.waits_for(Some(error.code()));
            // Calls that were throttled at the same moment are repeated at different ones.
            let jitter = 0.5 + rand::random::<f64>() / 2.0;
            let pause = tokio::time::sleep(wait.mul_f64(jitter));
            self.unless_stopped(pause).await?;
            wait = LONGEST_WAIT.min(wait * 2);
        }
    }
}
