//! Counts requests as they are sent, because the SDK does not report how often it tried.

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::retries::RequestAttempts;

use crate::call;
use crate::error::Service;

/// Counts the requests to a service for the call that sends them.
#[derive(Debug)]
pub(super) struct RequestCounter(pub(super) Service);

#[dyn_dispatch_hint]
impl Intercept for RequestCounter {
    fn name(&self) -> &'static str {
        "RequestCounter"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let attempts = settings.load::<RequestAttempts>();
        let retry = attempts.is_some_and(|attempts| attempts.attempts() > 1);
        call::sends(self.0, retry);
        Ok(())
    }
}
