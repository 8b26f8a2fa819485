//! Checks the bodies of AWS's answers: there must be one, and it must not be too large.

use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

/// In bytes. A page of a Scan holds 1 MB of items (Amazon DynamoDB Developer Guide, "Scanning
/// tables"). JSON needs at most six times as much, if every byte is a control character. All other
/// answers are smaller.
const LONGEST: usize = 8 * 1024 * 1024;

/// Refuses successful answers without a body, and stops reading answers that are too large.
///
/// Both services answer every request with a JSON object. The SDK reads an empty body as an object
/// without any optional field, so an empty answer to `GetItem` would mean "there is no such item".
/// An endless answer would fill the memory until the deadline.
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
        // The connection enforces an announced length, so the usual answer need not be counted.
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
