//! Data keys: what makes and unwraps them, and the type that holds one.

use std::collections::BTreeMap;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::envelope::Ciphers;
use crate::error::{Error, Result};

/// The length of a data key in bytes: AES-256's (FIPS 197).
pub const DATA_KEY_LENGTH: usize = 32;

/// A data key in the clear, with the ciphers made of it. Neither `Clone` nor `Debug`; all of it is overwritten when it is dropped.
pub struct DataKey {
    bytes: Zeroizing<Vec<u8>>,
    pub(crate) ciphers: Ciphers,
}

impl DataKey {
    /// Takes over the very buffer that holds the key, so that no second copy stays behind.
    ///
    /// # Errors
    /// `ERR_INTEGRITY` if it is not 32 bytes long.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Result<DataKey> {
        if bytes.len() == DATA_KEY_LENGTH {
            Ok(DataKey {
                bytes,
                ciphers: Ciphers::default(),
            })
        } else {
            Err(Error::integrity())
        }
    }

    /// The key's 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
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

/// What a data key is wrapped for: the encryption context of KMS. It is no secret: it stands in `CloudTrail` in plaintext.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionContext(BTreeMap<String, String>);

impl EncryptionContext {
    /// From names and values; empty for version 1 records.
    #[must_use]
    pub fn new(pairs: BTreeMap<String, String>) -> EncryptionContext {
        EncryptionContext(pairs)
    }

    /// The names and values, as KMS takes them.
    #[must_use]
    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// One text for one context: names and values in the order of the names, each behind its length in bytes as 64 bits, big-endian.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in self.0.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// What makes data keys and unwraps them: AWS KMS, or the key file of the local mode.
#[async_trait]
pub trait DataKeys: Send + Sync {
    /// The names of the key encryption keys: cached data keys of different ones are never mixed up.
    fn key_encryption_keys(&self) -> Vec<&str>;

    /// A new data key, in the clear and wrapped for `context`.
    ///
    /// # Errors
    /// `ERR_KMS_…`, `ERR_ACCESS_DENIED`, `ERR_CREDENTIALS`.
    async fn generate(&self, context: &EncryptionContext) -> Result<(DataKey, WrappedKey)>;

    /// Unwraps a data key; says by which of the key encryption keys: 0 is the one that [`DataKeys::generate`] wraps with.
    ///
    /// # Errors
    /// As [`DataKeys::generate`], and `ERR_INTEGRITY` if `wrapped` is not of these key encryption keys, was wrapped for another context, or
    /// was changed.
    async fn decrypt(
        &self,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
    ) -> Result<(DataKey, usize)>;

    /// Unwraps a data key by the one key encryption key that [`DataKeys::decrypt`] named, whatever becomes of the others.
    ///
    /// # Errors
    /// As [`DataKeys::decrypt`].
    async fn decrypt_by(
        &self,
        _key: usize,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
    ) -> Result<DataKey> {
        self.decrypt(wrapped, context).await.map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    use super::*;
    use crate::envelope::cipher_of;

    fn overwritten_on_drop<T: ZeroizeOnDrop>(_: &T) {}

    #[test]
    fn the_bytes_of_a_data_key_are_overwritten_when_it_is_dropped() {
        let key = DataKey::new(Zeroizing::new(vec![1; DATA_KEY_LENGTH])).unwrap();
        overwritten_on_drop(&key.bytes);
        assert_eq!(key.bytes(), [1; DATA_KEY_LENGTH]);
        overwritten_on_drop(cipher_of(&key));
    }

    #[test]
    fn a_wrapped_key_has_a_length_that_kms_takes() {
        assert!(WrappedKey::from_stored(vec![]).is_err());
        assert!(WrappedKey::from_stored(vec![0; 6144]).is_ok());
        assert!(WrappedKey::from_stored(vec![0; 6145]).is_err());
    }

    #[test]
    fn two_contexts_never_have_the_same_canonical_bytes() {
        let context = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            EncryptionContext::new(pairs.collect()).canonical()
        };
        assert_ne!(context(&[("a", "b")]), context(&[("ab", "")]));
        assert_ne!(
            context(&[("a", "1,b=2")]),
            context(&[("a", "1"), ("b", "2")])
        );
        assert_eq!(
            context(&[("b", "2"), ("a", "1")]),
            context(&[("a", "1"), ("b", "2")])
        );
        assert!(context(&[]).is_empty());
    }
}
