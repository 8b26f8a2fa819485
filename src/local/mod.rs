//! Local mode: the same records in one embedded database file, with data keys wrapped by a key file
//! beside it.
//!
//! The database is `redb`: ACID with one `fsync` a commit, pure Rust, a single file, which it locks
//! against other processes.

mod cleaning;
mod folder;
mod infrastructure;
mod keys;
mod table;

pub use folder::LocalFolder;
pub use infrastructure::LocalInfrastructure;
pub use keys::LocalKeys;
pub use table::LocalTable;
