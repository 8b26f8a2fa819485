//! The clients of the AWS SDK: made on first use, one pair for each set of settings in the process,
//! so that stores share connections.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};
use tokio::sync::OnceCell;

use super::credentials::HeldCredentials;
use super::failure::Call;
use super::http::{self, LastExchange, Watched};
use super::interceptors::interceptors;
use super::registry::Registry;
use super::settings::Settings;
use super::sources::Sources;
use super::transactions::MeetsTransactions;
use crate::call::{guarded, no_credentials_in_time};
use crate::config::DEFAULT_REGION;
use crate::error::{Result, Service};

/// The retry budget of a client, in tokens. A retry costs some, and a call that succeeds at once
/// returns one. During an outage, however long, a client makes 50 retries, and earns one for every
/// ten calls that need none. These are the numbers of AWS's SDKs, except for throttling, for which
/// theirs allow twice as many.
const RETRY_TOKENS: usize = 500;
const RETRY_COST: u32 = 10;

static CLIENTS: Registry<ClientSettings, AwsClients> = Registry::new();

static CREDENTIALS: Registry<Identity, HeldCredentials> = Registry::new();

/// What credentials depend on: region, profile and role.
type Identity = (String, Option<String>, Option<String>);

/// Everything that two stores must have in common to share clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientSettings {
    /// The region of the services; `None` for the profile's or the default.
    pub region: Option<String>,
    /// `DynamoDB`'s URL; `None` for the environment's or AWS's own.
    pub dynamodb_endpoint: Option<String>,
    /// KMS's URL; `None` for the environment's or AWS's own.
    pub kms_endpoint: Option<String>,
    /// The profile of the AWS configuration files; `None` for the environment's.
    pub profile: Option<String>,
    /// The role to assume.
    pub role_arn: Option<String>,
    /// The deadlines.
    pub timeouts: Timeouts,
}

/// How long calls may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// To connect, TLS included.
    pub connect: Duration,
    /// For one attempt of a request, connecting included.
    pub attempt: Duration,
    /// For a call with all its requests and their retries.
    pub call: Duration,
}

impl Timeouts {
    /// Short, because web requests wait: a service in the same region answers in milliseconds.
    pub const DEFAULT: Timeouts = Timeouts {
        connect: Duration::from_secs(1),
        attempt: Duration::from_secs(2),
        call: Duration::from_secs(5),
    };
}

/// The clients for one set of settings.
pub struct AwsClients {
    settings: ClientSettings,
    made: OnceCell<Made>,
    region: OnceLock<String>,
}

struct Made {
    dynamodb: aws_sdk_dynamodb::Client,
    kms: aws_sdk_kms::Client,
    /// What both were made of.
    shared: SdkConfig,
    credentials: Arc<HeldCredentials>,
}

impl AwsClients {
    /// The clients for `settings`, shared by all callers as long as one of them holds them. Nothing
    /// is read and nothing connects before the first call.
    #[must_use]
    pub fn shared(settings: &ClientSettings) -> Arc<AwsClients> {
        CLIENTS.get(settings.clone(), || AwsClients {
            settings: settings.clone(),
            made: OnceCell::new(),
            region: OnceLock::new(),
        })
    }

    /// Like `shared`, for a new store: its first call looks for credentials anew, also where it
    /// shares them with stores of other settings.
    #[must_use]
    pub fn for_store(settings: &ClientSettings) -> Arc<AwsClients> {
        let of_the_same = |(_, profile, role): &Identity| {
            (profile, role) == (&settings.profile, &settings.role_arn)
        };
        for credentials in CREDENTIALS.held(of_the_same) {
            credentials.read_anew();
        }
        AwsClients::shared(settings)
    }

    /// The region of these clients.
    #[must_use]
    pub fn region(&self) -> &str {
        let region = self.region.get().or(self.settings.region.as_ref());
        region.map_or(DEFAULT_REGION, String::as_str)
    }

    /// The deadlines of these clients.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.settings.timeouts
    }

    /// `DynamoDB`'s client with credentials. Looking for credentials does not count towards the
    /// time of an attempt.
    pub(super) async fn dynamodb(&self, call: &Call<'_>) -> Result<&aws_sdk_dynamodb::Client> {
        Ok(&self.ready(call).await?.dynamodb)
    }

    /// KMS's client, as above.
    pub(super) async fn kms(&self, call: &Call<'_>) -> Result<&aws_sdk_kms::Client> {
        Ok(&self.ready(call).await?.kms)
    }

    /// STS's client, for the operator's command. It goes where the two services go if that is one
    /// place that the options name.
    pub(super) async fn sts(&self, call: &Call<'_>) -> Result<aws_sdk_sts::Client> {
        let made = self.ready(call).await?;
        let mut sts = aws_sdk_sts::config::Builder::from(&made.shared);
        let settings = &self.settings;
        if let Some(endpoint) = &settings.dynamodb_endpoint
            && settings.kms_endpoint.as_ref() == Some(endpoint)
        {
            sts = sts.endpoint_url(endpoint);
        }
        Ok(aws_sdk_sts::Client::from_conf(sts.build()))
    }

    /// Whether the options name an endpoint for `DynamoDB`.
    pub(super) fn has_own_endpoint(&self) -> bool {
        self.settings.dynamodb_endpoint.is_some()
    }

    /// The services do not accept the credentials.
    pub(super) fn credentials_refused(&self) {
        if let Some(made) = self.made.get() {
            made.credentials.refused();
        }
    }

    async fn ready(&self, call: &Call<'_>) -> Result<&Made> {
        let made = self
            .made
            .get_or_try_init(|| Box::pin(guarded(self.make())))
            .await?;
        // The only deadline of calls that read the whole table.
        let search = tokio::time::timeout(self.settings.timeouts.call, made.credentials.get());
        match search.await {
            Ok(Ok(_)) => Ok(made),
            Ok(Err(failure)) => Err(failure.for_call(call.service, call.action)),
            Err(_) => Err(no_credentials_in_time(call.service, call.action)),
        }
    }

    async fn make(&self) -> Result<Made> {
        let own = &self.settings;
        let settings = Settings::read(own.profile.as_deref()).await;
        settings.check_endpoint("dynamodb", own.dynamodb_endpoint.is_some())?;
        settings.check_endpoint("kms", own.kms_endpoint.is_some())?;
        let region = match &own.region {
            Some(region) => Some(region.clone()),
            None => settings.region()?,
        };
        let region = region.unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let retries = settings.retries()?;
        let client = http::client(&settings).await?;
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region.clone()))
            .retry_config(retries.clone())
            .http_client(client.clone())
            .no_credentials()
            .identity_cache(IdentityCache::no_cache()) // ours keeps them
            // Stalled-stream protection is off: each attempt has a deadline, and the protection
            // costs a task for every request.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(profile) = &own.profile {
            loader = loader.profile_name(profile);
        }
        let config = loader.load().await;
        let sources = Sources {
            profile: own.profile.clone(),
            role_arn: own.role_arn.clone(),
            region: region.clone(),
            retries,
            config: config.clone(),
        };
        let identity = (region.clone(), own.profile.clone(), own.role_arn.clone());
        let credentials = CREDENTIALS.get(identity, || {
            let last: Arc<LastExchange> = Arc::default();
            let watched = Watched {
                client,
                last: last.clone(),
            };
            HeldCredentials::new(sources.through(watched), last)
        });
        let _ = self.region.set(region);
        Ok(self.clients(&config, credentials))
    }

    fn clients(&self, config: &SdkConfig, credentials: Arc<HeldCredentials>) -> Made {
        let (settings, timeouts) = (&self.settings, &self.settings.timeouts);
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(timeouts.connect)
            .operation_attempt_timeout(timeouts.attempt)
            .operation_timeout(timeouts.call)
            .build();
        let provider = SharedCredentialsProvider::new(credentials.as_ref().clone());
        let shared = config.clone().into_builder();
        let shared = shared
            .timeout_config(timeouts)
            .credentials_provider(provider)
            .build();
        let mut dynamodb = aws_sdk_dynamodb::config::Builder::from(&shared)
            .retry_partition(retry_budget("dynamodb"))
            .retry_classifier(MeetsTransactions);
        for interceptor in interceptors(Service::DynamoDb) {
            dynamodb.push_interceptor(interceptor);
        }
        if let Some(endpoint) = &settings.dynamodb_endpoint {
            dynamodb = dynamodb.endpoint_url(endpoint);
        }
        let mut kms =
            aws_sdk_kms::config::Builder::from(&shared).retry_partition(retry_budget("kms"));
        for interceptor in interceptors(Service::Kms) {
            kms.push_interceptor(interceptor);
        }
        if let Some(endpoint) = &settings.kms_endpoint {
            kms = kms.endpoint_url(endpoint);
        }
        Made {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            kms: aws_sdk_kms::Client::from_conf(kms.build()),
            shared,
            credentials,
        }
    }
}

/// Each client of each service has its own retry budget. The SDK's budget is shared by all clients
/// of the process, so an outage of one table would use up the retries of all others.
fn retry_budget(service: &'static str) -> RetryPartition {
    let tokens = TokenBucket::builder()
        .capacity(RETRY_TOKENS)
        .retry_cost(RETRY_COST)
        .timeout_retry_cost(RETRY_COST)
        .throttling_retry_cost(RETRY_COST)
        .build();
    RetryPartition::custom(service).token_bucket(tokens).build()
}
