//! The operator's view of local mode.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use super::{LocalFolder, LocalTable};
use crate::error::{Error, Result};
use crate::operator::infrastructure::{
    Caller, Infrastructure, KeyFacts, KeyPart, Place, Reach, Sample, TableFacts, TimeToLive,
};
use crate::record::kind::Kind;
use crate::record::{SESSION_ID, TTL};
use crate::store::session_table::{Scan, SessionTable};

/// A folder as the place of a table and its key.
pub struct LocalInfrastructure {
    table: LocalTable,
    name: String,
    path: String,
    versions: (u32, Vec<u32>),
}

impl LocalInfrastructure {
    /// The table `name` of `folder`, which is at `path`. `versions` are the one that is written,
    /// and those that are read.
    #[must_use]
    pub fn new(
        folder: &Arc<LocalFolder>,
        path: String,
        name: String,
        versions: (u32, Vec<u32>),
    ) -> LocalInfrastructure {
        LocalInfrastructure {
            table: LocalTable::new(folder.clone(), &name),
            name,
            path,
            versions,
        }
    }
}

#[async_trait]
impl Infrastructure for LocalInfrastructure {
    async fn place(&self) -> Result<Place> {
        let (record_version, accept_versions) = self.versions.clone();
        Ok(Place {
            local: Some(self.path.clone()),
            table_name: self.name.clone(),
            table_is_default: false,
            region: None,
            own_endpoint: true,
            keys: Vec::new(),
            record_version,
            accept_versions,
        })
    }

    async fn reach(&self) -> Result<Reach> {
        let began = Instant::now();
        self.table.check().await?;
        Ok(Reach {
            round_trip_millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            clock_ahead_seconds: None,
        })
    }

    async fn caller(&self) -> Result<Option<Caller>> {
        Ok(None)
    }

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

    async fn table_beside_key(&self) -> Result<Option<TableFacts>> {
        Ok(None)
    }

    /// The store itself removes ended sessions.
    async fn time_to_live(&self) -> Result<TimeToLive> {
        Ok(TimeToLive {
            status: "ENABLED".to_owned(),
            attribute: Some(TTL.to_owned()),
        })
    }

    async fn recovery(&self) -> Result<bool> {
        Ok(false)
    }

    async fn key(&self, index: usize) -> Result<KeyFacts> {
        Err(Error::Config(format!("there is no key {index}")))
    }

    async fn read_together(&self, _: [String; 2]) -> Result<()> {
        Ok(())
    }

    async fn sample(&self) -> Result<Sample> {
        let all = Scan {
            kind: Kind::Session,
            prefix: String::new(),
            alive_after: None,
            keys_only: false,
            unversioned: true,
        };
        let mut sample = Sample::default();
        for item in self.table.scan(&all, None).await?.items {
            sample.items += 1;
            sample.add(&item);
        }
        Ok(sample)
    }
}
