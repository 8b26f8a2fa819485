//! What this store adds to the SDK's processing of a request. Each interceptor overrides the hooks
//! that it needs. The SDK calls the hooks in this order for every call: before execution, after
//! serialization, before signing, before transmit, before and after deserialization.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use aws_runtime::user_agent::UserAgentInterceptor;
use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef as Answer,
    BeforeDeserializationInterceptorContextMut as AnswerMut,
    BeforeSerializationInterceptorContextRef as Input,
    BeforeTransmitInterceptorContextMut as RequestMut,
    BeforeTransmitInterceptorContextRef as Request, FinalizerInterceptorContextRef as Ended,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::{
    SharedInterceptor, disable_interceptor, dyn_dispatch_hint,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use http_body_util::Limited;

use crate::call::{self, Caller};
use crate::error::Service;
use crate::observation::Event;

type Outcome = Result<(), BoxError>;

/// The interceptors of one client of `service`.
pub(super) fn interceptors(service: Service) -> [SharedInterceptor; 5] {
    [
        SharedInterceptor::new(UserAgentOnce::default()),
        SharedInterceptor::new(NoMetrics),
        SharedInterceptor::new(RequestCounter(service)),
        SharedInterceptor::new(Observer(service)),
        SharedInterceptor::new(BoundedAnswer),
    ]
}

/// Lets the SDK make the user agent of a client's first request, and reuses it for all others. The
/// SDK would build it from the environment, the features and the connector for every request.
#[derive(Debug, Default)]
struct UserAgentOnce(OnceLock<[String; 2]>);

const USER_AGENT_HEADERS: [&str; 2] = ["user-agent", "x-amz-user-agent"];

#[dyn_dispatch_hint]
impl Intercept for UserAgentOnce {
    fn name(&self) -> &'static str {
        "UserAgentOnce"
    }

    fn read_before_execution(&self, _: &Input<'_>, settings: &mut ConfigBag) -> Outcome {
        if self.0.get().is_some() {
            let without = disable_interceptor::<UserAgentInterceptor>("made once");
            settings.interceptor_state().store_put(without);
        }
        Ok(())
    }

    /// Runs after the SDK's own.
    fn modify_before_signing(
        &self,
        context: &mut RequestMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Outcome {
        let headers = context.request_mut().headers_mut();
        if let [Some(user_agent), Some(aws)] = USER_AGENT_HEADERS.map(|name| headers.get(name)) {
            let _ = self.0.set([user_agent.to_owned(), aws.to_owned()]);
        } else if let Some(values) = self.0.get() {
            for (name, value) in USER_AGENT_HEADERS.into_iter().zip(values) {
                headers.insert(name, value.clone());
            }
        }
        Ok(())
    }
}

/// Turns the SDK's metrics off. It prepares them for every request, though no meter would receive
/// them.
///
/// Removes the names of service and operation once the request is written. Its `X-Amz-Target` is
/// made of them. After that, only the metrics read them (aws-smithy-runtime 1.16:
/// `client/metrics.rs` and `client/telemetry_bytes.rs`), and do without if they are missing.
#[derive(Debug)]
struct NoMetrics;

#[dyn_dispatch_hint]
impl Intercept for NoMetrics {
    fn name(&self) -> &'static str {
        "NoMetrics"
    }

    fn read_after_serialization(
        &self,
        _: &Request<'_>,
        _: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Outcome {
        settings.interceptor_state().unset::<Metadata>();
        Ok(())
    }
}

/// Counts the requests to a service for the call that sends them, as they are sent: the SDK does
/// not report how often it tried.
#[derive(Debug)]
struct RequestCounter(Service);

#[dyn_dispatch_hint]
impl Intercept for RequestCounter {
    fn name(&self) -> &'static str {
        "RequestCounter"
    }

    fn read_before_transmit(
        &self,
        _: &Request<'_>,
        _: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Outcome {
        let attempts = settings.load::<RequestAttempts>();
        let retry = attempts.is_some_and(|attempts| attempts.attempts() > 1);
        call::sends(self.0, retry);
        Ok(())
    }
}

/// Notes each attempt of a request, for those who look at the calls.
#[derive(Debug)]
struct Observer(Service);

/// An attempt that is under way. It is noted when it is dropped: the SDK drops it without a word if
/// the time of the call is over.
#[derive(Debug)]
struct Attempt {
    caller: Caller,
    service: Service,
    operation: String,
    number: u32,
    began: Instant,
    /// 0 until there is an answer.
    status: AtomicU16,
}

impl Storable for Attempt {
    type Storer = StoreReplace<Attempt>;
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let status = self.status.load(Ordering::Relaxed);
        self.caller.note(|call| Event::Attempt {
            call,
            service: self.service,
            operation: std::mem::take(&mut self.operation),
            number: self.number,
            millis: self.began.elapsed().as_secs_f64() * 1000.0,
            status: (status > 0).then_some(status),
        });
    }
}

#[dyn_dispatch_hint]
impl Intercept for Observer {
    fn name(&self) -> &'static str {
        "Observer"
    }

    fn read_before_transmit(
        &self,
        context: &Request<'_>,
        _: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Outcome {
        let Some(caller) = call::observed() else {
            return Ok(());
        };
        // Both services name the operation behind their version: `DynamoDB_20120810.GetItem`.
        let target = context.request().headers().get("x-amz-target");
        let operation = target.and_then(|target| target.rsplit('.').next());
        let attempts = settings.load::<RequestAttempts>();
        let attempt = Attempt {
            caller,
            service: self.0,
            operation: operation.unwrap_or_default().to_owned(),
            number: attempts.map_or(1, RequestAttempts::attempts),
            began: Instant::now(),
            status: AtomicU16::new(0),
        };
        settings.interceptor_state().store_put(attempt);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &Ended<'_>,
        _: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Outcome {
        if !call::is_observed() {
            return Ok(());
        }
        if let (Some(attempt), Some(response)) = (settings.load::<Attempt>(), context.response()) {
            let status = response.status().as_u16();
            attempt.status.store(status, Ordering::Relaxed);
        }
        settings.interceptor_state().unset::<Attempt>();
        Ok(())
    }
}

/// Refuses successful answers without a body, and stops reading answers that are too large.
///
/// Both services answer every request with a JSON object. The SDK reads an empty body as an object
/// without any optional field, so an empty answer to `GetItem` would mean "there is no such item".
/// An endless answer would fill the memory until the deadline.
#[derive(Debug)]
struct BoundedAnswer;

/// In bytes. A page of a Scan holds 1 MB of items (Amazon DynamoDB Developer Guide, "Scanning
/// tables"). JSON needs at most six times as much, if every byte is a control character. All other
/// answers are smaller.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

#[dyn_dispatch_hint]
impl Intercept for BoundedAnswer {
    fn name(&self) -> &'static str {
        "BoundedAnswer"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut AnswerMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Outcome {
        let body = context.response_mut().body_mut();
        // The connection enforces an announced length, so the usual answer need not be counted.
        let announced = body.content_length();
        if announced.is_none_or(|length| length > LONGEST_ANSWER as u64) {
            let whole = std::mem::replace(body, SdkBody::taken());
            *body = SdkBody::from_body_1_x(Limited::new(whole, LONGEST_ANSWER));
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &Answer<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Outcome {
        let response = context.response();
        let empty = response.body().bytes().is_some_and(<[u8]>::is_empty);
        if empty && response.status().is_success() {
            return Err("the answer is empty".into());
        }
        Ok(())
    }
}
