//! [`SessionTable`] of local mode: one redb table for each table name, items as JSON in
//! `DynamoDB`'s own notation.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use base64_simd::STANDARD as BASE64;
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableError,
};
use serde_json::{Map, Value, json};

use super::LocalFolder;
use super::cleaning::Cleaning;
use crate::error::Result;
use crate::record::{Attribute, Item, SESSION_ID, TTL};
use crate::store::session_table::{Condition, Outcome, Page, Scan, SessionTable, Write};
use crate::store::walk::{Walk, WalkPage, read_units};
use crate::time::{EpochMillis, EpochSeconds};

/// How many items one page of a scan looks at.
const PAGE: usize = 500;

pub(super) type Redb<T> = std::result::Result<T, redb::Error>;
pub(super) type Items<'name> = TableDefinition<'name, &'static str, &'static [u8]>;

/// A table in the database of a folder.
pub struct LocalTable {
    folder: Arc<LocalFolder>,
    name: String,
    cleaning: Cleaning,
}

impl LocalTable {
    /// The table `name` of `folder`.
    #[must_use]
    pub fn new(folder: Arc<LocalFolder>, name: &str) -> LocalTable {
        LocalTable {
            folder,
            name: format!("table {name}"),
            cleaning: Cleaning::default(),
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&redb::ReadOnlyTable<&'static str, &'static [u8]>) -> Redb<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let name = self.name.clone();
        self.folder
            .database(move |database: &Database| {
                match database.begin_read()?.open_table(Items::new(&name)) {
                    Ok(items) => work(&items).map(Some),
                    Err(TableError::TableDoesNotExist(_)) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            })
            .await
    }

    /// One transaction, on disk when this returns.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut redb::Table<'_, &'static str, &'static [u8]>) -> Redb<T> + Send + 'static,
    ) -> Result<T> {
        let name = self.name.clone();
        self.folder
            .database(move |database: &Database| {
                let transaction = database.begin_write()?;
                let result = work(&mut transaction.open_table(Items::new(&name))?)?;
                transaction.commit()?;
                Ok(result)
            })
            .await
    }
}

#[async_trait]
impl SessionTable for LocalTable {
    async fn get(&self, key: &str) -> Result<Option<Item>> {
        let key = key.to_owned();
        let item = self.read(move |items| stored(items, &key)).await?;
        Ok(item.flatten())
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<Outcome> {
        self.write(move |items| {
            let Some(Attribute::S(key)) = item.get(SESSION_ID) else {
                return Ok(Outcome::Refused(None));
            };
            write_if(items, key, &condition, |_| Some(item.clone()))
        })
        .await
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<Vec<Outcome>> {
        self.write(move |items| {
            let mut outcomes = Vec::with_capacity(writes.len());
            for write in &writes {
                let stored = stored(items, write.key())?;
                outcomes.push(if write.condition().holds(stored.as_ref()) {
                    Outcome::Written
                } else {
                    Outcome::Refused(stored)
                });
            }
            if outcomes.iter().all(|outcome| *outcome == Outcome::Written) {
                for write in &writes {
                    match write {
                        Write::Put(item, _) => {
                            items.insert(write.key(), encode(item).as_slice())?;
                        }
                        Write::Delete(key, _) => {
                            items.remove(key.as_str())?;
                        }
                    }
                }
            }
            Ok(outcomes)
        })
        .await
    }

    async fn extend(&self, key: &str, ttl: EpochSeconds, condition: Condition) -> Result<Outcome> {
        let key = key.to_owned();
        self.write(move |items| {
            write_if(items, &key, &condition, |stored| {
                let mut item = stored.unwrap_or_else(|| {
                    Item::from([(SESSION_ID.into(), Attribute::S(key.clone()))])
                });
                item.insert(TTL.into(), Attribute::N(ttl.0.to_string()));
                Some(item)
            })
        })
        .await
    }

    async fn delete(&self, key: &str, condition: Condition) -> Result<Outcome> {
        let key = key.to_owned();
        self.write(move |items| write_if(items, &key, &condition, |_| None))
            .await
    }

    async fn remove(&self, key: &str) -> Result<Option<Item>> {
        let key = key.to_owned();
        self.write(move |items| {
            let removed = items.remove(key.as_str())?;
            Ok(removed.map(|value| decode(value.value())))
        })
        .await
    }

    async fn delete_all(&self, keys: Vec<String>) -> Result<()> {
        self.write(move |items| {
            for key in &keys {
                items.remove(key.as_str())?;
            }
            Ok(())
        })
        .await
    }

    async fn scan(&self, scan: &Scan, after: Option<String>) -> Result<Page> {
        let scan = scan.clone();
        let page = self.read(move |items| {
            let start = match &after {
                Some(key) => Bound::Excluded(key.as_str()),
                None => Bound::Included(scan.prefix.as_str()),
            };
            let mut page = Page::default();
            for (looked_at, entry) in items.range::<&str>((start, Bound::Unbounded))?.enumerate() {
                let (key, value) = entry?;
                if !key.value().starts_with(&scan.prefix) {
                    break;
                }
                let item = decode(value.value());
                if scan.admits(&item) {
                    page.items.push(item);
                }
                if looked_at + 1 == PAGE {
                    page.next = Some(key.value().to_owned());
                    break;
                }
            }
            Ok(page)
        });
        Ok(page.await?.unwrap_or_default())
    }

    /// The first segment is the whole table: one file is read as fast by one reader.
    async fn walk(&self, walk: &Walk, after: Option<String>) -> Result<WalkPage> {
        let Walk {
            segment,
            limit,
            consistent,
        } = *walk;
        if segment.index > 0 {
            return Ok(WalkPage::default());
        }
        let limit = limit.map_or(PAGE, |limit| (limit as usize).clamp(1, PAGE));
        let page = self.read(move |items| {
            let start = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let mut page = WalkPage::default();
            for entry in items.range::<&str>((start, Bound::Unbounded))?.take(limit) {
                let (key, value) = entry?;
                page.items.push(decode(value.value()));
                page.next = Some(key.value().to_owned());
            }
            if page.items.len() < limit {
                page.next = None;
            }
            page.read_units = read_units(&page.items, consistent);
            Ok(page)
        });
        Ok(page.await?.unwrap_or_default())
    }

    async fn item_count(&self) -> Result<Option<u64>> {
        self.read(|items| Ok(items.len()?)).await
    }

    fn tidy(&self, now: EpochMillis) {
        self.cleaning.start_if_due(&self.folder, &self.name, now);
    }

    async fn close(&self) {
        self.cleaning.end().await;
    }

    /// The file is made on first use, so there is nothing else to check than that it can be opened.
    async fn check(&self) -> Result<()> {
        self.read(|_| Ok(())).await?;
        Ok(())
    }
}

/// Replaces the item by the result of `change`, or removes it.
fn write_if(
    items: &mut redb::Table<'_, &'static str, &'static [u8]>,
    key: &str,
    condition: &Condition,
    change: impl FnOnce(Option<Item>) -> Option<Item>,
) -> Redb<Outcome> {
    let stored = stored(items, key)?;
    if !condition.holds(stored.as_ref()) {
        return Ok(Outcome::Refused(stored));
    }
    match change(stored) {
        Some(item) => drop(items.insert(key, encode(&item).as_slice())?),
        None => drop(items.remove(key)?),
    }
    Ok(Outcome::Written)
}

fn stored(
    items: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Redb<Option<Item>> {
    Ok(items.get(key)?.map(|value| decode(value.value())))
}

fn encode(item: &Item) -> Vec<u8> {
    let attributes: Map<String, Value> = item
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Attribute::S(text) => json!({ "S": text }),
                Attribute::N(number) => json!({ "N": number }),
                Attribute::B(bytes) => json!({ "B": BASE64.encode_to_string(bytes) }),
                Attribute::Other => Value::Null,
            };
            (name.clone().into(), value)
        })
        .collect();
    Value::Object(attributes).to_string().into_bytes()
}

/// A value that is not an item gives an empty item, which the checks of the record refuse.
pub(super) fn decode(bytes: &[u8]) -> Item {
    let Ok(Value::Object(attributes)) = serde_json::from_slice(bytes) else {
        return Item::new();
    };
    attributes
        .into_iter()
        .map(|(name, value)| {
            let text = |kind: &str| value.get(kind).and_then(Value::as_str);
            let attribute = if let Some(text) = text("S") {
                Attribute::S(text.to_owned())
            } else if let Some(number) = text("N") {
                Attribute::N(number.to_owned())
            } else if let Some(bytes) = text("B").and_then(|text| BASE64.decode_to_vec(text).ok()) {
                Attribute::B(bytes)
            } else {
                Attribute::Other
            };
            (name.into(), attribute)
        })
        .collect()
}
