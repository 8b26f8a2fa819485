//! [`DataKeys`] on AWS KMS: `GenerateDataKey` and `Decrypt`, never `Encrypt`.

use std::collections::HashMap;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::AwsClients;
use super::failure::Call;
use crate::call::{self, Progress};
use crate::crypto::data_key::{DataKey, WrappedKey};
use crate::error::{Error, Result, Service, Unset};
use crate::keys::{DataKeys, EncryptionContext};

/// One KMS key or alias.
#[derive(Clone)]
pub struct KmsKey {
    /// The clients of its region.
    pub clients: Arc<AwsClients>,
    /// Its ARN.
    pub arn: String,
    /// Set if no key was configured, and this is the built-in default.
    pub unset: Option<Unset>,
}

/// The key encryption keys. The first one wraps and all of them unwrap, so that sessions survive a
/// change of the key or of the account.
pub struct KmsKeys {
    keys: Vec<KmsKey>,
    /// How long to wait for one key before the next one is asked as well.
    patience: Duration,
}

/// How many bytes at the start of a wrapped key name the key material that wrapped it. AWS does not
/// document the format; all wrapped keys of one KMS key have begun with the same bytes for years.
const HEADER: usize = 36;

/// KMS answers within milliseconds, or some hundred milliseconds from another region.
const LONGEST_PATIENCE: Duration = Duration::from_millis(500);

impl KmsKeys {
    /// At least one key, the one that wraps first.
    ///
    /// # Errors
    /// `ERR_CONFIG` if there is none.
    pub fn new(keys: Vec<KmsKey>) -> Result<KmsKeys> {
        let Some(call) = keys.iter().map(|key| key.clients.timeouts().call).min() else {
            return Err(Error::Config("kmsKeyArn must name at least one key".into()));
        };
        // Even if no other key answers, the last one has half of a call's deadline.
        let turns = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        Ok(KmsKeys {
            patience: LONGEST_PATIENCE.min(call / 2 / turns),
            keys,
        })
    }

    /// The progress of asking one key, which the waiting call follows, and the request itself.
    fn ask<'a>(
        &'a self,
        index: usize,
        wrapped: &'a WrappedKey,
        context: &'a EncryptionContext,
    ) -> (
        Progress,
        impl Future<Output = (usize, Result<DataKey>)> + Send + 'a,
    ) {
        let (progress, asked) = call::apart(None, self.keys[index].decrypt(wrapped, context));
        (progress, asked.map(move |answer| (index, answer)))
    }
}

#[async_trait]
impl DataKeys for KmsKeys {
    fn key_encryption_keys(&self) -> Vec<&str> {
        self.keys.iter().map(|key| key.arn.as_str()).collect()
    }

    fn family<'a>(&self, wrapped: &'a WrappedKey) -> Option<&'a [u8]> {
        wrapped.0.get(..HEADER)
    }

    async fn generate(&self, context: &EncryptionContext) -> Result<(DataKey, WrappedKey)> {
        self.keys[0].generate(context).await
    }

    /// Asks the keys one after the other, because a wrapped key does not say which key wrapped it.
    /// A key that fails, or does not answer soon, does not block the others.
    async fn decrypt(
        &self,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
    ) -> Result<(DataKey, usize)> {
        if let [key] = &self.keys[..] {
            return Ok((key.decrypt(wrapped, context).await?, 0));
        }
        let mut failures: Vec<Option<Error>> = vec![None; self.keys.len()];
        let mut asked = FuturesUnordered::new();
        let mut next = 0;
        while next < self.keys.len() || !asked.is_empty() {
            if next < self.keys.len() {
                let (progress, answer) = self.ask(next, wrapped, context);
                if next == 0 {
                    call::follow(&progress);
                }
                asked.push(answer);
                next += 1;
            }
            let patience = async {
                if next < self.keys.len() {
                    sleep(self.patience).await;
                } else {
                    pending::<()>().await;
                }
            };
            match select(asked.next(), pin!(patience)).await {
                Either::Left((Some((index, Ok(key))), _)) => return Ok((key, index)),
                Either::Left((Some((index, Err(error))), _)) => failures[index] = Some(error),
                Either::Left((None, _)) | Either::Right(_) => {}
            }
        }
        // "Not of this key" is the least informative failure: a key that could not answer may be
        // the right one.
        let refusal = |error: &Error| matches!(error, Error::Integrity { .. });
        let mut failures = failures.into_iter().flatten();
        let first = failures.next().unwrap_or_else(Error::integrity);
        Err(if refusal(&first) {
            failures.find(|error| !refusal(error)).unwrap_or(first)
        } else {
            first
        })
    }

    async fn decrypt_by(
        &self,
        key: usize,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
    ) -> Result<DataKey> {
        match self.keys.get(key) {
            Some(key) => key.decrypt(wrapped, context).await,
            None => Err(Error::integrity()),
        }
    }
}

impl KmsKey {
    pub(super) fn call(&self, action: &'static str) -> Call<'_> {
        Call::to(Service::Kms, action, &self.arn, &self.clients).unless_set(self.unset)
    }

    async fn generate(&self, context: &EncryptionContext) -> Result<(DataKey, WrappedKey)> {
        let call = self.call("kms:GenerateDataKey");
        let request = self
            .clients
            .kms(&call)
            .await?
            .generate_data_key()
            .key_id(&self.arn)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(pairs(context));
        let reply = call.answer(request.send()).await?;
        let (Some(key), Some(wrapped)) = (reply.plaintext, reply.ciphertext_blob) else {
            return Err(call.wrong_answer("it holds no data key"));
        };
        let key =
            data_key(key).map_err(|_| call.wrong_answer("it holds no data key of 256 bits"))?;
        // A key that cannot be unwrapped must be found now, not when its session is read.
        let wrapped = WrappedKey::from_stored(wrapped.into_inner())
            .map_err(|_| call.wrong_answer("it holds no wrapped data key"))?;
        self.check_answer(&call, reply.key_id.as_deref())?;
        Ok((key, wrapped))
    }

    async fn decrypt(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<DataKey> {
        let call = self.call("kms:Decrypt");
        let request = self
            .clients
            .kms(&call)
            .await?
            .decrypt()
            .key_id(&self.arn)
            .ciphertext_blob(Blob::new(wrapped.0.clone()))
            .set_encryption_context(pairs(context));
        let reply = call.answer(request.send()).await?;
        let key = reply
            .plaintext
            .ok_or_else(|| call.wrong_answer("it holds no plaintext"));
        // A ciphertext of the right KMS key that does not hold 32 bytes was not made by this store.
        let key = data_key(key?)?;
        self.check_answer(&call, reply.key_id.as_deref())?;
        Ok(key)
    }

    fn check_answer(&self, call: &Call<'_>, answered: Option<&str>) -> Result<()> {
        if answered.is_some_and(|answered| stands_for(&self.arn, answered)) {
            Ok(())
        } else {
            Err(call.wrong_answer("it is of another key than the one that was asked"))
        }
    }
}

/// Whether KMS may answer with the key ARN `answered` if it was asked for `asked`. They must be the
/// same key, or replicas of one multi-Region key. If `asked` is an alias, account and region must
/// match, because an alias says nothing else about its key.
fn stands_for(asked: &str, answered: &str) -> bool {
    let (Some(asked), Some(answered)) = (parts(asked), parts(answered)) else {
        return false;
    };
    let same_account = asked.account == answered.account;
    let same_region = asked.region == answered.region;
    if asked.resource.starts_with("alias/") {
        return same_account && same_region && answered.resource.starts_with("key/");
    }
    let multi_region = asked.resource.starts_with("key/mrk-");
    same_account && (same_region || multi_region) && asked.resource == answered.resource
}

struct Arn<'a> {
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

fn parts(arn: &str) -> Option<Arn<'_>> {
    match arn.splitn(6, ':').collect::<Vec<_>>()[..] {
        ["arn", _, "kms", region, account, resource] => Some(Arn {
            region,
            account,
            resource,
        }),
        _ => None,
    }
}

fn pairs(context: &EncryptionContext) -> Option<HashMap<String, String>> {
    let pairs = context.pairs();
    (!pairs.is_empty()).then(|| pairs.clone().into_iter().collect())
}

fn data_key(key: Blob) -> Result<DataKey> {
    DataKey::new(Zeroizing::new(key.into_inner()))
}

#[cfg(test)]
mod tests {
    use super::stands_for;

    #[test]
    fn an_answer_counts_for_what_was_asked_alone() {
        let key = |region: &str, account: &str, resource: &str| {
            format!("arn:aws:kms:{region}:{account}:{resource}")
        };
        let here = key("us-east-1", "1", "key/a");
        assert!(stands_for(&here, &here));
        assert!(!stands_for(&here, &key("us-east-1", "1", "key/b")));
        assert!(!stands_for(&here, &key("us-east-1", "2", "key/a")));
        assert!(!stands_for(&here, &key("eu-west-1", "1", "key/a")));
        assert!(!stands_for(&here, "a"));
        let replica = key("us-east-1", "1", "key/mrk-a");
        assert!(stands_for(&replica, &key("eu-west-1", "1", "key/mrk-a")));
        assert!(!stands_for(&replica, &key("eu-west-1", "1", "key/mrk-b")));
        let alias = key("us-east-1", "1", "alias/sessions");
        assert!(stands_for(&alias, &here));
        assert!(!stands_for(&alias, &key("us-east-1", "2", "key/a")));
        assert!(!stands_for(&alias, &key("eu-west-1", "1", "key/a")));
    }
}
