//! Makes the user agent once per client. The SDK builds it from the environment, the features and
//! the connector for every request.

use std::sync::OnceLock;

use aws_runtime::user_agent::UserAgentInterceptor;
use aws_sdk_dynamodb::config::interceptors::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::{disable_interceptor, dyn_dispatch_hint};

const HEADERS: [&str; 2] = ["user-agent", "x-amz-user-agent"];

/// Lets the SDK make the headers of a client's first request, and reuses them for all others.
#[derive(Debug, Default)]
pub(super) struct UserAgentOnce(OnceLock<[String; 2]>);

#[dyn_dispatch_hint]
impl Intercept for UserAgentOnce {
    fn name(&self) -> &'static str {
        "UserAgentOnce"
    }

    fn read_before_execution(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.0.get().is_some() {
            settings
                .interceptor_state()
                .store_put(disable_interceptor::<UserAgentInterceptor>("made once"));
        }
        Ok(())
    }

    /// Runs after the SDK's own.
    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        if let [Some(user_agent), Some(aws)] = HEADERS.map(|name| headers.get(name)) {
            let _ = self.0.set([user_agent.to_owned(), aws.to_owned()]);
        } else if let Some(values) = self.0.get() {
            for (name, value) in HEADERS.into_iter().zip(values) {
                headers.insert(name, value.clone());
            }
        }
        Ok(())
    }
}
