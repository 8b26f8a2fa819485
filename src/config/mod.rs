//! The options of the store: their names, types and defaults, and which ones exclude each other.
//! They are checked before any I/O.
//!
//! [`options`] has a derived struct with one field for each option. The type of a field decides
//! which JSON the option accepts, and [`given`] makes the error messages. Checks of several options
//! together, or of the environment, are here and in [`aws`].

mod aws;
mod envelope;
mod environment;
mod given;
mod options;

use std::collections::BTreeMap;
use std::time::Duration;

use zeroize::Zeroizing;

pub(crate) use aws::{is_region, is_url};
pub use envelope::EnvelopeConfig;
pub use environment::{DEFAULT_REGION, Environment, KEY_VARIABLE};

use crate::aws::ClientSettings;
use crate::error::{Error, Result, Unset};
use crate::keys::cache::Limits;
use crate::record::Version;
use crate::record::kind::Kind;
use crate::record::partition_key::{IdHashing, PartitionKeys};
use crate::store::{Lifetime, Saving, TouchAfter, Users, context_of_records};
use environment::TABLE_VARIABLE;
use options::{Options, TableName, Versions};

/// The largest total length of the names and values of an encryption context, in bytes of UTF-8.
/// The pairs that the store adds count. AWS KMS refuses every call with a longer context. (The
/// limit of 384 characters applies to values in the constraints of grants, not to calls.)
const CONTEXT_LIMIT: usize = 8192;

/// `users.maxSessions` if it is not given: far more than a person has, and few enough that the list
/// fits into an item.
const MAX_SESSIONS: usize = 1000;

/// The names in the encryption context that the store sets itself.
const RESERVED_CONTEXT: [&str; 3] = ["purpose", "table", "v"];

/// A checked configuration. It may hold a secret, so it has no `Debug`.
pub struct StoreConfig {
    /// `tableName`.
    pub table_name: String,
    /// Set if `table_name` is the built-in default.
    pub table_unset: Option<Unset>,
    /// `boundTableName`: the name of the table that records of version 2 are bound to.
    pub bound_table_name: String,
    /// What the store keeps: sessions, unless whoever opens it says otherwise.
    pub kind: Kind,
    /// `prefix`.
    pub prefix: String,
    /// The lifetime if the caller gives none with the call.
    pub lifetime: Lifetime,
    /// `keyCache`; `None` if it is off.
    pub key_cache: Option<Limits>,
    /// `recordVersion`.
    pub record_version: Version,
    /// `acceptVersions`.
    pub accept_versions: Vec<Version>,
    /// Whether `acceptVersions` has 0.
    pub accept_unversioned: bool,
    /// `encryptionContext`.
    pub encryption_context: BTreeMap<String, String>,
    /// `hashSessionIds`.
    pub hash_session_ids: IdHashing,
    /// `touchAfter` and `onConflict`.
    pub saving: Saving,
    /// `batchReads`.
    pub batch_reads: bool,
    /// `users`, if given.
    pub users: Option<Users>,
    /// Everything else.
    pub backend: BackendOptions,
}

/// Where records are stored, and what wraps their data keys.
#[allow(clippy::large_enum_variant)] // made once for each store
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendOptions {
    /// `DynamoDB` and KMS.
    Aws {
        /// The settings of the client for the table.
        table: ClientSettings,
        /// The keys of `kmsKeyArn`, each with the settings of its client. The first one wraps new
        /// data keys.
        keys: Vec<KeySettings>,
    },
    /// `local`.
    Local {
        /// The folder, as the caller wrote it.
        path: String,
    },
}

impl BackendOptions {
    /// How long one call may take; without end in local mode, which waits for nobody.
    fn call_timeout(&self) -> Option<Duration> {
        match self {
            BackendOptions::Aws { table, .. } => Some(table.timeouts.call),
            BackendOptions::Local { .. } => None,
        }
    }
}

/// One KMS key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// Its ARN, or that of an alias.
    pub arn: String,
    /// Set if `arn` is the built-in default.
    pub unset: Option<Unset>,
    /// The settings of the client for it.
    pub client: ClientSettings,
}

impl StoreConfig {
    /// How long one call of the store may take. `None` in local mode, which waits for no service.
    #[must_use]
    pub fn call_timeout(&self) -> Option<Duration> {
        self.backend.call_timeout()
    }

    /// Checks the caller's options, given as JSON. A value that JSON cannot represent, such as a
    /// function or NaN, is written as `{"$not": "a function"}`. `kmsClient` and `docClient` are
    /// `true` if the caller gave the shared handle.
    ///
    /// # Errors
    /// `ERR_CONFIG`, naming the option.
    pub fn parse(json: &str, environment: &Environment) -> Result<StoreConfig> {
        let options = Options::read(json)?;
        aws::check(&options)?;
        let backend = backend(&options, environment)?;
        let (table_name, table_unset) = table(options.table_name, environment)?;
        let bound_table_name = options
            .bound_table_name
            .map_or_else(|| table_name.clone(), |TableName(name)| name);
        let prefix = options.prefix.map(|prefix| prefix.0).unwrap_or_default();
        PartitionKeys::new(prefix.clone(), IdHashing::None).check_prefix()?;
        let record_version = options.record_version.unwrap_or(Version::V1);
        let (accept_versions, accept_unversioned) = match options.accept_versions {
            Some(Versions(versions)) => {
                let versions = versions.into_iter().map(|version| version.0);
                let (numbered, zero): (Vec<_>, Vec<_>) = versions.partition(Option::is_some);
                (numbered.into_iter().flatten().collect(), !zero.is_empty())
            }
            None => (vec![Version::V1, Version::V2], false),
        };
        if !accept_versions.contains(&record_version) {
            return Err(Error::Config(format!(
                "acceptVersions must contain {}, the recordVersion: the store could not read what it writes",
                record_version.number()
            )));
        }
        let encryption_context = options.encryption_context.unwrap_or_default().0;
        let whole = context_of_records(&bound_table_name, encryption_context.clone());
        check_context(&RESERVED_CONTEXT, &encryption_context, &whole)?;
        let saving = Saving::default();
        Ok(StoreConfig {
            table_name,
            table_unset,
            bound_table_name,
            kind: Kind::Session,
            prefix,
            lifetime: match options.ttl_seconds {
                Some(seconds) => Lifetime::from_seconds(seconds.0)?,
                None => Lifetime::OfCookie,
            },
            key_cache: options
                .key_cache
                .map_or(Some(Limits::DEFAULT), |cache| cache.0),
            record_version,
            accept_versions,
            accept_unversioned,
            encryption_context,
            hash_session_ids: options.hash_session_ids.unwrap_or(IdHashing::None),
            saving: Saving {
                touch_after: options
                    .touch_after
                    .map_or(saving.touch_after, |seconds| TouchAfter::Seconds(seconds.0)),
                on_conflict: options.on_conflict.unwrap_or(saving.on_conflict),
            },
            batch_reads: options.batch_reads.is_none_or(|flag| flag.0),
            users: options.users.map(|users| {
                let secret = Zeroizing::new(users.secret.0.into_bytes());
                Users::new(secret, users.max_sessions.map_or(MAX_SESSIONS, |max| max.0))
            }),
            backend,
        })
    }
}

/// Local mode if the option or the environment asks for it, else AWS.
fn backend(options: &Options, environment: &Environment) -> Result<BackendOptions> {
    let local = match &options.local {
        Some(local) => Some(local.path.0.clone()),
        None => environment.local()?,
    };
    match local {
        Some(path) => Ok(BackendOptions::Local { path }),
        None => aws::backend(options, environment),
    }
}

/// The name of the table. If it is the built-in default, also the settings that would have named
/// another.
fn table(named: Option<TableName>, environment: &Environment) -> Result<(String, Option<Unset>)> {
    if let Some(TableName(name)) = named {
        return Ok((name, None));
    }
    let unset = environment.table_unset.then_some(Unset {
        option: Some("tableName"),
        variable: TABLE_VARIABLE,
    });
    match TableName::try_from(environment.table.clone()) {
        Ok(TableName(name)) => Ok((name, unset)),
        Err(rule) => Err(Error::Config(format!(
            "the environment's {TABLE_VARIABLE} {rule}"
        ))),
    }
}

/// The caller's pairs stand beside those that the store adds, which `whole` has as well.
fn check_context(
    reserved: &[&str],
    context: &BTreeMap<String, String>,
    whole: &BTreeMap<String, String>,
) -> Result<()> {
    if let Some(name) = reserved.iter().find(|name| context.contains_key(**name)) {
        return Err(Error::Config(format!(
            "encryptionContext must not have {name}: the store sets that itself"
        )));
    }
    let length: usize = whole
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if length > CONTEXT_LIMIT {
        return Err(Error::Config(format!(
            "encryptionContext has {length} bytes with the pairs that the store adds; KMS takes {CONTEXT_LIMIT} at most"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
