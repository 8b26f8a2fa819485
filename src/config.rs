//! The options of the store: names, types, defaults, and which exclude each other. Checked before any I/O.

use serde_json::{Map, Value};
use url::Url;

use crate::aws::ClientSettings;
use crate::error::{Error, Result};
use crate::store::Lifetime;

/// The key, table and region of the gateway that this store was first written for.
const DEFAULT_KEY_ARN: &str =
    "arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a";
const DEFAULT_TABLE: &str = "mcp-gateway-sessions";
const DEFAULT_REGION: &str = "us-east-1";

/// The defaults that the environment may override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// `KMS_KEY_ARN`.
    pub key_arn: String,
    /// `SESSIONS_TABLE`.
    pub table: String,
    /// `AWS_REGION`.
    pub region: String,
}

/// A checked configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// `tableName`.
    pub table_name: String,
    /// `prefix`.
    pub prefix: String,
    /// Used where the caller gives no lifetime with the call.
    pub lifetime: Lifetime,
    /// `keyCache`.
    pub key_cache: bool,
    /// Everything else.
    pub backend: Backend,
}

/// Where records lie and what wraps their keys.
#[allow(clippy::large_enum_variant)] // made once for each store
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `DynamoDB` and KMS.
    Aws {
        /// The settings of the client for the table.
        table: ClientSettings,
        /// The settings of the client for the keys.
        keys: ClientSettings,
        /// `kmsKeyArn`.
        key_arn: String,
    },
    /// `local`.
    Local {
        /// The folder, as the caller wrote it.
        path: String,
    },
}

impl Environment {
    /// From the variables that `read` gives; an empty one counts as unset.
    pub fn new(read: impl Fn(&str) -> Option<String>) -> Environment {
        let variable = |name: &str, default: &str| {
            read(name)
                .filter(|value| !value.is_empty())
                .unwrap_or_else(|| default.to_owned())
        };
        Environment {
            key_arn: variable("KMS_KEY_ARN", DEFAULT_KEY_ARN),
            table: variable("SESSIONS_TABLE", DEFAULT_TABLE),
            region: variable("AWS_REGION", DEFAULT_REGION),
        }
    }

    /// The settings of the shared clients: everything from the environment.
    #[must_use]
    pub fn client_settings(&self) -> ClientSettings {
        ClientSettings {
            region: self.region.clone(),
            dynamodb_endpoint: None,
            kms_endpoint: None,
            profile: None,
            role_arn: None,
        }
    }

    /// The settings of the shared KMS client, in the region of the default key.
    ///
    /// # Errors
    /// `ERR_CONFIG` if `KMS_KEY_ARN` is not the ARN of a KMS key.
    pub fn kms_client_settings(&self) -> Result<ClientSettings> {
        Ok(ClientSettings {
            region: key_region("the environment's KMS_KEY_ARN", &self.key_arn)?,
            ..self.client_settings()
        })
    }
}

/// The options as they came, each taken out once.
struct Options(Map<String, Value>);

impl StoreConfig {
    /// Checks the JSON of the caller's options. Something that JSON cannot hold (a function, NaN) stands in it as `{"$not": "a function"}`.
    /// `kmsClient` and `docClient` are `true` where the caller gave the shared handle.
    ///
    /// # Errors
    /// `ERR_CONFIG`, naming the option.
    pub fn parse(json: &str, environment: &Environment) -> Result<StoreConfig> {
        let Ok(Value::Object(options)) = serde_json::from_str(json) else {
            return Err(Error::Config(
                "the configuration must be an object with options".into(),
            ));
        };
        let mut options = Options(options);
        let table_name = options
            .string(
                "tableName",
                "3 to 255 letters, digits, _ - or .",
                is_table_name,
            )?
            .unwrap_or_else(|| environment.table.clone());
        if !is_table_name(&table_name) {
            return Err(Error::Config(
                "the environment's SESSIONS_TABLE must be 3 to 255 letters, digits, _ - or ."
                    .into(),
            ));
        }
        let prefix = options
            .string("prefix", "at most 1,024 bytes long", |prefix| {
                prefix.len() <= 1024
            })?
            .unwrap_or_default();
        let lifetime = options.lifetime()?;
        let key_cache = options.boolean("keyCache")?.unwrap_or(true);
        let local = options.local()?;
        let aws = options.aws()?;
        options.end()?;
        let backend = match local {
            Some(path) => Backend::Local { path },
            None => aws.backend(environment)?,
        };
        Ok(StoreConfig {
            table_name,
            prefix,
            lifetime,
            key_cache,
            backend,
        })
    }
}

impl Options {
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    fn string(
        &mut self,
        name: &str,
        rule: &str,
        holds: impl Fn(&str) -> bool,
    ) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if holds(&text) => Ok(Some(text)),
            Some(Value::String(_)) => Err(Error::Config(format!("{name} must be {rule}"))),
            Some(value) => Err(mistyped(name, "a string", &value)),
        }
    }

    fn boolean(&mut self, name: &str) -> Result<Option<bool>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(value) => Err(mistyped(name, "true or false", &value)),
        }
    }

    fn lifetime(&mut self) -> Result<Lifetime> {
        match self.take("ttlSeconds") {
            None => Ok(Lifetime::DEFAULT),
            Some(Value::Number(seconds)) => {
                Lifetime::from_seconds(seconds.as_f64().unwrap_or(f64::NAN))
            }
            Some(value) => Err(mistyped(
                "ttlSeconds",
                "a number of seconds, or a function that gives one",
                &value,
            )),
        }
    }

    fn local(&mut self) -> Result<Option<String>> {
        match self.take("local") {
            None => Ok(None),
            Some(Value::Object(inner)) if !inner.contains_key("$not") => {
                let mut inner = Options(inner);
                let path = inner.string("path", "the path of a folder", |path| !path.is_empty());
                let path = path.map_err(|error| Error::Config(format!("local.{error}")))?;
                if let Some(name) = inner.0.keys().next() {
                    return Err(Error::Config(format!(
                        "unknown option local.{name}; local takes path"
                    )));
                }
                path.map(Some).ok_or_else(|| {
                    Error::Config("local.path is missing; give the path of a folder".into())
                })
            }
            Some(value) => Err(mistyped("local", "an object with path", &value)),
        }
    }

    fn aws(&mut self) -> Result<AwsOptions> {
        let key = self
            .string("kmsKeyArn", "the ARN of a KMS key or alias", |_| true)?
            .map(|arn| key_region("kmsKeyArn", &arn).map(|region| (arn, region)))
            .transpose()?;
        let region = self.string("region", "an AWS region such as us-east-1", |region| {
            !region.is_empty()
                && region
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })?;
        let url = "an http:// or https:// URL";
        let endpoint = self.string("endpoint", url, is_url)?;
        let dynamodb_endpoint = self.string("dynamodbEndpoint", url, is_url)?;
        let kms_endpoint = self.string("kmsEndpoint", url, is_url)?;
        let profile = self.string("profile", "the name of a profile", |profile| {
            !profile.is_empty()
        })?;
        let role_arn = self.string("roleArn", "the ARN of an IAM role", |arn| {
            arn.starts_with("arn:") && arn.contains(":iam:") && arn.contains(":role/")
        })?;
        let shared = [
            ("region", region.is_some()),
            ("endpoint", endpoint.is_some()),
            ("profile", profile.is_some()),
            ("roleArn", role_arn.is_some()),
        ];
        let own_table = ("dynamodbEndpoint", dynamodb_endpoint.is_some());
        let own_keys = ("kmsEndpoint", kms_endpoint.is_some());
        Ok(AwsOptions {
            shared_table: self.handle("docClient", &shared, own_table)?,
            shared_keys: self.handle("kmsClient", &shared, own_keys)?,
            key,
            region,
            dynamodb_endpoint: dynamodb_endpoint.or_else(|| endpoint.clone()),
            kms_endpoint: kms_endpoint.or(endpoint),
            profile,
            role_arn,
        })
    }

    /// Whether the shared handle `name` was given, which leaves no room for settings of the caller.
    fn handle(
        &mut self,
        name: &str,
        shared: &[(&str, bool)],
        own_endpoint: (&str, bool),
    ) -> Result<bool> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(true)) => match shared
                .iter()
                .chain([&own_endpoint])
                .find(|(_, given)| *given)
            {
                None => Ok(true),
                Some((other, _)) => Err(Error::Config(format!(
                    "{name} carries the environment's settings, so {other} cannot be set beside it; leave one of them out"
                ))),
            },
            Some(value) => Err(mistyped(
                name,
                "the handle of that name that this package exports",
                &value,
            )),
        }
    }

    fn end(self) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::Config(format!(
                "unknown option {name}; see SessionStoreConfig in index.d.ts for the options there are"
            ))),
        }
    }
}

/// The options about AWS, each checked for itself.
struct AwsOptions {
    /// The ARN and its region.
    key: Option<(String, String)>,
    region: Option<String>,
    dynamodb_endpoint: Option<String>,
    kms_endpoint: Option<String>,
    profile: Option<String>,
    role_arn: Option<String>,
    shared_table: bool,
    shared_keys: bool,
}

impl AwsOptions {
    fn backend(self, environment: &Environment) -> Result<Backend> {
        let (key_arn, key_region) = match self.key {
            Some(key) => key,
            None => (
                environment.key_arn.clone(),
                environment.kms_client_settings()?.region,
            ),
        };
        let own = ClientSettings {
            region: self.region.unwrap_or_else(|| environment.region.clone()),
            dynamodb_endpoint: self.dynamodb_endpoint,
            kms_endpoint: self.kms_endpoint,
            profile: self.profile,
            role_arn: self.role_arn,
        };
        let keys = if self.shared_keys {
            let shared = environment.kms_client_settings()?;
            if shared.region != key_region {
                return Err(Error::Config(format!(
                    "kmsClient is for {}, but kmsKeyArn is in {key_region}; leave kmsClient out",
                    shared.region
                )));
            }
            shared
        } else {
            // A KMS key answers in its own region alone, so that one counts here.
            ClientSettings {
                region: key_region,
                ..own.clone()
            }
        };
        let table = if self.shared_table {
            environment.client_settings()
        } else {
            own
        };
        Ok(Backend::Aws {
            table,
            keys,
            key_arn,
        })
    }
}

fn mistyped(name: &str, expected: &str, value: &Value) -> Error {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(object) => object
            .get("$not")
            .and_then(Value::as_str)
            .unwrap_or("an object"),
    };
    Error::Config(format!("{name} must be {expected}, not {found}"))
}

/// Amazon DynamoDB Developer Guide, "Naming rules".
fn is_table_name(name: &str) -> bool {
    (3..=255).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn is_url(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// The region of `arn:partition:kms:region:account:key/…` or `alias/…`.
fn key_region(name: &str, arn: &str) -> Result<String> {
    match arn.splitn(6, ':').collect::<Vec<_>>()[..] {
        ["arn", _, "kms", region, account, resource]
            if !region.is_empty()
                && !account.is_empty()
                && (resource.starts_with("key/") || resource.starts_with("alias/")) =>
        {
            Ok(region.to_owned())
        }
        _ => Err(Error::Config(format!(
            "{name} must be the ARN of a KMS key or alias, arn:aws:kms:REGION:ACCOUNT:key/ID"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment::new(|_| None)
    }

    fn parse(json: &str) -> StoreConfig {
        StoreConfig::parse(json, &environment()).unwrap()
    }

    fn refused(json: &str) -> String {
        let error = StoreConfig::parse(json, &environment()).unwrap_err();
        assert_eq!(error.code(), "ERR_CONFIG");
        error.to_string()
    }

    fn aws(config: StoreConfig) -> (ClientSettings, ClientSettings, String) {
        match config.backend {
            Backend::Aws {
                table,
                keys,
                key_arn,
            } => (table, keys, key_arn),
            Backend::Local { .. } => panic!("local"),
        }
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let config = parse("{}");
        assert_eq!(config.table_name, "mcp-gateway-sessions");
        assert_eq!(config.lifetime, Lifetime::from_seconds(604_800.0).unwrap());
        assert!(config.key_cache);
        let (table, keys, key_arn) = aws(config);
        assert_eq!(table.region, "us-east-1");
        assert_eq!(table, keys);
        assert_eq!(key_arn, DEFAULT_KEY_ARN);
    }

    #[test]
    fn the_environment_overrides_defaults_and_options_override_the_environment() {
        let environment = Environment::new(|name| match name {
            "SESSIONS_TABLE" => Some("from-env".into()),
            "AWS_REGION" => Some("eu-west-1".into()),
            "KMS_KEY_ARN" => Some(String::new()),
            _ => None,
        });
        let config = StoreConfig::parse("{}", &environment).unwrap();
        assert_eq!(config.table_name, "from-env");
        assert_eq!(aws(config).0.region, "eu-west-1");
        let config = StoreConfig::parse(
            r#"{"tableName": "mine", "region": "ap-south-1"}"#,
            &environment,
        )
        .unwrap();
        assert_eq!(config.table_name, "mine");
        assert_eq!(aws(config).0.region, "ap-south-1");
    }

    #[test]
    fn the_keys_region_is_that_of_its_arn() {
        let (table, keys, _) = aws(parse(
            r#"{"region": "eu-west-1", "kmsKeyArn": "arn:aws:kms:eu-central-1:123456789012:alias/sessions"}"#,
        ));
        assert_eq!(
            (table.region.as_str(), keys.region.as_str()),
            ("eu-west-1", "eu-central-1")
        );
    }

    #[test]
    fn a_services_own_endpoint_goes_before_the_common_one() {
        let (table, keys, _) = aws(parse(
            r#"{"endpoint": "http://127.0.0.1:1", "kmsEndpoint": "http://127.0.0.1:2"}"#,
        ));
        assert_eq!(
            table.dynamodb_endpoint.as_deref(),
            Some("http://127.0.0.1:1")
        );
        assert_eq!(keys.kms_endpoint.as_deref(), Some("http://127.0.0.1:2"));
        assert_eq!(table, keys, "one set of settings, so one pair of clients");
    }

    #[test]
    fn every_refusal_names_the_option() {
        for (json, option) in [
            (r#"{"tablename": "x"}"#, "tablename"),
            (r#"{"tableName": 7}"#, "tableName"),
            (r#"{"tableName": "a b c"}"#, "tableName"),
            (r#"{"tableName": null}"#, "tableName"),
            (r#"{"ttlSeconds": 0}"#, "ttlSeconds"),
            (r#"{"ttlSeconds": "60"}"#, "ttlSeconds"),
            (
                r#"{"ttlSeconds": {"$not": "NaN"}}"#,
                "ttlSeconds must be a number of seconds, or a function that gives one, not NaN",
            ),
            (r#"{"kmsKeyArn": "afd7365b"}"#, "kmsKeyArn"),
            (r#"{"kmsKeyArn": "arn:aws:s3:::bucket"}"#, "kmsKeyArn"),
            (r#"{"region": "us east"}"#, "region"),
            (r#"{"endpoint": "localhost:8000"}"#, "endpoint"),
            (r#"{"dynamodbEndpoint": true}"#, "dynamodbEndpoint"),
            (r#"{"kmsEndpoint": "https://"}"#, "kmsEndpoint"),
            (r#"{"endpoint": "http://local host"}"#, "endpoint"),
            (r#"{"endpoint": "http://[::1"}"#, "endpoint"),
            (r#"{"endpoint": "http://:1"}"#, "endpoint"),
            (r#"{"endpoint": "ftp://localhost"}"#, "endpoint"),
            (r#"{"profile": ""}"#, "profile"),
            (r#"{"roleArn": "admin"}"#, "roleArn"),
            (r#"{"prefix": 1}"#, "prefix"),
            (r#"{"keyCache": "no"}"#, "keyCache"),
            (r#"{"local": true}"#, "local"),
            (r#"{"local": {}}"#, "local.path"),
            (r#"{"local": {"path": 1}}"#, "local.path"),
            (r#"{"local": {"path": "x", "mode": 1}}"#, "local.mode"),
            (r#"{"docClient": {"$not": "another object"}}"#, "docClient"),
            (r#"{"docClient": true, "region": "eu-west-1"}"#, "region"),
            (
                r#"{"kmsClient": true, "kmsEndpoint": "http://127.0.0.1:1"}"#,
                "kmsEndpoint",
            ),
            ("[]", "configuration"),
            ("null", "configuration"),
        ] {
            let message = refused(json);
            assert!(message.contains(option), "{json}: {message}");
        }
    }

    #[test]
    fn a_bad_environment_is_named() {
        let environment =
            Environment::new(|name| (name == "KMS_KEY_ARN").then(|| "nonsense".into()));
        let error = StoreConfig::parse("{}", &environment).unwrap_err();
        assert!(error.to_string().contains("KMS_KEY_ARN"));
    }

    #[test]
    fn local_mode_wins_over_the_options_about_aws() {
        let config =
            parse(r#"{"local": {"path": "./x"}, "tableName": "mine", "region": "eu-west-1"}"#);
        assert_eq!(config.table_name, "mine");
        assert_eq!(config.backend, Backend::Local { path: "./x".into() });
    }
}
