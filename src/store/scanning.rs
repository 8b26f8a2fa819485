//! The operations that read or clear the whole table.

use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::session_table::Scan;
use super::{OpenedSession, SessionStore};
use crate::error::Result;
use crate::record::{Attribute, Item, SESSION_ID};
use crate::time::{EpochMillis, EpochSeconds};

/// How many records `all` opens concurrently.
const OPEN_AT_ONCE: usize = 16;

impl SessionStore {
    /// Returns every live session.
    ///
    /// # Errors
    /// Those of [`SessionStore::get`]. A single record that cannot be opened fails the call.
    pub async fn all(&self, now: EpochMillis) -> Result<Vec<OpenedSession>> {
        let (mut sessions, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = self.page(now, after).await?;
            sessions.extend(page);
            if next.is_none() {
                return Ok(sessions);
            }
            after = next;
        }
    }

    /// Returns some of the live sessions, from the start or after the key `after`, and the key after
    /// which the next ones follow. There can be none even if more follow.
    ///
    /// # Errors
    /// As [`SessionStore::all`].
    pub async fn page(
        &self,
        now: EpochMillis,
        after: Option<String>,
    ) -> Result<(Vec<OpenedSession>, Option<String>)> {
        let since = &self.keys.since_of_scan();
        let scan = self.own(Some(now.floor()), false);
        let (items, next) = self.own_page(&scan, after).await?;
        let sessions = stream::iter(items)
            .map(|item| async move { self.open(self.parse(item)?, since).await })
            .buffered(OPEN_AT_ONCE)
            .try_collect()
            .await?;
        Ok((sessions, next))
    }

    /// Returns the ids of all live sessions. If the table hides the ids, every session is opened.
    ///
    /// # Errors
    /// Those of the table. If sessions are opened, also those of [`SessionStore::all`].
    pub async fn ids(&self, now: EpochMillis) -> Result<Vec<String>> {
        if self.ids.hashed() {
            let sessions = self.all(now).await?;
            return Ok(sessions.into_iter().map(|session| session.id).collect());
        }
        let scan = self.own(Some(now.floor()), true);
        let keys: Vec<Vec<String>> = self
            .pages(&scan)
            .map_ok(|items| items.iter().filter_map(key_of).collect())
            .try_collect()
            .await?;
        Ok(keys
            .into_iter()
            .flatten()
            .map(|key| self.ids.id(&key))
            .collect())
    }

    /// Counts the live sessions.
    ///
    /// # Errors
    /// Those of the table.
    pub async fn length(&self, now: EpochMillis) -> Result<usize> {
        let scan = self.own(Some(now.floor()), true);
        self.pages(&scan)
            .try_fold(0, |count, items| async move { Ok(count + items.len()) })
            .await
    }

    /// Removes every session, including ended ones, and wipes the cached data keys.
    ///
    /// # Errors
    /// Those of the table. Sessions that were removed before the failure stay removed.
    pub async fn clear(&self) -> Result<()> {
        self.keys.clear().await;
        let scan = self.own(None, true);
        let cleared = self.pages(&scan).try_for_each(|items| {
            self.table
                .delete_all(items.iter().filter_map(key_of).collect())
        });
        let cleared = cleared.await;
        self.keys.clear().await; // keys that reads in between have cached
        cleared
    }

    fn own(&self, alive_after: Option<EpochSeconds>, keys_only: bool) -> Scan {
        Scan {
            kind: self.policy.kind,
            prefix: self.ids.prefix().to_owned(),
            alive_after,
            keys_only,
            unversioned: self.policy.unversioned,
        }
    }

    /// The items of a scan, page by page.
    fn pages<'a>(&'a self, scan: &'a Scan) -> impl Stream<Item = Result<Vec<Item>>> + 'a {
        stream::try_unfold(
            Some(None),
            move |position: Option<Option<String>>| async move {
                let Some(after) = position else {
                    return Ok(None);
                };
                let (items, next) = self.own_page(scan, after).await?;
                Ok(Some((items, next.map(Some))))
            },
        )
    }

    async fn own_page(
        &self,
        scan: &Scan,
        after: Option<String>,
    ) -> Result<(Vec<Item>, Option<String>)> {
        let mut page = self.table.scan(scan, after).await?;
        // Keys of a store with a longer prefix can start with this store's prefix.
        let own = |item: &Item| key_of(item).is_some_and(|key| self.ids.owns(&key));
        page.items.retain(own);
        Ok((page.items, page.next))
    }
}

fn key_of(item: &Item) -> Option<String> {
    match item.get(SESSION_ID) {
        Some(Attribute::S(key)) => Some(key.clone()),
        _ => None,
    }
}
