//! Making the table, and its settings.

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PointInTimeRecoverySpecification,
    ScalarAttributeType, Tag, TimeToLiveSpecification,
};

use super::AwsInfrastructure;
use crate::error::{Error, Result};
use crate::operator::infrastructure::WantedTable;
use crate::record::{SESSION_ID, TTL};

impl AwsInfrastructure {
    pub(super) async fn make_table(&self, wanted: &WantedTable) -> Result<()> {
        let call = self.table_call("dynamodb:CreateTable");
        let key = KeySchemaElement::builder()
            .attribute_name(SESSION_ID)
            .key_type(KeyType::Hash)
            .build();
        let attribute = AttributeDefinition::builder()
            .attribute_name(SESSION_ID)
            .attribute_type(ScalarAttributeType::S)
            .build();
        let mut request = self
            .clients
            .dynamodb(&call)
            .await?
            .create_table()
            .table_name(&self.table_name)
            .key_schema(key.map_err(unbuilt)?)
            .attribute_definitions(attribute.map_err(unbuilt)?)
            .billing_mode(BillingMode::PayPerRequest)
            .deletion_protection_enabled(wanted.deletion_protection);
        for (name, value) in &wanted.tags {
            let tag = Tag::builder().key(name).value(value).build();
            request = request.tags(tag.map_err(unbuilt)?);
        }
        let reply = call.answer(request.send()).await;
        reply.and_then(|reply| call.answered(reply)).map(drop)
    }

    pub(super) async fn switch_time_to_live_on(&self) -> Result<()> {
        let call = self.table_call("dynamodb:UpdateTimeToLive");
        let wanted = TimeToLiveSpecification::builder()
            .attribute_name(TTL)
            .enabled(true)
            .build();
        let request = self
            .clients
            .dynamodb(&call)
            .await?
            .update_time_to_live()
            .table_name(&self.table_name)
            .time_to_live_specification(wanted.map_err(unbuilt)?);
        let reply = call.answer(request.send()).await;
        reply.and_then(|reply| call.answered(reply)).map(drop)
    }

    pub(super) async fn switch_recovery_on(&self) -> Result<()> {
        let call = self.table_call("dynamodb:UpdateContinuousBackups");
        let wanted = PointInTimeRecoverySpecification::builder()
            .point_in_time_recovery_enabled(true)
            .build();
        let request = self
            .clients
            .dynamodb(&call)
            .await?
            .update_continuous_backups()
            .table_name(&self.table_name)
            .point_in_time_recovery_specification(wanted.map_err(unbuilt)?);
        let reply = call.answer(request.send()).await;
        reply.and_then(|reply| call.answered(reply)).map(drop)
    }

    pub(super) async fn switch_protection_on(&self) -> Result<()> {
        let call = self.table_call("dynamodb:UpdateTable");
        let request = self
            .clients
            .dynamodb(&call)
            .await?
            .update_table()
            .table_name(&self.table_name)
            .deletion_protection_enabled(true);
        let reply = call.answer(request.send()).await;
        reply.and_then(|reply| call.answered(reply)).map(drop)
    }
}

/// A required member is missing, which the code above does not allow.
#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn unbuilt(error: BuildError) -> Error {
    Error::Config(error.to_string())
}
