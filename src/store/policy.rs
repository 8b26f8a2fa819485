//! Which versions of records a store writes and reads, and their encryption contexts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::keys::EncryptionContext;
use crate::record::Version;
use crate::record::kind::Kind;

/// Which records a store writes and reads.
pub struct RecordPolicy {
    pub(super) kind: Kind,
    pub(super) write: Version,
    pub(super) accept: Vec<Version>,
    /// Whether items without `version` are records, too.
    pub(super) unversioned: bool,
    /// The name of the table that records of version 2 are bound to.
    pub(super) table_name: String,
    /// The encryption context of version 1 records.
    no_context: Arc<EncryptionContext>,
    /// The encryption context of version 2 records.
    context: Arc<EncryptionContext>,
}

impl RecordPolicy {
    /// Writes the version `write` and reads the versions `accept`, bound to the table
    /// `table_name`. The
    /// pairs of `static_context` are added to the encryption context of version 2.
    #[must_use]
    pub fn new(
        write: Version,
        accept: Vec<Version>,
        table_name: String,
        static_context: BTreeMap<String, String>,
    ) -> RecordPolicy {
        let context = context_of_records(&table_name, static_context);
        RecordPolicy {
            kind: Kind::Session,
            write,
            accept,
            unversioned: false,
            table_name,
            no_context: Arc::default(),
            context: Arc::new(EncryptionContext::new(context)),
        }
    }

    /// The same, which also reads items without `version` if `unversioned` is set.
    #[must_use]
    pub fn reading_unversioned(self, unversioned: bool) -> RecordPolicy {
        RecordPolicy {
            unversioned,
            ..self
        }
    }

    /// The same for records of another kind than sessions.
    #[must_use]
    pub fn of_kind(self, kind: Kind) -> RecordPolicy {
        RecordPolicy { kind, ..self }
    }

    pub(super) fn context(&self, version: Version) -> &Arc<EncryptionContext> {
        match version {
            Version::V1 => &self.no_context,
            Version::V2 => &self.context,
        }
    }
}

/// The encryption context of version 2 records in this table, including the caller's own pairs.
#[must_use]
pub fn context_of_records(
    table_name: &str,
    mut own: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    own.extend([
        ("purpose".to_owned(), "session-store".to_owned()),
        ("table".to_owned(), table_name.to_owned()),
        ("v".to_owned(), "2".to_owned()),
    ]);
    own
}
