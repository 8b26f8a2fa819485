//! A table and data keys in memory, which cost next to nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use connect_dynamodb_kms::crypto::data_key::{DataKey, WrappedKey};
use connect_dynamodb_kms::error::Result;
use connect_dynamodb_kms::keys::{DataKeys, EncryptionContext};
use connect_dynamodb_kms::record::{AUTH_TAG, Attribute, Item, SESSION_ID};
use connect_dynamodb_kms::store::session_table::{
    Condition, Outcome, Page, Scan, SessionTable, Write,
};
use connect_dynamodb_kms::store::walk::{Walk, WalkPage};
use connect_dynamodb_kms::time::EpochSeconds;
use zeroize::Zeroizing;

/// Does what the operations need: reads, and whole writes with or without a known revision.
#[derive(Default)]
pub(crate) struct MemoryTable(Mutex<BTreeMap<String, Item>>);

#[async_trait]
impl SessionTable for MemoryTable {
    async fn get(&self, key: &str) -> Result<Option<Item>> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<Outcome> {
        let Some(Attribute::S(key)) = item.get(SESSION_ID) else {
            panic!("an item has a key");
        };
        let mut items = self.0.lock().unwrap();
        let holds = match condition {
            Condition::Always => true,
            Condition::Revision(revision) => {
                items.get(key).and_then(|stored| stored.get(AUTH_TAG)) == Some(&revision)
            }
            other => unreachable!("{other:?}"),
        };
        if !holds {
            return Ok(Outcome::Refused(items.get(key).cloned()));
        }
        items.insert(key.clone(), item);
        Ok(Outcome::Written)
    }

    async fn write_all(&self, _: Vec<Write>) -> Result<Vec<Outcome>> {
        unreachable!("no session has a user")
    }

    async fn extend(&self, _: &str, _: EpochSeconds, _: Condition) -> Result<Outcome> {
        unreachable!("no session's end is due to move")
    }

    async fn delete(&self, _: &str, _: Condition) -> Result<Outcome> {
        unreachable!("nothing is removed")
    }

    async fn remove(&self, _: &str) -> Result<Option<Item>> {
        unreachable!("nothing is removed")
    }

    async fn delete_all(&self, _: Vec<String>) -> Result<()> {
        unreachable!("nothing is removed")
    }

    async fn scan(&self, _: &Scan, _: Option<String>) -> Result<Page> {
        unreachable!("nothing is listed")
    }

    async fn walk(&self, _: &Walk, _: Option<String>) -> Result<WalkPage> {
        unreachable!("nothing is walked through")
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Always the same data key.
pub(crate) struct MemoryKeys;

#[async_trait]
impl DataKeys for MemoryKeys {
    fn key_encryption_keys(&self) -> Vec<&str> {
        vec!["arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"]
    }

    async fn generate(&self, _: &EncryptionContext) -> Result<(DataKey, WrappedKey)> {
        let key = DataKey::new(Zeroizing::new(vec![7; 32]))?;
        Ok((key, WrappedKey(vec![1; 184]))) // as long as those of KMS
    }

    async fn decrypt(&self, _: &WrappedKey, _: &EncryptionContext) -> Result<(DataKey, usize)> {
        Ok((DataKey::new(Zeroizing::new(vec![7; 32]))?, 0))
    }
}
