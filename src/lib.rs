//! A session store for Node.js servers on `DynamoDB`, every session sealed with AES-256-GCM under a data key of its own that AWS KMS
//! wraps.
//!
//! [`store::SessionStore`] does what a session store does, over two traits: [`session_table::SessionTable`], where records lie, and
//! [`data_keys::DataKeys`], what makes and unwraps data keys. `aws` and `local` implement both. `binding` is the only module that
//! knows Node.js; without it this is an ordinary crate.

#![deny(unsafe_code)]

pub mod assembly;
pub mod aws;
// The macros of napi expand to unsafe code, and register what Rust never calls by name.
#[allow(unsafe_code, unreachable_pub, missing_docs)]
#[cfg_attr(test, allow(dead_code))]
mod binding;
pub mod call;
pub mod closable;
pub mod config;
pub mod crypto;
pub mod error;
pub mod keys;
pub mod local;
pub mod record;
pub mod standalone_envelope;
pub mod store;
pub mod time;

/// A call makes some hundreds of small allocations, most of them the AWS SDK's: with glibc's allocator they were a seventh of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
