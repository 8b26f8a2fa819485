//! Makes a store, an envelope or an operator from a configuration.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::aws::{AwsClients, AwsInfrastructure, DynamoDbTable, KmsKey, KmsKeys};
use crate::config::{
    BackendOptions, EnvelopeConfig, Environment, KEY_VARIABLE, KeySettings, StoreConfig,
};
use crate::envelope::Envelope;
use crate::error::{Result, Unset};
use crate::keys::cache::{Clock, KeyCache};
use crate::keys::{DataKeys, EncryptionContext};
use crate::local::{LocalFolder, LocalInfrastructure, LocalKeys, LocalTable};
use crate::operator::Operator;
use crate::operator::infrastructure::Infrastructure;
use crate::record::Version;
use crate::record::partition_key::PartitionKeys;
use crate::store::session_table::SessionTable;
use crate::store::{RecordPolicy, SessionStore, context_of_records};

/// The clients that [`default_keys`] used last.
static KEPT: Mutex<Option<Arc<AwsClients>>> = Mutex::new(None);

/// The store that `config` describes. Connects to nothing and opens nothing.
///
/// # Errors
/// `ERR_CONFIG` if the folder of local mode has an unusable name.
pub fn session_store(config: StoreConfig) -> Result<SessionStore> {
    let parts = Parts::of(&config)?;
    Ok(parts.store(config))
}

/// What the operator's command works on, for the store that `config` describes. Connects to nothing
/// and opens nothing.
///
/// # Errors
/// As [`session_store`].
pub fn operator(config: StoreConfig) -> Result<Operator> {
    // A permission is tried with the very request that it is for.
    let config = StoreConfig {
        batch_reads: false,
        ..config
    };
    let parts = Parts::of(&config)?;
    let infrastructure = parts.infrastructure(&config);
    let lifetime = config.lifetime;
    let of_version_2 =
        context_of_records(&config.bound_table_name, config.encryption_context.clone());
    let other_context = EncryptionContext::new(of_version_2);
    let context = match config.record_version {
        Version::V1 => EncryptionContext::default(),
        Version::V2 => other_context.clone(),
    };
    Ok(Operator {
        prefix: config.prefix.clone(),
        context,
        other_context,
        table: parts.table.clone(),
        keys: parts.keys.clone(),
        // A walk through the table uses every data key once.
        store: parts.store(StoreConfig {
            key_cache: None,
            ..config
        }),
        infrastructure,
        lifetime,
        pace: OnceLock::new(),
        progress: Arc::default(),
    })
}

/// What a store is made of.
struct Parts {
    table: Arc<dyn SessionTable>,
    keys: Arc<dyn DataKeys>,
    place: Place,
}

/// Where the table and the keys are.
enum Place {
    Aws {
        clients: Arc<AwsClients>,
        keys: Vec<KmsKey>,
    },
    Local {
        folder: Arc<LocalFolder>,
        path: String,
    },
}

impl Parts {
    fn of(config: &StoreConfig) -> Result<Parts> {
        match &config.backend {
            BackendOptions::Aws { table, keys } => {
                let clients = AwsClients::for_store(table);
                let keys = kms_keys(keys);
                Ok(Parts {
                    table: Arc::new(
                        DynamoDbTable::new(clients.clone(), config.table_name.clone())
                            .unless_set(config.table_unset)
                            .batching_reads(config.batch_reads),
                    ),
                    keys: Arc::new(KmsKeys::new(keys.clone())?),
                    place: Place::Aws { clients, keys },
                })
            }
            BackendOptions::Local { path } => {
                let folder = LocalFolder::new(path)?;
                Ok(Parts {
                    table: Arc::new(LocalTable::new(folder.clone(), &config.table_name)),
                    keys: Arc::new(LocalKeys::new(folder.clone())),
                    place: Place::Local {
                        folder,
                        path: path.clone(),
                    },
                })
            }
        }
    }

    fn store(self, config: StoreConfig) -> SessionStore {
        let load_limit = config.call_timeout();
        SessionStore::new(
            self.table,
            KeyCache::with(self.keys, config.key_cache, load_limit, Clock::of_process()),
            PartitionKeys::new(config.prefix, config.hash_session_ids),
            RecordPolicy::new(
                config.record_version,
                config.accept_versions,
                config.bound_table_name,
                config.encryption_context,
            )
            .of_kind(config.kind)
            .reading_unversioned(config.accept_unversioned),
            config.saving,
        )
        .with_users(config.users)
    }

    fn infrastructure(&self, config: &StoreConfig) -> Arc<dyn Infrastructure> {
        let table_name = config.table_name.clone();
        let accepted = config.accept_versions.iter();
        let versions = (
            config.record_version.number(),
            accepted.map(|version| version.number()).collect(),
        );
        match &self.place {
            Place::Aws { clients, keys } => Arc::new(AwsInfrastructure {
                clients: clients.clone(),
                table_name,
                table_unset: config.table_unset,
                keys: keys.clone(),
                versions,
            }),
            Place::Local { folder, path } => Arc::new(LocalInfrastructure::new(
                folder,
                path.clone(),
                table_name,
                versions,
            )),
        }
    }
}

/// The envelope that `config` describes. Connects to nothing and opens nothing.
///
/// # Errors
/// `ERR_CONFIG` if the folder of local mode has an unusable name.
pub fn envelope(config: EnvelopeConfig) -> Result<Envelope> {
    let load_limit = config.call_timeout();
    let keys: Arc<dyn DataKeys> = match config.backend {
        BackendOptions::Aws { keys, .. } => Arc::new(KmsKeys::new(kms_keys(&keys))?),
        BackendOptions::Local { path } => Arc::new(LocalKeys::new(LocalFolder::new(&path)?)),
    };
    let keys = KeyCache::with(keys, config.key_cache, load_limit, Clock::of_process());
    Ok(Envelope::new(keys, config.encryption_context))
}

fn kms_keys(keys: &[KeySettings]) -> Vec<KmsKey> {
    let keys = keys.iter().map(|key| KmsKey {
        clients: AwsClients::for_store(&key.client),
        arn: key.arn.clone(),
        unset: key.unset,
    });
    keys.collect()
}

/// The data keys of the environment, for use without a store: those of its KMS key, or of its folder of local mode.
///
/// # Errors
/// `ERR_CONFIG` if `KMS_KEY_ARN` is not the ARN of a KMS key, or `SESSIONS_LOCAL` cannot be used.
pub fn default_keys(environment: &Environment) -> Result<Box<dyn DataKeys>> {
    // The folder is not kept: it would stay closed to other processes.
    if let Some(path) = environment.local()? {
        return Ok(Box::new(LocalKeys::new(LocalFolder::new(&path)?)));
    }
    let clients = AwsClients::shared(&environment.kms_client_settings()?);
    // Without a store, nothing else would keep the clients from one call to the next.
    *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(clients.clone());
    let keys = KmsKeys::new(vec![KmsKey {
        clients,
        arn: environment.key_arn.clone(),
        unset: environment.key_unset.then_some(Unset {
            option: None,
            variable: KEY_VARIABLE,
        }),
    }])?;
    Ok(Box::new(keys))
}
