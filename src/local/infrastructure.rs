//! The operator's view of local mode.

use std::sync::Arc;

use async_trait::async_trait;

use super::{LocalFolder, LocalTable};
use crate::error::Result;
use crate::operator::infrastructure::{Infrastructure, KeyPart, TableFacts};
use crate::record::SESSION_ID;
use crate::store::session_table::SessionTable;

/// A folder as the place of a table and its key.
pub struct LocalInfrastructure {
    /// The table.
    pub table: LocalTable,
    /// Its name.
    pub name: String,
}

impl LocalInfrastructure {
    /// The table `name` of `folder`.
    #[must_use]
    pub fn new(folder: &Arc<LocalFolder>, name: String) -> LocalInfrastructure {
        LocalInfrastructure {
            table: LocalTable::new(folder.clone(), &name),
            name,
        }
    }
}

#[async_trait]
impl Infrastructure for LocalInfrastructure {
    /// Tables are made on first use, so there is always one.
    async fn table(&self) -> Result<Option<TableFacts>> {
        self.table.check().await?;
        Ok(Some(TableFacts {
            name: self.name.clone(),
            arn: None,
            status: "ACTIVE".to_owned(),
            key: vec![KeyPart {
                name: SESSION_ID.to_owned(),
                role: "HASH".to_owned(),
                kind: "S".to_owned(),
            }],
            holds_sessions: true,
            on_demand: true,
            deletion_protection: false,
            items: 0,
            bytes: 0,
        }))
    }
}
