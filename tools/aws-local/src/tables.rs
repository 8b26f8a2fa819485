//! What the engine does not have of tables: the region they are in, the time that making one takes,
//! and point-in-time recovery.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::front::Call;
use crate::reply::{self, ErrorNamespace, Reply, Service};

/// The tables beside the engine's own knowledge of them.
pub struct Tables {
    /// The region that has them; `None` for all.
    region: Option<String>,
    /// How often `DescribeTable` says that a new table is being made.
    creating: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often `DescribeTable` still says so, by name.
    made: HashMap<String, u32>,
    /// Those with point-in-time recovery.
    recoverable: HashSet<String>,
}

impl Tables {
    /// Tables that are in `region` alone, and take `creating` descriptions to be made.
    pub fn new(region: Option<String>, creating: u32) -> Self {
        Self {
            region,
            creating,
            state: Mutex::default(),
        }
    }

    /// Answers in the place of the engine, or not. `exists` is whether the engine has the table.
    pub fn answer(&self, call: &Call, exists: impl Fn(&str) -> bool) -> Option<Reply> {
        let input: Value = serde_json::from_slice(&call.body).ok()?;
        let table = input["TableName"].as_str()?;
        if self
            .region
            .as_deref()
            .is_some_and(|region| region != call.region())
        {
            return Some(missing(table));
        }
        let operation = call.operation.as_deref()?;
        let is_backups = matches!(
            operation,
            "DescribeContinuousBackups" | "UpdateContinuousBackups"
        );
        if is_backups && !exists(table) {
            return Some(refuse(
                "TableNotFoundException",
                &format!("Table not found: {table}"),
            ));
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match operation {
            "CreateTable" if !exists(table) => {
                state.made.insert(table.to_owned(), self.creating);
                state.recoverable.remove(table);
                None
            }
            "DeleteTable" => {
                state.recoverable.remove(table);
                None
            }
            // AWS refuses what changes a table before it is ACTIVE.
            "UpdateTimeToLive" | "UpdateTable"
                if state.made.get(table).is_some_and(|left| *left > 0) =>
            {
                Some(refuse(
                    "ResourceInUseException",
                    &format!(
                        "Attempt to change a resource which is still in use: Table is being created: {table}"
                    ),
                ))
            }
            "UpdateContinuousBackups" if state.made.get(table).is_some_and(|left| *left > 0) => {
                Some(refuse(
                    "ContinuousBackupsUnavailableException",
                    "Backups are being enabled for the table. Please retry later",
                ))
            }
            "UpdateContinuousBackups" => {
                let wanted =
                    &input["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"];
                if wanted == &json!(true) {
                    state.recoverable.insert(table.to_owned());
                } else {
                    state.recoverable.remove(table);
                }
                Some(backups(wanted == &json!(true)))
            }
            "DescribeContinuousBackups" => Some(backups(state.recoverable.contains(table))),
            _ => None,
        }
    }

    /// The engine's description of a table, which may still be in the making.
    pub fn described(&self, call: &Call, body: &[u8]) -> Option<Bytes> {
        if call.operation.as_deref() != Some("DescribeTable") {
            return None;
        }
        let mut answer: Value = serde_json::from_slice(body).ok()?;
        let name = answer["Table"]["TableName"].as_str()?.to_owned();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let left = state.made.get_mut(&name).filter(|left| **left > 0)?;
        *left -= 1;
        answer["Table"]["TableStatus"] = json!("CREATING");
        Some(answer.to_string().into())
    }
}

fn backups(recovery: bool) -> Reply {
    let status = if recovery { "ENABLED" } else { "DISABLED" };
    let body = json!({"ContinuousBackupsDescription": {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": status},
    }});
    reply::from_body(Service::DynamoDb, StatusCode::OK, body.to_string().into())
}

fn missing(table: &str) -> Reply {
    refuse(
        "ResourceNotFoundException",
        &format!("Requested resource not found: Table: {table} not found"),
    )
}

fn refuse(code: &str, message: &str) -> Reply {
    reply::error(
        Service::DynamoDb,
        ErrorNamespace::DynamoDb,
        StatusCode::BAD_REQUEST,
        code,
        message,
    )
}
