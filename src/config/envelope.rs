//! The options of `createEnvelope`: those of the store that have a meaning without a table.

use std::collections::BTreeMap;
use std::time::Duration;

use super::options::Options;
use super::{BackendOptions, aws, backend, check_context};
use crate::config::Environment;
use crate::envelope::context_of_envelopes;
use crate::error::{Error, Result};
use crate::keys::cache::Limits;

/// The options that there are. Each takes what the store's option of that name does.
const OPTIONS: [&str; 11] = [
    "kmsKeyArn",
    "region",
    "endpoint",
    "kmsEndpoint",
    "profile",
    "roleArn",
    "encryptionContext",
    "keyCache",
    "timeouts",
    "maxCallsInFlight",
    "local",
];

/// A checked configuration of an envelope.
pub struct EnvelopeConfig {
    /// `keyCache`; `None` if it is off.
    pub key_cache: Option<Limits>,
    /// `encryptionContext`.
    pub encryption_context: BTreeMap<String, String>,
    /// Everything else.
    pub backend: BackendOptions,
}

impl EnvelopeConfig {
    /// How long one call may take; without end in local mode, which waits for nobody.
    #[must_use]
    pub fn call_timeout(&self) -> Option<Duration> {
        self.backend.call_timeout()
    }

    /// Checks the JSON of the caller's options, as [`StoreConfig::parse`](super::StoreConfig::parse) does.
    ///
    /// # Errors
    /// `ERR_CONFIG`, naming the option.
    pub fn parse(json: &str, environment: &Environment) -> Result<EnvelopeConfig> {
        let options = Options::read_if(json, |name| {
            if OPTIONS.contains(&name) {
                return Ok(());
            }
            Err(Error::Config(format!(
                "unknown option {name}; see EnvelopeConfig in index.d.ts for the options there are"
            )))
        })?;
        aws::check(&options)?;
        let backend = backend(&options, environment)?;
        if let (Some(region), BackendOptions::Aws { keys, .. }) = (&options.region, &backend) {
            let own = |key: &super::KeySettings| key.client.region.as_ref() == Some(&region.0);
            if let Some(other) = keys.iter().find(|key| !own(key)) {
                return Err(Error::Config(format!(
                    "region is {}, but kmsKeyArn is in {}, where KMS is called; correct one of them, or leave region out",
                    region.0,
                    other.client.region.as_deref().unwrap_or_default()
                )));
            }
        }
        let encryption_context = options.encryption_context.unwrap_or_default().0;
        let whole = context_of_envelopes(encryption_context.clone());
        check_context(&["purpose"], &encryption_context, &whole)?;
        Ok(EnvelopeConfig {
            key_cache: options
                .key_cache
                .map_or(Some(Limits::DEFAULT), |cache| cache.0),
            encryption_context,
            backend,
        })
    }
}
