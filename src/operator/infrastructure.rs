//! The table and the keys as resources of an account: what they are, not what is in them.

use std::collections::BTreeMap;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::import::Source;
use crate::error::{Error, Result};
use crate::record::{Attribute, Item, SESSION_ID, VERSION, number};

/// What there is of the store's table and keys. AWS, or the folder of local mode.
///
/// Every method can fail as the calls of the table and the keys do.
#[async_trait]
pub trait Infrastructure: Send + Sync {
    /// Another store's table of this name, in the same place; `None` in local mode.
    fn source(&self, _table: &str, _key: &str) -> Option<Arc<dyn Source>> {
        None
    }

    /// Where requests go, and which settings decided that.
    async fn place(&self) -> Result<Place>;

    /// Asks the service of the table for anything, to learn whether it answers, how long that
    /// takes, and what its clock says. An answer that refuses the request counts as one.
    async fn reach(&self) -> Result<Reach>;

    /// Whose credentials the requests carry; `None` where there are none, as in local mode.
    async fn caller(&self) -> Result<Option<Caller>>;

    /// The table; `None` if it does not exist.
    async fn table(&self) -> Result<Option<TableFacts>>;

    /// As [`Infrastructure::table`], in the region of the first key if that is another one.
    async fn table_beside_key(&self) -> Result<Option<TableFacts>>;

    /// Which attribute ends items.
    async fn time_to_live(&self) -> Result<TimeToLive>;

    /// Whether the table can be restored to any moment of the last weeks.
    async fn recovery(&self) -> Result<bool>;

    /// The key at this place of `kmsKeyArn`.
    async fn key(&self, index: usize) -> Result<KeyFacts>;

    /// Reads a few items of the table and counts them by version.
    async fn sample(&self) -> Result<Sample>;

    /// Asks for two items that do not exist with one request, as the store does for reads that arrive
    /// together. It reads them one by one where that is refused, so no read of its own would tell.
    async fn read_together(&self, keys: [String; 2]) -> Result<()>;

    /// Makes the table.
    async fn create_table(&self, _wanted: &WantedTable) -> Result<()> {
        Err(made_by_itself())
    }

    /// Switches Time to Live on.
    async fn enable_time_to_live(&self) -> Result<()> {
        Err(made_by_itself())
    }

    /// Switches point-in-time recovery on.
    async fn enable_recovery(&self) -> Result<()> {
        Err(made_by_itself())
    }

    /// Switches deletion protection on.
    async fn enable_protection(&self) -> Result<()> {
        Err(made_by_itself())
    }
}

fn made_by_itself() -> Error {
    Error::Config("local mode makes its table by itself, and has none of a table's settings".into())
}

/// Where requests go.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The folder of local mode, as it was given.
    pub local: Option<String>,
    /// The name of the table.
    pub table_name: String,
    /// Whether nobody named it, so that it is the built-in default.
    pub table_is_default: bool,
    /// The table's region; `None` in local mode.
    pub region: Option<String>,
    /// Whether `DynamoDB` is not AWS's own, as far as the options tell.
    pub own_endpoint: bool,
    /// The keys; none in local mode.
    pub keys: Vec<KeyPlace>,
    /// The version that is written.
    pub record_version: u32,
    /// The versions that are read.
    pub accept_versions: Vec<u32>,
}

/// One KMS key of the settings.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyPlace {
    /// Its ARN, or that of an alias.
    pub arn: String,
    /// Whether nobody named it, so that it is the built-in default.
    pub is_default: bool,
}

/// How a service answers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reach {
    /// How long the answer took, in milliseconds.
    pub round_trip_millis: u64,
    /// How far the service's clock is ahead of this machine's, in seconds, if it said.
    pub clock_ahead_seconds: Option<i64>,
}

/// Whose credentials they are.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// The account.
    pub account: String,
    /// The user or the role's session.
    pub arn: String,
}

/// A table.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableFacts {
    /// Its name.
    pub name: String,
    /// Its ARN; `None` in local mode.
    pub arn: Option<String>,
    /// `ACTIVE`, `CREATING`, …
    pub status: String,
    /// Its key schema, the partition key first.
    pub key: Vec<KeyPart>,
    /// Whether the store can use that schema.
    pub holds_sessions: bool,
    /// Whether requests are paid for one by one.
    pub on_demand: bool,
    /// Whether it cannot be deleted by mistake.
    pub deletion_protection: bool,
    /// How many items it has; `DynamoDB` counts every six hours or so.
    pub items: u64,
    /// How large they are, in bytes.
    pub bytes: u64,
}

/// One attribute of a table's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyPart {
    /// The attribute's name.
    pub name: String,
    /// `HASH` or `RANGE`.
    pub role: String,
    /// `S`, `N` or `B`.
    pub kind: String,
}

/// A table's Time to Live.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeToLive {
    /// `ENABLED`, `ENABLING`, `DISABLED` or `DISABLING`.
    pub status: String,
    /// The attribute with the moment.
    pub attribute: Option<String>,
}

/// A KMS key.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyFacts {
    /// The key's own ARN, also where the settings name an alias.
    pub arn: String,
    /// `Enabled`, `Disabled`, `PendingDeletion`, …
    pub state: String,
    /// `SYMMETRIC_DEFAULT`, `RSA_2048`, …
    pub spec: String,
    /// `ENCRYPT_DECRYPT`, `SIGN_VERIFY`, …
    pub usage: String,
    /// Whether AWS manages it.
    pub of_aws: bool,
}

/// What a few items of the table are.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// How many were read.
    pub items: u64,
    /// How many records there are of each version.
    pub versions: BTreeMap<String, u64>,
    /// The partition keys of the records.
    #[serde(skip)]
    pub keys: Vec<String>,
}

impl Sample {
    /// Counts a record.
    pub fn add(&mut self, item: &Item) {
        let version = number(item, VERSION).unwrap_or(0.0).to_string();
        *self.versions.entry(version).or_default() += 1;
        if let Some(Attribute::S(key)) = item.get(SESSION_ID) {
            self.keys.push(key.clone());
        }
    }
}

/// A table to be made.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WantedTable {
    /// With deletion protection.
    pub deletion_protection: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}
