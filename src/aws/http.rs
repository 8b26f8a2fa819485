//! The HTTP client of the SDK: the SDK's default with the certificates that the environment adds.
//! For the services that issue credentials, it also notes whether they answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use aws_sdk_dynamodb::config::http::HttpRequest;
use aws_sdk_dynamodb::config::{ConfigBag, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use base64_simd::STANDARD as BASE64;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::failure::chain;
use super::proxy::NamingProxy;
use super::settings::Settings;
use crate::error::{Error, Result};

/// The SDK's default client (aws-smithy-runtime 1.16: `default_https_client`). It trusts the
/// system's certificates, and those in the files that `AWS_CA_BUNDLE` and `NODE_EXTRA_CA_CERTS`
/// name.
pub(super) async fn client(settings: &Settings) -> Result<SharedHttpClient> {
    let mut trusted = TrustStore::default();
    for (name, path) in settings.certificate_files() {
        trusted.add_pem_certificate(certificates(&name, &path).await?);
    }
    let tls = TlsContext::builder()
        .with_trust_store(trusted)
        .build()
        .map_err(|error| Error::Config(format!("TLS cannot be used: {error}")))?;
    let client = Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(tls.clone());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    });
    Ok(SharedHttpClient::new(NamingProxy(client)))
}

/// Those certificates of a file that the TLS library can read: it panics on others. A file without
/// any is an error.
async fn certificates(name: &str, path: &str) -> Result<Vec<u8>> {
    let refused = |what: &str| {
        Error::Config(format!(
            "{name} must name a file with certificates in PEM; {path} {what}"
        ))
    };
    let file = path.to_owned();
    let read = tokio::task::spawn_blocking(move || std::fs::read(file)).await;
    let pem = match read {
        Ok(Ok(pem)) => pem,
        Ok(Err(error)) => return Err(refused(&format!("cannot be read: {}", error.kind()))),
        Err(_) => return Err(Error::Internal),
    };
    let mut readable = String::new();
    for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
        let text = BASE64.encode_to_string(&certificate);
        if RootCertStore::empty().add(certificate).is_ok() {
            readable.extend([
                "-----BEGIN CERTIFICATE-----\n",
                &text,
                "\n-----END CERTIFICATE-----\n",
            ]);
        }
    }
    if readable.is_empty() {
        return Err(refused("holds none"));
    }
    Ok(readable.into_bytes())
}

/// How the last request for credentials ended.
#[derive(Debug, Default)]
pub(super) struct LastExchange(AtomicU8);

const ANSWERED: u8 = 0;
/// Nobody answers, for example if a laptop asks for the role of an instance.
const NOT_REACHED: u8 = 1;
/// A service was reached, but did not answer in time or reported a failure.
const UNAVAILABLE: u8 = 2;

impl LastExchange {
    /// Forgets the requests before.
    pub(super) fn begin(&self) {
        self.0.store(ANSWERED, Ordering::Relaxed);
    }

    /// Whether a service was reached and failed.
    pub(super) fn was_unavailable(&self) -> bool {
        self.0.load(Ordering::Relaxed) == UNAVAILABLE
    }

    /// Whether no answer of use came at all.
    pub(super) fn failed(&self) -> bool {
        self.0.load(Ordering::Relaxed) != ANSWERED
    }
}

/// A client that notes the outcome of its requests in a [`LastExchange`].
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
        // Stays if a deadline of the SDK stops the request.
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

/// A time-out while connecting, not one of a request that was sent.
fn while_connecting(error: &ConnectorError) -> bool {
    chain(error).any(|error| error.to_string().contains("connect timeout"))
}
