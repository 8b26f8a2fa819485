//! Checks what the AWS SDK reads from the environment and the configuration files, before the SDK
//! does. The SDK panics on some values, ignores others, and reports the rest only with the first
//! request.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use aws_config::profile::{self, Profile, ProfileSet};
use aws_runtime::env_config::EnvConfigValue;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryMode};
use aws_types::os_shim_internal::{Env, Fs};

use super::signing_keys::{UNUSABLE, is_usable_key};
use crate::config::{is_region, is_url};
use crate::error::{Error, Result};

/// The limits of the random waits: before the second attempt, and before any attempt. The SDK's
/// limits, one second and twenty, are longer than a web request can wait.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The name of a variable, of its key in a profile, and of the service that may have its own.
struct Setting<'a>(&'a str, &'a str, Option<&'a str>);

/// The environment, and the profile that counts.
pub(super) struct Settings {
    env: Env,
    profiles: Option<ProfileSet>,
}

impl Settings {
    /// Reads the configuration files. `profile` takes precedence over `AWS_PROFILE`. Files that
    /// cannot be read count as empty here; the search for credentials reports them.
    pub(super) async fn read(profile: Option<&str>) -> Settings {
        let (env, fs) = (Env::real(), Fs::real());
        let files = EnvConfigFiles::default();
        let selected = profile.map(|profile| Cow::Owned(profile.to_owned()));
        let profiles = profile::load(&fs, &env, &files, selected).await.ok();
        Settings { env, profiles }
    }

    /// How requests are retried: `AWS_MAX_ATTEMPTS` and `AWS_RETRY_MODE`, else the profile's
    /// settings, else the SDK's three attempts. The waits are the store's own.
    pub(super) fn retries(&self) -> Result<RetryConfig> {
        let mut retries = RetryConfig::standard()
            .with_initial_backoff(FIRST_WAIT)
            .with_max_backoff(LONGEST_WAIT);
        let attempts = Setting("AWS_MAX_ATTEMPTS", "max_attempts", None);
        let attempts = self.checked(&attempts, "a whole number from 1", |text| {
            text.parse().ok().filter(|number: &u32| *number > 0)
        })?;
        if let Some(attempts) = attempts {
            retries = retries.with_max_attempts(attempts);
        }
        let mode = Setting("AWS_RETRY_MODE", "retry_mode", None);
        let mode = self.checked(&mode, "standard or adaptive", |text| {
            RetryMode::from_str(text).ok()
        })?;
        if let Some(mode) = mode {
            retries = retries.with_retry_mode(mode);
        }
        Ok(retries)
    }

    /// The region of the profile, or of the profile that it is based on.
    pub(super) fn region(&self) -> Result<Option<String>> {
        let profiles = self.profile_and_sources();
        let named = profiles.iter().find_map(|profile| {
            let region = profile.get("region")?;
            Some((profile.name(), region))
        });
        match named {
            None => Ok(None),
            Some((_, region)) if is_region(region) => Ok(Some(region.to_owned())),
            Some((profile, _)) => Err(Error::Config(format!(
                "the region of the AWS profile {profile} must be an AWS region such as us-east-1"
            ))),
        }
    }

    /// Whether the files have such a profile.
    pub(super) fn has_profile(&self, name: &str) -> bool {
        // The search for credentials reports files that cannot be read.
        let profiles = self.profiles.as_ref();
        profiles.is_none_or(|profiles| profiles.get_profile(name).is_some())
    }

    /// The name of the profile that counts.
    pub(super) fn profile(&self) -> &str {
        let profiles = self.profiles.as_ref();
        profiles.map_or("default", ProfileSet::selected_profile)
    }

    /// What is wrong with the profile's own keys.
    pub(super) fn unusable_key(&self) -> Option<String> {
        let profile = self.profile_and_sources().into_iter().next()?;
        unusable_in_profile(profile).filter(|_| profile.get("role_arn").is_none())
    }

    /// What is wrong with the keys with which the profile's role, or the first of its roles, is to
    /// be assumed. The SDK signs with them itself, so it must not get any that are unusable.
    pub(super) fn unusable_source_key(&self) -> Option<String> {
        for profile in self.profile_and_sources() {
            let source = profile.get("source_profile");
            let is_source = profile.name() != self.profile() || source == Some(profile.name());
            let has_keys = KEYS[..2].iter().all(|name| profile.get(name).is_some());
            if is_source && has_keys {
                return unusable_in_profile(profile).or_else(|| {
                    // The SDK would sign with it.
                    let empty = profile.get("aws_session_token") == Some("");
                    empty.then(|| unusable("aws_session_token", profile.name()))
                });
            }
            profile.get("role_arn")?;
        }
        None
    }

    /// The profile in use, the one that it is based on, and so on.
    fn profile_and_sources(&self) -> Vec<&Profile> {
        let mut found: Vec<&Profile> = Vec::new();
        let Some(profiles) = &self.profiles else {
            return found;
        };
        let mut next = Some(profiles.selected_profile());
        while let Some(profile) = next.and_then(|name| profiles.get_profile(name)) {
            if found.iter().any(|seen| seen.name() == profile.name()) {
                break;
            }
            found.push(profile);
            next = profile.get("source_profile");
        }
        found
    }

    /// Checks the settings of the environment that decide how a service is reached. `own` says
    /// whether an option names the service's endpoint. `service` is its name in settings.
    pub(super) fn check_endpoint(&self, service: &str, own: bool) -> Result<()> {
        let ignored = Setting(
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
            "ignore_configured_endpoint_urls",
            None,
        );
        let endpoint = if own || self.is_on(&ignored) {
            None
        } else {
            let endpoint = Setting("AWS_ENDPOINT_URL", "endpoint_url", Some(service));
            self.checked(&endpoint, "an http:// or https:// URL", |url| {
                is_url(url).then_some(())
            })?
        };
        if !own && endpoint.is_none() {
            return Ok(());
        }
        for setting in [
            Setting("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint", None),
            Setting("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint", None),
        ] {
            if self.is_on(&setting) {
                let name = self.name_of(&setting);
                return Err(Error::Config(format!(
                    "{name} chooses among AWS's own endpoints, so it cannot be combined with another endpoint of {service}; leave one of them out"
                )));
            }
        }
        Ok(())
    }

    /// The files whose certificates are trusted in addition to the system's, each with the name of
    /// its setting.
    pub(super) fn certificate_files(&self) -> Vec<(String, String)> {
        let setting = Setting("AWS_CA_BUNDLE", "ca_bundle", None);
        let bundle = (self.name_of(&setting), self.value(&setting));
        let extra = self.env.get("NODE_EXTRA_CA_CERTS").ok();
        let extra = ("the environment's NODE_EXTRA_CA_CERTS".to_owned(), extra);
        [bundle, extra]
            .into_iter()
            .filter_map(|(name, path)| Some((name, path.filter(|path| !path.is_empty())?)))
            .collect()
    }

    fn value(&self, Setting(variable, key, service): &Setting<'_>) -> Option<String> {
        let mut setting = EnvConfigValue::new().env(variable).profile(key);
        if let Some(service) = service {
            setting = setting.service_id(service);
        }
        let found = setting.load(&self.env, self.profiles.as_ref());
        found.map(|(value, _)| value.into_owned())
    }

    fn is_on(&self, setting: &Setting<'_>) -> bool {
        let value = self.value(setting);
        value.is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
    }

    fn checked<T>(
        &self,
        setting: &Setting<'_>,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(text) = self.value(setting) else {
            return Ok(None);
        };
        match parse(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::Config(format!(
                "{} must be {expected}",
                self.name_of(setting)
            ))),
        }
    }

    /// Where a setting that there is comes from.
    fn name_of(&self, Setting(variable, key, service): &Setting<'_>) -> String {
        let of_service = service.map(|service| format!("{variable}_{}", service.to_uppercase()));
        let variables = of_service.into_iter().chain([(*variable).to_owned()]);
        for variable in variables {
            if self.env.get(&variable).is_ok() {
                return format!("the environment's {variable}");
            }
        }
        format!("{key} of the AWS profile {}", self.profile())
    }
}

const KEYS: [&str; 3] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
];

fn unusable_in_profile(profile: &Profile) -> Option<String> {
    let is_unusable = |name: &str| {
        let value = profile.get(name);
        let empty_token = name == "aws_session_token" && value == Some("");
        !empty_token && value.is_some_and(|value| !is_usable_key(value))
    };
    let name = KEYS.into_iter().find(|name| is_unusable(name))?;
    Some(unusable(name, profile.name()))
}

fn unusable(name: &str, profile: &str) -> String {
    format!("{name} of the AWS profile {profile} {UNUSABLE}")
}
