//! The AWS options: keys, regions, endpoints, credentials and deadlines. This module checks them
//! and makes the settings of the clients from them.

use std::time::Duration;

use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error as _, SeqAccess, Unexpected};
use url::Url;

use super::environment::{Environment, KEY_VARIABLE};
use super::given::{option_type, text_type};
use super::options::Options;
use super::{BackendOptions, KeySettings};
use crate::aws::{ClientSettings, Timeouts};
use crate::error::{Error, Result as Checked, Unset};

/// The longest deadline, in milliseconds: one minute. Nobody waits longer for a web page.
const MAX_TIMEOUT_MILLIS: u64 = 60_000;

/// The longest alias name, including `alias/` (AWS KMS API Reference, "`CreateAlias`").
const ALIAS_LIMIT: usize = 256;

/// The longest ARN that KMS and IAM accept (AWS KMS API Reference, "Decrypt"; IAM API Reference,
/// `arnType`).
const ARN_LIMIT: usize = 2048;

/// Checks the options that exclude each other with any backend.
pub(super) fn check(options: &Options) -> Checked<()> {
    timeouts(options)?;
    let own_table = ("dynamodbEndpoint", options.dynamodb_endpoint.is_some());
    let own_keys = ("kmsEndpoint", options.kms_endpoint.is_some());
    for (handle, given, own_endpoint) in [
        ("docClient", options.doc_client.is_some(), own_table),
        ("kmsClient", options.kms_client.is_some(), own_keys),
    ] {
        let settings = [
            ("region", options.region.is_some()),
            ("endpoint", options.endpoint.is_some()),
            ("profile", options.profile.is_some()),
            ("roleArn", options.role_arn.is_some()),
            own_endpoint,
        ];
        let other = settings.iter().find(|(_, set)| given && *set);
        if let Some((other, _)) = other {
            return Err(Error::Config(format!(
                "{handle} carries the environment's settings, so {other} cannot be set beside it; leave one of them out"
            )));
        }
    }
    Ok(())
}

/// The settings of the clients for the table and for each key.
pub(super) fn backend(options: &Options, environment: &Environment) -> Checked<BackendOptions> {
    let timeouts = timeouts(options)?;
    let endpoint = |own: &Option<Endpoint>| {
        let endpoint = own.as_ref().or(options.endpoint.as_ref());
        endpoint.map(|endpoint| endpoint.0.clone())
    };
    let own = ClientSettings {
        region: None,
        dynamodb_endpoint: endpoint(&options.dynamodb_endpoint),
        kms_endpoint: endpoint(&options.kms_endpoint),
        profile: options.profile.as_ref().map(|profile| profile.0.clone()),
        role_arn: options.role_arn.as_ref().map(|arn| arn.0.clone()),
        timeouts,
    };
    let timely = |settings| ClientSettings {
        timeouts,
        ..settings
    };
    let table = match &options.region {
        _ if options.doc_client.is_some() => timely(environment.client_settings()?),
        Some(Region(region)) => ClientSettings {
            region: Some(region.clone()),
            ..own.clone()
        },
        None => ClientSettings {
            region: environment.region()?,
            ..own.clone()
        },
    };
    let shared = match options.kms_client {
        Some(Handle) => Some(timely(environment.kms_client_settings()?)),
        None => None,
    };
    let unset = Unset {
        option: Some("kmsKeyArn"),
        variable: KEY_VARIABLE,
    };
    let (arns, unset) = match &options.kms_key_arn {
        Some(KeyArns(arns)) => (arns.clone(), None),
        None => (
            vec![environment.key()?],
            environment.key_unset.then_some(unset),
        ),
    };
    let keys = arns.into_iter().map(|KeyArn { arn, region }| {
        let client = match &shared {
            Some(shared) if shared.region.as_ref() != Some(&region) => {
                return Err(Error::Config(format!(
                    "kmsClient is for {}, but kmsKeyArn is in {region}; leave kmsClient out",
                    shared.region.as_deref().unwrap_or_default()
                )));
            }
            Some(shared) => shared.clone(),
            // A KMS key can only be used in its own region, so the client uses that region.
            None => ClientSettings {
                region: Some(region),
                ..own.clone()
            },
        };
        Ok(KeySettings { arn, unset, client })
    });
    Ok(BackendOptions::Aws {
        table,
        keys: keys.collect::<Checked<_>>()?,
    })
}

/// `timeouts`.
#[derive(Default, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "an object with milliseconds"
)]
#[allow(clippy::struct_field_names)] // the options' names, which include the unit
pub(super) struct TimeoutOptions {
    connect_millis: Option<Millis>,
    attempt_millis: Option<Millis>,
    call_millis: Option<Millis>,
}

/// Checks the deadlines. Each is part of the next: connect, attempt, call. One that is not given is
/// its default, or the deadline that it is part of if that is shorter.
fn timeouts(options: &Options) -> Checked<Timeouts> {
    let defaults = Timeouts::DEFAULT;
    let Some(given) = &options.timeouts else {
        return Ok(defaults);
    };
    let or = |given: &Option<Millis>, default| given.as_ref().map_or(default, |given| given.0);
    let call = or(&given.call_millis, defaults.call);
    let attempt = or(&given.attempt_millis, defaults.attempt.min(call));
    let connect = or(&given.connect_millis, defaults.connect.min(attempt));
    let ordered = |name, part: Duration, whole_name, whole: Duration| {
        if part <= whole {
            return Ok(());
        }
        Err(Error::Config(format!(
            "timeouts.{name} must be at most {whole_name}, which is {}",
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

struct Millis(Duration);

option_type! { Millis, "a whole number from 1",
    fn visit_u64<E: serde::de::Error>(self, millis: u64) -> Result<Millis, E> {
        match millis {
            0 => Err(E::invalid_value(Unexpected::Unsigned(0), &self)),
            1..=MAX_TIMEOUT_MILLIS => Ok(Millis(Duration::from_millis(millis))),
            _ => Err(E::custom(format_args!(
                "must be at most {MAX_TIMEOUT_MILLIS} milliseconds, not {millis}"
            ))),
        }
    }
}

/// A shared handle. The facade has already checked it.
pub(super) struct Handle;

option_type! { Handle, "the handle of that name that this package exports",
    fn visit_bool<E: serde::de::Error>(self, given: bool) -> Result<Handle, E> {
        if given {
            Ok(Handle)
        } else {
            Err(E::invalid_value(Unexpected::Bool(given), &self))
        }
    }
}

text_type! { Region, "an AWS region such as us-east-1", is_region }
text_type! { Endpoint, "an http:// or https:// URL", is_url }
text_type! { Profile, "the name of a profile", |profile| !profile.is_empty() }
text_type! { RoleArn, "the ARN of an IAM role", |arn| {
    arn.starts_with("arn:") && arn.contains(":iam:") && arn.contains(":role/") && arn.len() <= ARN_LIMIT
} }

/// `kmsKeyArn`: one or more ARNs.
pub(super) struct KeyArns(Vec<KeyArn>);

option_type! { KeyArns, "the ARN of a KMS key or alias, or an array of them",
    fn visit_str<E: serde::de::Error>(self, arn: &str) -> Result<KeyArns, E> {
        Ok(KeyArns(vec![KeyArn::parse(arn).map_err(E::custom)?]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, arns: A) -> Result<KeyArns, A::Error> {
        let arns = Vec::<KeyArn>::deserialize(SeqAccessDeserializer::new(arns))?;
        if arns.is_empty() {
            return Err(A::Error::invalid_value(Unexpected::Seq, &self));
        }
        Ok(KeyArns(arns))
    }
}

/// The ARN of a KMS key or alias, and its region.
#[derive(Clone)]
pub(super) struct KeyArn {
    pub(super) arn: String,
    pub(super) region: String,
}

option_type! { KeyArn, "the ARN of a KMS key or alias",
    fn visit_str<E: serde::de::Error>(self, arn: &str) -> Result<KeyArn, E> {
        KeyArn::parse(arn).map_err(E::custom)
    }
}

impl KeyArn {
    /// Parses `arn:partition:kms:region:account:key/…` or `…:alias/…`. The error says what the ARN
    /// must be.
    pub(super) fn parse(arn: &str) -> Result<KeyArn, &'static str> {
        match arn.splitn(6, ':').collect::<Vec<_>>()[..] {
            ["arn", _, "kms", region, account, resource]
                if is_region(region)
                    && !account.is_empty()
                    && is_key_resource(resource)
                    && arn.len() <= ARN_LIMIT =>
            {
                Ok(KeyArn {
                    arn: arn.to_owned(),
                    region: region.to_owned(),
                })
            }
            _ => Err("must be the ARN of a KMS key or alias, arn:aws:kms:REGION:ACCOUNT:key/ID"),
        }
    }
}

/// Whether a KMS key or alias can have this name. The AWS KMS API Reference lists the allowed
/// characters under "`CreateAlias`" and "Key identifiers".
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

/// Whether the text can be part of a host name.
pub(crate) fn is_region(region: &str) -> bool {
    !region.is_empty()
        && region
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

pub(crate) fn is_url(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
