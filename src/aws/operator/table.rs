//! The table.

use aws_sdk_dynamodb::types::{BillingMode, TableDescription};

use super::AwsInfrastructure;
use crate::aws::dynamodb::has_session_key;
use crate::error::{Kind, Result};
use crate::operator::infrastructure::{KeyPart, TableFacts};

impl AwsInfrastructure {
    pub(super) async fn describe_table(&self) -> Result<Option<TableFacts>> {
        let call = self.table_call("dynamodb:DescribeTable");
        let request = self
            .clients
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
