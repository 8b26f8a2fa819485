//! Data keys: what makes and unwraps them.

pub mod cache;

use std::collections::BTreeMap;

use crate::crypto::data_key::{DataKey, WrappedKey};
use crate::error::Result;
use async_trait::async_trait;

/// What a data key is wrapped for: the encryption context of KMS. It is not secret: `CloudTrail`
/// shows it in plaintext.
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

    /// A unique text for a context: names and values in the order of the names. Each comes after
    /// its length in bytes as 64 bits, big-endian.
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

/// Makes and unwraps data keys: AWS KMS, or the key file of local mode.
#[async_trait]
pub trait DataKeys: Send + Sync {
    /// The names of the key encryption keys. Cached data keys of different ones are never mixed up.
    fn key_encryption_keys(&self) -> Vec<&str>;

    /// The part of a wrapped key that is equal in all that one key encryption key has wrapped, until
    /// that is rotated. `None` if only unwrapping shows it. It is a hint and proves nothing.
    fn family<'a>(&self, _wrapped: &'a WrappedKey) -> Option<&'a [u8]> {
        None
    }

    /// A new data key, in the clear and wrapped for `context`.
    ///
    /// # Errors
    /// `ERR_KMS_…`, `ERR_ACCESS_DENIED`, `ERR_CREDENTIALS`.
    async fn generate(&self, context: &EncryptionContext) -> Result<(DataKey, WrappedKey)>;

    /// Unwraps a data key. Also returns the index of its key encryption key; 0 is the one that
    /// [`DataKeys::generate`] wraps with.
    ///
    /// # Errors
    /// As [`DataKeys::generate`], and `ERR_INTEGRITY` if `wrapped` is not of these key encryption
    /// keys, was wrapped for another context, or was changed.
    async fn decrypt(
        &self,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
    ) -> Result<(DataKey, usize)>;

    /// Unwraps a data key by the one key encryption key that [`DataKeys::decrypt`] named, whatever
    /// the state of the others.
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
    use super::*;

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
