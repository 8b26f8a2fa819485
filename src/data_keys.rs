//! Data keys: what makes and unwraps them, and the type that holds one.

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The length of a data key in bytes: AES-256's (FIPS 197).
pub const DATA_KEY_LENGTH: usize = 32;

/// A data key in the clear. Neither `Clone` nor `Debug`; its bytes are overwritten when it is dropped.
pub struct DataKey(Zeroizing<Vec<u8>>);

impl DataKey {
    /// Takes over the very buffer that holds the key, so that no second copy stays behind.
    ///
    /// # Errors
    /// `ERR_INTEGRITY` if it is not 32 bytes long.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Result<DataKey> {
        if bytes.len() == DATA_KEY_LENGTH {
            Ok(DataKey(bytes))
        } else {
            Err(Error::integrity())
        }
    }

    /// The key's 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A data key as it lies in the record: encrypted by the key encryption key. An opaque text for anybody but KMS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WrappedKey(pub Vec<u8>);

/// What KMS takes as `CiphertextBlob` (AWS KMS API Reference, "Decrypt"); it refuses other lengths as a malformed request.
const WRAPPED_KEY_LENGTHS: std::ops::RangeInclusive<usize> = 1..=6144;

impl WrappedKey {
    /// From a record.
    ///
    /// # Errors
    /// `ERR_INTEGRITY` for a length that KMS would not even try.
    pub fn from_stored(bytes: Vec<u8>) -> Result<WrappedKey> {
        if WRAPPED_KEY_LENGTHS.contains(&bytes.len()) {
            Ok(WrappedKey(bytes))
        } else {
            Err(Error::integrity())
        }
    }
}

/// What makes data keys and unwraps them: AWS KMS, or the key file of the local mode.
#[async_trait]
pub trait DataKeys: Send + Sync {
    /// Names the key encryption key, so that cached data keys of two of them are never mixed up.
    fn key_encryption_key(&self) -> &str;

    /// A new data key, in the clear and wrapped.
    ///
    /// # Errors
    /// `ERR_KMS_…`, `ERR_ACCESS_DENIED`, `ERR_CREDENTIALS`.
    async fn generate(&self) -> Result<(DataKey, WrappedKey)>;

    /// Unwraps a data key.
    ///
    /// # Errors
    /// As [`DataKeys::generate`], and `ERR_INTEGRITY` if `wrapped` is not of this key encryption key or was changed.
    async fn decrypt(&self, wrapped: &WrappedKey) -> Result<DataKey>;
}
