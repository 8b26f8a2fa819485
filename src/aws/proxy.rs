//! Names a proxy that cannot be used. The SDK takes a SOCKS proxy from the environment, but cannot
//! connect to one, which would look like a service that is not available.

use aws_sdk_dynamodb::config::http::HttpRequest;
use aws_sdk_dynamodb::config::{ConfigBag, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;

use super::failure::chain;

/// A client whose errors name such a proxy.
#[derive(Debug)]
pub(super) struct NamingProxy(pub(super) SharedHttpClient);

impl HttpClient for NamingProxy {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = self.0.http_connector(settings, components);
        SharedHttpConnector::new(NamingConnector(connector))
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        settings: &ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        self.0.validate_base_client_config(components, settings)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        settings: &ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        self.0.validate_final_config(components, settings)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

#[derive(Debug)]
struct NamingConnector(SharedHttpConnector);

impl HttpConnector for NamingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let encrypted = request.uri().starts_with("https:");
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let error = match answer.await {
                Err(error) if chain(&error).any(is_about_socks) => error,
                answer => return answer,
            };
            Err(match UnusableProxy::for_requests(encrypted) {
                Some(proxy) => ConnectorError::user(proxy.into()),
                None => error,
            })
        })
    }
}

fn is_about_socks(error: &(dyn std::error::Error + 'static)) -> bool {
    error.to_string().starts_with("unsupported scheme socks")
}

/// A variable of the environment that names a proxy of a kind that cannot be used.
#[derive(Clone, Debug)]
pub(super) struct UnusableProxy(&'static str);

impl UnusableProxy {
    /// The variable that counts, as in hyper-util's matcher of proxies.
    fn for_requests(encrypted: bool) -> Option<UnusableProxy> {
        let own = if encrypted {
            ["HTTPS_PROXY", "https_proxy"]
        } else {
            ["HTTP_PROXY", "http_proxy"]
        };
        [own, ["ALL_PROXY", "all_proxy"]]
            .into_iter()
            .filter_map(|names| {
                let set = |name| Some((name, std::env::var(name).ok()?));
                names.into_iter().find_map(set)
            })
            .find(|(_, value)| value.to_ascii_lowercase().starts_with("socks"))
            .map(|(name, _)| UnusableProxy(name))
    }
}

impl std::fmt::Display for UnusableProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the environment's {} must name an http:// or https:// proxy; exclude hosts from it with NO_PROXY",
            self.0
        )
    }
}

impl std::error::Error for UnusableProxy {}
