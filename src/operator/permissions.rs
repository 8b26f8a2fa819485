//! Whether the credentials may do what the store does: each IAM action is tried in a way that
//! changes nothing.
//!
//! Writes are conditional, on an item that does not exist, so `DynamoDB` refuses them. AWS checks
//! the permission first. `BatchWriteItem` takes no condition: it deletes an item that does not
//! exist.

use std::time::Instant;

use base64_simd::URL_SAFE_NO_PAD as BASE64;
use rand::TryRng;
use rand::rngs::SysRng;
use serde::Serialize;

use super::Operator;
use crate::crypto::data_key::WrappedKey;
use crate::error::{Error, Kind, Result};
use crate::keys::EncryptionContext;
use crate::record::{Attribute, Item, SESSION_ID};
use crate::store::session_table::Condition;
use crate::time::EpochSeconds;

/// An action that is allowed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// How long the answer took, in milliseconds.
    pub millis: u64,
}

/// In bytes. KMS returns about 184 for a data key; any length that it takes will do.
const WRAPPED_LENGTH: usize = 184;

impl Operator {
    /// Tries an IAM action: `dynamodb:GetItem`. `in_context` says whether KMS gets the encryption
    /// context of records of the version that is written; the wrong way round, it tells whether a
    /// policy asks for another.
    ///
    /// # Errors
    /// `ERR_ACCESS_DENIED` if it is not allowed, `ERR_CONFIG` for one that the store does not use,
    /// and those of the table and the keys.
    pub async fn probe(&self, action: &str, in_context: bool) -> Result<Probe> {
        let began = Instant::now();
        let tried = match action.split_once(':') {
            Some(("dynamodb", operation)) => self.try_table(operation).await,
            Some(("kms", operation)) => self.try_keys(operation, in_context).await,
            _ => Err(unknown(action)),
        };
        match tried {
            // The action itself was allowed, and one that came after it was not.
            Err(Error::Service(failed))
                if failed.kind == Kind::AccessDenied && failed.action != action => {}
            tried => tried?,
        }
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Probe { millis })
    }

    async fn try_table(&self, operation: &str) -> Result<()> {
        // A policy may allow the store's own keys alone (`dynamodb:LeadingKeys`).
        let unused = BASE64.encode_to_string(random(16));
        let key = format!("{}doctor:{unused}", self.prefix);
        match operation {
            "GetItem" => self.table.get(&key).await.map(drop),
            "PutItem" => {
                let sealed = Condition::Revision(Attribute::S(key.clone()));
                let item = Item::from([(SESSION_ID.into(), Attribute::S(key))]);
                self.table.put(item, sealed).await.map(drop)
            }
            "UpdateItem" => {
                let ended = EpochSeconds(0);
                let extended = self.table.extend(&key, ended, Condition::Exists);
                extended.await.map(drop)
            }
            "DeleteItem" => self.table.delete(&key, Condition::Exists).await.map(drop),
            "BatchWriteItem" => self.table.delete_all(vec![key]).await,
            "BatchGetItem" => {
                let keys = [format!("{key}:1"), format!("{key}:2")];
                self.infrastructure.read_together(keys).await
            }
            "Scan" => self.infrastructure.sample().await.map(drop),
            "DescribeTable" => self.table.check().await,
            _ => Err(unknown(operation)),
        }
    }

    async fn try_keys(&self, operation: &str, in_context: bool) -> Result<()> {
        let none = EncryptionContext::default();
        let own = &self.context;
        // Of the other version, if it is the wrong way round.
        let context = match (in_context, own.pairs().is_empty()) {
            (true, _) => own,
            (false, true) => &self.other_context,
            (false, false) => &none,
        };
        match operation {
            "GenerateDataKey" => self.keys.generate(context).await.map(drop),
            "Decrypt" => {
                let wrapped = match self.keys.generate(context).await {
                    Ok((_, wrapped)) => wrapped,
                    // Nobody wrapped this one, so KMS cannot open it. It still says whether that
                    // is because it must not.
                    Err(_) => WrappedKey::from_stored(random(WRAPPED_LENGTH))?,
                };
                match self.keys.decrypt(&wrapped, context).await {
                    Err(Error::Integrity { .. }) => Ok(()),
                    opened => opened.map(drop),
                }
            }
            _ => Err(unknown(operation)),
        }
    }

    /// Tries to unwrap with the key at this place of `kmsKeyArn`, which is not the first.
    ///
    /// # Errors
    /// Those of the key.
    pub async fn probe_older_key(&self, index: usize) -> Result<Probe> {
        let began = Instant::now();
        let wrapped = WrappedKey::from_stored(random(WRAPPED_LENGTH))?;
        let opened = self.keys.decrypt_by(index, &wrapped, &self.context).await;
        match opened {
            Err(Error::Integrity { .. }) => {}
            opened => drop(opened?),
        }
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Probe { millis })
    }
}

fn unknown(action: &str) -> Error {
    Error::Config(format!("the store does not use {action}"))
}

fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SysRng
        .try_fill_bytes(&mut bytes)
        .expect("random bytes from the operating system");
    bytes
}
