//! The operator's view of the table and the keys. The store calls nothing of this.

mod table;

use std::sync::Arc;

use async_trait::async_trait;

use super::AwsClients;
use super::failure::Call;
use super::kms::KmsKey;
use crate::error::{Result, Service, Unset};
use crate::operator::infrastructure::{Infrastructure, TableFacts};

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
}

impl AwsInfrastructure {
    fn table_call(&self, action: &'static str) -> Call<'_> {
        Call::to(Service::DynamoDb, action, &self.table_name, &self.clients)
            .unless_set(self.table_unset)
    }
}

#[async_trait]
impl Infrastructure for AwsInfrastructure {
    async fn table(&self) -> Result<Option<TableFacts>> {
        self.describe_table().await
    }
}
