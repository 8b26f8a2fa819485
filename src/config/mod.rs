//! The options of the store: names, types, defaults, and which exclude each other. Checked before any I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroizing;

use crate::aws::{ClientSettings, Timeouts};
use crate::error::{Error, Result, Unset};
use crate::keys::cache::Limits;
use crate::record::Version;
use crate::record::partition_key::{IdHashing, PartitionKeys};
use crate::store::{Lifetime, OnConflict, Saving, context_of_records};

/// The key, table and region of the gateway that this store was first written for.
const DEFAULT_KEY_ARN: &str =
    "arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a";
const DEFAULT_TABLE: &str = "mcp-gateway-sessions";
/// Where neither option, environment nor profile names one.
pub const DEFAULT_REGION: &str = "us-east-1";

/// The environment variables that name another key and another table.
pub const KEY_VARIABLE: &str = "KMS_KEY_ARN";
const TABLE_VARIABLE: &str = "SESSIONS_TABLE";

/// The longest age and interval, in seconds: a hundred years, far from the end of any clock.
const MAX_SECONDS: u64 = 3_155_760_000;

/// The longest deadline, in milliseconds: a minute, longer than anybody waits for a web page.
const MAX_TIMEOUT_MILLIS: u64 = 60_000;

/// How many bytes all names and values of an encryption context may have together in UTF-8, those that the store adds included. AWS KMS refuses a longer one
/// with every call. (384 characters is the limit of a value in the constraints of grants, and none of a call.)
const CONTEXT_LIMIT: usize = 8192;

/// AWS KMS API Reference, "CreateAlias": the longest name, `alias/` included.
const ALIAS_LIMIT: usize = 256;

/// The longest ARN that KMS and IAM take (AWS KMS API Reference, "Decrypt"; IAM API Reference, `arnType`).
const ARN_LIMIT: usize = 2048;

/// The encryption context's names that the store sets itself.
const RESERVED_CONTEXT: [&str; 3] = ["purpose", "table", "v"];

/// The defaults that the environment may override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// `KMS_KEY_ARN`.
    pub key_arn: String,
    /// Whether that is the built-in default.
    pub key_unset: bool,
    /// `SESSIONS_TABLE`.
    pub table: String,
    /// Whether that is the built-in default.
    pub table_unset: bool,
    /// `AWS_REGION`, if it is set.
    pub region: Option<String>,
}

/// A checked configuration. It may hold a secret, so it has no `Debug`.
pub struct StoreConfig {
    /// `tableName`.
    pub table_name: String,
    /// Set if that is the built-in default.
    pub table_unset: Option<Unset>,
    /// `prefix`.
    pub prefix: String,
    /// Used where the caller gives no lifetime with the call.
    pub lifetime: Lifetime,
    /// `keyCache`; `None` if it is off.
    pub key_cache: Option<Limits>,
    /// `recordVersion`.
    pub record_version: Version,
    /// `acceptVersions`.
    pub accept_versions: Vec<Version>,
    /// `encryptionContext`.
    pub encryption_context: BTreeMap<String, String>,
    /// `hashSessionIds`.
    pub hash_session_ids: IdHashing,
    /// `touchAfter` and `onConflict`.
    pub saving: Saving,
    /// Everything else.
    pub backend: BackendOptions,
}

/// Where records lie and what wraps their keys.
#[allow(clippy::large_enum_variant)] // made once for each store
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendOptions {
    /// `DynamoDB` and KMS.
    Aws {
        /// The settings of the client for the table.
        table: ClientSettings,
        /// The keys of `kmsKeyArn`, each with the settings of its client; the first seals.
        keys: Vec<KeySettings>,
    },
    /// `local`.
    Local {
        /// The folder, as the caller wrote it.
        path: String,
    },
}

/// One KMS key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// Its ARN, or that of an alias.
    pub arn: String,
    /// Set if that is the built-in default.
    pub unset: Option<Unset>,
    /// The settings of the client for it.
    pub client: ClientSettings,
}

impl Environment {
    /// From the variables that `read` gives; an empty one counts as unset.
    pub fn new(read: impl Fn(&str) -> Option<String>) -> Environment {
        let variable = |name: &str| read(name).filter(|value| !value.is_empty());
        let (key, table) = (variable(KEY_VARIABLE), variable(TABLE_VARIABLE));
        Environment {
            key_unset: key.is_none(),
            key_arn: key.unwrap_or_else(|| DEFAULT_KEY_ARN.to_owned()),
            table_unset: table.is_none(),
            table: table.unwrap_or_else(|| DEFAULT_TABLE.to_owned()),
            region: variable("AWS_REGION"),
        }
    }

    /// The settings of the shared clients: everything from the environment.
    ///
    /// # Errors
    /// `ERR_CONFIG` if `AWS_REGION` is not the name of a region.
    pub fn client_settings(&self) -> Result<ClientSettings> {
        Ok(ClientSettings {
            region: self.region()?,
            ..Self::settings_without_region()
        })
    }

    /// `AWS_REGION`, checked.
    fn region(&self) -> Result<Option<String>> {
        match &self.region {
            Some(region) if !is_region(region) => Err(Error::Config(
                "the environment's AWS_REGION must be an AWS region such as us-east-1, without white space"
                    .into(),
            )),
            region => Ok(region.clone()),
        }
    }

    fn settings_without_region() -> ClientSettings {
        ClientSettings {
            region: None,
            dynamodb_endpoint: None,
            kms_endpoint: None,
            profile: None,
            role_arn: None,
            timeouts: Timeouts::DEFAULT,
        }
    }

    /// The settings of the shared KMS client, in the region of the default key.
    ///
    /// # Errors
    /// `ERR_CONFIG` if `KMS_KEY_ARN` is not the ARN of a KMS key.
    pub fn kms_client_settings(&self) -> Result<ClientSettings> {
        Ok(ClientSettings {
            region: Some(key_region("the environment's KMS_KEY_ARN", &self.key_arn)?),
            ..Self::settings_without_region()
        })
    }
}

/// The options as they came, each taken out once.
struct Options(Map<String, Value>);

impl StoreConfig {
    /// How long one call of the store may take; without end in local mode, which waits for nobody.
    #[must_use]
    pub fn call_timeout(&self) -> Option<Duration> {
        match &self.backend {
            BackendOptions::Aws { table, .. } => Some(table.timeouts.call),
            BackendOptions::Local { .. } => None,
        }
    }

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
        let named = options.string(
            "tableName",
            "3 to 255 letters, digits, _ - or .",
            is_table_name,
        )?;
        let table_unset = (named.is_none() && environment.table_unset).then_some(Unset {
            option: Some("tableName"),
            variable: TABLE_VARIABLE,
        });
        let table_name = named.unwrap_or_else(|| environment.table.clone());
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
        let key_cache = options.key_cache()?;
        let (record_version, accept_versions) = options.versions()?;
        let encryption_context = options.encryption_context(&table_name)?;
        let hash_session_ids = options.hash_session_ids()?;
        PartitionKeys::new(prefix.clone(), IdHashing::None).check_prefix()?;
        let saving = options.saving()?;
        options.number("maxRecentSessions")?; // the facade keeps them
        options.number("maxCallsInFlight")?; // and counts these
        let local = options.local()?;
        let aws = options.aws()?;
        options.end()?;
        let backend = match local {
            Some(path) => BackendOptions::Local { path },
            None => aws.backend(environment)?,
        };
        Ok(StoreConfig {
            table_name,
            table_unset,
            prefix,
            lifetime,
            key_cache,
            record_version,
            accept_versions,
            encryption_context,
            hash_session_ids,
            saving,
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

    /// A whole number from 1.
    fn number(&mut self, name: &str) -> Result<Option<u64>> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) if number > 0 => Ok(Some(number)),
                _ => Err(mistyped(name, "a whole number from 1", &value)),
            },
        }
    }

    fn timeouts(&mut self) -> Result<Timeouts> {
        match self.take("timeouts") {
            None => Ok(Timeouts::DEFAULT),
            Some(Value::Object(inner)) if !inner.contains_key("$not") => {
                let mut inner = Options(inner);
                let timeouts = inner.deadlines().map_err(inside("timeouts"))?;
                inner.end().map_err(inside("timeouts"))?;
                Ok(timeouts)
            }
            Some(value) => Err(mistyped("timeouts", "an object with milliseconds", &value)),
        }
    }

    /// Each is part of the next. One that is not given is its default, or less where what it is part of is less.
    fn deadlines(&mut self) -> Result<Timeouts> {
        let defaults = Timeouts::DEFAULT;
        let call = self.millis("callMillis")?.unwrap_or(defaults.call);
        let attempt = self.millis("attemptMillis")?;
        let attempt = attempt.unwrap_or(defaults.attempt.min(call));
        let connect = self.millis("connectMillis")?;
        let connect = connect.unwrap_or(defaults.connect.min(attempt));
        let ordered = |name, part: Duration, whole_name, whole: Duration| {
            if part <= whole {
                return Ok(());
            }
            Err(Error::Config(format!(
                "{name} must be at most {whole_name}, which is {}",
                whole.as_millis()
            )))
        };
        ordered("attemptMillis", attempt, "callMillis", call)?;
        ordered("connectMillis", connect, "attemptMillis", attempt)?;
        Ok(Timeouts {
            connect,
            attempt,
            call,
        })
    }

    fn millis(&mut self, name: &str) -> Result<Option<Duration>> {
        match self.number(name)? {
            Some(millis) if millis > MAX_TIMEOUT_MILLIS => Err(Error::Config(format!(
                "{name} must be at most {MAX_TIMEOUT_MILLIS} milliseconds, not {millis}"
            ))),
            millis => Ok(millis.map(Duration::from_millis)),
        }
    }

    fn key_cache(&mut self) -> Result<Option<Limits>> {
        match self.take("keyCache") {
            None | Some(Value::Bool(true)) => Ok(Some(Limits::DEFAULT)),
            Some(Value::Bool(false)) => Ok(None),
            Some(Value::String(preset)) if preset == "strict" => Ok(Some(Limits::STRICT)),
            Some(Value::Object(limits)) if !limits.contains_key("$not") => Options(limits)
                .limits()
                .map(Some)
                .map_err(inside("keyCache")),
            Some(value) => Err(mistyped(
                "keyCache",
                "true, false, 'strict' or an object with limits",
                &value,
            )),
        }
    }

    fn limits(mut self) -> Result<Limits> {
        let seconds = |number: u64| Duration::from_secs(number.min(MAX_SECONDS));
        let defaults = Limits::DEFAULT;
        let limits = Limits {
            max_entries: self.number("maxEntries")?.unwrap_or(defaults.max_entries),
            max_age: self
                .number("maxAgeSeconds")?
                .map_or(defaults.max_age, seconds),
            max_seals: self.number("maxSealsPerKey")?.unwrap_or(defaults.max_seals),
            max_sealed_bytes: self
                .number("maxBytesPerKey")?
                .unwrap_or(defaults.max_sealed_bytes),
            revocation_check: self
                .number("revocationCheckSeconds")?
                .map_or(defaults.revocation_check, seconds),
        };
        self.end()?;
        Ok(limits)
    }

    fn versions(&mut self) -> Result<(Version, Vec<Version>)> {
        let number = |value: &Value| match value.as_u64() {
            Some(1) => Some(Version::V1),
            Some(2) => Some(Version::V2),
            _ => None,
        };
        let write = match self.take("recordVersion") {
            None => Version::V1,
            Some(value) => {
                number(&value).ok_or_else(|| mistyped("recordVersion", "1 or 2", &value))?
            }
        };
        let accept = match self.take("acceptVersions") {
            None => vec![Version::V1, Version::V2],
            Some(value) => value
                .as_array()
                .and_then(|versions| versions.iter().map(number).collect::<Option<Vec<_>>>())
                .ok_or_else(|| mistyped("acceptVersions", "an array of 1 and 2", &value))?,
        };
        if accept.contains(&write) {
            Ok((write, accept))
        } else {
            Err(Error::Config(format!(
                "acceptVersions must contain {}, the recordVersion: the store could not read what it writes",
                write.number()
            )))
        }
    }

    fn encryption_context(&mut self, table_name: &str) -> Result<BTreeMap<String, String>> {
        let expected = "an object with strings";
        let Some(value) = self.take("encryptionContext") else {
            return Ok(BTreeMap::new());
        };
        let pairs = match &value {
            Value::Object(pairs) if !pairs.contains_key("$not") => pairs,
            value => return Err(mistyped("encryptionContext", expected, value)),
        };
        let mut context = BTreeMap::new();
        for (name, value) in pairs {
            if RESERVED_CONTEXT.contains(&name.as_str()) {
                return Err(Error::Config(format!(
                    "encryptionContext must not have {name}: the store sets that itself"
                )));
            }
            let Some(text) = value.as_str() else {
                return Err(mistyped("encryptionContext", expected, value));
            };
            context.insert(name.clone(), text.to_owned());
        }
        let whole = context_of_records(table_name, context.clone());
        let length: usize = whole
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if length > CONTEXT_LIMIT {
            return Err(Error::Config(format!(
                "encryptionContext has {length} bytes with the pairs that the store adds; KMS takes {CONTEXT_LIMIT} at most"
            )));
        }
        Ok(context)
    }

    fn hash_session_ids(&mut self) -> Result<IdHashing> {
        match self.take("hashSessionIds") {
            None | Some(Value::Bool(false)) => Ok(IdHashing::None),
            Some(Value::Bool(true)) => Ok(IdHashing::Sha256),
            Some(Value::Object(inner)) if !inner.contains_key("$not") => {
                let mut inner = Options(inner);
                let secret = inner
                    .string("secret", "at least 16 bytes long", |secret| {
                        secret.len() >= 16
                    })
                    .map_err(inside("hashSessionIds"))?;
                inner.end().map_err(inside("hashSessionIds"))?;
                let secret = secret
                    .ok_or_else(|| Error::Config("hashSessionIds.secret is missing".into()))?;
                Ok(IdHashing::Keyed(Zeroizing::new(secret.into_bytes())))
            }
            Some(value) => Err(mistyped(
                "hashSessionIds",
                "true, false or an object with secret",
                &value,
            )),
        }
    }

    fn saving(&mut self) -> Result<Saving> {
        let defaults = Saving::default();
        let touch_after = match self.take("touchAfter") {
            None => defaults.touch_after,
            Some(value) => value
                .as_f64()
                .filter(|seconds| *seconds >= 0.0)
                .ok_or_else(|| mistyped("touchAfter", "a number of seconds from 0", &value))?,
        };
        let on_conflict = match self.take("onConflict") {
            None => defaults.on_conflict,
            Some(value) => match value.as_str() {
                Some("overwrite") => OnConflict::Overwrite,
                Some("error") => OnConflict::Error,
                Some("drop") => OnConflict::Drop,
                _ => {
                    let expected = "'overwrite', 'error' or 'drop'";
                    return Err(mistyped("onConflict", expected, &value));
                }
            },
        };
        Ok(Saving {
            touch_after,
            on_conflict,
        })
    }

    fn lifetime(&mut self) -> Result<Lifetime> {
        match self.take("ttlSeconds") {
            None => Ok(Lifetime::OfCookie),
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
                let path = inner
                    .string("path", "the path of a folder", |path| !path.is_empty())
                    .map_err(inside("local"))?;
                inner.end().map_err(inside("local"))?;
                path.map(Some).ok_or_else(|| {
                    Error::Config("local.path is missing; give the path of a folder".into())
                })
            }
            Some(value) => Err(mistyped("local", "an object with path", &value)),
        }
    }

    /// The ARNs of `kmsKeyArn` with their regions.
    fn key_arns(&mut self) -> Result<Option<Vec<(String, String)>>> {
        let name = "kmsKeyArn";
        let expected = "the ARN of a KMS key or alias, or an array of them";
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let arns = match &value {
            Value::String(arn) => vec![arn.as_str()],
            Value::Array(arns) if !arns.is_empty() => arns
                .iter()
                .map(|arn| arn.as_str().ok_or_else(|| mistyped(name, expected, arn)))
                .collect::<Result<Vec<_>>>()?,
            value => return Err(mistyped(name, expected, value)),
        };
        arns.into_iter()
            .map(|arn| Ok((arn.to_owned(), key_region(name, arn)?)))
            .collect::<Result<Vec<_>>>()
            .map(Some)
    }

    fn aws(&mut self) -> Result<AwsOptions> {
        let keys = self.key_arns()?;
        let region = self.string("region", "an AWS region such as us-east-1", is_region)?;
        let url = "an http:// or https:// URL";
        let endpoint = self.string("endpoint", url, is_url)?;
        let dynamodb_endpoint = self.string("dynamodbEndpoint", url, is_url)?;
        let kms_endpoint = self.string("kmsEndpoint", url, is_url)?;
        let profile = self.string("profile", "the name of a profile", |profile| {
            !profile.is_empty()
        })?;
        let role_arn = self.string("roleArn", "the ARN of an IAM role", |arn| {
            arn.starts_with("arn:")
                && arn.contains(":iam:")
                && arn.contains(":role/")
                && arn.len() <= ARN_LIMIT
        })?;
        let shared = [
            ("region", region.is_some()),
            ("endpoint", endpoint.is_some()),
            ("profile", profile.is_some()),
            ("roleArn", role_arn.is_some()),
        ];
        let timeouts = self.timeouts()?;
        let own_table = ("dynamodbEndpoint", dynamodb_endpoint.is_some());
        let own_keys = ("kmsEndpoint", kms_endpoint.is_some());
        Ok(AwsOptions {
            shared_table: self.handle("docClient", &shared, own_table)?,
            shared_keys: self.handle("kmsClient", &shared, own_keys)?,
            keys,
            region,
            dynamodb_endpoint: dynamodb_endpoint.or_else(|| endpoint.clone()),
            kms_endpoint: kms_endpoint.or(endpoint),
            profile,
            role_arn,
            timeouts,
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
    /// The ARNs and their regions.
    keys: Option<Vec<(String, String)>>,
    region: Option<String>,
    dynamodb_endpoint: Option<String>,
    kms_endpoint: Option<String>,
    profile: Option<String>,
    role_arn: Option<String>,
    timeouts: Timeouts,
    shared_table: bool,
    shared_keys: bool,
}

impl AwsOptions {
    fn backend(self, environment: &Environment) -> Result<BackendOptions> {
        let unset = (self.keys.is_none() && environment.key_unset).then_some(Unset {
            option: Some("kmsKeyArn"),
            variable: KEY_VARIABLE,
        });
        let key_arns = match self.keys {
            Some(keys) => keys,
            None => vec![(
                environment.key_arn.clone(),
                key_region("the environment's KMS_KEY_ARN", &environment.key_arn)?,
            )],
        };
        let own = ClientSettings {
            region: None,
            dynamodb_endpoint: self.dynamodb_endpoint,
            kms_endpoint: self.kms_endpoint,
            profile: self.profile,
            role_arn: self.role_arn,
            timeouts: self.timeouts,
        };
        let timely = |settings| ClientSettings {
            timeouts: self.timeouts,
            ..settings
        };
        let shared = self
            .shared_keys
            .then(|| environment.kms_client_settings().map(timely))
            .transpose()?;
        let keys = key_arns.into_iter().map(|(arn, region)| {
            let client = match &shared {
                Some(shared) if shared.region.as_ref() != Some(&region) => {
                    return Err(Error::Config(format!(
                        "kmsClient is for {}, but kmsKeyArn is in {region}; leave kmsClient out",
                        shared.region.as_deref().unwrap_or_default()
                    )));
                }
                Some(shared) => shared.clone(),
                // A KMS key answers in its own region alone, so that one counts here.
                None => ClientSettings {
                    region: Some(region),
                    ..own.clone()
                },
            };
            Ok(KeySettings { arn, unset, client })
        });
        let keys = keys.collect::<Result<_>>()?;
        let table = if self.shared_table {
            timely(environment.client_settings()?)
        } else {
            let region = match self.region {
                Some(region) => Some(region),
                None => environment.region()?,
            };
            ClientSettings { region, ..own }
        };
        Ok(BackendOptions::Aws { table, keys })
    }
}

/// Names the option that an option stands in.
fn inside(outer: &str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Config(text) => match text.strip_prefix("unknown option ") {
            Some(rest) => Error::Config(format!("unknown option {outer}.{rest}")),
            None => Error::Config(format!("{outer}.{text}")),
        },
        error => error,
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

/// What can stand in the name of a host.
pub(crate) fn is_region(region: &str) -> bool {
    !region.is_empty()
        && region
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

pub(crate) fn is_url(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Whether a KMS key or alias can have this name: the characters of AWS KMS API Reference, "`CreateAlias`" and "Key identifiers".
fn is_key_resource(resource: &str) -> bool {
    let named = |name: &str, others: &[u8]| {
        let usual = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
        !name.is_empty() && name.bytes().all(usual)
    };
    match resource.split_once('/') {
        Some(("key", id)) => named(id, b"-_"),
        Some(("alias", name)) => named(name, b"/_-") && resource.len() <= ALIAS_LIMIT,
        _ => false,
    }
}

/// The region of `arn:partition:kms:region:account:key/…` or `alias/…`.
fn key_region(name: &str, arn: &str) -> Result<String> {
    match arn.splitn(6, ':').collect::<Vec<_>>()[..] {
        ["arn", _, "kms", region, account, resource]
            if is_region(region)
                && !account.is_empty()
                && is_key_resource(resource)
                && arn.len() <= ARN_LIMIT =>
        {
            Ok(region.to_owned())
        }
        _ => Err(Error::Config(format!(
            "{name} must be the ARN of a KMS key or alias, arn:aws:kms:REGION:ACCOUNT:key/ID"
        ))),
    }
}

#[cfg(test)]
mod tests;
