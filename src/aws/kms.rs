//! [`DataKeys`] on AWS KMS: `GenerateDataKey` and `Decrypt`, never `Encrypt`.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use zeroize::Zeroizing;

use super::AwsClients;
use super::failure::Call;
use crate::data_keys::{DataKey, DataKeys, WrappedKey};
use crate::error::{Cause, Error, Result, Service};

/// One KMS key, as the key encryption key.
pub struct KmsKeys {
    clients: Arc<AwsClients>,
    key_arn: String,
}

impl KmsKeys {
    /// The key `key_arn`, through `clients`.
    #[must_use]
    pub fn new(clients: Arc<AwsClients>, key_arn: String) -> KmsKeys {
        KmsKeys { clients, key_arn }
    }

    fn call(&self, action: &'static str) -> Call<'_> {
        Call {
            service: Service::Kms,
            action,
            resource: &self.key_arn,
            region: self.clients.region(),
        }
    }
}

#[async_trait]
impl DataKeys for KmsKeys {
    fn key_encryption_key(&self) -> &str {
        &self.key_arn
    }

    async fn generate(&self) -> Result<(DataKey, WrappedKey)> {
        let action = "kms:GenerateDataKey";
        let reply = self
            .clients
            .kms()
            .await
            .generate_data_key()
            .key_id(&self.key_arn)
            .key_spec(DataKeySpec::Aes256)
            .send()
            .await
            .map_err(|error| self.call(action).failed(&error))?;
        let (Some(key), Some(wrapped)) = (reply.plaintext, reply.ciphertext_blob) else {
            return Err(incomplete(action));
        };
        Ok((data_key(action, key)?, WrappedKey(wrapped.into_inner())))
    }

    async fn decrypt(&self, wrapped: &WrappedKey) -> Result<DataKey> {
        let action = "kms:Decrypt";
        let reply = self
            .clients
            .kms()
            .await
            .decrypt()
            .key_id(&self.key_arn)
            .ciphertext_blob(Blob::new(wrapped.0.clone()))
            .send()
            .await
            .map_err(|error| self.call(action).failed(&error))?;
        // A ciphertext of the same KMS key that holds something else than 32 bytes was not made by this store.
        DataKey::new(Zeroizing::new(
            reply
                .plaintext
                .ok_or_else(|| incomplete(action))?
                .into_inner(),
        ))
    }
}

fn data_key(action: &'static str, key: Blob) -> Result<DataKey> {
    DataKey::new(Zeroizing::new(key.into_inner())).map_err(|_| incomplete(action))
}

fn incomplete(action: &'static str) -> Error {
    Error::Unavailable {
        service: Service::Kms,
        action,
        source: Some(Cause::new(
            "IncompleteReply",
            "the reply holds no data key of 256 bits",
        )),
    }
}
