//! Where credentials are looked for.

use std::sync::Arc;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use futures_util::FutureExt;

use super::credentials::{NotFound, Source};
use super::http::Watched;
use super::settings::Settings;
use super::signing_keys::Checked;

/// What decides where to look.
#[derive(Clone)]
pub(super) struct Sources {
    /// The option `profile`.
    pub(super) profile: Option<String>,
    /// The option `roleArn`.
    pub(super) role_arn: Option<String>,
    /// Of AWS STS.
    pub(super) region: String,
    pub(super) retries: RetryConfig,
    /// All other settings of the environment and the profile. No deadlines: the search as a whole
    /// has one.
    pub(super) config: SdkConfig,
}

impl Sources {
    pub(super) fn through(self, client: Watched) -> Source {
        let client = Arc::new(client);
        Box::new(move || self.clone().provider(client.clone()).boxed())
    }

    /// The default credential chain or that of the profile, and on top of it a role if one is
    /// configured.
    async fn provider(self, client: Arc<Watched>) -> SharedCredentialsProvider {
        let client = Watched {
            client: client.client.clone(),
            last: client.last.clone(),
        };
        let config = self.config.into_builder().http_client(client).build();
        let settings = Settings::read(self.profile.as_deref()).await;
        let mut surroundings = ProviderConfig::without_region()
            .with_region(Some(Region::new(self.region)))
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_retry_config(self.retries)
            .with_use_fips(config.use_fips())
            .with_use_dual_stack(config.use_dual_stack());
        if let Some(client) = config.http_client() {
            surroundings = surroundings.with_http_client(client);
        }
        let unusable = settings.unusable_source_key().map(Unusable);
        let chain = match (&self.profile, unusable) {
            // The profile comes second in the default chain.
            (None, Some(unusable)) => SharedCredentialsProvider::new(
                CredentialsProviderChain::first_try(
                    "Environment",
                    EnvironmentVariableCredentialsProvider::new(),
                )
                .or_else("Profile", unusable),
            ),
            (Some(_), Some(unusable)) => SharedCredentialsProvider::new(unusable),
            (None, None) => {
                let chain =
                    aws_config::default_provider::credentials::DefaultCredentialsChain::builder();
                let chain = chain
                    .region(config.region().cloned())
                    .with_custom_credential_source("Environment", environment(&settings))
                    .configure(surroundings);
                SharedCredentialsProvider::new(chain.build().await)
            }
            (Some(profile), None) if !settings.has_profile(profile) => {
                SharedCredentialsProvider::new(Unusable(format!(
                    "the AWS profile {profile}, which the option profile names, is in neither of the configuration files"
                )))
            }
            (Some(profile), None) => {
                SharedCredentialsProvider::new(of_profile(profile, &settings, &surroundings))
            }
        };
        let chain = Checked::new(chain, &settings, settings.unusable_key());
        let chain = SharedCredentialsProvider::new(chain);
        let Some(role_arn) = self.role_arn else {
            return chain;
        };
        let role = AssumeRoleProvider::builder(role_arn)
            .session_name("connect-dynamodb-kms")
            .configure(&config)
            .build_from_provider(chain)
            .await;
        SharedCredentialsProvider::new(Checked::new(role, &settings, None))
    }
}

/// Like the default chain with `AWS_PROFILE`, but without the variables that hold credentials: a
/// profile that was named explicitly takes precedence over the environment, as in AWS's other SDKs.
fn of_profile(
    profile: &str,
    settings: &Settings,
    surroundings: &ProviderConfig,
) -> CredentialsProviderChain {
    let files = ProfileFileCredentialsProvider::builder()
        .configure(surroundings)
        .with_custom_provider("Environment", environment(settings))
        .profile_name(profile);
    let token = WebIdentityTokenCredentialsProvider::builder().configure(surroundings);
    let container = EcsCredentialsProvider::builder().configure(surroundings);
    let instance = ImdsCredentialsProvider::builder()
        .configure(surroundings)
        .build();
    CredentialsProviderChain::first_try("Profile", files.build())
        .or_else("WebIdentityToken", token.build())
        .or_else("EcsContainer", container.build())
        .or_else("Ec2InstanceMetadata", instance)
}

/// The environment's keys for the role of a profile (`credential_source`), checked so that an error
/// names the variable.
fn environment(settings: &Settings) -> Checked {
    Checked::new(
        EnvironmentVariableCredentialsProvider::new(),
        settings,
        None,
    )
}

/// For settings that lead to no credentials.
#[derive(Debug)]
struct Unusable(String);

impl ProvideCredentials for Unusable {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let reason = NotFound::unusable(self.0.clone());
        future::ProvideCredentials::ready(Err(CredentialsError::invalid_configuration(reason)))
    }
}
