//! The table of another store.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{AttributeValue, KeyType, ReturnConsumedCapacity, TableDescription};
use base64_simd::STANDARD as BASE64;
use serde_json::{Number, Value};

use crate::aws::AwsClients;
use crate::aws::failure::Call;
use crate::error::{Error, Kind, Result, Service, ServiceError};
use crate::operator::import::{Source, SourceItem};
use crate::store::walk::{Walk, WalkPage};

/// A table with any partition key of type string, and no sort key.
pub(super) struct SourceTable {
    /// The clients of its region.
    pub(super) clients: Arc<AwsClients>,
    /// Its name.
    pub(super) name: String,
    /// Its partition key.
    pub(super) key: String,
}

impl SourceTable {
    fn call(&self, action: &'static str) -> Call<'_> {
        Call::to(Service::DynamoDb, action, &self.name, &self.clients)
    }

    async fn describe(&self, call: &Call<'_>) -> Result<TableDescription> {
        let request = self
            .clients
            .dynamodb(call)
            .await?
            .describe_table()
            .table_name(&self.name);
        let reply = call.answer(request.send()).await;
        let reply = reply.and_then(|reply| call.answered(reply))?;
        reply
            .table
            .ok_or_else(|| call.wrong_answer("it describes no table"))
    }
}

#[async_trait]
impl Source for SourceTable {
    async fn check(&self) -> Result<()> {
        let call = self.call("dynamodb:DescribeTable");
        let table = self.describe(&call).await?;
        let is_key = matches!(table.key_schema(), [key] if key.attribute_name == self.key && key.key_type == KeyType::Hash);
        if is_key {
            return Ok(());
        }
        let failed = call.error(Kind::TableSchema);
        let reason = Some(format!("its partition key is not {} alone", self.key));
        Err(Error::from(ServiceError { reason, ..failed }))
    }

    async fn item_count(&self) -> Result<Option<u64>> {
        let call = self.call("dynamodb:DescribeTable");
        let count = self.describe(&call).await?.item_count;
        Ok(count.and_then(|count| u64::try_from(count).ok()))
    }

    async fn walk(&self, walk: &Walk, after: Option<String>) -> Result<WalkPage<SourceItem>> {
        let call = self.call("dynamodb:Scan");
        let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let start = |key| HashMap::from([(self.key.clone(), AttributeValue::S(key))]);
        let request = self
            .clients
            .dynamodb(&call)
            .await?
            .scan()
            .table_name(&self.name)
            .consistent_read(walk.consistent)
            .segment(count(walk.segment.index))
            .total_segments(count(walk.segment.of))
            .set_limit(walk.limit.map(count))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .set_exclusive_start_key(after.clone().map(start));
        let reply = call.answer(request.send()).await;
        let reply = reply.and_then(|reply| call.answered(reply))?;
        let mut last = reply.last_evaluated_key.unwrap_or_default();
        let next = match last.remove(&self.key) {
            None if last.is_empty() => None,
            Some(AttributeValue::S(key)) if after.as_ref() != Some(&key) => Some(key),
            _ => return Err(call.wrong_answer("it does not say where the scan goes on")),
        };
        let consumed = reply.consumed_capacity.and_then(|of| of.capacity_units);
        let items = reply.items.unwrap_or_default();
        Ok(WalkPage {
            items: items.into_iter().map(map).collect(),
            next,
            read_units: consumed.unwrap_or_default(),
        })
    }

    async fn has(&self, key: &str) -> Result<bool> {
        let call = self.call("dynamodb:GetItem");
        let request = self
            .clients
            .dynamodb(&call)
            .await?
            .get_item()
            .table_name(&self.name)
            .key(&self.key, AttributeValue::S(key.to_owned()))
            .consistent_read(true)
            .projection_expression("#key")
            .expression_attribute_names("#key", &self.key);
        let reply = call.answer(request.send()).await;
        Ok(reply.and_then(|reply| call.answered(reply))?.item.is_some())
    }
}

fn map(attributes: HashMap<String, AttributeValue>) -> SourceItem {
    let attributes = attributes.into_iter();
    attributes.map(|(name, of)| (name, value(of))).collect()
}

/// An attribute as the document clients of AWS's SDKs for JavaScript give it. Bytes become base64.
fn value(attribute: AttributeValue) -> Value {
    let texts = |texts: Vec<String>| texts.into_iter().map(Value::String).collect();
    match attribute {
        AttributeValue::S(text) => Value::String(text),
        AttributeValue::N(text) => number(&text),
        AttributeValue::Bool(is) => Value::Bool(is),
        AttributeValue::M(attributes) => Value::Object(map(attributes)),
        AttributeValue::L(values) => values.into_iter().map(value).collect(),
        AttributeValue::Ss(set) => texts(set),
        AttributeValue::Ns(set) => set.iter().map(|text| number(text)).collect(),
        AttributeValue::B(bytes) => Value::String(BASE64.encode_to_string(bytes)),
        _ => Value::Null,
    }
}

/// A number as precisely as JavaScript holds it, without a fraction if it has none.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // checked
fn number(text: &str) -> Value {
    if let Ok(whole) = text.parse::<i64>() {
        return Value::from(whole);
    }
    let float = text.parse::<f64>().ok();
    match float {
        Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => Value::from(float as i64),
        _ => float
            .and_then(Number::from_f64)
            .map_or(Value::Null, Value::Number),
    }
}
