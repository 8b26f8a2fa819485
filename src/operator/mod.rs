//! What the operator's command does (`lib/cli/`), over the store's traits, so that local mode has
//! it as well. A file a subject. Operations return reports that `--json` prints.

pub mod infrastructure;
mod permissions;
mod progress;

use std::sync::Arc;

pub use self::permissions::Probe;
pub use self::progress::Progress;

use self::infrastructure::Infrastructure;
use crate::keys::{DataKeys, EncryptionContext};
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
    /// The encryption context of records of the version that is written.
    pub context: EncryptionContext,
    /// That of version 2.
    pub other_context: EncryptionContext,
    /// What the keys of the store's items start with.
    pub prefix: String,
    /// The table and the keys as resources.
    pub infrastructure: Arc<dyn Infrastructure>,
    /// How far the operation is that runs, and whether it is to stop.
    pub progress: Arc<Progress>,
}
