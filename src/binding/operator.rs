//! The operator's command as Node.js sees it. Reports cross as JSON: the command prints them so.

use std::sync::Arc;

use napi::bindgen_prelude::{Either, FnArgs, Function};
use napi::{Env, Result as NapiResult};
use napi_derive::napi;
use serde::Serialize;

use super::host::Host;
use super::objects::Failure;
use super::replies::Slot;
use super::{Variables, environment};
use crate::assembly;
use crate::config::StoreConfig;
use crate::error::{Error, Result};
use crate::operator::{Operator, Progress};

/// An operator that JavaScript holds.
#[napi]
pub struct NativeOperator {
    pub(super) host: Host<Operator>,
    pub(super) progress: Arc<Progress>,
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
pub(super) fn report<T: Serialize>(result: Result<T>) -> Result<String> {
    serde_json::to_string(&result?).map_err(|_| Error::Internal)
}

/// `call` is the number that the reply is delivered with. Every reply is a report in JSON.
#[napi]
impl NativeOperator {
    /// Where requests go. In JSON, as all replies.
    #[napi(catch_unwind)]
    pub fn place(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.run(env, call, |operator| async move {
            report(operator.infrastructure.place().await)
        })
    }

    /// Whether the table's service answers, how fast, and what its clock says.
    #[napi(catch_unwind)]
    pub fn reach(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.run(env, call, |operator| async move {
            report(operator.infrastructure.reach().await)
        })
    }

    /// Whose credentials they are, or `null`.
    #[napi(catch_unwind)]
    pub fn caller(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.run(env, call, |operator| async move {
            report(operator.infrastructure.caller().await)
        })
    }

    /// The table, or `null`.
    #[napi(catch_unwind)]
    pub fn table(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.run(env, call, |operator| async move {
            report(operator.infrastructure.table().await)
        })
    }

    /// The table of this name in the region of the first key, or `null`.
    #[napi(catch_unwind)]
    pub fn table_beside_key(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.run(env, call, |operator| async move {
            report(operator.infrastructure.table_beside_key().await)
        })
    }

    #[napi(catch_unwind)]
    pub fn time_to_live(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.run(env, call, |operator| async move {
            report(operator.infrastructure.time_to_live().await)
        })
    }

    /// Whether point-in-time recovery is on.
    #[napi(catch_unwind)]
    pub fn recovery(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.run(env, call, |operator| async move {
            report(operator.infrastructure.recovery().await)
        })
    }

    /// The key at a place of `kmsKeyArn`.
    #[napi(catch_unwind)]
    pub fn key(&self, env: Env, call: f64, index: u32) -> NapiResult<()> {
        self.host.run(env, call, move |operator| async move {
            report(operator.infrastructure.key(index as usize).await)
        })
    }

    /// Tries an IAM action, with the encryption context of the records or with the other one.
    #[napi(catch_unwind)]
    pub fn probe(&self, env: Env, call: f64, action: String, in_context: bool) -> NapiResult<()> {
        self.host.run(env, call, move |operator| async move {
            report(operator.probe(&action, in_context).await)
        })
    }

    /// Tries to unwrap with a key that is not the first.
    #[napi(catch_unwind)]
    pub fn probe_older_key(&self, env: Env, call: f64, index: u32) -> NapiResult<()> {
        self.host.run(env, call, move |operator| async move {
            report(operator.probe_older_key(index as usize).await)
        })
    }

    /// Makes the table. `wanted` is JSON.
    #[napi(catch_unwind)]
    pub fn create_table(&self, env: Env, call: f64, wanted: String) -> NapiResult<()> {
        self.host.run(env, call, move |operator| async move {
            let wanted = serde_json::from_str(&wanted);
            let wanted = wanted.map_err(|error| Error::Config(error.to_string()))?;
            report(operator.infrastructure.create_table(&wanted).await)
        })
    }

    #[napi(catch_unwind)]
    pub fn enable_time_to_live(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.run(env, call, |operator| async move {
            report(operator.infrastructure.enable_time_to_live().await)
        })
    }

    /// Switches point-in-time recovery on.
    #[napi(catch_unwind)]
    pub fn enable_recovery(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.run(env, call, |operator| async move {
            report(operator.infrastructure.enable_recovery().await)
        })
    }

    /// Switches deletion protection on.
    #[napi(catch_unwind)]
    pub fn enable_protection(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.run(env, call, |operator| async move {
            report(operator.infrastructure.enable_protection().await)
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
