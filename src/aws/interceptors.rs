//! What this store adds to the SDK's way from a request to its answer. Each interceptor overrides the hooks that it needs; the SDK calls them in this order for
//! every call: before execution, after serialization, before signing, before transmit, before and after deserialization.

use std::sync::OnceLock;

use aws_runtime::user_agent::UserAgentInterceptor;
use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef as Answer,
    BeforeDeserializationInterceptorContextMut as AnswerMut,
    BeforeSerializationInterceptorContextRef as Input,
    BeforeTransmitInterceptorContextMut as RequestMut,
    BeforeTransmitInterceptorContextRef as Request,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::{
    SharedInterceptor, disable_interceptor, dyn_dispatch_hint,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

use crate::call;
use crate::error::Service;

type Outcome = Result<(), BoxError>;

/// The interceptors of one client of `service`.
pub(super) fn interceptors(service: Service) -> [SharedInterceptor; 4] {
    [
        SharedInterceptor::new(UserAgentOnce::default()),
        SharedInterceptor::new(NoMetrics),
        SharedInterceptor::new(RequestCounter(service)),
        SharedInterceptor::new(BoundedAnswer),
    ]
}

/// Lets the SDK make the user agent of a client's first request, and gives the same one to all others: the SDK puts it together from the environment, the
/// features and the connector for every single request.
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

/// Spares the SDK its metrics: it puts them together for every request, and there is no meter here that would take them.
///
/// Takes the names of service and operation away once the request is written. Its `X-Amz-Target` is made of them; after that, nothing reads them but the
/// metrics (aws-smithy-runtime 1.16: `client/metrics.rs` and `client/telemetry_bytes.rs`), which measure nothing, or without names, where there are none.
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

/// Counts the requests to a service in the call that sends them, where they leave: the SDK tells nobody how often it tried.
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

/// Refuses answers that say that all is well and have no body, since both services answer every request with an object in JSON: the SDK takes an empty
/// one for an object without any of the fields that may be left out, and so an empty answer to `GetItem` for "there is no such item". And stops
/// reading answers that go on and on, which would fill the memory until the deadline.
#[derive(Debug)]
struct BoundedAnswer;

/// In bytes. A page of a Scan holds 1 MB of items (Amazon DynamoDB Developer Guide, "Scanning tables"), of which JSON makes six times as much at the very most,
/// where every byte is a control character. Everything else is smaller.
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
        // A length that was announced is kept by the connection, and spares the usual answer the counting.
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
