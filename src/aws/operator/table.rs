//! What the table is.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, BillingMode, KeysAndAttributes, PointInTimeRecoveryStatus, TableDescription,
};

use super::AwsInfrastructure;
use crate::aws::AwsClients;
use crate::aws::attributes::item;
use crate::aws::dynamodb::has_session_key;
use crate::error::{Error, Kind, Result};
use crate::operator::infrastructure::{KeyPart, Sample, TableFacts, TimeToLive};
use crate::record::{SESSION_ID, VERSION, is_ours};

/// How many items are read to see of which versions they are.
const SAMPLE: i32 = 50;

impl AwsInfrastructure {
    /// The table of this name, through other clients for another region.
    pub(super) async fn describe_table(&self, clients: &AwsClients) -> Result<Option<TableFacts>> {
        let call = self.table_call("dynamodb:DescribeTable");
        let request = clients
            .dynamodb(&call)
            .await?
            .describe_table()
            .table_name(&self.table_name);
        let reply = call.answer(request.send()).await;
        let reply = match reply.and_then(|reply| call.answered(reply)) {
            Err(error) if error.kind() == Some(Kind::TableNotFound) => return Ok(None),
            reply => reply?,
        };
        let table = reply
            .table
            .ok_or_else(|| call.wrong_answer("it describes no table"))?;
        Ok(Some(facts(&self.table_name, &table)))
    }

    pub(super) async fn describe_time_to_live(&self) -> Result<TimeToLive> {
        let call = self.table_call("dynamodb:DescribeTimeToLive");
        let request = self
            .clients
            .dynamodb(&call)
            .await?
            .describe_time_to_live()
            .table_name(&self.table_name);
        let reply = call.answer(request.send()).await;
        let reply = reply.and_then(|reply| call.answered(reply))?;
        let described = reply
            .time_to_live_description
            .ok_or_else(|| call.wrong_answer("it describes nothing"))?;
        let status = described.time_to_live_status.as_ref();
        Ok(TimeToLive {
            status: status
                .map_or("DISABLED", |status| status.as_str())
                .to_owned(),
            attribute: described.attribute_name,
        })
    }

    pub(super) async fn describe_recovery(&self) -> Result<bool> {
        let call = self.table_call("dynamodb:DescribeContinuousBackups");
        let request = self
            .clients
            .dynamodb(&call)
            .await?
            .describe_continuous_backups()
            .table_name(&self.table_name);
        let reply = call.answer(request.send()).await;
        let reply = reply.and_then(|reply| call.answered(reply))?;
        let recovery = reply
            .continuous_backups_description
            .and_then(|backups| backups.point_in_time_recovery_description);
        let status = recovery.and_then(|recovery| recovery.point_in_time_recovery_status);
        Ok(status == Some(PointInTimeRecoveryStatus::Enabled))
    }

    pub(super) async fn ask_for_both(&self, keys: [String; 2]) -> Result<()> {
        let call = self.table_call("dynamodb:BatchGetItem");
        let keys = keys.map(|key| HashMap::from([(SESSION_ID.to_owned(), AttributeValue::S(key))]));
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(keys.to_vec()))
            .build()
            .map_err(|error| Error::Config(error.to_string()))?;
        let request = self.clients.dynamodb(&call).await?.batch_get_item();
        let request = request.request_items(&self.table_name, keys);
        let reply = call.answer(request.send()).await;
        reply.and_then(|reply| call.answered(reply)).map(drop)
    }

    pub(super) async fn read_some(&self) -> Result<Sample> {
        let call = self.table_call("dynamodb:Scan");
        let request = self
            .clients
            .dynamodb(&call)
            .await?
            .scan()
            .table_name(&self.table_name)
            .limit(SAMPLE);
        let reply = call.answer(request.send()).await;
        let reply = reply.and_then(|reply| call.answered(reply))?;
        let mut sample = Sample::default();
        for attributes in reply.items.unwrap_or_default() {
            sample.items += 1;
            let unversioned = !matches!(attributes.get(VERSION), Some(AttributeValue::N(_)));
            let item = item(attributes);
            if is_ours(&item, unversioned) {
                sample.add(&item);
            }
        }
        Ok(sample)
    }
}

fn facts(name: &str, table: &TableDescription) -> TableFacts {
    let kind = |name: &str| {
        let mut attributes = table.attribute_definitions().iter();
        let of_name = attributes.find(|attribute| attribute.attribute_name == name);
        of_name.map_or(String::new(), |attribute| {
            attribute.attribute_type.as_str().to_owned()
        })
    };
    let key = table.key_schema().iter().map(|part| KeyPart {
        kind: kind(&part.attribute_name),
        name: part.attribute_name.clone(),
        role: part.key_type.as_str().to_owned(),
    });
    let status = table.table_status.as_ref();
    let billing = table.billing_mode_summary.as_ref();
    let positive = |number: Option<i64>| u64::try_from(number.unwrap_or(0)).unwrap_or(0);
    TableFacts {
        name: name.to_owned(),
        arn: table.table_arn.clone(),
        status: status
            .map_or("unknown", |status| status.as_str())
            .to_owned(),
        key: key.collect(),
        holds_sessions: has_session_key(table),
        on_demand: billing.and_then(|billing| billing.billing_mode.as_ref())
            == Some(&BillingMode::PayPerRequest),
        deletion_protection: table.deletion_protection_enabled == Some(true),
        items: positive(table.item_count),
        bytes: positive(table.table_size_bytes),
    }
}
