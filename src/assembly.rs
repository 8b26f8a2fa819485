//! Makes a store or an envelope from a configuration.

use std::sync::{Arc, Mutex, PoisonError};

use crate::aws::{AwsClients, DynamoDbTable, KmsKey, KmsKeys};
use crate::config::{
    BackendOptions, EnvelopeConfig, Environment, KEY_VARIABLE, KeySettings, StoreConfig,
};
use crate::envelope::Envelope;
use crate::error::{Result, Unset};
use crate::keys::DataKeys;
use crate::keys::cache::{Clock, KeyCache};
use crate::local::{LocalFolder, LocalKeys, LocalTable};
use crate::record::partition_key::PartitionKeys;
use crate::store::session_table::SessionTable;
use crate::store::{RecordPolicy, SessionStore};

/// The clients that [`default_keys`] used last.
static KEPT: Mutex<Option<Arc<AwsClients>>> = Mutex::new(None);

/// The store that `config` describes. Connects to nothing and opens nothing.
///
/// # Errors
/// `ERR_CONFIG` if the folder of local mode has an unusable name.
pub fn session_store(config: StoreConfig) -> Result<SessionStore> {
    let load_limit = config.call_timeout();
    let (table, keys): (Arc<dyn SessionTable>, Arc<dyn DataKeys>) = match config.backend {
        BackendOptions::Aws { table, keys } => (
            Arc::new(
                DynamoDbTable::new(AwsClients::for_store(&table), config.table_name.clone())
                    .unless_set(config.table_unset)
                    .batching_reads(config.batch_reads),
            ),
            Arc::new(kms_keys(keys)?),
        ),
        BackendOptions::Local { path } => {
            let folder = LocalFolder::new(&path)?;
            (
                Arc::new(LocalTable::new(folder.clone(), &config.table_name)),
                Arc::new(LocalKeys::new(folder)),
            )
        }
    };
    Ok(SessionStore::new(
        table,
        KeyCache::with(keys, config.key_cache, load_limit, Clock::of_process()),
        PartitionKeys::new(config.prefix, config.hash_session_ids),
        RecordPolicy::new(
            config.record_version,
            config.accept_versions,
            config.table_name,
            config.encryption_context,
        )
        .of_kind(config.kind)
        .reading_unversioned(config.accept_unversioned),
        config.saving,
    )
    .with_users(config.users))
}

/// The envelope that `config` describes. Connects to nothing and opens nothing.
///
/// # Errors
/// `ERR_CONFIG` if the folder of local mode has an unusable name.
pub fn envelope(config: EnvelopeConfig) -> Result<Envelope> {
    let load_limit = config.call_timeout();
    let keys: Arc<dyn DataKeys> = match config.backend {
        BackendOptions::Aws { keys, .. } => Arc::new(kms_keys(keys)?),
        BackendOptions::Local { path } => Arc::new(LocalKeys::new(LocalFolder::new(&path)?)),
    };
    let keys = KeyCache::with(keys, config.key_cache, load_limit, Clock::of_process());
    Ok(Envelope::new(keys, config.encryption_context))
}

fn kms_keys(keys: Vec<KeySettings>) -> Result<KmsKeys> {
    let keys = keys.into_iter().map(|key| KmsKey {
        clients: AwsClients::for_store(&key.client),
        arn: key.arn,
        unset: key.unset,
    });
    KmsKeys::new(keys.collect())
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
