//! [`SessionTable`] on `DynamoDB`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::error::ConditionalCheckFailedException;
use aws_sdk_dynamodb::types::{
    AttributeValue, DeleteRequest, KeyType, ReturnConsumedCapacity, ReturnValue,
    ScalarAttributeType, TableDescription, TableStatus, WriteRequest,
};

use super::AwsClients;
use super::attributes::{attribute_value, item};
use super::batch_reads::BatchReads;
use super::expressions::{condition_expression, filter_expression, some};
use super::failure::{Call, reply};
use super::transactions::{Cancelled, part, wait};
use crate::error::{Cause, Error, Kind, Result, Service, ServiceError, Unset};
use crate::record::partition_key::is_table_key;
use crate::record::{Attribute, Item, SESSION_ID, TTL};
use crate::store::session_table::{Condition, Outcome, Page, Scan, SessionTable, Write};
use crate::store::walk::{Walk, WalkPage, read_units};
use crate::time::EpochSeconds;

/// How many requests one `BatchWriteItem` holds (Amazon DynamoDB API Reference).
const BATCH: usize = 25;

/// How often a batch is sent again with the items that `DynamoDB` left unprocessed. Each wait is
/// twice the one before: 6.3 s in all.
const BATCH_RETRIES: u32 = 7;
const FIRST_BATCH_WAIT: Duration = Duration::from_millis(50);

/// How often a transaction is tried again because another one was changing its items, of which one
/// at a time can succeed: more often than a browser has requests under way. The waits are 3 s in
/// all, so that the failure comes before the default deadline of a call, and says what it met.
const CONFLICTS: u32 = 15;

/// A `DynamoDB` table.
pub struct DynamoDbTable {
    clients: Arc<AwsClients>,
    name: String,
    unset: Option<Unset>,
    batch_reads: BatchReads,
}

impl DynamoDbTable {
    /// The table `name`, through `clients`.
    #[must_use]
    pub fn new(clients: Arc<AwsClients>, name: String) -> DynamoDbTable {
        DynamoDbTable {
            clients,
            name,
            unset: None,
            batch_reads: BatchReads::new(true),
        }
    }

    /// Lets reads that arrive together travel together, or not.
    #[must_use]
    pub fn batching_reads(self, wanted: bool) -> DynamoDbTable {
        DynamoDbTable {
            batch_reads: BatchReads::new(wanted),
            ..self
        }
    }

    /// Lets errors say which option and variable would have named the table, if neither was set.
    #[must_use]
    pub fn unless_set(self, unset: Option<Unset>) -> DynamoDbTable {
        DynamoDbTable { unset, ..self }
    }

    pub(super) async fn client(&self, call: &Call<'_>) -> Result<&Client> {
        self.clients.dynamodb(call).await
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn batch_reads(&self) -> &BatchReads {
        &self.batch_reads
    }

    pub(super) async fn get_alone(&self, key: &str) -> Result<Option<Item>> {
        let call = self.call("dynamodb:GetItem");
        let request = self
            .client(&call)
            .await?
            .get_item()
            .table_name(&self.name)
            .key(SESSION_ID, AttributeValue::S(key.to_owned()))
            .consistent_read(true);
        let reply = call.answer(request.send()).await;
        let reply = reply.and_then(|reply| call.answered(reply))?;
        Ok(reply.item.map(item))
    }

    pub(super) fn call(&self, action: &'static str) -> Call<'_> {
        Call::to(Service::DynamoDb, action, &self.name, &self.clients).unless_set(self.unset)
    }

    /// What a refused write met. `DynamoDB` returns the item with the refusal. Servers that do not
    /// know `ReturnValuesOnConditionCheckFailure` do not, so the item is read: otherwise the
    /// refusal would look like one that met no item.
    async fn read_if_untold(&self, outcome: Outcome, key: &str) -> Result<Outcome> {
        match outcome {
            Outcome::Refused(None) => Ok(Outcome::Refused(self.get(key).await?)),
            outcome => Ok(outcome),
        }
    }

    async fn describe(&self, call: &Call<'_>) -> Result<Option<TableDescription>> {
        let request = self
            .client(call)
            .await?
            .describe_table()
            .table_name(&self.name);
        let reply = call.answer(request.send()).await;
        Ok(reply.and_then(|reply| call.answered(reply))?.table)
    }

    /// Repeats the transaction until no other one is in its way; the caller's deadline ends that.
    async fn transact(&self, call: &Call<'_>, writes: &[Write]) -> Result<Vec<Outcome>> {
        let mut attempt = 0;
        loop {
            let parts = writes.iter().map(|write| part(&self.name, write.clone()));
            let request = self
                .client(call)
                .await?
                .transact_write_items()
                .set_transact_items(Some(parts.collect()));
            match reply(request.send()).await? {
                Ok(reply) => {
                    call.answered(reply)?;
                    return Ok(vec![Outcome::Written; writes.len()]);
                }
                Err(error) => match call.cancelled(&error)? {
                    Cancelled::Refused(outcomes) if outcomes.len() == writes.len() => {
                        return Ok(outcomes);
                    }
                    Cancelled::Refused(_) => {
                        let what = "it does not say which condition did not hold";
                        return Err(call.wrong_answer(what));
                    }
                    Cancelled::Conflict(error) if attempt >= CONFLICTS => return Err(error),
                    Cancelled::Conflict(_) => tokio::time::sleep(wait(attempt)).await,
                },
            }
            attempt += 1;
        }
    }

    async fn delete_batch(&self, keys: &[String]) -> Result<()> {
        let call = self.call("dynamodb:BatchWriteItem");
        let mut requests: Vec<WriteRequest> = keys
            .iter()
            .map(|key| {
                let delete = DeleteRequest::builder()
                    .key(SESSION_ID, AttributeValue::S(key.clone()))
                    .build();
                delete.map(|delete| WriteRequest::builder().delete_request(delete).build())
            })
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| Error::Config(error.to_string()))?;
        for attempt in 0..=BATCH_RETRIES {
            let request = self
                .client(&call)
                .await?
                .batch_write_item()
                .request_items(&self.name, requests);
            let reply = call.answer(request.send()).await;
            let reply = reply.and_then(|reply| call.answered(reply))?;
            // An empty map if all were processed (DynamoDB API Reference, "BatchWriteItem").
            let unprocessed = reply
                .unprocessed_items
                .ok_or_else(|| call.wrong_answer("it does not say what was left unprocessed"))?;
            // The answer may name the table by its ARN; the request has only one table.
            requests = unprocessed.into_values().flatten().collect();
            if requests.is_empty() {
                return Ok(());
            }
            if attempt < BATCH_RETRIES {
                tokio::time::sleep(FIRST_BATCH_WAIT * 2_u32.pow(attempt)).await;
            }
        }
        let left = format!("{} items were left unprocessed", requests.len());
        let left = Cause::new("UnprocessedItems", left);
        Err(call.error(Kind::Throttled).because(left).into())
    }
}

#[async_trait]
impl SessionTable for DynamoDbTable {
    async fn get(&self, key: &str) -> Result<Option<Item>> {
        if self.batch_reads.are_off() {
            self.get_alone(key).await
        } else {
            self.get_with_others(key).await
        }
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<Outcome> {
        let call = self.call("dynamodb:PutItem");
        let key = match item.get(SESSION_ID) {
            Some(Attribute::S(key)) => key.clone(),
            _ => String::new(),
        };
        let condition = condition_expression(condition);
        let refusal = condition.refusal();
        let request = self
            .client(&call)
            .await?
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item.into_iter().filter_map(attribute_value).collect()))
            .set_condition_expression(condition.text)
            .set_expression_attribute_names(some(condition.names))
            .set_expression_attribute_values(some(condition.values))
            .set_return_values_on_condition_check_failure(refusal);
        let reply = reply(request.send()).await?;
        let outcome = call.written(reply, |error| match error {
            PutItemError::ConditionalCheckFailedException(refused) => Some(refused),
            _ => None,
        });
        self.read_if_untold(outcome?, &key).await
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<Vec<Outcome>> {
        // IAM knows no action for transactions: each write needs its own.
        let removes = writes
            .iter()
            .any(|write| matches!(write, Write::Delete(..)));
        let call = self.call(if removes {
            "dynamodb:PutItem and dynamodb:DeleteItem"
        } else {
            "dynamodb:PutItem"
        });
        let mut outcomes = self.transact(&call, &writes).await?;
        for (outcome, write) in outcomes.iter_mut().zip(&writes) {
            if *outcome == Outcome::Refused(None) {
                *outcome = Outcome::Refused(self.get(write.key()).await?);
            }
        }
        Ok(outcomes)
    }

    async fn extend(&self, key: &str, ttl: EpochSeconds, condition: Condition) -> Result<Outcome> {
        let call = self.call("dynamodb:UpdateItem");
        let condition = condition_expression(condition);
        let refusal = condition.refusal();
        let request = self
            .client(&call)
            .await?
            .update_item()
            .table_name(&self.name)
            .key(SESSION_ID, AttributeValue::S(key.to_owned()))
            .update_expression("SET #ttl = :ttl") // ttl is a reserved word
            .set_condition_expression(condition.text)
            .set_expression_attribute_names(some(condition.names))
            .set_expression_attribute_values(some(condition.values))
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_values(":ttl", AttributeValue::N(ttl.0.to_string()))
            .set_return_values_on_condition_check_failure(refusal);
        let reply = reply(request.send()).await?;
        let outcome = call.written(reply, |error| match error {
            UpdateItemError::ConditionalCheckFailedException(refused) => Some(refused),
            _ => None,
        });
        self.read_if_untold(outcome?, key).await
    }

    async fn delete(&self, key: &str, condition: Condition) -> Result<Outcome> {
        let call = self.call("dynamodb:DeleteItem");
        let condition = condition_expression(condition);
        let refusal = condition.refusal();
        let request = self
            .client(&call)
            .await?
            .delete_item()
            .table_name(&self.name)
            .key(SESSION_ID, AttributeValue::S(key.to_owned()))
            .set_condition_expression(condition.text)
            .set_expression_attribute_names(some(condition.names))
            .set_expression_attribute_values(some(condition.values))
            .set_return_values_on_condition_check_failure(refusal);
        let reply = reply(request.send()).await?;
        let outcome = call.written(reply, |error| match error {
            DeleteItemError::ConditionalCheckFailedException(refused) => Some(refused),
            _ => None,
        });
        self.read_if_untold(outcome?, key).await
    }

    async fn remove(&self, key: &str) -> Result<Option<Item>> {
        let call = self.call("dynamodb:DeleteItem");
        let request = self
            .client(&call)
            .await?
            .delete_item()
            .table_name(&self.name)
            .key(SESSION_ID, AttributeValue::S(key.to_owned()))
            .return_values(ReturnValue::AllOld);
        let reply = call.answer(request.send()).await;
        let reply = reply.and_then(|reply| call.answered(reply))?;
        Ok(reply.attributes.map(item))
    }

    async fn delete_all(&self, keys: Vec<String>) -> Result<()> {
        for batch in keys.chunks(BATCH) {
            self.delete_batch(batch).await?;
        }
        Ok(())
    }

    async fn scan(&self, scan: &Scan, after: Option<String>) -> Result<Page> {
        let call = self.call("dynamodb:Scan");
        let filter = filter_expression(scan);
        let request = self
            .client(&call)
            .await?
            .scan()
            .table_name(&self.name)
            .consistent_read(true)
            .set_filter_expression(filter.text)
            .set_expression_attribute_names(some(filter.names))
            .set_expression_attribute_values(some(filter.values))
            .set_projection_expression(scan.keys_only.then(|| SESSION_ID.to_owned()))
            .set_exclusive_start_key(after.clone().map(start_key));
        let reply = call.answer(request.send()).await;
        let reply = reply.and_then(|reply| call.answered(reply))?;
        let items = reply
            .items
            .ok_or_else(|| call.wrong_answer("it holds no list of items"))?;
        call.check_keys(&items)?;
        let next = call.next_key(after.as_deref(), reply.last_evaluated_key)?;
        Ok(Page {
            items: items.into_iter().map(item).collect(),
            next,
        })
    }

    async fn walk(&self, walk: &Walk, after: Option<String>) -> Result<WalkPage> {
        let call = self.call("dynamodb:Scan");
        let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let request = self
            .client(&call)
            .await?
            .scan()
            .table_name(&self.name)
            .consistent_read(walk.consistent)
            .segment(count(walk.segment.index))
            .total_segments(count(walk.segment.of))
            .set_limit(walk.limit.map(count))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .set_exclusive_start_key(after.clone().map(start_key));
        let reply = call.answer(request.send()).await;
        let reply = reply.and_then(|reply| call.answered(reply))?;
        let items = reply
            .items
            .ok_or_else(|| call.wrong_answer("it holds no list of items"))?;
        call.check_keys(&items)?;
        let next = call.next_key(after.as_deref(), reply.last_evaluated_key)?;
        let items: Vec<Item> = items.into_iter().map(item).collect();
        let consumed = reply.consumed_capacity.and_then(|of| of.capacity_units);
        Ok(WalkPage {
            read_units: consumed.unwrap_or_else(|| read_units(&items, walk.consistent)),
            items,
            next,
        })
    }

    async fn item_count(&self) -> Result<Option<u64>> {
        let call = self.call("dynamodb:DescribeTable");
        let table = self.describe(&call).await?;
        let count = table.and_then(|table| table.item_count);
        Ok(count.and_then(|count| u64::try_from(count).ok()))
    }

    async fn check(&self) -> Result<()> {
        let call = self.call("dynamodb:DescribeTable");
        let Some(table) = self.describe(&call).await? else {
            return Err(call.wrong_schema("DescribeTable says nothing about it"));
        };
        // A table that is UPDATING (its capacity, an index) still serves reads and writes.
        match &table.table_status {
            Some(TableStatus::Active | TableStatus::Updating) => {}
            status => {
                let status = status.as_ref().map_or("unknown", TableStatus::as_str);
                return Err(call.wrong_schema(format!("its status is {status}")));
            }
        }
        if has_session_key(&table) {
            Ok(())
        } else {
            Err(call.wrong_schema("its key schema is another one"))
        }
    }
}

fn start_key(key: String) -> HashMap<String, AttributeValue> {
    HashMap::from([(SESSION_ID.to_owned(), AttributeValue::S(key))])
}

impl Call<'_> {
    /// If an item without the table's key were ignored, its session would look missing.
    fn check_keys(&self, items: &[HashMap<String, AttributeValue>]) -> Result<()> {
        let keyed = |item: &HashMap<_, _>| matches!(item.get(SESSION_ID), Some(AttributeValue::S(key)) if is_table_key(key));
        if items.iter().all(keyed) {
            Ok(())
        } else {
            Err(self.wrong_answer("it holds an item without the key of this table"))
        }
    }

    /// Where a scan continues that was read up to here after the key `after`.
    fn next_key(
        &self,
        after: Option<&str>,
        last: Option<HashMap<String, AttributeValue>>,
    ) -> Result<Option<String>> {
        let last = last.unwrap_or_default();
        match last.get(SESSION_ID) {
            None if last.is_empty() => Ok(None),
            // A scan that does not get on would never end.
            Some(AttributeValue::S(key)) if after != Some(key.as_str()) => Ok(Some(key.clone())),
            _ => Err(self.wrong_answer("it does not say where the scan goes on")),
        }
    }

    fn wrong_schema(&self, reason: impl Into<String>) -> Error {
        let reason = Some(reason.into());
        let failed = self.error(Kind::TableSchema);
        ServiceError { reason, ..failed }.into()
    }

    /// `refusal` extracts the failed condition from the error of the operation.
    fn written<T, E>(
        &self,
        reply: std::result::Result<T, SdkError<E>>,
        refusal: impl Fn(&E) -> Option<&ConditionalCheckFailedException>,
    ) -> Result<Outcome>
    where
        T: RequestId,
        E: ProvideErrorMetadata + RequestId + std::error::Error + Send + Sync + 'static,
    {
        match reply {
            Ok(reply) => self.answered(reply).map(|_| Outcome::Written),
            Err(error) => match error.as_service_error().and_then(refusal) {
                Some(refused) => Ok(Outcome::Refused(refused.item.clone().map(item))),
                None => Err(self.failed(&error)),
            },
        }
    }
}

/// Whether sessions can be stored under the table's key.
pub(super) fn has_session_key(table: &TableDescription) -> bool {
    let is_key = matches!(table.key_schema(), [key] if key.attribute_name == SESSION_ID && key.key_type == KeyType::Hash);
    let is_string = table.attribute_definitions().iter().any(|attribute| {
        attribute.attribute_name == SESSION_ID && attribute.attribute_type == ScalarAttributeType::S
    });
    is_key && is_string
}
