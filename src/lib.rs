//! A session store for Node.js servers on `DynamoDB`. Every session is sealed with AES-256-GCM
//! under its own data key, and AWS KMS wraps that key.
//!
//! [`store::SessionStore`] implements the semantics on two traits. A
//! [`SessionTable`](store::session_table::SessionTable) is a table with conditional writes, and
//! [`DataKeys`](keys::DataKeys) make and unwrap data keys. `aws` and `local` implement both.
//! `binding` is the only module that knows Node.js; without it this is an ordinary crate.

#![deny(unsafe_code)]

pub mod assembly;
pub mod aws;
// napi's macros expand to unsafe code and to functions that only Node.js calls.
#[allow(unsafe_code, unreachable_pub, missing_docs)]
#[cfg_attr(test, allow(dead_code))]
mod binding;
pub mod call;
pub mod closable;
pub mod config;
pub mod crypto;
pub mod envelope;
pub mod error;
pub mod keys;
pub mod local;
pub mod observation;
pub mod operator;
pub mod record;
pub mod requests;
pub mod store;
pub mod time;

/// A call makes hundreds of small allocations, most of them in the AWS SDK. With glibc's allocator
/// they took a seventh of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
