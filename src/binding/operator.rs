//! The operator's command as Node.js sees it. Reports cross as JSON: the command prints them so.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use napi::bindgen_prelude::{Either, FnArgs, Function};
use napi::{Env, Result as NapiResult};
use napi_derive::napi;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::host::Host;
use super::objects::Failure;
use super::replies::Slot;
use super::{Variables, environment};
use crate::assembly;
use crate::config::StoreConfig;
use crate::error::{Error, Result};
use crate::operator::reseal::reseal;
use crate::operator::run::Run;
use crate::operator::survey::survey;
use crate::operator::{Operator, Progress};
use crate::time::EpochMillis;

/// An operator that JavaScript holds.
#[napi]
pub struct NativeOperator {
    host: Host<Operator>,
    progress: Arc<Progress>,
}

/// Checks the options (JSON), which are those of a store, and makes an operator; does no I/O.
/// `deliver` is as for `openStore`.
#[napi(
    catch_unwind,
    ts_args_type = "options: string, variables: Record<string, string>, deliver: (replies: unknown[]) => void"
)]
#[allow(clippy::needless_pass_by_value, clippy::implicit_hasher)] // napi hands over what it made
pub fn open_operator(
    options: String,
    variables: Variables,
    deliver: Function<'_, FnArgs<(Vec<Slot>,)>, ()>,
) -> NapiResult<Either<NativeOperator, Failure>> {
    let opened = StoreConfig::parse(&options, &environment(&variables)).and_then(|config| {
        let call_timeout = config.call_timeout();
        Ok((assembly::operator(config)?, call_timeout))
    });
    Ok(match opened {
        Ok((operator, call_timeout)) => Either::A(NativeOperator {
            progress: operator.progress.clone(),
            host: Host::new(operator, call_timeout, &deliver)?,
        }),
        Err(error) => Either::B(error.into()),
    })
}

/// A report as JSON.
fn report<T: Serialize>(result: Result<T>) -> Result<String> {
    serde_json::to_string(&result?).map_err(|_| Error::Internal)
}

/// The options of an operation, which come as JSON.
fn given<T: DeserializeOwned>(options: &str) -> Result<T> {
    serde_json::from_str(options).map_err(|error| Error::Config(error.to_string()))
}

/// The clock of operations that take long.
fn clock() -> EpochMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    EpochMillis(since.unwrap_or_default().as_secs_f64() * 1000.0)
}

impl NativeOperator {
    fn begin(&self) -> Run {
        Run {
            progress: self.progress.clone(),
        }
    }
}

/// `call` is the number that the reply is delivered with. Every reply is a report in JSON.
#[napi]
impl NativeOperator {
    /// The table, or `null`.
    #[napi(catch_unwind)]
    pub fn table(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.run(env, call, |operator| async move {
            report(operator.describe_table().await)
        })
    }

    /// `options` is `SurveyOptions` in JSON.
    #[napi(catch_unwind)]
    pub fn survey(&self, env: Env, call: f64, options: String) -> NapiResult<()> {
        let run = self.begin();
        self.host
            .run_while_open(env, call, move |operator| async move {
                let options = given(&options)?;
                report(Ok(survey(&run, &operator.store, options, clock).await))
            })
    }

    /// `options` is `ResealOptions` in JSON.
    #[napi(catch_unwind)]
    pub fn reseal(&self, env: Env, call: f64, options: String) -> NapiResult<()> {
        let run = self.begin();
        self.host
            .run_while_open(env, call, move |operator| async move {
                let options = given(&options)?;
                report(Ok(reseal(&run, &operator.store, options, clock).await))
            })
    }

    /// How far the operation is that runs, in JSON.
    #[napi(catch_unwind)]
    pub fn progress(&self) -> String {
        report(Ok(self.progress.read())).unwrap_or_default()
    }

    /// Asks the operation that runs to end in order.
    #[napi(catch_unwind)]
    pub fn stop(&self) {
        self.progress.stop();
    }

    #[napi(catch_unwind)]
    pub fn close(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.begin_close();
        self.host.close(env, call, |operator, last| async move {
            operator.store.close(last).await;
        })
    }
}
