//! The options as JSON. Each option is a field, and the field's type decides what the option
//! accepts. The types of the AWS options are in [`super::aws`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Unexpected};
use serde_json::Value;
use zeroize::Zeroizing;

use super::aws::{Endpoint, Handle, KeyArns, Profile, Region, RoleArn, TimeoutOptions};
use super::given::{Given, option_type, text_type};
use crate::error::{Error, Result as Checked};
use crate::keys::cache::Limits;
use crate::record::Version;
use crate::record::partition_key::IdHashing;
use crate::store::OnConflict;

/// The longest age and interval, in seconds: a hundred years, far below the limit of any clock.
const MAX_SECONDS: u64 = 3_155_760_000;

/// All options of the store, except those that the facade does not pass on. `docs/options.md` lists
/// them in the same order.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Options {
    pub(super) table_name: Option<TableName>,
    pub(super) bound_table_name: Option<TableName>,
    pub(super) prefix: Option<Prefix>,
    pub(super) ttl_seconds: Option<TtlSeconds>,
    pub(super) touch_after: Option<TouchAfter>,
    pub(super) on_conflict: Option<OnConflict>,
    #[expect(dead_code, reason = "the facade keeps them")]
    max_recent_sessions: Option<WholeNumber>,
    #[expect(dead_code, reason = "the facade counts them")]
    max_calls_in_flight: Option<WholeNumber>,
    pub(super) key_cache: Option<KeyCache>,
    pub(super) record_version: Option<Version>,
    pub(super) accept_versions: Option<Versions>,
    pub(super) encryption_context: Option<Context>,
    pub(super) hash_session_ids: Option<IdHashing>,
    pub(super) users: Option<Users>,
    pub(super) local: Option<Local>,

    pub(super) kms_key_arn: Option<KeyArns>,
    pub(super) region: Option<Region>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) dynamodb_endpoint: Option<Endpoint>,
    pub(super) kms_endpoint: Option<Endpoint>,
    pub(super) profile: Option<Profile>,
    pub(super) role_arn: Option<RoleArn>,
    pub(super) timeouts: Option<TimeoutOptions>,
    pub(super) batch_reads: Option<Flag>,
    pub(super) doc_client: Option<Handle>,
    pub(super) kms_client: Option<Handle>,
}

impl Options {
    /// Reads the options and checks each one by itself.
    pub(super) fn read(json: &str) -> Checked<Options> {
        Options::read_if(json, |_| Ok(()))
    }

    /// As [`Options::read`], if `check` takes each option's name.
    pub(super) fn read_if(json: &str, check: impl Fn(&str) -> Checked<()>) -> Checked<Options> {
        let Ok(Value::Object(options)) = serde_json::from_str(json) else {
            return Err(Error::Config(
                "the configuration must be an object with options".into(),
            ));
        };
        options.keys().try_for_each(|name| check(name))?;
        Ok(Options::deserialize(Given(Value::Object(options)))?)
    }
}

text_type! {
    /// Amazon DynamoDB Developer Guide, "Naming rules".
    TableName, "3 to 255 letters, digits, _ - or .", |name| {
        let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        (3..=255).contains(&name.len()) && name.bytes().all(usual)
    }
}

text_type! { Prefix, "at most 1,024 bytes long", |prefix| prefix.len() <= 1024 }

/// `ttlSeconds` as a number, before the check of its range. If it is a function, the facade handles
/// it.
pub(super) struct TtlSeconds(pub(super) f64);

option_type! { TtlSeconds, "a number of seconds, or a function that gives one",
    fn visit_f64<E>(self, seconds: f64) -> Result<TtlSeconds, E> {
        Ok(TtlSeconds(seconds))
    }

    #[allow(clippy::cast_precision_loss)] // exact in the accepted range
    fn visit_u64<E>(self, seconds: u64) -> Result<TtlSeconds, E> {
        Ok(TtlSeconds(seconds as f64))
    }
}

/// `touchAfter`.
pub(super) struct TouchAfter(pub(super) f64);

option_type! { TouchAfter, "a number of seconds from 0",
    fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<TouchAfter, E> {
        if seconds >= 0.0 {
            Ok(TouchAfter(seconds))
        } else {
            Err(E::invalid_value(Unexpected::Float(seconds), &self))
        }
    }

    #[allow(clippy::cast_precision_loss)] // exact for the lifetime of any session
    fn visit_u64<E>(self, seconds: u64) -> Result<TouchAfter, E> {
        Ok(TouchAfter(seconds as f64))
    }
}

option_type! { OnConflict, "'overwrite', 'error' or 'drop'",
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OnConflict, E> {
        match text {
            "overwrite" => Ok(OnConflict::Overwrite),
            "error" => Ok(OnConflict::Error),
            "drop" => Ok(OnConflict::Drop),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

/// A whole number from 1.
pub(super) struct WholeNumber(u64);

option_type! { WholeNumber, "a whole number from 1",
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<WholeNumber, E> {
        match number {
            0 => Err(E::invalid_value(Unexpected::Unsigned(0), &self)),
            number => Ok(WholeNumber(number)),
        }
    }
}

/// `keyCache`; `None` if it is off.
pub(super) struct KeyCache(pub(super) Option<Limits>);

option_type! { KeyCache, "true, false, 'strict' or an object with limits",
    fn visit_bool<E>(self, on: bool) -> Result<KeyCache, E> {
        Ok(KeyCache(on.then_some(Limits::DEFAULT)))
    }

    fn visit_str<E: serde::de::Error>(self, preset: &str) -> Result<KeyCache, E> {
        match preset {
            "strict" => Ok(KeyCache(Some(Limits::STRICT))),
            _ => Err(E::invalid_value(Unexpected::Str(preset), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, limits: A) -> Result<KeyCache, A::Error> {
        let limits = LimitOptions::deserialize(MapAccessDeserializer::new(limits))?;
        Ok(KeyCache(Some(limits.into())))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LimitOptions {
    max_entries: Option<WholeNumber>,
    max_age_seconds: Option<WholeNumber>,
    max_seals_per_key: Option<WholeNumber>,
    max_bytes_per_key: Option<WholeNumber>,
    revocation_check_seconds: Option<WholeNumber>,
}

impl From<LimitOptions> for Limits {
    fn from(given: LimitOptions) -> Limits {
        let number = |given: Option<WholeNumber>, default| given.map_or(default, |number| number.0);
        let seconds = |given: Option<WholeNumber>, default| {
            given.map_or(default, |number| {
                Duration::from_secs(number.0.min(MAX_SECONDS))
            })
        };
        let defaults = Limits::DEFAULT;
        Limits {
            max_entries: number(given.max_entries, defaults.max_entries),
            max_age: seconds(given.max_age_seconds, defaults.max_age),
            max_seals: number(given.max_seals_per_key, defaults.max_seals),
            max_sealed_bytes: number(given.max_bytes_per_key, defaults.max_sealed_bytes),
            revocation_check: seconds(given.revocation_check_seconds, defaults.revocation_check),
        }
    }
}

option_type! { Version, "1 or 2",
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Version, E> {
        match number {
            1 => Ok(Version::V1),
            2 => Ok(Version::V2),
            number => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }
}

/// `acceptVersions`.
pub(super) struct Versions(pub(super) Vec<AcceptedVersion>);

option_type! { Versions, "an array of 1 and 2, and 0 for items without version",
    fn visit_seq<A: SeqAccess<'de>>(self, versions: A) -> Result<Versions, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(versions)).map(Versions)
    }
}

/// A version that is read; `None` is 0, which no record is written as.
pub(super) struct AcceptedVersion(pub(super) Option<Version>);

option_type! { AcceptedVersion, "0, 1 or 2",
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<AcceptedVersion, E> {
        match number {
            0 => Ok(AcceptedVersion(None)),
            1 => Ok(AcceptedVersion(Some(Version::V1))),
            2 => Ok(AcceptedVersion(Some(Version::V2))),
            number => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }
}

/// `encryptionContext`.
#[derive(Default)]
pub(super) struct Context(pub(super) BTreeMap<String, String>);

option_type! { Context, "an object with strings",
    fn visit_map<A: MapAccess<'de>>(self, pairs: A) -> Result<Context, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(pairs)).map(Context)
    }
}

option_type! { IdHashing, "true, false or an object with secret",
    fn visit_bool<E>(self, on: bool) -> Result<IdHashing, E> {
        Ok(if on { IdHashing::Sha256 } else { IdHashing::None })
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<IdHashing, A::Error> {
        let HashOptions { secret } = HashOptions::deserialize(MapAccessDeserializer::new(members))?;
        Ok(IdHashing::Keyed(Zeroizing::new(secret.0.into_bytes())))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HashOptions {
    secret: Secret,
}

/// `batchReads`.
pub(super) struct Flag(pub(super) bool);

option_type! { Flag, "true or false",
    fn visit_bool<E>(self, on: bool) -> Result<Flag, E> {
        Ok(Flag(on))
    }
}

/// `users`. The facade keeps `idOf`.
#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "an object with idOf and secret"
)]
pub(super) struct Users {
    pub(super) secret: Secret,
    pub(super) max_sessions: Option<MaxSessions>,
}

/// The largest `users.maxSessions`: the list of these, with the ids of the frameworks, is about
/// 120 kB, which is written with every login.
const MOST_SESSIONS: u64 = 2000;

/// `users.maxSessions`.
pub(super) struct MaxSessions(pub(super) usize);

option_type! { MaxSessions, "a whole number from 1 to 2000",
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<MaxSessions, E> {
        match usize::try_from(number) {
            Ok(sessions) if (1..=MOST_SESSIONS).contains(&number) => Ok(MaxSessions(sessions)),
            _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }
}

text_type! { Secret, "at least 16 bytes long", |secret| secret.len() >= 16 }

/// `local`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with path")]
pub(super) struct Local {
    pub(super) path: Folder,
}

text_type! { Folder, "the path of a folder", |path| !path.is_empty() }
