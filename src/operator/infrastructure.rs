//! The table and the keys as resources of an account: what they are, not what is in them.

use async_trait::async_trait;
use serde::Serialize;

use crate::error::Result;

/// What there is of the store's table and keys. AWS, or the folder of local mode.
#[async_trait]
pub trait Infrastructure: Send + Sync {
    /// The table; `None` if it does not exist.
    ///
    /// # Errors
    /// Those of the table but `ERR_TABLE_NOT_FOUND`.
    async fn table(&self) -> Result<Option<TableFacts>>;
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
