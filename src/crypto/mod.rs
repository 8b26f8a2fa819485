//! Sealing and opening. Pure: knows no store, no table and no KMS.

pub mod data_key;
pub mod envelope;
pub mod plaintext;
