//! Writes of several items at once, and what they mean for writes of one item: those are refused
//! while a transaction changes their item.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Delete, Put,
    ReturnValuesOnConditionCheckFailure as IfRefused, TransactWriteItem,
};
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;

use super::attributes::{attribute_value, item};
use super::expressions::{condition_expression, some};
use super::failure::Call;
use crate::error::{Cause, Error, Kind, ServiceError};
use crate::record::SESSION_ID;
use crate::store::session_table::{Outcome, Write};

/// The least and the longest wait before a transaction is tried again that met another one.
const WAITS: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(500)];

/// The codes of a transaction that was refused because its items are in another one (Amazon
/// `DynamoDB` API Reference, `TransactWriteItems` and `CancellationReason`).
const CONFLICT: &str = "TransactionConflict";

/// The code of a condition that did not hold.
const REFUSED: &str = "ConditionalCheckFailed";

/// The codes of a transaction that was refused for want of capacity.
const THROTTLED: [&str; 2] = ["ThrottlingError", "ProvisionedThroughputExceeded"];

/// The code of a write that the table can never take.
const INVALID: &str = "ValidationError";

/// Lets the SDK repeat a write of one item that was refused because of a transaction, and a
/// transaction that was throttled.
#[derive(Debug)]
pub(super) struct MeetsTransactions;

impl ClassifyRetry for MeetsTransactions {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = match context.output_or_error() {
            Some(Err(error)) => error.as_operation_error(),
            _ => None,
        };
        let conflict = error.is_some_and(|error| {
            matches!(
                error.downcast_ref(),
                Some(PutItemError::TransactionConflictException(_))
            ) || matches!(
                error.downcast_ref(),
                Some(UpdateItemError::TransactionConflictException(_))
            ) || matches!(
                error.downcast_ref(),
                Some(DeleteItemError::TransactionConflictException(_))
            )
        });
        let throttled = error.is_some_and(|error| match error.downcast_ref() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                let mut reasons = cancelled.cancellation_reasons().iter();
                reasons.any(|reason| THROTTLED.contains(&code_of(reason)))
            }
            _ => false,
        });
        if conflict {
            RetryAction::transient_error()
        } else if throttled {
            RetryAction::throttling_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "MeetsTransactions"
    }
}

/// A random wait before the transaction is tried again for the `attempt`th time, from 0, so that
/// those who met do not meet again.
pub(super) fn wait(attempt: u32) -> Duration {
    let [least, longest] = WAITS;
    let upper = least.saturating_mul(2_u32.saturating_pow(attempt + 1));
    let upper = upper.min(longest);
    least + upper.saturating_sub(least).mul_f64(rand::random())
}

/// The write as a part of a request.
pub(super) fn part(table: &str, write: Write) -> TransactWriteItem {
    let condition = condition_expression(write.condition().clone());
    let refusal = condition.text.is_some().then_some(IfRefused::AllOld);
    let part = TransactWriteItem::builder();
    // A put or a delete cannot be built only without a table and an item or key.
    let part = match write {
        Write::Put(item, _) => {
            let attributes: HashMap<String, AttributeValue> =
                item.into_iter().filter_map(attribute_value).collect();
            let put = Put::builder()
                .table_name(table)
                .set_item(Some(attributes))
                .set_condition_expression(condition.text)
                .set_expression_attribute_names(some(condition.names))
                .set_expression_attribute_values(some(condition.values))
                .set_return_values_on_condition_check_failure(refusal)
                .build();
            part.set_put(put.ok())
        }
        Write::Delete(key, _) => {
            let delete = Delete::builder()
                .table_name(table)
                .key(SESSION_ID, AttributeValue::S(key))
                .set_condition_expression(condition.text)
                .set_expression_attribute_names(some(condition.names))
                .set_expression_attribute_values(some(condition.values))
                .set_return_values_on_condition_check_failure(refusal)
                .build();
            part.set_delete(delete.ok())
        }
    };
    part.build()
}

/// Why a transaction was not made.
pub(super) enum Cancelled {
    /// Another transaction, or another write, is changing one of its items.
    Conflict(Error),
    /// Some conditions did not hold.
    Refused(Vec<Outcome>),
}

impl Call<'_> {
    /// What the failure of a transaction means.
    pub(super) fn cancelled(
        &self,
        error: &SdkError<TransactWriteItemsError>,
    ) -> Result<Cancelled, Error> {
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons()
            }
            Some(error) if !is_known(error.code()) => return Err(self.no_transactions(error)),
            _ => return Err(self.failed(error)),
        };
        let any =
            |wanted: &dyn Fn(&str) -> bool| reasons.iter().find(|reason| wanted(code_of(reason)));
        // A conflict hides whether the other conditions hold.
        if let Some(reason) = any(&|code| code == CONFLICT) {
            let conflict = self.error(Kind::Throttled).because(because(reason));
            return Ok(Cancelled::Conflict(conflict.into()));
        }
        if let Some(reason) = any(&|code| THROTTLED.contains(&code)) {
            return Err(self.error(Kind::Throttled).because(because(reason)).into());
        }
        if let Some(reason) = any(&|code| code == INVALID) {
            let refuses = Some(format!("it refuses {}", self.action));
            let failed = self.error(Kind::TableSchema).because(because(reason));
            return Err(ServiceError {
                reason: refuses,
                ..failed
            }
            .into());
        }
        if any(&|code| code == REFUSED).is_none() {
            return Err(match any(&|code| code != "None" && !code.is_empty()) {
                Some(reason) => self
                    .error(Kind::Unavailable)
                    .because(because(reason))
                    .into(),
                None => self.wrong_answer("it does not say why the transaction was cancelled"),
            });
        }
        let outcome = |reason: &CancellationReason| match code_of(reason) {
            REFUSED => Outcome::Refused(reason.item.clone().map(item)),
            _ => Outcome::Written,
        };
        Ok(Cancelled::Refused(reasons.iter().map(outcome).collect()))
    }

    fn no_transactions(&self, error: &TransactWriteItemsError) -> Error {
        let failed = self.error(Kind::TableSchema).because(Cause::new(
            error.code().unwrap_or_default(),
            error.message().unwrap_or_default(),
        ));
        let reason = "it has no transactions, which the option users needs (neither have global tables with multi-Region strong consistency, nor some other \
                      servers); leave users out, or use another table";
        ServiceError {
            reason: Some(reason.to_owned()),
            ..failed
        }
        .into()
    }
}

fn code_of(reason: &CancellationReason) -> &str {
    reason.code().unwrap_or_default()
}

fn because(reason: &CancellationReason) -> Cause {
    Cause::new(
        reason.code.clone().unwrap_or_default(),
        reason.message.clone().unwrap_or_default(),
    )
}

/// Whether an error says something else than that the table or the server has no transactions. What
/// this store sends is a valid transaction.
fn is_known(code: Option<&str>) -> bool {
    const UNKNOWN: [&str; 5] = [
        "ValidationException",
        "UnknownOperationException",
        "UnsupportedOperationException",
        "NotImplementedException",
        "InvalidAction",
    ];
    code.is_none_or(|code| !UNKNOWN.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_differ() {
        for attempt in [0, 1, 2, 5, 30, u32::MAX - 1] {
            let waits: Vec<Duration> = (0..100).map(|_| wait(attempt)).collect();
            let [least, longest] = WAITS;
            let upper = least
                .saturating_mul(2_u32.saturating_pow(attempt + 1))
                .min(longest);
            assert!(waits.iter().all(|wait| (least..=upper).contains(wait)));
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{attempt}");
        }
    }
}
