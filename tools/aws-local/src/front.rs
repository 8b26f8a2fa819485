//! The layer every request passes: it names the IAM action, counts and records the request,
//! checks its credentials, injects a fault where one is due, and hands it to the emulator.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use winterbaume_core::parse_query_string;

use crate::clock::Clock;
use crate::dynamodb::DynamoDb;
use crate::kms::Kms;
use crate::reply::{self, ErrorNamespace, Reply, Service};
use crate::sts::{self, Sts};

/// How many requests are remembered.
const RECORDS_KEPT: usize = 10_000;

/// How many bytes of request bodies are remembered, so that a benchmark with large items does
/// not fill the memory.
const RECORDED_BYTES_KEPT: usize = 64 * 1024 * 1024;

/// The region of a request that names none.
const DEFAULT_REGION: &str = "us-east-1";

/// How long assumed credentials live when the request does not say, as in AWS.
const DEFAULT_SESSION: Duration = Duration::from_hours(1);

/// One request, read and understood.
pub struct Call {
    /// The service whose listener it came to.
    pub service: Service,
    /// The operation, such as `GetItem`; `None` if the request names none.
    pub operation: Option<String>,
    /// Who signed it for which region; `None` if it is not signed.
    pub scope: Option<Scope>,
    /// Method, path and headers.
    pub parts: Parts,
    /// The body as sent.
    pub body: Bytes,
}

impl Call {
    fn new(service: Service, parts: Parts, body: Bytes) -> Self {
        Self {
            service,
            operation: operation(service, &parts.headers, &body),
            scope: Scope::of(&parts.headers),
            parts,
            body,
        }
    }

    /// The region the request is signed for.
    pub fn region(&self) -> &str {
        self.scope
            .as_ref()
            .map_or(DEFAULT_REGION, |scope| &scope.region)
    }
}

/// The operation a request names: in `x-amz-target`, or in the form field `Action`.
fn operation(service: Service, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let target_prefixes: &[&str] = match service {
        Service::DynamoDb => &["DynamoDB_20120810.", "DynamoDBStreams_20120810."],
        Service::Kms => &["TrentService."],
        Service::Sts => &[],
    };
    let name = if service == Service::Sts {
        parse_query_string(std::str::from_utf8(body).ok()?).remove("Action")?
    } else {
        let target = headers.get("x-amz-target")?.to_str().ok()?;
        target_prefixes
            .iter()
            .find_map(|prefix| target.strip_prefix(prefix))?
            .to_owned()
    };
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_name.then_some(name)
}

/// What the SigV4 credential scope tells.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The access key id of the signer.
    pub access_key_id: String,
    /// The region signed for.
    pub region: String,
}

impl Scope {
    /// Reads `Credential=ID/DATE/REGION/SERVICE/aws4_request` in the `Authorization` header.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (_, rest) = authorization.split_once("Credential=")?;
        let mut fields = rest.split([',', ' ']).next()?.split('/');
        let access_key_id = fields.next()?.to_owned();
        let region = fields.nth(1)?.to_owned();
        Some(Self {
            access_key_id,
            region,
        })
    }
}

/// A fault to be injected.
#[derive(Clone, Debug)]
pub struct Fault {
    /// `dynamodb:GetItem`, or `dynamodb:*` for every operation of the service.
    pub action: String,
    /// Only requests with this text in their body.
    pub containing: Option<String>,
    /// How often it strikes; `None` until it is removed.
    pub times: Option<u32>,
    /// What it does.
    pub effect: Effect,
}

impl Fault {
    fn strikes(&self, service: Service, operation: &str, body: &[u8]) -> bool {
        let contains = |text: &String| String::from_utf8_lossy(body).contains(text.as_str());
        self.containing.as_ref().is_none_or(contains) && self.names(service, operation)
    }

    fn names(&self, service: Service, operation: &str) -> bool {
        self.action
            .strip_prefix(service.prefix())
            .and_then(|rest| rest.strip_prefix(':'))
            .is_some_and(|name| name == "*" || name == operation)
    }
}

/// What a fault does to a request.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Answer an error; the emulator never sees the request.
    Refuse {
        /// The HTTP status.
        status: StatusCode,
        /// The error code, such as `ThrottlingException`.
        code: String,
        /// The error message.
        message: String,
    },
    /// Leave the last writes of a `BatchWriteItem` unapplied.
    HoldBack {
        /// How many writes.
        writes: usize,
    },
}

/// A request as the control endpoint shows it.
struct Record {
    action: String,
    scope: Option<Scope>,
    body: Bytes,
}

#[derive(Default)]
struct Ledger {
    counts: BTreeMap<String, u64>,
    records: VecDeque<Record>,
    recorded_bytes: usize,
    faults: Vec<Fault>,
}

impl Ledger {
    fn note(&mut self, call: &Call, operation: &str) {
        let action = format!("{}:{operation}", call.service.prefix());
        *self.counts.entry(action.clone()).or_default() += 1;
        self.recorded_bytes += call.body.len();
        self.records.push_back(Record {
            action,
            scope: call.scope.clone(),
            body: call.body.clone(),
        });
        while self.records.len() > RECORDS_KEPT || self.recorded_bytes > RECORDED_BYTES_KEPT {
            let Some(oldest) = self.records.pop_front() else {
                break;
            };
            self.recorded_bytes -= oldest.body.len();
        }
    }

    /// The effect of the oldest fault that fits, which has then struck once more.
    fn strike(&mut self, service: Service, operation: &str, body: &[u8]) -> Option<Effect> {
        let index = self
            .faults
            .iter()
            .position(|fault| fault.strikes(service, operation, body))?;
        let fault = &mut self.faults[index];
        let effect = fault.effect.clone();
        if let Some(left) = &mut fault.times {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.faults.remove(index);
            }
        }
        Some(effect)
    }
}

/// Credentials issued by our own STS.
struct Session {
    token: String,
    expires: Instant,
}

/// The front layer with the emulators behind it.
pub struct Front {
    dynamodb: DynamoDb,
    kms: Kms,
    sts: Sts,
    access_key_id: Option<String>,
    sessions: Mutex<HashMap<String, Session>>,
    ledger: Mutex<Ledger>,
    clock: Clock,
}

impl Front {
    /// A front that takes any credentials, or with `access_key_id` only requests signed with
    /// that id or with credentials its own STS has issued.
    pub fn new(dynamodb: DynamoDb, kms: Kms, sts: Sts, access_key_id: Option<String>) -> Self {
        Self {
            dynamodb,
            kms,
            sts,
            access_key_id,
            sessions: Mutex::default(),
            ledger: Mutex::default(),
            clock: Clock::default(),
        }
    }

    /// Answers one request.
    ///
    /// # Errors
    /// The body could not be read to its end.
    pub async fn answer(
        &self,
        service: Service,
        request: Request<Incoming>,
    ) -> Result<Reply, hyper::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let call = Call::new(service, parts, body);
        // A request without an operation is for the emulator to refuse.
        let Some(operation) = call.operation.as_deref() else {
            return Ok(self.hand_on(&call).await);
        };
        self.ledger().note(&call, operation);
        let refusal = self.refuse_credentials(&call, operation);
        let refusal = refusal.or_else(|| self.clock.refuse(&call));
        let mut reply = match refusal {
            Some(refusal) => refusal,
            None => self.answer_with_faults(service, operation, &call).await,
        };
        self.clock.date(&mut reply);
        Ok(reply)
    }

    async fn answer_with_faults(&self, service: Service, operation: &str, call: &Call) -> Reply {
        let effect = self.ledger().strike(service, operation, &call.body);
        match effect {
            None => self.hand_on(call).await,
            Some(Effect::HoldBack { writes }) => self.dynamodb.answer_partly(call, writes).await,
            Some(Effect::Refuse {
                status,
                code,
                message,
            }) => reply::error(service, ErrorNamespace::DynamoDb, status, &code, &message),
        }
    }

    /// Sets the clock of all services ahead of this machine's.
    pub fn set_clock(&self, ahead_seconds: i64) {
        self.clock.set(ahead_seconds);
    }

    async fn hand_on(&self, call: &Call) -> Reply {
        match call.service {
            Service::DynamoDb => self.dynamodb.answer(call).await,
            Service::Kms => self.kms.answer(call).await,
            Service::Sts => {
                let mock = self.sts.answer(call).await;
                self.remember_session(call, &mock.body);
                reply::from_mock(Service::Sts, mock)
            }
        }
    }

    fn remember_session(&self, call: &Call, body: &Bytes) {
        let Some(issued) = sts::issued_credentials(body) else {
            return;
        };
        let form = parse_query_string(std::str::from_utf8(&call.body).unwrap_or_default());
        let lifetime = form
            .get("DurationSeconds")
            .and_then(|seconds| seconds.parse().ok())
            .map_or(DEFAULT_SESSION, Duration::from_secs);
        let now = Instant::now();
        let session = Session {
            token: issued.session_token,
            expires: now.checked_add(lifetime).unwrap_or(now),
        };
        lock(&self.sessions).insert(issued.access_key_id, session);
    }

    /// The error AWS answers to credentials it does not take.
    fn refuse_credentials(&self, call: &Call, operation: &str) -> Option<Reply> {
        let expected = self.access_key_id.as_deref()?;
        if call.service == Service::Sts
            && matches!(
                operation,
                "AssumeRoleWithWebIdentity" | "AssumeRoleWithSAML"
            )
        {
            return None; // These are never signed.
        }
        let (code, sts_code, message) = match &call.scope {
            Some(scope) if scope.access_key_id == expected => return None,
            Some(scope) => {
                let token = call.parts.headers.get("x-amz-security-token");
                match lock(&self.sessions).get(&scope.access_key_id) {
                    Some(session)
                        if token
                            .is_some_and(|token| token.as_bytes() == session.token.as_bytes()) =>
                    {
                        if session.expires > Instant::now() {
                            return None;
                        }
                        (
                            "ExpiredTokenException",
                            "ExpiredToken",
                            "The security token included in the request is expired",
                        )
                    }
                    _ => (
                        "UnrecognizedClientException",
                        "InvalidClientTokenId",
                        "The security token included in the request is invalid.",
                    ),
                }
            }
            None => (
                "MissingAuthenticationTokenException",
                "MissingAuthenticationToken",
                "Request is missing Authentication Token",
            ),
        };
        let (status, code) = if call.service == Service::Sts {
            (StatusCode::FORBIDDEN, sts_code)
        } else {
            (StatusCode::BAD_REQUEST, code)
        };
        Some(reply::error(
            call.service,
            ErrorNamespace::Framework,
            status,
            code,
            message,
        ))
    }

    /// The number of requests by action.
    pub fn counts(&self) -> Value {
        json!(self.ledger().counts)
    }

    /// The remembered requests, oldest first.
    pub fn requests(&self) -> Value {
        let ledger = self.ledger();
        let shown = ledger.records.iter().map(|record| {
            let body: Value = serde_json::from_slice(&record.body)
                .unwrap_or_else(|_| String::from_utf8_lossy(&record.body).into());
            json!({
                "action": record.action,
                "accessKeyId": record.scope.as_ref().map(|scope| &scope.access_key_id),
                "region": record.scope.as_ref().map(|scope| &scope.region),
                "body": body,
            })
        });
        Value::Array(shown.collect())
    }

    /// Forgets counts and requests.
    pub fn forget_calls(&self) {
        let mut ledger = self.ledger();
        ledger.counts.clear();
        ledger.records.clear();
        ledger.recorded_bytes = 0;
    }

    /// Adds a fault, to strike after those already there.
    pub fn add_fault(&self, fault: Fault) {
        self.ledger().faults.push(fault);
    }

    /// Removes all faults.
    pub fn remove_faults(&self) {
        self.ledger().faults.clear();
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}

/// Locks; a panic elsewhere leaves plain counts and lists behind, which stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
