//! The objects that cross between Rust and JavaScript, besides strings and numbers.

use base64_simd::STANDARD as BASE64;
use napi::bindgen_prelude::{Either, Null, ToNapiValue, TypeName};
use napi::{Result as NapiResult, ValueType, sys};
use napi_derive::napi;

use crate::crypto::plaintext::Plaintext;
use crate::error::{Error, Result, Service};
use crate::keys::cache::CacheStats;
use crate::observation::Event;
use crate::record::EncryptedSessionRecord;
use crate::record::mark::Mark;
use crate::requests::Requests;
use crate::store::{Known, Lease, OpenedSession, Saved};
use crate::time::EpochMillis;

/// The data of a `SessionStoreError`.
#[napi(object, object_from_js = false)]
pub struct Failure {
    pub code: String,
    pub detail: String,
    pub retryable: bool,
    pub retry_after_millis: Option<u32>,
    pub cause: Option<FailureCause>,
    /// The mark of the record that a failed save may have written.
    pub attempt: Option<String>,
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
            detail: error.to_string(),
            retryable: error.retryable(),
            retry_after_millis: error.retry_after_millis(),
            cause: error.cause().map(|cause| FailureCause {
                name: cause.name.clone(),
                message: cause.message.clone(),
                request_id: cause.request_id.as_deref().map(str::to_owned),
            }),
            attempt: None,
        }
    }
}

impl TypeName for Plaintext<String> {
    fn type_name() -> &'static str {
        "string"
    }

    fn value_type() -> ValueType {
        ValueType::String
    }
}

/// To JavaScript. Our copy is wiped as soon as JavaScript has its own.
impl ToNapiValue for Plaintext<String> {
    unsafe fn to_napi_value(env: sys::napi_env, value: Self) -> NapiResult<sys::napi_value> {
        // SAFETY: the same environment, handed through.
        unsafe { <&str as ToNapiValue>::to_napi_value(env, value.as_str()) }
    }
}

/// A session on its way to JavaScript, or the information that it has ended.
#[napi(object, object_from_js = false)]
pub struct Session {
    /// Where the caller does not know it.
    pub id: Option<String>,
    #[napi(ts_type = "string")]
    pub json: Option<Plaintext<String>>,
    pub ttl: i64,
    pub mark: Option<String>,
}

impl Session {
    pub(super) fn ended() -> Session {
        Session {
            id: None,
            json: None,
            ttl: 0,
            mark: None,
        }
    }

    /// With its id.
    pub(super) fn named(session: OpenedSession) -> Session {
        let id = Some(session.id.clone());
        Session {
            id,
            ..Session::from(session)
        }
    }
}

impl From<OpenedSession> for Session {
    fn from(session: OpenedSession) -> Session {
        Session {
            id: None,
            json: Some(session.json),
            ttl: session.ttl.0,
            mark: Some(session.mark.encode()),
        }
    }
}

/// What the facade knows of a session's record.
#[napi(object, object_to_js = false)]
pub struct KnownSession {
    /// The record's mark; `null` if the session is gone.
    pub mark: Either<String, Null>,
    /// The marks of records that failed saves may have written in its place.
    pub attempts: Option<Vec<String>>,
    /// Whether the content apart from the cookie is the one that was read, if that is known.
    pub untouched: Option<bool>,
    /// When the record was to end, in epoch milliseconds, if `mark` is of the revision that the
    /// caller has.
    pub ends: Option<f64>,
    /// Whether the session keeps its end.
    pub keep_end: Option<bool>,
    /// Whether a conflict fails, whatever `onConflict` says.
    pub strict: Option<bool>,
}

impl KnownSession {
    /// What the store compares a session with.
    pub(super) fn baseline(self) -> Result<Known> {
        let attempts = self.attempts.unwrap_or_default();
        Ok(match self.mark {
            Either::B(Null) => Known::Gone,
            Either::A(mark) => Known::Record {
                mark: Mark::decode(&mark)?,
                attempts: attempts
                    .iter()
                    .map(|attempt| Mark::decode(attempt))
                    .collect::<Result<_>>()?,
                untouched: self.untouched,
                ends: self.ends.map(EpochMillis),
            },
        })
    }
}

/// The outcome of saving or touching a session.
#[napi(object, object_from_js = false)]
pub struct SaveReply {
    /// `written`, `extended`, `unchanged`, `gone` or `dropped`.
    pub outcome: &'static str,
    pub mark: Option<String>,
    /// The end of the record of `mark`, in epoch seconds.
    pub ttl: Option<i64>,
    pub conflict: bool,
}

impl From<Saved> for SaveReply {
    fn from(saved: Saved) -> SaveReply {
        let (outcome, mark, conflict) = match saved {
            Saved::Written { mark, conflict } => ("written", Some(mark), conflict),
            Saved::Extended(mark) => ("extended", mark, false),
            Saved::Unchanged(mark) => ("unchanged", Some(mark), false),
            Saved::Gone => ("gone", None, false),
            Saved::Dropped => ("dropped", None, true),
        };
        SaveReply {
            outcome,
            ttl: mark.as_ref().map(|mark| mark.end().0),
            mark: mark.as_ref().map(Mark::encode),
            conflict,
        }
    }
}

/// What became of a request for a lease.
#[napi(object, object_from_js = false)]
pub struct LeaseReply {
    pub held: bool,
    /// When the lease of another holder ends, in epoch milliseconds.
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

/// A record as it is in the table, bytes in base64.
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
    pub user: Option<String>,
    pub user_entry: Option<f64>,
}

impl From<EncryptedSessionRecord> for StoredRecord {
    fn from(record: EncryptedSessionRecord) -> StoredRecord {
        let base64 = |bytes: &[u8]| BASE64.encode_to_string(bytes);
        StoredRecord {
            version: if record.unversioned {
                0
            } else {
                record.version().number()
            },
            encrypted_data: base64(&record.sealed.ciphertext),
            encrypted_key: base64(&record.wrapped_key.0),
            iv: base64(&record.sealed.iv),
            auth_tag: base64(&record.sealed.tag),
            session_id: record.key,
            ttl: record.ttl.0,
            not_after: record.bound.map(|bound| bound.not_after.0),
            salt: record.bound.map(|bound| base64(&bound.salt)),
            commit: record.bound.map(|bound| base64(&bound.commitment)),
            user: record.listing.user_text(),
            #[allow(clippy::cast_precision_loss)] // epoch milliseconds, and some more
            user_entry: record.listing.entry().map(|entry| entry.number as f64),
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

/// The requests of a store to one service.
#[napi(object, object_from_js = false)]
pub struct ServiceRequests {
    pub sent: f64,
    pub retries: f64,
}

/// The requests of a store.
#[napi(object, object_from_js = false)]
pub struct RequestStats {
    pub dynamodb: ServiceRequests,
    pub kms: ServiceRequests,
    /// The requests for several items.
    pub batches: f64,
    /// The reads in them.
    pub batched_reads: f64,
    /// Whether the service refuses such requests.
    pub batches_refused: bool,
}

impl From<&Requests> for RequestStats {
    fn from(requests: &Requests) -> RequestStats {
        #[allow(clippy::cast_precision_loss)] // counters stay below 2^53
        let read = |service| {
            let counts = requests.read(service);
            ServiceRequests {
                sent: counts.sent as f64,
                retries: counts.retries as f64,
            }
        };
        let batches = requests.batches();
        #[allow(clippy::cast_precision_loss)] // as above
        let (sent, reads) = (batches.batches as f64, batches.reads as f64);
        RequestStats {
            dynamodb: read(Service::DynamoDb),
            kms: read(Service::Kms),
            batches: sent,
            batched_reads: reads,
            batches_refused: batches.refused,
        }
    }
}

/// Something that happened in the call of the number `call`: an attempt of a request to AWS
/// (`service`), the need of a data key (`keyCached`), or a revocation check (`check`).
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct Observed {
    pub call: f64,
    #[napi(ts_type = "'dynamodb' | 'kms'")]
    pub service: Option<&'static str>,
    pub operation: Option<String>,
    pub attempt: Option<u32>,
    pub millis: Option<f64>,
    pub status: Option<u32>,
    pub key_cached: Option<bool>,
    #[napi(ts_type = "'usable' | 'revoked' | 'unknown'")]
    pub check: Option<&'static str>,
}

impl From<Event> for Observed {
    fn from(event: Event) -> Observed {
        match event {
            Event::Attempt {
                call,
                service,
                operation,
                number,
                millis,
                status,
            } => Observed {
                call,
                service: Some(match service {
                    Service::DynamoDb => "dynamodb",
                    Service::Kms => "kms",
                }),
                operation: Some(operation),
                attempt: Some(number),
                millis: Some(millis),
                status: status.map(u32::from),
                ..Observed::default()
            },
            Event::KeyNeeded { call, cached } => Observed {
                call,
                key_cached: Some(cached),
                ..Observed::default()
            },
            Event::RevocationCheck { outcome } => Observed {
                check: Some(outcome),
                ..Observed::default()
            },
        }
    }
}
