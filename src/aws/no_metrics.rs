//! Spares the SDK its metrics: it puts them together for every request, and there is no meter here that would take them.

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::Metadata;

/// Takes the names of service and operation away once the request is written. Its `X-Amz-Target` is made of them; after that, nothing reads them but the
/// metrics (aws-smithy-runtime 1.16: `client/metrics.rs` and `client/telemetry_bytes.rs`), which measure nothing, or without names, where there are none.
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
