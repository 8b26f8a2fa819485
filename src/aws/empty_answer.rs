//! An answer without a body says nothing. The SDK takes it for one without any of the fields that may be left out, and so an empty answer to `GetItem` for
//! "there is no such item".

use aws_sdk_dynamodb::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;

/// Refuses answers that say that all is well and have no body: both services answer every request with an object in JSON.
#[derive(Debug)]
pub(super) struct NoEmptyAnswer;

#[dyn_dispatch_hint]
impl Intercept for NoEmptyAnswer {
    fn name(&self) -> &'static str {
        "NoEmptyAnswer"
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
