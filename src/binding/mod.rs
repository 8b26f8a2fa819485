//! What Node.js sees: arguments in, replies and error data out. Everything else is in the other
//! modules.
//!
//! A failure is a value ([`Failure`]), never a rejected promise, because napi's errors cannot carry
//! the store's codes. The facade (`lib/`) turns it into a `SessionStoreError`.

mod envelope;
mod host;
mod listed;
mod long_runs;
mod objects;
mod operator;
mod replies;
mod runtime;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::{FutureExt, TryFutureExt};
use napi::bindgen_prelude::{Either, FnArgs, Function};
use napi::{Env, Result as NapiResult};
use napi_derive::napi;

use host::Host;
use listed::{ListedSessions, SessionPage};
use objects::{
    Failure, KeyCacheStats, KnownSession, LeaseReply, RequestStats, SaveReply, Session,
    StoredRecord,
};
use replies::Slot;

use crate::assembly;
use crate::call;
use crate::closable::InUse;
use crate::config::{DEFAULT_REGION, Environment, StoreConfig};
use crate::crypto::plaintext::Plaintext;
use crate::error::{Error, Result};
use crate::keys::cache::{CacheCounters, Clock};
use crate::record::kind::Kind;
use crate::record::mark::{Content, Mark, cookie_hash};
use crate::store::{
    Attempt, Comparison, End, Known, Lifetime, Lookup, OnConflict, Outlook, Save, SessionStore,
    SessionUser,
};
use crate::time::EpochMillis;

#[napi_derive::module_init]
fn start() {
    runtime::register();
}

/// The constants that the environment can override.
#[napi(object, object_from_js = false)]
pub struct Defaults {
    pub kms_key_arn: String,
    pub sessions_table: String,
    pub aws_region: String,
}

/// The environment's variables by name, as the calling thread of JavaScript has them: a worker may have an environment of its own.
type Variables = HashMap<String, String>;

fn environment(variables: &Variables) -> Environment {
    Environment::new(|name| variables.get(name).cloned())
}

/// `KMS_KEY_ARN`, `SESSIONS_TABLE` and `AWS_REGION`, or their defaults.
#[napi(catch_unwind)]
#[allow(clippy::needless_pass_by_value, clippy::implicit_hasher)] // napi hands over what it made
pub fn defaults(variables: Variables) -> Defaults {
    let environment = environment(&variables);
    Defaults {
        kms_key_arn: environment.key_arn,
        sessions_table: environment.table,
        aws_region: environment.region.unwrap_or_else(|| DEFAULT_REGION.into()),
    }
}

type Reply<T> = NapiResult<Either<T, Failure>>;

#[allow(clippy::unnecessary_wraps)] // napi makes a promise only of a Result
fn reply<T, U>(result: Result<T>, convert: impl FnOnce(T) -> U) -> Reply<U> {
    Ok(match result {
        Ok(value) => Either::A(convert(value)),
        Err(error) => Either::B(error.into()),
    })
}

fn found(lookup: Lookup) -> Option<Session> {
    match lookup {
        Lookup::Missing => None,
        Lookup::Ended => Some(Session::ended()),
        Lookup::Found(session) => Some(session.into()),
    }
}

/// Whose session it is: nobody's if `false`; not said if left out. (`null` would be the same as left
/// out.)
fn session_user(store: &SessionStore, user: Option<Either<String, bool>>) -> Result<SessionUser> {
    match user {
        None => Ok(SessionUser::Unasked),
        Some(Either::A(user)) => store.session_user(Some(&user)),
        Some(Either::B(_)) => store.session_user(None),
    }
}

/// A store that JavaScript holds.
#[napi]
pub struct NativeStore {
    host: Host<SessionStore>,
    cache_counters: CacheCounters,
    lifetime: Lifetime,
}

/// Checks the options (JSON) and makes a store; does no I/O. `deliver` is called with the replies
/// to its calls, as an array: the number of a call, its reply, and so on. It must not throw. It
/// must not hold a reference to the store, or neither is ever freed. `items` makes a store of items
/// that are no sessions.
#[napi(
    catch_unwind,
    ts_args_type = "options: string, variables: Record<string, string>, deliver: (replies: unknown[]) => void, items?: boolean"
)]
#[allow(clippy::needless_pass_by_value, clippy::implicit_hasher)] // napi hands over what it made
pub fn open_store(
    options: String,
    variables: Variables,
    deliver: Function<'_, FnArgs<(Vec<Slot>,)>, ()>,
    items: Option<bool>,
) -> NapiResult<Either<NativeStore, Failure>> {
    let opened = StoreConfig::parse(&options, &environment(&variables)).and_then(|mut config| {
        if items == Some(true) {
            config.kind = Kind::Item;
        }
        let (lifetime, call_timeout) = (config.lifetime, config.call_timeout());
        Ok((assembly::session_store(config)?, lifetime, call_timeout))
    });
    Ok(match opened {
        Ok((store, lifetime, call_timeout)) => Either::A(NativeStore {
            cache_counters: store.cache_counters(),
            host: Host::new(store, call_timeout, &deliver)?,
            lifetime,
        }),
        Err(error) => Either::B(error.into()),
    })
}

/// Whether a session's JSON has the content that `mark` is of, ignoring the cookie's expiry. It
/// hashes off JavaScript's thread, which a large session would block.
#[napi]
pub async fn holds_content(mark: String, json: String) -> Reply<bool> {
    let json = Plaintext::new(json.into_bytes());
    let compared = call::guarded(async {
        Ok(Mark::decode(&mark).is_ok_and(|mark| Content::of(&json) == mark.content))
    });
    reply(compared.await, |same| same)
}

/// Whether this is the first call with this text in the process, in any of its threads. Used for
/// warnings that are given once a process.
#[napi(catch_unwind)]
pub fn first_in_process(text: String) -> bool {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    said.insert(text)
}

/// For tests: advances the clock of the ages of cached data keys and of the revocation checks. The
/// clock never goes back, so keys can only leave sooner.
#[napi(catch_unwind)]
pub fn turn_key_clock(seconds: f64) {
    if let Ok(by) = Duration::try_from_secs_f64(seconds) {
        Clock::of_process().turn(by);
    }
}

/// `call` is the number that the reply is delivered with. `now` and `cookie_expires` are epoch
/// milliseconds. `ttl_seconds` overrides the configured value. `waited` is how many milliseconds of
/// its deadline the call has already spent waiting for other calls. `user` is the id of the session's
/// user, `false` if it has none, and left out if the store does not know users.
#[napi]
impl NativeStore {
    #[napi(catch_unwind)]
    pub fn get(
        &self,
        env: Env,
        call: f64,
        sid: String,
        now: f64,
        waited: Option<f64>,
    ) -> NapiResult<()> {
        self.host
            .run_within(self.host.left(waited), env, call, move |store| async move {
                Ok(found(store.get(&sid, EpochMillis(now)).await?))
            })
    }

    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments)] // an object of them would cost a look-up for each
    pub fn set(
        &self,
        env: Env,
        call: f64,
        sid: String,
        json: String,
        now: f64,
        ttl_seconds: Option<f64>,
        cookie_expires: Option<f64>,
        known: Option<KnownSession>,
        waited: Option<f64>,
        user: Option<Either<String, bool>>,
    ) -> NapiResult<()> {
        let json = Plaintext::new(json.into_bytes());
        let end = self.end(now, ttl_seconds, cookie_expires);
        let attempt = Attempt::default();
        let sent = attempt.clone();
        let save = |store: InUse<SessionStore>| async move {
            let keep_end = known.as_ref().and_then(|known| known.keep_end) == Some(true);
            let strict = known.as_ref().and_then(|known| known.strict) == Some(true);
            let known = known.map_or(Ok(Known::Nothing), KnownSession::baseline)?;
            let save = Save {
                sid,
                json,
                user: session_user(&store, user)?,
                now: EpochMillis(now),
                end: match &known {
                    Known::Record { mark, ends, .. } if keep_end => End {
                        ttl: mark.end(),
                        exact: ends.unwrap_or(End::from(mark.end()).exact),
                    },
                    _ => end?,
                },
                attempt,
            };
            let on_conflict = if strict {
                OnConflict::Error
            } else {
                store.on_conflict()
            };
            let saved = if keep_end {
                store.save_keeping_end(save, known, on_conflict).await?
            } else {
                store.save(save, known, on_conflict).await?
            };
            Ok(SaveReply::from(saved))
        };
        let work = self.host.enter().map(|store| save(store).boxed());
        let saved = self.host.within(self.host.left(waited), call, work);
        let saved = saved.map_err(move |error| Failure {
            attempt: sent.in_doubt().as_ref().map(Mark::encode),
            ..error.into()
        });
        self.host.start(env, call, saved)
    }

    /// What saving a session of the record `mark` will have to do: `write`, `extend`, `shorten` or
    /// `settled`. `json` is the whole session, or only its cookie if the caller knows that the rest
    /// did not change. It hashes `json` on JavaScript's thread.
    #[napi(
        catch_unwind,
        ts_return_type = "'write' | 'extend' | 'shorten' | 'settled' | Failure"
    )]
    #[allow(clippy::needless_pass_by_value, clippy::too_many_arguments)] // as above
    pub fn outlook_of_save(
        &self,
        mark: String,
        json: Option<String>,
        cookie_alone: bool,
        now: f64,
        ttl_seconds: Option<f64>,
        cookie_expires: Option<f64>,
        ends: Option<f64>,
        user: Option<Either<String, bool>>,
    ) -> Either<&'static str, Failure> {
        self.outlook(
            &mark,
            now,
            ttl_seconds,
            cookie_expires,
            |store, mark, end| {
                let content = if cookie_alone {
                    Comparison::Cookie(cookie_hash(json.as_deref()))
                } else {
                    Comparison::Whole(Content::of(json.unwrap_or_default().as_bytes()))
                };
                let user = session_user(store, user)?;
                let (ends, now) = (ends.map(EpochMillis), EpochMillis(now));
                Ok(store.outlook_of_save(mark, content, ends, now, end, user))
            },
        )
    }

    /// As `outlook_of_save`, for a touch. `cookie` is the JSON of the session's cookie.
    #[napi(
        catch_unwind,
        ts_return_type = "'write' | 'extend' | 'shorten' | 'settled' | Failure"
    )]
    #[allow(clippy::needless_pass_by_value, clippy::too_many_arguments)] // as above
    pub fn outlook_of_touch(
        &self,
        mark: String,
        cookie: Option<String>,
        now: f64,
        ttl_seconds: Option<f64>,
        cookie_expires: Option<f64>,
        ends: Option<f64>,
        user: Option<Either<String, bool>>,
    ) -> Either<&'static str, Failure> {
        self.outlook(
            &mark,
            now,
            ttl_seconds,
            cookie_expires,
            |store, mark, end| {
                let cookie = cookie_hash(cookie.as_deref());
                let user = session_user(store, user)?;
                let (ends, now) = (ends.map(EpochMillis), EpochMillis(now));
                Ok(store.outlook_of_touch(mark, cookie, ends, now, end, user))
            },
        )
    }

    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments)] // as above
    pub fn touch(
        &self,
        env: Env,
        call: f64,
        sid: String,
        now: f64,
        ttl_seconds: Option<f64>,
        cookie_expires: Option<f64>,
        known: Option<KnownSession>,
        waited: Option<f64>,
    ) -> NapiResult<()> {
        let end = self.end(now, ttl_seconds, cookie_expires);
        let now = EpochMillis(now);
        self.host
            .run_within(self.host.left(waited), env, call, move |store| async move {
                let known = known.map_or(Ok(Known::Nothing), KnownSession::baseline)?;
                Ok(SaveReply::from(store.touch(&sid, now, end?, known).await?))
            })
    }

    #[napi(catch_unwind)]
    pub fn take_lease(
        &self,
        env: Env,
        call: f64,
        sid: String,
        owner: String,
        now: f64,
        until: f64,
    ) -> NapiResult<()> {
        let (now, until) = (EpochMillis(now), EpochMillis(until));
        self.host.run(env, call, move |store| async move {
            Ok(LeaseReply::from(
                store.take_lease(&sid, &owner, now, until).await?,
            ))
        })
    }

    #[napi(catch_unwind)]
    pub fn renew_lease(
        &self,
        env: Env,
        call: f64,
        sid: String,
        owner: String,
        until: f64,
    ) -> NapiResult<()> {
        self.host.run(env, call, move |store| async move {
            store.renew_lease(&sid, &owner, EpochMillis(until)).await
        })
    }

    #[napi(catch_unwind)]
    pub fn release_lease(&self, env: Env, call: f64, sid: String, owner: String) -> NapiResult<()> {
        self.host.run(env, call, move |store| async move {
            store.release_lease(&sid, &owner).await
        })
    }

    #[napi(catch_unwind)]
    pub fn take(
        &self,
        env: Env,
        call: f64,
        sid: String,
        now: f64,
        waited: Option<f64>,
    ) -> NapiResult<()> {
        self.host
            .run_within(self.host.left(waited), env, call, move |store| async move {
                Ok(found(store.take(&sid, EpochMillis(now)).await?))
            })
    }

    #[napi(catch_unwind)]
    pub fn destroy(
        &self,
        env: Env,
        call: f64,
        sid: String,
        now: f64,
        waited: Option<f64>,
    ) -> NapiResult<()> {
        self.host
            .run_within(self.host.left(waited), env, call, move |store| async move {
                store.destroy(&sid, EpochMillis(now)).await
            })
    }

    #[napi(catch_unwind)]
    pub fn destroy_unreadable(&self, env: Env, call: f64, sid: String) -> NapiResult<()> {
        self.host.run(env, call, move |store| async move {
            store.destroy_unreadable(&sid).await
        })
    }

    #[napi(catch_unwind)]
    pub fn sessions_of(&self, env: Env, call: f64, user: String, now: f64) -> NapiResult<()> {
        self.host
            .run_while_open(env, call, move |store| async move {
                let sessions = store.sessions_of(&user, EpochMillis(now)).await?;
                Ok(ListedSessions::from(sessions))
            })
    }

    #[napi(catch_unwind)]
    #[allow(clippy::cast_precision_loss)] // a list holds some thousands
    pub fn destroy_all_of(
        &self,
        env: Env,
        call: f64,
        user: String,
        except: Option<String>,
        now: f64,
    ) -> NapiResult<()> {
        self.host
            .run_while_open(env, call, move |store| async move {
                let (except, now) = (except.as_deref(), EpochMillis(now));
                Ok(store.destroy_all_of(&user, except, now).await? as f64)
            })
    }

    #[napi(catch_unwind)]
    pub fn all(&self, env: Env, call: f64, now: f64) -> NapiResult<()> {
        self.host
            .run_while_open(env, call, move |store| async move {
                let sessions = store.all(EpochMillis(now)).await?;
                Ok(ListedSessions::from(sessions))
            })
    }

    #[napi(catch_unwind)]
    pub fn page(&self, env: Env, call: f64, now: f64, after: Option<String>) -> NapiResult<()> {
        self.host.run(env, call, move |store| async move {
            let (sessions, next) = store.page(EpochMillis(now), after).await?;
            Ok(SessionPage {
                sessions: sessions.into_iter().map(Session::named).collect(),
                next,
            })
        })
    }

    #[napi(catch_unwind)]
    pub fn ids(&self, env: Env, call: f64, now: f64) -> NapiResult<()> {
        self.host
            .run_while_open(env, call, move |store| async move {
                store.ids(EpochMillis(now)).await
            })
    }

    #[napi(catch_unwind)]
    #[allow(clippy::cast_precision_loss)] // a table of 2^53 sessions is not to be had
    pub fn length(&self, env: Env, call: f64, now: f64) -> NapiResult<()> {
        self.host
            .run_while_open(env, call, move |store| async move {
                Ok(store.length(EpochMillis(now)).await? as f64)
            })
    }

    #[napi(catch_unwind)]
    pub fn clear(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host
            .run_while_open(env, call, |store| async move { store.clear().await })
    }

    #[napi(catch_unwind)]
    pub fn ping(&self, env: Env, call: f64, keys: bool) -> NapiResult<()> {
        self.host.run(env, call, move |store| async move {
            if keys {
                store.ping().await
            } else {
                store.ping_table().await
            }
        })
    }

    #[napi(catch_unwind)]
    pub fn record(&self, env: Env, call: f64, sid: String, waited: Option<f64>) -> NapiResult<()> {
        self.host
            .run_within(self.host.left(waited), env, call, move |store| async move {
                Ok(store.stored(&sid).await?.map(StoredRecord::from))
            })
    }

    #[napi(catch_unwind)]
    pub fn key_cache_stats(&self) -> KeyCacheStats {
        self.cache_counters.read().into()
    }

    #[napi(catch_unwind)]
    pub fn request_stats(&self) -> RequestStats {
        self.host.requests.as_ref().into()
    }

    /// Begins or ends the delivery of what happens in the calls; see `Observed`.
    #[napi(catch_unwind)]
    pub fn observe(&self, on: bool) {
        self.host.requests.observation.switch(on);
    }

    /// From now on, calls without a deadline have that of a call. `close` follows when the calls
    /// that wait for their turn have ended.
    #[napi(catch_unwind)]
    pub fn begin_close(&self) {
        self.host.begin_close();
    }

    #[napi(catch_unwind)]
    pub fn close(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.close(env, call, |store, last| async move {
            store.close(last).await;
        })
    }

    fn outlook(
        &self,
        mark: &str,
        now: f64,
        ttl_seconds: Option<f64>,
        cookie_expires: Option<f64>,
        look: impl FnOnce(&SessionStore, &Mark, End) -> Result<Outlook>,
    ) -> Either<&'static str, Failure> {
        let outlook = || {
            let end = self.end(now, ttl_seconds, cookie_expires)?;
            let (store, mark) = (self.host.enter()?, Mark::decode(mark)?);
            look(&store, &mark, end)
        };
        match outlook() {
            Ok(Outlook::Write) => Either::A("write"),
            Ok(Outlook::Extend) => Either::A("extend"),
            Ok(Outlook::Shorten) => Either::A("shorten"),
            Ok(Outlook::Settled) => Either::A("settled"),
            Err(error) => Either::B(Error::into(error)),
        }
    }

    fn end(&self, now: f64, ttl_seconds: Option<f64>, cookie_expires: Option<f64>) -> Result<End> {
        let lifetime = ttl_seconds.map_or(Ok(self.lifetime), Lifetime::from_seconds)?;
        Ok(lifetime.end(EpochMillis(now), cookie_expires.map(EpochMillis)))
    }
}
