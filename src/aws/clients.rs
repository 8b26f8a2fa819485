//! The clients of the AWS SDK: made on first use, one pair for each set of settings in the process, so that stores share connections.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use tokio::sync::OnceCell;

use super::answer_body::BoundedAnswer;
use super::credentials::LastingSearch;
use super::no_metrics::NoMetrics;
use super::request_counter::RequestCounter;
use super::user_agent::UserAgentOnce;
use crate::error::Service;

/// The bounds of the random waits before the second attempt and before any. The SDK's own, a second and twenty, are longer than a web request waits: a
/// service that is asked again too late is not heard at all.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The retries that a client may make at once are this many tokens by the cost of one; a call that succeeds at once gives a token back. So a client makes
/// 50 retries in an outage, however long, and one for ten calls that need none: these are the numbers of AWS's SDKs, but for throttling, where theirs allow twice
/// as many.
const RETRY_TOKENS: usize = 500;
const RETRY_COST: u32 = 10;

static CLIENTS: LazyLock<Mutex<HashMap<ClientSettings, Arc<AwsClients>>>> =
    LazyLock::new(Mutex::default);

/// Everything that two stores must agree on to share clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientSettings {
    /// The region of the services.
    pub region: String,
    /// `DynamoDB`'s URL, if it is not AWS's own or the environment's.
    pub dynamodb_endpoint: Option<String>,
    /// KMS's URL, if it is not AWS's own or the environment's.
    pub kms_endpoint: Option<String>,
    /// The profile of the AWS configuration files, if it is not the environment's.
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
    /// For web requests: a service in the same region answers in milliseconds.
    pub const DEFAULT: Timeouts = Timeouts {
        connect: Duration::from_secs(1),
        attempt: Duration::from_secs(2),
        call: Duration::from_secs(5),
    };
}

/// The clients for one set of settings.
pub struct AwsClients {
    settings: ClientSettings,
    made: OnceCell<(aws_sdk_dynamodb::Client, aws_sdk_kms::Client)>,
}

impl AwsClients {
    /// The clients for `settings`, the same ones for all who ask. Nothing is read and nothing connects before the first call.
    #[must_use]
    pub fn shared(settings: &ClientSettings) -> Arc<AwsClients> {
        let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
        clients
            .entry(settings.clone())
            .or_insert_with(|| {
                Arc::new(AwsClients {
                    settings: settings.clone(),
                    made: OnceCell::new(),
                })
            })
            .clone()
    }

    /// The region of these clients.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.settings.region
    }

    /// The deadlines of these clients.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.settings.timeouts
    }

    /// `DynamoDB`'s client.
    pub async fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        &self.made().await.0
    }

    /// KMS's client.
    pub async fn kms(&self) -> &aws_sdk_kms::Client {
        &self.made().await.1
    }

    async fn made(&self) -> &(aws_sdk_dynamodb::Client, aws_sdk_kms::Client) {
        self.made
            .get_or_init(|| async {
                let settings = &self.settings;
                let shared = load(settings).await;
                let mut dynamodb = aws_sdk_dynamodb::config::Builder::from(&shared)
                    .retry_partition(retry_budget("dynamodb"))
                    .interceptor(UserAgentOnce::default())
                    .interceptor(NoMetrics)
                    .interceptor(RequestCounter(Service::DynamoDb))
                    .interceptor(BoundedAnswer);
                if let Some(endpoint) = &settings.dynamodb_endpoint {
                    dynamodb = dynamodb.endpoint_url(endpoint);
                }
                let mut kms = aws_sdk_kms::config::Builder::from(&shared)
                    .retry_partition(retry_budget("kms"))
                    .interceptor(UserAgentOnce::default())
                    .interceptor(NoMetrics)
                    .interceptor(RequestCounter(Service::Kms))
                    .interceptor(BoundedAnswer);
                if let Some(endpoint) = &settings.kms_endpoint {
                    kms = kms.endpoint_url(endpoint);
                }
                (
                    aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
                    aws_sdk_kms::Client::from_conf(kms.build()),
                )
            })
            .await
    }
}

/// The default credential chain (environment, profile, SSO, web identity, ECS and EC2 roles) and, where asked for, a role on top of it.
async fn load(settings: &ClientSettings) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        // An attempt has a deadline, so that nothing is left for it to notice, at the price of a task's worth of bookkeeping for every request.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(settings.timeouts.connect)
                .operation_attempt_timeout(settings.timeouts.attempt)
                .operation_timeout(settings.timeouts.call)
                .build(),
        );
    if let Some(profile) = &settings.profile {
        // Asked for by name, it goes before what happens to stand in the environment, as in AWS's other SDKs.
        let credentials = ProfileFileCredentialsProvider::builder()
            .profile_name(profile)
            .build();
        loader = loader
            .profile_name(profile)
            .credentials_provider(credentials);
    }
    let config = with_retries(loader.load().await);
    let provider = match &settings.role_arn {
        None => config.credentials_provider(),
        Some(role_arn) => {
            let role = AssumeRoleProvider::builder(role_arn)
                .session_name("connect-dynamodb-kms")
                .configure(&config)
                .build()
                .await;
            Some(SharedCredentialsProvider::new(role))
        }
    };
    let lasting = provider.map(LastingSearch::by);
    let mut builder = config.into_builder();
    builder.set_credentials_provider(lasting.map(SharedCredentialsProvider::new));
    builder.build()
}

/// How requests are repeated. The mode and the number of attempts are the environment's (`AWS_MAX_ATTEMPTS`), else the SDK's: three. The waits are ours.
fn with_retries(config: SdkConfig) -> SdkConfig {
    let retries = config
        .retry_config()
        .cloned()
        .unwrap_or_else(RetryConfig::standard)
        .with_initial_backoff(FIRST_WAIT)
        .with_max_backoff(LONGEST_WAIT);
    config.into_builder().retry_config(retries).build()
}

/// Retries of one client of one service; the SDK's own budget is one for all clients of the process, which would let an outage of one table take the retries
/// of all others.
fn retry_budget(service: &'static str) -> RetryPartition {
    let tokens = TokenBucket::builder()
        .capacity(RETRY_TOKENS)
        .retry_cost(RETRY_COST)
        .timeout_retry_cost(RETRY_COST)
        .throttling_retry_cost(RETRY_COST)
        .build();
    RetryPartition::custom(service).token_bucket(tokens).build()
}
