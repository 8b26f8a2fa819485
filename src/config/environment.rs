//! The environment variables that this package reads, and the defaults if they are not set.

use super::aws::{KeyArn, is_region};
use crate::aws::{ClientSettings, Timeouts};
use crate::error::{Error, Result};

/// The key, table and region of the gateway that this store was first written for.
pub(super) const DEFAULT_KEY_ARN: &str =
    "arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a";
const DEFAULT_TABLE: &str = "mcp-gateway-sessions";
/// The region if no option, environment variable or profile sets one.
pub const DEFAULT_REGION: &str = "us-east-1";

/// The environment variables that override the default key and the default table.
pub const KEY_VARIABLE: &str = "KMS_KEY_ARN";
pub(super) const TABLE_VARIABLE: &str = "SESSIONS_TABLE";

/// The folder of local mode where no option names one.
const LOCAL_VARIABLE: &str = "SESSIONS_LOCAL";
/// Must be [`CONSENT`] where `NODE_ENV` is `production`: a variable that was set by mistake must not take sessions off the fleet's table.
const LOCAL_IN_PRODUCTION_VARIABLE: &str = "SESSIONS_LOCAL_IN_PRODUCTION";
const CONSENT: &str = "yes";

/// The defaults that the environment may override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// `KMS_KEY_ARN`.
    pub key_arn: String,
    /// Whether `key_arn` is the built-in default.
    pub key_unset: bool,
    /// `SESSIONS_TABLE`.
    pub table: String,
    /// Whether `table` is the built-in default.
    pub table_unset: bool,
    /// `AWS_REGION`, if it is set.
    pub region: Option<String>,
    /// `SESSIONS_LOCAL`, if it is set.
    local: Option<String>,
    /// Whether `NODE_ENV` forbids that.
    local_forbidden: bool,
}

impl Environment {
    /// Reads the variables with `read`. An empty one counts as unset.
    pub fn new(read: impl Fn(&str) -> Option<String>) -> Environment {
        let variable = |name: &str| read(name).filter(|value| !value.is_empty());
        let (key, table) = (variable(KEY_VARIABLE), variable(TABLE_VARIABLE));
        Environment {
            key_unset: key.is_none(),
            key_arn: key.unwrap_or_else(|| DEFAULT_KEY_ARN.to_owned()),
            table_unset: table.is_none(),
            table: table.unwrap_or_else(|| DEFAULT_TABLE.to_owned()),
            region: variable("AWS_REGION"),
            local: variable(LOCAL_VARIABLE),
            local_forbidden: read("NODE_ENV").is_some_and(|name| name == "production")
                && read(LOCAL_IN_PRODUCTION_VARIABLE).is_none_or(|word| word != CONSENT),
        }
    }

    /// The folder of `SESSIONS_LOCAL`, for what has no option `local`.
    ///
    /// # Errors
    /// `ERR_CONFIG` if `NODE_ENV` forbids it.
    pub fn local(&self) -> Result<Option<String>> {
        if self.local.is_some() && self.local_forbidden {
            return Err(Error::Config(format!(
                "the environment's {LOCAL_VARIABLE} would keep sessions on this disk with their key beside them, but NODE_ENV is production; \
                 unset {LOCAL_VARIABLE}, or set {LOCAL_IN_PRODUCTION_VARIABLE} to {CONSENT} if that is meant"
            )));
        }
        Ok(self.local.clone())
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

    /// `KMS_KEY_ARN`, checked.
    pub(super) fn key(&self) -> Result<KeyArn> {
        KeyArn::parse(&self.key_arn)
            .map_err(|rule| Error::Config(format!("the environment's {KEY_VARIABLE} {rule}")))
    }

    /// `AWS_REGION`, checked.
    pub(super) fn region(&self) -> Result<Option<String>> {
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
            region: Some(self.key()?.region),
            ..Self::settings_without_region()
        })
    }
}
