//! What the operator's command does (`lib/cli/`), over the store's traits, so that local mode has
//! it as well. A file a subject. Operations return reports that `--json` prints.

pub mod fingerprint;
pub mod infrastructure;
pub mod pace;
mod progress;
pub mod reseal;
pub mod run;
pub mod survey;
pub mod tally;
pub mod walking;
pub mod wrapping;

use std::sync::Arc;

pub use self::progress::Progress;

use self::infrastructure::{Infrastructure, TableFacts};
use crate::error::Result;
use crate::keys::DataKeys;
use crate::store::SessionStore;
use crate::store::session_table::SessionTable;

/// One run of the command.
pub struct Operator {
    /// The store that the options describe, for what it does with a single session.
    pub store: SessionStore,
    /// Its table.
    pub table: Arc<dyn SessionTable>,
    /// Its key encryption keys, without a cache.
    pub keys: Arc<dyn DataKeys>,
    /// The table and the keys as resources.
    pub infrastructure: Arc<dyn Infrastructure>,
    /// How far the operation is that runs, and whether it is to stop.
    pub progress: Arc<Progress>,
}

impl Operator {
    /// The table, as it is; `None` if it does not exist.
    ///
    /// # Errors
    /// Those of the table but `ERR_TABLE_NOT_FOUND`.
    pub async fn describe_table(&self) -> Result<Option<TableFacts>> {
        self.infrastructure.table().await
    }
}
