//! Turns the SDK's metrics off. It prepares them for every request, though no meter would receive
//! them.

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::Metadata;

/// Removes the names of service and operation once the request is written. Its `X-Amz-Target` is
/// made of them. After that, only the metrics read them (aws-smithy-runtime 1.16:
/// `client/metrics.rs` and `client/telemetry_bytes.rs`), and do without if they are missing.
#[derive(Debug)]
pub(super) struct NoMetrics;

#[dyn_dispatch_hint]
impl Intercept for NoMetrics {
    fn name(&self) -> &'static str {
        "NoMetrics"
    }

    fn read_after_serialization(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        settings.interceptor_state().unset::<Metadata>();
        Ok(())
    }
}
