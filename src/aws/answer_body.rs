//! What the body of an answer must be before anybody takes it for one: there, and no larger than the services' answers are.

use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

/// In bytes. A page of a Scan holds 1 MB of items (Amazon DynamoDB Developer Guide, "Scanning tables"), of which JSON makes six times as much at the very most,
/// where every byte is a control character. Everything else is smaller.
const LONGEST: usize = 8 * 1024 * 1024;

/// Refuses answers that say that all is well and have no body, since both services answer every request with an object in JSON: the SDK takes an empty
/// one for an object without any of the fields that may be left out, and so an empty answer to `GetItem` for "there is no such item". And stops
/// reading answers that go on and on, which would fill the memory until the deadline.
#[derive(Debug)]
pub(super) struct BoundedAnswer;

#[dyn_dispatch_hint]
impl Intercept for BoundedAnswer {
    fn name(&self) -> &'static str {
        "BoundedAnswer"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        // A length that was announced is kept by the connection, and spares the usual answer the counting.
        let announced = body.content_length();
        if announced.is_none_or(|length| length > LONGEST as u64) {
            let whole = std::mem::replace(body, SdkBody::taken());
            *body = SdkBody::from_body_1_x(Limited::new(whole, LONGEST));
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let empty = response.body().bytes().is_some_and(<[u8]>::is_empty);
        if empty && response.status().is_success() {
            return Err("the answer is empty".into());
        }
        Ok(())
    }
}
