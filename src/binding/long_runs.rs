//! The commands that work on sessions. Options and reports cross as JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use napi::{Env, Result as NapiResult};
use napi_derive::napi;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::operator::{NativeOperator, report};
use crate::error::{Error, Result};
use crate::operator::destroy::{destroy, destroy_many};
use crate::operator::import::{ImportOptions, import_lines, import_table};
use crate::operator::list::list;
use crate::operator::reseal::reseal;
use crate::operator::run::Run;
use crate::operator::sample::sample;
use crate::operator::show::show;
use crate::operator::survey::survey;
use crate::operator::users::list_user;
use crate::time::EpochMillis;

/// The options of an operation.
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

/// The table of another store, and how to take its sessions over.
#[derive(Deserialize)]
struct FromTable {
    table: String,
    #[serde(flatten)]
    options: ImportOptions,
}

#[napi]
impl NativeOperator {
    /// `options` is `SurveyOptions`.
    #[napi(catch_unwind)]
    pub fn survey(&self, env: Env, call: f64, options: String) -> NapiResult<()> {
        let run = self.begin();
        self.host
            .run_while_open(env, call, move |operator| async move {
                let options = given(&options)?;
                report(Ok(survey(&run, &operator.store, options, clock).await))
            })
    }

    /// `options` is `ResealOptions`.
    #[napi(catch_unwind)]
    pub fn reseal(&self, env: Env, call: f64, options: String) -> NapiResult<()> {
        let run = self.begin();
        self.host
            .run_while_open(env, call, move |operator| async move {
                let options = given(&options)?;
                report(Ok(reseal(&run, &operator.store, options, clock).await))
            })
    }

    /// A few items of the table, counted, and whether some of the sessions can be opened.
    #[napi(catch_unwind)]
    pub fn sample(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.run(env, call, |operator| async move {
            report(sample(&operator, clock()).await)
        })
    }

    /// The record of a session, or `null`.
    #[napi(catch_unwind)]
    pub fn show(&self, env: Env, call: f64, sid: String, reveal: bool) -> NapiResult<()> {
        self.host.run(env, call, move |operator| async move {
            report(show(&operator.store, &sid, reveal, clock()).await)
        })
    }

    /// `options` is `ListOptions`.
    #[napi(catch_unwind)]
    pub fn list(&self, env: Env, call: f64, options: String) -> NapiResult<()> {
        let run = self.begin();
        self.host
            .run_while_open(env, call, move |operator| async move {
                let options = given(&options)?;
                report(Ok(list(&run, &operator.store, options, clock()).await))
            })
    }

    /// Whether there was a record of the session.
    #[napi(catch_unwind)]
    pub fn destroy(&self, env: Env, call: f64, sid: String) -> NapiResult<()> {
        self.host.run(env, call, move |operator| async move {
            report(destroy(&operator.store, &sid, clock()).await)
        })
    }

    /// `options` is `DestroyOptions`.
    #[napi(catch_unwind)]
    pub fn destroy_many(&self, env: Env, call: f64, options: String) -> NapiResult<()> {
        let run = self.begin();
        self.host
            .run_while_open(env, call, move |operator| async move {
                let options = given(&options)?;
                report(Ok(destroy_many(&run, &operator.store, options, clock).await))
            })
    }

    /// `options` is `UserOptions`.
    #[napi(catch_unwind)]
    pub fn list_user(&self, env: Env, call: f64, options: String) -> NapiResult<()> {
        self.host.run(env, call, move |operator| async move {
            report(list_user(&operator.store, &given(&options)?, clock()).await)
        })
    }

    /// How many sessions the user had.
    #[napi(catch_unwind)]
    pub fn destroy_user(&self, env: Env, call: f64, user: String) -> NapiResult<()> {
        self.host.run(env, call, move |operator| async move {
            report(operator.store.destroy_all_of(&user, None, clock()).await)
        })
    }

    /// `options` is `ImportOptions` and `table`.
    #[napi(catch_unwind)]
    pub fn import_table(&self, env: Env, call: f64, options: String) -> NapiResult<()> {
        let run = self.begin();
        self.host
            .run_while_open(env, call, move |operator| async move {
                let FromTable { table, options } = given(&options)?;
                let source = operator.infrastructure.source(&table, &options.layout.key);
                let Some(source) = source else {
                    return Err(Error::Config(
                        "local mode takes no tables over, only files of JSON lines".into(),
                    ));
                };
                let (store, lifetime) = (&operator.store, operator.lifetime);
                let source = source.as_ref();
                let imported = import_table(&run, store, lifetime, source, options, clock);
                report(Ok(imported.await))
            })
    }

    /// `options` is `LineOptions`, with some of the lines. The bound on write units of the first call holds for all.
    #[napi(catch_unwind)]
    pub fn import_lines(&self, env: Env, call: f64, options: String) -> NapiResult<()> {
        let run = self.begin();
        self.host
            .run_while_open(env, call, move |operator| async move {
                let options = given(&options)?;
                let (store, lifetime) = (&operator.store, operator.lifetime);
                let pace = &operator.pace;
                let imported = import_lines(&run, store, lifetime, pace, options, clock);
                report(Ok(imported.await))
            })
    }
}
