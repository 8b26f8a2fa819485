//! The sessions of a user: the list of them, and what reads or ends them all.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::save::unless_applied;
use super::session_table::{Condition, Outcome, Write};
use super::{Forgets, OpenedSession, SessionStore};
use crate::error::{Error, Result};
use crate::record::listing::{Entry, Listing, UserHash, UserList};
use crate::record::{AUTH_TAG, EncryptedSessionRecord, Item};
use crate::time::{EpochMillis, EpochSeconds};

/// How many sessions of a user are read or removed concurrently.
const AT_ONCE: usize = 16;

/// How long a list outlives the session that joined it last, in seconds: ten years, as long as a
/// session can live without being touched. Touches do not write the list.
const OUTLIVES: i64 = 315_360_000;

/// How long an empty list is kept, in seconds: longer than any call that has read it.
const EMPTY: i64 = 86_400;

/// How many entries a list may have before each login looks at some of them.
const FEW: usize = 8;

/// How many entries a login looks at, at random: more than it adds, so that most entries of a long
/// list are of sessions that are there.
const SOME: usize = 2;

/// How many entries of a full list a login looks at, so that a user with many sessions does not
/// cost a read of each with every login.
const SOME_IF_FULL: usize = 64;

/// How many sessions one login ends together with its own write. A transaction takes 100 writes
/// (Amazon `DynamoDB` API Reference, `TransactWriteItems`), of which three are of the session and of
/// lists. It ends more only after `maxSessions` was lowered.
const ENDED_TOGETHER: usize = 90;

/// How long a caller waits at most until a session that is gone has left its user's list.
const STRIKE_OFF: Duration = Duration::from_secs(1);

/// How a store knows users.
pub struct Users {
    secret: Zeroizing<Vec<u8>>,
    max_sessions: usize,
}

impl Users {
    /// Users are named by their id's HMAC under `secret`, and have at most `max_sessions` sessions
    /// each.
    #[must_use]
    pub fn new(secret: Zeroizing<Vec<u8>>, max_sessions: usize) -> Users {
        Users {
            secret,
            max_sessions,
        }
    }

    fn hash(&self, user: &str) -> Result<UserHash> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) else {
            return Err(Error::Config("users.secret cannot be used".into()));
        };
        mac.update(user.as_bytes());
        Ok(mac.finalize().into_bytes().into())
    }
}

/// Whose session it is, as the caller says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionUser {
    /// The store knows no users.
    #[default]
    Unasked,
    /// The session has no user.
    Nobody,
    /// The user with this hash.
    Is(UserHash),
}

impl SessionUser {
    /// Whether a session that is listed so needs no change to be this user's.
    pub(super) fn agrees(self, listing: Listing) -> bool {
        match self {
            SessionUser::Unasked => true,
            SessionUser::Nobody => listing.entry().is_none(),
            SessionUser::Is(user) => listing.entry().is_some_and(|entry| entry.user == user),
        }
    }
}

/// A list as it was read.
struct ReadList {
    key: String,
    list: UserList,
    /// The condition that nobody has changed it since.
    unchanged: Condition,
}

impl ReadList {
    /// The list with its entries as they are now, to be written if nobody has changed it.
    fn into_item(self) -> (Item, Condition) {
        (self.list.to_item(self.key), self.unchanged)
    }

    /// Takes an entry off the list. `false` if it is not there.
    fn strike(&mut self, session: &str, now: EpochMillis) -> bool {
        let struck = self.list.entries.remove(session).is_some();
        if self.list.entries.is_empty() {
            self.list.ttl = now.floor().plus(EMPTY);
        }
        struck
    }
}

impl SessionStore {
    /// Whose session the caller's user id makes it; `None` is nobody's.
    ///
    /// # Errors
    /// `ERR_CONFIG` if the store has no `users`.
    pub fn session_user(&self, user: Option<&str>) -> Result<SessionUser> {
        let users = self.users()?;
        Ok(match user {
            Some(user) => SessionUser::Is(users.hash(user)?),
            None => SessionUser::Nobody,
        })
    }

    /// The live sessions of a user, the one that joined the list last first. The caller checks that
    /// they are the user's: the list is not sealed.
    ///
    /// Takes sessions off the list that are gone, if nobody changes the list meanwhile.
    ///
    /// # Errors
    /// `ERR_CONFIG` if the store has no `users`, and those of [`SessionStore::get`]. A single
    /// session that cannot be opened fails the call.
    pub async fn sessions_of(&self, user: &str, now: EpochMillis) -> Result<Vec<OpenedSession>> {
        let user = self.users()?.hash(user)?;
        let mut read = self.list(&user, now).await?;
        let since = &self.keys.since();
        let found = self.items_of(&user, read.list.entries.clone()).await?;
        let mut struck = false;
        let mut live = Vec::new();
        for Listed {
            session,
            number,
            item,
        } in found
        {
            match item {
                Some(item) if self.has_ended(&item, now) => {}
                Some(item) => live.push((number, item)),
                None => struck |= read.strike(&session, now),
            }
        }
        if struck {
            // The sessions are known, whether or not this succeeds.
            drop(self.put_list(read).await);
        }
        live.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        stream::iter(live)
            .map(|(_, item)| async move { self.open(self.parse(item)?, since).await })
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Ends all sessions of a user but that of the id `except`, and gives how many there were. A
    /// session that joins the list meanwhile is not ended. A call that fails has ended some of
    /// them, and can be repeated.
    ///
    /// # Errors
    /// `ERR_CONFIG` if the store has no `users`, and those of the table.
    pub async fn destroy_all_of(
        &self,
        user: &str,
        except: Option<&str>,
        now: EpochMillis,
    ) -> Result<usize> {
        let user = self.users()?.hash(user)?;
        let except = except.map(|sid| self.ids.key(sid)).transpose()?;
        let except = except.as_deref().map(|key| self.ids.without_prefix(key));
        let mut read = self.list(&user, now).await?;
        let mut ending = read.list.entries.clone();
        ending.retain(|session, _| Some(session.as_str()) != except);
        let ended = self.end(user, ending.keys().cloned().collect()).await?;
        // An entry that was added since then is of a session that may live.
        loop {
            let mut struck = false;
            for (session, number) in &ending {
                if read.list.entries.get(session) == Some(number) {
                    struck |= read.strike(session, now);
                }
            }
            if !struck || self.put_list(read).await? {
                return Ok(ended);
            }
            read = self.list(&user, now).await?;
        }
    }

    /// Writes the record of a session that joins the list of its user or leaves another one, and
    /// the lists with it. `told` has each record that is sent.
    ///
    /// `before` is how the record that is overwritten is listed, as far as that is known; `sure`
    /// says that `condition` holds for no other record.
    pub(super) async fn put_listed(
        &self,
        record: &mut EncryptedSessionRecord,
        condition: Condition,
        user: SessionUser,
        Before { listing, sure }: Before,
        now: EpochMillis,
        mut told: impl FnMut(&EncryptedSessionRecord),
    ) -> Result<Outcome> {
        let joins = match user {
            SessionUser::Is(hash) if !(sure && user.agrees(listing)) => Some(hash),
            _ => None,
        };
        let leaves = match (user, listing.entry()) {
            (SessionUser::Unasked, _) | (_, None) => None,
            (_, Some(entry)) => (!user.agrees(listing)).then_some(entry.user),
        };
        record.listing = match user {
            SessionUser::Unasked => Listing::Unsaid,
            SessionUser::Nobody => Listing::Nobody,
            SessionUser::Is(_) => listing,
        };
        let session = self.ids.without_prefix(&record.key).to_owned();
        loop {
            let mut lists = Vec::new();
            let mut ending = Vec::new();
            if let Some(user) = joins {
                let (mut list, making_room) = self.list_with_room(&user, &session, now).await?;
                let number = list.list.generation;
                list.list.entries.insert(session.clone(), number);
                list.list.ttl = list.list.ttl.max(record.ttl.plus(OUTLIVES));
                record.listing = Listing::Under(Entry { user, number });
                lists.push(list.into_item());
                ending = making_room;
            }
            if let Some(user) = leaves {
                let mut list = self.list(&user, now).await?;
                if list.strike(&session, now) {
                    lists.push(list.into_item());
                }
            }
            told(record);
            if lists.is_empty() {
                return self.write(record, condition).await;
            }
            let item = self.item_of(record);
            let revision = item.get(AUTH_TAG).cloned();
            let mut writes = vec![Write::Put(item, condition.clone())];
            writes.extend(
                lists
                    .into_iter()
                    .map(|(item, unchanged)| Write::Put(item, unchanged)),
            );
            writes.extend(ending.iter().cloned());
            let ended = ending.iter().map(|removal| {
                self.forget(removal.key());
                Forgets(self, removal.key())
            });
            let _forgets: Vec<Forgets> = ended.collect();
            let outcomes = self.table.write_all(writes).await?;
            let all = outcomes.iter().all(|outcome| *outcome == Outcome::Written);
            match outcomes.into_iter().next() {
                Some(refused @ Outcome::Refused(_)) => {
                    return Ok(unless_applied(revision.as_ref(), refused));
                }
                _ if all => return Ok(Outcome::Written),
                _ => {} // others have changed a list, or a session that makes room
            }
        }
    }

    /// Removes a session, whatever it is now, and takes it off its user's list.
    pub(super) async fn remove_any(&self, key: &str, now: EpochMillis) -> Result<()> {
        if self.users.is_none() {
            self.table.delete(key, Condition::Always).await?;
        } else if let Some(item) = self.table.remove(key).await? {
            self.strike_off(key, Listing::of(&item), now).await;
        }
        Ok(())
    }

    /// Takes a session that was removed off its user's list. If that fails, the entry stays, and is
    /// taken off later.
    pub(super) async fn strike_off(&self, key: &str, listing: Listing, now: EpochMillis) {
        if let Some(entry) = listing.entry().filter(|_| self.users.is_some()) {
            let struck = self.strike(key, entry, now);
            let _ = tokio::time::timeout(STRIKE_OFF, struck).await;
        }
    }

    async fn strike(&self, key: &str, Entry { user, number }: Entry, now: EpochMillis) {
        let session = self.ids.without_prefix(key);
        // Whoever writes the session again gives it another entry.
        while let Ok(mut read) = self.list(&user, now).await {
            if read.list.entries.get(session) != Some(&number) {
                return;
            }
            read.strike(session, now);
            if !matches!(self.put_list(read).await, Ok(false)) {
                return;
            }
        }
    }

    fn users(&self) -> Result<&Users> {
        self.users.as_ref().ok_or_else(|| {
            Error::Config(
                "the store has no option users, so it does not know whose its sessions are".into(),
            )
        })
    }

    /// The list of a user, in the generation that a change of it would have.
    async fn list(&self, user: &UserHash, now: EpochMillis) -> Result<ReadList> {
        let key = self.ids.user_key(user);
        let item = self.table.get(&key).await?;
        let (list, unchanged) = match item {
            None => {
                // Larger than any number of a list that was here before and is deleted.
                let generation = now.number().parse().unwrap_or_default();
                let list = UserList {
                    generation,
                    entries: BTreeMap::new(),
                    ttl: EpochSeconds(0),
                };
                (list, Condition::Generation(None))
            }
            Some(item) => {
                let mut list = UserList::from_item(&item)?;
                let unchanged = Condition::Generation(Some(list.generation));
                // Nobody gets there by logging in, but somebody who can write the table can.
                list.generation = list.generation.wrapping_add(1);
                (list, unchanged)
            }
        };
        Ok(ReadList {
            key,
            list,
            unchanged,
        })
    }

    /// The list of a user with room for a session, and the removals of the sessions that make it.
    ///
    /// Sessions that are gone leave a long list: those that the table has deleted after their end
    /// never leave it themselves. If it is full, ended sessions make room, and then those that
    /// joined it first.
    async fn list_with_room(
        &self,
        user: &UserHash,
        session: &str,
        now: EpochMillis,
    ) -> Result<(ReadList, Vec<Write>)> {
        let mut read = self.list(user, now).await?;
        read.list.entries.remove(session);
        let max = self.users()?.max_sessions;
        let key_length = read.key.len();
        let has_room =
            |list: &UserList| list.entries.len() < max && list.takes(session, key_length);
        let found = if !has_room(&read.list) {
            let some = some_of(&read.list.entries, SOME_IF_FULL);
            self.items_of(user, some).await?
        } else if read.list.entries.len() > FEW {
            let some = some_of(&read.list.entries, SOME);
            self.items_of(user, some).await.unwrap_or_default() // without an answer, they stay
        } else {
            return Ok((read, Vec::new()));
        };
        // A removal that is refused would refuse the login.
        let removable = |item: &Item| Condition::Of(*user).holds(Some(item));
        let mut leaving = Vec::new();
        let mut read_already = BTreeMap::new();
        for Listed {
            session,
            number,
            item,
        } in found
        {
            let Some(item) = item else {
                read.strike(&session, now);
                continue;
            };
            if self.has_ended(&item, now) {
                leaving.push((false, number, session.clone()));
            }
            read_already.insert(session, removable(&item));
        }
        let joined = read.list.entries.iter();
        leaving.extend(joined.map(|(session, number)| (true, *number, session.clone())));
        leaving.sort();
        let mut ending = Vec::new();
        let mut unread = BTreeMap::new();
        for (_, number, session) in leaving {
            if has_room(&read.list) {
                break;
            }
            if read.list.entries.remove(&session).is_some() {
                match read_already.get(&session) {
                    Some(true) => ending.push(session),
                    Some(false) => {}
                    None => drop(unread.insert(session, number)),
                }
            }
        }
        for Listed { session, item, .. } in self.items_of(user, unread).await? {
            if item.as_ref().is_some_and(removable) {
                ending.push(session);
            }
        }
        let surplus = ending.split_off(ending.len().min(ENDED_TOGETHER));
        self.end(*user, surplus).await?;
        let keys = ending
            .iter()
            .filter_map(|session| self.ids.with_prefix(session));
        let removals = keys.map(|key| Write::Delete(key, Condition::Of(*user)));
        Ok((read, removals.collect()))
    }

    /// Writes a list, unless somebody has changed it since it was read. A list that is refused with
    /// its own content was written before, and the answer lost.
    async fn put_list(&self, read: ReadList) -> Result<bool> {
        let (item, condition) = read.into_item();
        Ok(match self.table.put(item.clone(), condition).await? {
            Outcome::Written => true,
            Outcome::Refused(stored) => stored == Some(item),
        })
    }

    /// The items of sessions on a list. An item that is no session of the user is missing.
    async fn items_of(
        &self,
        user: &UserHash,
        entries: BTreeMap<String, u64>,
    ) -> Result<Vec<Listed>> {
        let theirs = SessionUser::Is(*user);
        stream::iter(entries)
            .map(|(session, number)| async move {
                let item = match self.ids.with_prefix(&session) {
                    Some(key) => self.table.get(&key).await?,
                    None => None,
                };
                // A process without `users` leaves out whose session it is.
                let is_theirs = |item: &Item| {
                    let listing = Listing::of(item);
                    self.owns(item) && (theirs.agrees(listing) || listing == Listing::Unsaid)
                };
                Ok(Listed {
                    session,
                    number,
                    item: item.filter(is_theirs),
                })
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Removes those of the sessions that are the user's, and gives how many there were.
    async fn end(&self, user: UserHash, sessions: Vec<String>) -> Result<usize> {
        let ended = stream::iter(sessions).map(|session| async move {
            let Some(key) = self.ids.with_prefix(&session) else {
                return Ok(Outcome::Refused(None));
            };
            self.forget(&key);
            let _forgets = Forgets(self, &key);
            self.table.delete(&key, Condition::Of(user)).await
        });
        // All are tried, whatever fails.
        let outcomes: Vec<Result<Outcome>> = ended.buffer_unordered(AT_ONCE).collect().await;
        let mut ended = 0;
        for outcome in outcomes {
            ended += usize::from(outcome? == Outcome::Written);
        }
        Ok(ended)
    }
}

/// Entries of a list, at random; all if there are not more than `most`.
fn some_of(entries: &BTreeMap<String, u64>, most: usize) -> BTreeMap<String, u64> {
    let most = most.min(entries.len());
    let chosen = rand::seq::index::sample(&mut rand::rng(), entries.len(), most);
    let mut chosen = chosen.into_vec();
    chosen.sort_unstable();
    let mut all = entries.iter().enumerate();
    let entry = |at| all.find(|(other, _)| *other == at);
    let chosen = chosen.into_iter().filter_map(entry);
    chosen
        .map(|(_, (session, number))| (session.clone(), *number))
        .collect()
}

/// A session on a list.
struct Listed {
    session: String,
    number: u64,
    item: Option<Item>,
}

/// How the record that a save overwrites is listed.
#[derive(Clone, Copy)]
pub(super) struct Before {
    listing: Listing,
    /// Whether the save's condition holds only for a record that is listed so.
    sure: bool,
}

impl Before {
    /// The condition of the save holds only for this record.
    pub(super) fn known(listing: Listing) -> Before {
        Before {
            listing,
            sure: true,
        }
    }

    /// The record may have been replaced meanwhile.
    pub(super) fn unknown(listing: Listing) -> Before {
        Before {
            listing,
            sure: false,
        }
    }
}
