//! Seals and opens sessions. Pure: does not know the store, the table or KMS.

pub mod data_key;
pub mod envelope;
pub mod plaintext;
