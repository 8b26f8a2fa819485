//! The HTTP client of the SDK: the SDK's own default, and, for the services that issue credentials, with an eye on
//! whether they answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use aws_sdk_dynamodb::config::http::HttpRequest;
use aws_sdk_dynamodb::config::{ConfigBag, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;

use super::failure::chain;

/// The SDK's default client (aws-smithy-runtime 1.16: `default_https_client`).
pub(super) fn client() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector =
            ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}

/// How the last request for credentials ended.
#[derive(Debug, Default)]
pub(super) struct LastExchange(AtomicU8);

const ANSWERED: u8 = 0;
/// There is nobody who answers, as where a laptop asks for the role of an instance.
const NOT_REACHED: u8 = 1;
/// There is somebody who does not answer in time, or answers that he cannot.
const UNAVAILABLE: u8 = 2;

impl LastExchange {
    /// Forgets the requests before.
    pub(super) fn begin(&self) {
        self.0.store(ANSWERED, Ordering::Relaxed);
    }

    /// Whether a service was reached and did not do its work.
    pub(super) fn was_unavailable(&self) -> bool {
        self.0.load(Ordering::Relaxed) == UNAVAILABLE
    }

    /// Whether no answer of use came at all.
    pub(super) fn failed(&self) -> bool {
        self.0.load(Ordering::Relaxed) != ANSWERED
    }
}

/// A client that notes in a [`LastExchange`] how its requests end.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) client: SharedHttpClient,
    pub(super) last: Arc<LastExchange>,
}

impl HttpClient for Watched {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(WatchedConnector {
            connector: self.client.http_connector(settings, components),
            last: self.last.clone(),
        })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        settings: &ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        self.client
            .validate_base_client_config(components, settings)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        settings: &ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        self.client.validate_final_config(components, settings)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.client.connector_metadata()
    }
}

#[derive(Debug)]
struct WatchedConnector {
    connector: SharedHttpConnector,
    last: Arc<LastExchange>,
}

impl HttpConnector for WatchedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        // What a deadline of the SDK breaks off stays as this.
        self.last.0.store(UNAVAILABLE, Ordering::Relaxed);
        let (answer, last) = (self.connector.call(request), self.last.clone());
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            let how = match &answer {
                Ok(response) => match response.status().as_u16() {
                    429 | 500.. => UNAVAILABLE,
                    _ => ANSWERED,
                },
                Err(error) if error.is_timeout() && !while_connecting(error) => UNAVAILABLE,
                Err(_) => NOT_REACHED,
            };
            last.0.store(how, Ordering::Relaxed);
            answer
        })
    }
}

/// As opposed to a time-out of a request that was sent.
fn while_connecting(error: &ConnectorError) -> bool {
    chain(error).any(|error| error.to_string().contains("connect timeout"))
}
