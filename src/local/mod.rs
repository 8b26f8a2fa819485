//! The local mode: the same records in one embedded database file, data keys wrapped by a key file beside it.
//!
//! `redb` is the database: ACID with one `fsync` a commit, in Rust alone, one file, and it locks that file against other processes.

mod cleaning;
mod folder;
mod keys;
mod table;

pub use folder::LocalFolder;
pub use keys::LocalKeys;
pub use table::LocalTable;
