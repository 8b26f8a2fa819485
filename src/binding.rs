//! What Node.js sees: arguments in, promises and error data out. Everything else is in the other modules.
//!
//! A failure comes as a value ([`Failure`]), never as a rejected promise: napi's errors do not carry our codes through an async method.
//! The facade (`index.js`) turns it into a `SessionStoreError`.

use base64_simd::STANDARD as BASE64;
use napi::bindgen_prelude::{
    Either, PromiseRaw, ToNapiValue, TypeName, create_custom_tokio_runtime,
};
use napi::{Env, Result as NapiResult, ValueType, sys};
use napi_derive::napi;

use crate::backend;
use crate::config::{Environment, StoreConfig};
use crate::error::{Error, Result};
use crate::key_cache::{CacheCounters, CacheStats};
use crate::lifecycle::{Closable, InUse};
use crate::mark::{Content, Mark};
use crate::plaintext::Plaintext;
use crate::record::EncryptedSessionRecord;
use crate::session_data;
use crate::store::{
    End, Known, Lease, Lifetime, Lookup, OnConflict, OpenedSession, Save, Saved, SessionStore,
};
use crate::time::EpochMillis;

/// Two threads keep the sockets and the cipher busy without crowding out the main thread on small machines.
const RUNTIME_THREADS: usize = 2;
/// Name look-ups, credential files, and the local mode's file.
const BLOCKING_THREADS: usize = 8;

#[napi_derive::module_init]
fn start() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("connect-dynamodb-kms")
        .enable_all()
        .build()
        .expect("threads for the runtime");
    create_custom_tokio_runtime(runtime);
}

/// The data of a `SessionStoreError`.
#[napi(object, object_from_js = false)]
pub struct Failure {
    pub code: String,
    pub message: String,
    pub retryable: bool,
    pub cause: Option<FailureCause>,
}

/// The data of its `cause`.
#[napi(object, object_from_js = false)]
pub struct FailureCause {
    pub name: String,
    pub message: String,
    pub request_id: Option<String>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure {
            code: error.code().to_owned(),
            message: error.to_string(),
            retryable: error.retryable(),
            cause: error.cause().map(|cause| FailureCause {
                name: cause.name.clone(),
                message: cause.message.clone(),
                request_id: cause.request_id.clone(),
            }),
        }
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

impl TypeName for Plaintext<String> {
    fn type_name() -> &'static str {
        "string"
    }

    fn value_type() -> ValueType {
        ValueType::String
    }
}

/// To JavaScript; our copy is wiped as soon as JavaScript has its own.
impl ToNapiValue for Plaintext<String> {
    unsafe fn to_napi_value(env: sys::napi_env, value: Self) -> NapiResult<sys::napi_value> {
        // SAFETY: the same environment, handed through.
        unsafe { <&str as ToNapiValue>::to_napi_value(env, value.as_str()) }
    }
}

/// A session on its way to JavaScript, or word of one that has ended.
#[napi(object, object_from_js = false)]
pub struct Session {
    pub id: String,
    #[napi(ts_type = "string")]
    pub json: Option<Plaintext<String>>,
    pub ttl: i64,
    pub mark: Option<String>,
}

impl Session {
    fn ended(id: String) -> Session {
        Session {
            id,
            json: None,
            ttl: 0,
            mark: None,
        }
    }
}

impl From<OpenedSession> for Session {
    fn from(session: OpenedSession) -> Session {
        Session {
            id: session.id,
            json: Some(session.json),
            ttl: session.ttl.0,
            mark: session.mark.as_ref().map(Mark::encode),
        }
    }
}

/// What the facade knows of a session's record.
#[napi(object, object_to_js = false)]
pub struct KnownSession {
    /// What the record was; without it, the session is gone.
    pub mark: Option<String>,
    /// Whether the content beside the cookie is what was read, if that is known.
    pub untouched: Option<bool>,
    /// When it was to end, in epoch milliseconds, if `mark` is of what the caller has.
    pub ends: Option<f64>,
    /// Whether the session keeps its end.
    pub keep_end: Option<bool>,
    /// Whether a conflict fails, whatever `onConflict` says.
    pub strict: Option<bool>,
}

/// What became of a session that was saved or touched.
#[napi(object, object_from_js = false)]
pub struct SaveReply {
    /// `written`, `extended`, `unchanged`, `gone` or `dropped`.
    pub outcome: &'static str,
    pub mark: Option<String>,
    /// The `ttl` of `mark`.
    pub ttl: Option<i64>,
    pub conflict: bool,
}

impl From<Saved> for SaveReply {
    fn from(saved: Saved) -> SaveReply {
        let (outcome, mark, conflict) = match saved {
            Saved::Written { mark, conflict } => ("written", mark, conflict),
            Saved::Extended(mark) => ("extended", mark, false),
            Saved::Unchanged(mark) => ("unchanged", Some(mark), false),
            Saved::Gone => ("gone", None, false),
            Saved::Dropped => ("dropped", None, true),
        };
        SaveReply {
            outcome,
            ttl: mark.as_ref().map(|mark| mark.ttl.0),
            mark: mark.as_ref().map(Mark::encode),
            conflict,
        }
    }
}

/// What became of a request for a lease.
#[napi(object, object_from_js = false)]
pub struct LeaseReply {
    pub held: bool,
    /// When the lease of somebody else ends, in epoch milliseconds.
    pub until: Option<f64>,
}

impl From<Lease> for LeaseReply {
    fn from(lease: Lease) -> LeaseReply {
        match lease {
            Lease::Held => LeaseReply {
                held: true,
                until: None,
            },
            Lease::Taken { until } => LeaseReply {
                held: false,
                until: until.map(|until| until.0),
            },
        }
    }
}

/// The four base64 strings of an envelope.
#[napi(object, object_from_js = false)]
pub struct Envelope {
    pub encrypted_data: String,
    pub encrypted_key: String,
    pub iv: String,
    pub auth_tag: String,
}

/// A record as it lies in the table, bytes in base64.
#[napi(object, object_from_js = false)]
pub struct StoredRecord {
    pub session_id: String,
    pub encrypted_data: String,
    pub encrypted_key: String,
    pub iv: String,
    pub auth_tag: String,
    pub ttl: i64,
    pub version: u32,
    pub not_after: Option<i64>,
    pub salt: Option<String>,
    pub commit: Option<String>,
}

impl From<EncryptedSessionRecord> for StoredRecord {
    fn from(record: EncryptedSessionRecord) -> StoredRecord {
        let base64 = |bytes: &[u8]| BASE64.encode_to_string(bytes);
        StoredRecord {
            version: record.version().number(),
            encrypted_data: base64(&record.sealed.ciphertext),
            encrypted_key: base64(&record.wrapped_key.0),
            iv: base64(&record.sealed.iv),
            auth_tag: base64(&record.sealed.tag),
            session_id: record.key,
            ttl: record.ttl.0,
            not_after: record.bound.map(|bound| bound.not_after.0),
            salt: record.bound.map(|bound| base64(&bound.salt)),
            commit: record.bound.map(|bound| base64(&bound.commitment)),
        }
    }
}

/// What happened in the cache of data keys.
#[napi(object, object_from_js = false)]
pub struct KeyCacheStats {
    pub entries: f64,
    pub hits: f64,
    pub misses: f64,
    pub loads: f64,
    pub load_failures: f64,
    pub evictions: f64,
    pub checks_usable: f64,
    pub checks_revoked: f64,
    pub checks_unknown: f64,
}

#[allow(clippy::cast_precision_loss)] // counters stay below 2^53
impl From<CacheStats> for KeyCacheStats {
    fn from(stats: CacheStats) -> KeyCacheStats {
        KeyCacheStats {
            entries: stats.entries as f64,
            hits: stats.hits as f64,
            misses: stats.misses as f64,
            loads: stats.loads as f64,
            load_failures: stats.load_failures as f64,
            evictions: stats.evictions as f64,
            checks_usable: stats.checks_usable as f64,
            checks_revoked: stats.checks_revoked as f64,
            checks_unknown: stats.checks_unknown as f64,
        }
    }
}

/// The constants that the environment may override.
#[napi(object, object_from_js = false)]
pub struct Defaults {
    pub kms_key_arn: String,
    pub sessions_table: String,
    pub aws_region: String,
}

fn environment() -> Environment {
    Environment::new(|name| std::env::var(name).ok())
}

/// `KMS_KEY_ARN`, `SESSIONS_TABLE` and `AWS_REGION`, or what stands in for them.
#[napi(catch_unwind)]
pub fn defaults() -> Defaults {
    let environment = environment();
    Defaults {
        kms_key_arn: environment.key_arn,
        sessions_table: environment.table,
        aws_region: environment.region,
    }
}

/// Seals a text under a fresh data key of the environment's KMS key.
#[napi]
pub async fn encrypt(data: String) -> Reply<Envelope> {
    let plaintext = Plaintext::new(data.into_bytes());
    let result = match backend::default_keys(&environment()) {
        Ok(keys) => session_data::encrypt(&keys, plaintext).await,
        Err(error) => Err(error),
    };
    reply(result, |sealed| Envelope {
        encrypted_data: sealed.encrypted_data,
        encrypted_key: sealed.encrypted_key,
        iv: sealed.iv,
        auth_tag: sealed.auth_tag,
    })
}

/// Opens what `encrypt` gave.
#[napi]
pub async fn decrypt(
    encrypted_data: String,
    encrypted_key: String,
    iv: String,
    auth_tag: String,
) -> Reply<Plaintext<String>> {
    let data = session_data::EncryptionResult {
        encrypted_data,
        encrypted_key,
        iv,
        auth_tag,
    };
    let result = match backend::default_keys(&environment()) {
        Ok(keys) => session_data::decrypt(&keys, &data).await,
        Err(error) => Err(error),
    };
    reply(result, |text| text)
}

/// A store that JavaScript holds.
#[napi]
pub struct NativeStore {
    store: Closable<SessionStore>,
    cache_counters: CacheCounters,
    lifetime: Lifetime,
}

/// Checks the options (JSON) and makes a store; does no I/O.
#[napi(catch_unwind)]
#[allow(clippy::needless_pass_by_value)] // napi hands over what it made
pub fn open_store(options: String) -> Either<NativeStore, Failure> {
    let opened = StoreConfig::parse(&options, &environment()).and_then(|config| {
        let lifetime = config.lifetime;
        Ok((backend::session_store(config)?, lifetime))
    });
    match opened {
        Ok((store, lifetime)) => Either::A(NativeStore {
            cache_counters: store.cache_counters(),
            store: Closable::new(store),
            lifetime,
        }),
        Err(error) => Either::B(error.into()),
    }
}

fn known_session(known: Option<KnownSession>) -> Result<Known> {
    let Some(known) = known else {
        return Ok(Known::Nothing);
    };
    Ok(match known.mark {
        None => Known::Gone,
        Some(mark) => Known::Record {
            mark: Mark::decode(&mark)?,
            untouched: known.untouched,
            ends: known.ends.map(EpochMillis),
        },
    })
}

/// Whether a session's JSON holds what the record did that `mark` is of, beside the cookie's expiry.
#[napi(catch_unwind)]
#[allow(clippy::needless_pass_by_value)] // napi hands over what it made
pub fn holds_content(mark: String, json: String) -> bool {
    let json = Plaintext::new(json.into_bytes());
    Mark::decode(&mark).is_ok_and(|mark| Content::of(&json) == Some(mark.content))
}

type Promise<'env, T> = NapiResult<PromiseRaw<'env, Either<T, Failure>>>;

/// `now` and `cookie_expires` are epoch milliseconds; `ttl_seconds` stands in for the configured one.
#[napi]
impl NativeStore {
    #[napi(catch_unwind)]
    pub fn get<'env>(
        &self,
        env: &'env Env,
        sid: String,
        now: f64,
    ) -> Promise<'env, Option<Session>> {
        self.run(env, move |store| async move {
            Ok(match store.get(&sid, EpochMillis(now)).await? {
                Lookup::Missing => None,
                Lookup::Ended => Some(Session::ended(sid)),
                Lookup::Found(session) => Some(session.into()),
            })
        })
    }

    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments)] // an object of them would cost a look-up for each
    pub fn set<'env>(
        &self,
        env: &'env Env,
        sid: String,
        json: String,
        now: f64,
        ttl_seconds: Option<f64>,
        cookie_expires: Option<f64>,
        known: Option<KnownSession>,
    ) -> Promise<'env, SaveReply> {
        let json = Plaintext::new(json.into_bytes());
        let end = self.end(now, ttl_seconds, cookie_expires);
        self.run(env, move |store| async move {
            let keep_end = known.as_ref().and_then(|known| known.keep_end) == Some(true);
            let strict = known.as_ref().and_then(|known| known.strict) == Some(true);
            let known = known_session(known)?;
            let save = Save {
                sid,
                json,
                now: EpochMillis(now),
                end: match &known {
                    Known::Record { mark, ends, .. } if keep_end => End {
                        ttl: mark.ttl,
                        exact: ends.unwrap_or(End::from(mark.ttl).exact),
                    },
                    _ => end?,
                },
            };
            let on_conflict = if strict {
                OnConflict::Error
            } else {
                store.on_conflict()
            };
            Ok(store.save(save, known, on_conflict).await?.into())
        })
    }

    #[napi(catch_unwind)]
    pub fn touch<'env>(
        &self,
        env: &'env Env,
        sid: String,
        now: f64,
        ttl_seconds: Option<f64>,
        cookie_expires: Option<f64>,
        known: Option<KnownSession>,
    ) -> Promise<'env, SaveReply> {
        let end = self.end(now, ttl_seconds, cookie_expires);
        let now = EpochMillis(now);
        self.run(env, move |store| async move {
            let known = known_session(known)?;
            Ok(store.touch(&sid, now, end?, known).await?.into())
        })
    }

    #[napi(catch_unwind)]
    pub fn take_lease<'env>(
        &self,
        env: &'env Env,
        sid: String,
        owner: String,
        now: f64,
        until: f64,
    ) -> Promise<'env, LeaseReply> {
        let (now, until) = (EpochMillis(now), EpochMillis(until));
        self.run(env, move |store| async move {
            Ok(store.take_lease(&sid, &owner, now, until).await?.into())
        })
    }

    #[napi(catch_unwind)]
    pub fn renew_lease<'env>(
        &self,
        env: &'env Env,
        sid: String,
        owner: String,
        until: f64,
    ) -> Promise<'env, bool> {
        self.run(env, move |store| async move {
            store.renew_lease(&sid, &owner, EpochMillis(until)).await
        })
    }

    #[napi(catch_unwind)]
    pub fn release_lease<'env>(
        &self,
        env: &'env Env,
        sid: String,
        owner: String,
    ) -> Promise<'env, ()> {
        self.run(env, move |store| async move {
            store.release_lease(&sid, &owner).await
        })
    }

    #[napi(catch_unwind)]
    pub fn destroy<'env>(&self, env: &'env Env, sid: String) -> Promise<'env, ()> {
        self.run(env, move |store| async move { store.destroy(&sid).await })
    }

    #[napi(catch_unwind)]
    pub fn all<'env>(&self, env: &'env Env, now: f64) -> Promise<'env, Vec<Session>> {
        self.run(env, move |store| async move {
            let sessions = store.all(EpochMillis(now)).await?;
            Ok(sessions.into_iter().map(Session::from).collect())
        })
    }

    #[napi(catch_unwind)]
    pub fn ids<'env>(&self, env: &'env Env, now: f64) -> Promise<'env, Vec<String>> {
        self.run(env, move |store| async move {
            store.ids(EpochMillis(now)).await
        })
    }

    #[napi(catch_unwind)]
    #[allow(clippy::cast_precision_loss)] // a table of 2^53 sessions is not to be had
    pub fn length<'env>(&self, env: &'env Env, now: f64) -> Promise<'env, f64> {
        self.run(env, move |store| async move {
            Ok(store.length(EpochMillis(now)).await? as f64)
        })
    }

    #[napi(catch_unwind)]
    pub fn clear<'env>(&self, env: &'env Env) -> Promise<'env, ()> {
        self.run(env, |store| async move { store.clear().await })
    }

    #[napi(catch_unwind)]
    pub fn ping<'env>(&self, env: &'env Env) -> Promise<'env, ()> {
        self.run(env, |store| async move { store.ping().await })
    }

    #[napi(catch_unwind)]
    pub fn record<'env>(&self, env: &'env Env, sid: String) -> Promise<'env, Option<StoredRecord>> {
        self.run(env, move |store| async move {
            Ok(store.stored(&sid).await?.map(StoredRecord::from))
        })
    }

    #[napi(catch_unwind)]
    pub fn key_cache_stats(&self) -> KeyCacheStats {
        self.cache_counters.read().into()
    }

    #[napi(catch_unwind)]
    pub fn close<'env>(&self, env: &'env Env) -> Promise<'env, ()> {
        let closed = self.store.close();
        env.spawn_future(async move {
            if let Some(store) = closed.await {
                store.close().await;
            }
            Ok(Either::A(()))
        })
    }

    /// Starts a call. The store is entered before this returns, so that a call made before `close` is one in flight.
    fn run<'env, T, F>(
        &self,
        env: &'env Env,
        work: impl FnOnce(InUse<SessionStore>) -> F,
    ) -> Promise<'env, T>
    where
        T: ToNapiValue + TypeName + Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let work = self.store.enter().map(work);
        env.spawn_future(async move {
            let result = match work {
                Ok(work) => work.await,
                Err(error) => Err(error),
            };
            reply(result, |value| value)
        })
    }

    fn end(&self, now: f64, ttl_seconds: Option<f64>, cookie_expires: Option<f64>) -> Result<End> {
        let lifetime = ttl_seconds.map_or(Ok(self.lifetime), Lifetime::from_seconds)?;
        Ok(lifetime.end(EpochMillis(now), cookie_expires.map(EpochMillis)))
    }
}
