//! From a configuration to a store.

use std::sync::Arc;

use crate::aws::{AwsClients, DynamoDbTable, KmsKeys};
use crate::config::{Backend, Environment, StoreConfig};
use crate::data_keys::DataKeys;
use crate::error::Result;
use crate::key_cache::KeyCache;
use crate::local::{LocalFolder, LocalKeys, LocalTable};
use crate::session_table::SessionTable;
use crate::store::SessionStore;

/// The store that `config` describes. Connects to nothing and opens nothing.
///
/// # Errors
/// `ERR_CONFIG` if the folder of the local mode has an unusable name.
pub fn session_store(config: StoreConfig) -> Result<SessionStore> {
    let (table, keys): (Arc<dyn SessionTable>, Arc<dyn DataKeys>) = match config.backend {
        Backend::Aws {
            table,
            keys,
            key_arn,
        } => (
            Arc::new(DynamoDbTable::new(
                AwsClients::shared(&table),
                config.table_name,
            )),
            Arc::new(KmsKeys::new(AwsClients::shared(&keys), key_arn)),
        ),
        Backend::Local { path } => {
            let folder = LocalFolder::new(&path)?;
            (
                Arc::new(LocalTable::new(folder.clone(), &config.table_name)),
                Arc::new(LocalKeys::new(folder)),
            )
        }
    };
    Ok(SessionStore::new(
        table,
        KeyCache::new(keys, config.key_cache),
        config.prefix,
    ))
}

/// The data keys of the environment's KMS key, for use without a store.
///
/// # Errors
/// `ERR_CONFIG` if `KMS_KEY_ARN` is not the ARN of a KMS key.
pub fn default_keys(environment: &Environment) -> Result<KmsKeys> {
    let clients = AwsClients::shared(&environment.kms_client_settings()?);
    Ok(KmsKeys::new(clients, environment.key_arn.clone()))
}
