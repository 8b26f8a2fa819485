//! [`DataKeys`] of local mode: the key file wraps data keys with AES-256-GCM.

use std::sync::Arc;

use async_trait::async_trait;
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use super::LocalFolder;
use crate::crypto::data_key::{DATA_KEY_LENGTH, DataKey, WrappedKey};
use crate::crypto::envelope::{self, IV_LENGTH, Sealed, TAG_LENGTH, cipher_of};
use crate::crypto::plaintext::Plaintext;
use crate::error::{Error, Result};
use crate::keys::{DataKeys, EncryptionContext};

/// The key file of a folder, as the key encryption key.
pub struct LocalKeys(Arc<LocalFolder>);

impl LocalKeys {
    /// The keys of `folder`.
    #[must_use]
    pub fn new(folder: Arc<LocalFolder>) -> LocalKeys {
        LocalKeys(folder)
    }
}

#[async_trait]
impl DataKeys for LocalKeys {
    fn key_encryption_keys(&self) -> Vec<&str> {
        vec!["local"]
    }

    /// A wrapped key consists of IV, encrypted data key and tag. The context is its AAD.
    async fn generate(&self, context: &EncryptionContext) -> Result<(DataKey, WrappedKey)> {
        let mut key = Zeroizing::new(vec![0; DATA_KEY_LENGTH]);
        SysRng
            .try_fill_bytes(&mut key)
            .expect("random bytes from the operating system");
        let file_key = self.0.key().await?;
        let copy = Plaintext::new(key.to_vec());
        let sealed = envelope::encrypt(cipher_of(&file_key), &context.canonical(), copy);
        let wrapped = [&sealed.iv[..], &sealed.ciphertext, &sealed.tag].concat();
        Ok((DataKey::new(key)?, WrappedKey(wrapped)))
    }

    async fn decrypt(
        &self,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
    ) -> Result<(DataKey, usize)> {
        let parts = wrapped
            .0
            .split_first_chunk::<IV_LENGTH>()
            .and_then(|(iv, rest)| {
                let (key, tag) = rest.split_last_chunk::<TAG_LENGTH>()?;
                Some((iv, key, tag))
            });
        let Some((iv, ciphertext, tag)) = parts else {
            return Err(Error::integrity());
        };
        let sealed = Sealed {
            iv: *iv,
            ciphertext: ciphertext.to_vec(),
            tag: *tag,
        };
        let file_key = self.0.key().await?;
        let key = envelope::decrypt(cipher_of(&file_key), &context.canonical(), sealed)?;
        Ok((DataKey::new(Zeroizing::new(key.take()))?, 0))
    }
}
