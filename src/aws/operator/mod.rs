//! The operator's view of the table and the keys. The store calls nothing of this.

mod caller;
mod clock;
mod keys;
mod setup;
mod source;
mod table;

use std::sync::Arc;

use async_trait::async_trait;

use self::source::SourceTable;
use super::AwsClients;
use super::failure::Call;
use super::kms::KmsKey;
use crate::error::{Result, Service, Unset};
use crate::operator::import::Source;
use crate::operator::infrastructure::{
    Caller, Infrastructure, KeyFacts, KeyPlace, Place, Reach, Sample, TableFacts, TimeToLive,
    WantedTable,
};

/// The table and the keys of one store.
pub struct AwsInfrastructure {
    /// The clients of the table.
    pub clients: Arc<AwsClients>,
    /// The name of the table.
    pub table_name: String,
    /// Set if that is the built-in default.
    pub table_unset: Option<Unset>,
    /// The keys.
    pub keys: Vec<KmsKey>,
    /// The version that is written, and those that are read.
    pub versions: (u32, Vec<u32>),
}

impl AwsInfrastructure {
    fn table_call(&self, action: &'static str) -> Call<'_> {
        Call::to(Service::DynamoDb, action, &self.table_name, &self.clients)
            .unless_set(self.table_unset)
    }
}

#[async_trait]
impl Infrastructure for AwsInfrastructure {
    fn source(&self, table: &str, key: &str) -> Option<Arc<dyn Source>> {
        Some(Arc::new(SourceTable {
            clients: self.clients.clone(),
            name: table.to_owned(),
            key: key.to_owned(),
        }))
    }

    async fn place(&self) -> Result<Place> {
        // The region can come from a profile, which is read with the first call.
        let _ = self.clients.dynamodb(&self.table_call("dynamodb:*")).await;
        let (record_version, accept_versions) = self.versions.clone();
        let keys = self.keys.iter().map(|key| KeyPlace {
            arn: key.arn.clone(),
            is_default: key.unset.is_some(),
        });
        Ok(Place {
            local: None,
            table_name: self.table_name.clone(),
            table_is_default: self.table_unset.is_some(),
            region: Some(self.clients.region().to_owned()),
            own_endpoint: self.clients.has_own_endpoint(),
            keys: keys.collect(),
            record_version,
            accept_versions,
        })
    }

    async fn reach(&self) -> Result<Reach> {
        self.ask_for_time().await
    }

    async fn caller(&self) -> Result<Option<Caller>> {
        self.ask_who().await.map(Some)
    }

    async fn table(&self) -> Result<Option<TableFacts>> {
        self.describe_table(&self.clients).await
    }

    async fn table_beside_key(&self) -> Result<Option<TableFacts>> {
        match self.keys.first() {
            Some(key) if key.clients.region() != self.clients.region() => {
                self.describe_table(&key.clients).await
            }
            _ => Ok(None),
        }
    }

    async fn time_to_live(&self) -> Result<TimeToLive> {
        self.describe_time_to_live().await
    }

    async fn recovery(&self) -> Result<bool> {
        self.describe_recovery().await
    }

    async fn key(&self, index: usize) -> Result<KeyFacts> {
        self.describe_key(index).await
    }

    async fn sample(&self) -> Result<Sample> {
        self.read_some().await
    }

    async fn read_together(&self, keys: [String; 2]) -> Result<()> {
        self.ask_for_both(keys).await
    }

    async fn create_table(&self, wanted: &WantedTable) -> Result<()> {
        self.make_table(wanted).await
    }

    async fn enable_time_to_live(&self) -> Result<()> {
        self.switch_time_to_live_on().await
    }

    async fn enable_recovery(&self) -> Result<()> {
        self.switch_recovery_on().await
    }

    async fn enable_protection(&self) -> Result<()> {
        self.switch_protection_on().await
    }
}
