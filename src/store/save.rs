//! Saves sessions. What a save sends depends on what the caller knows of the record and what has
//! changed.

use std::sync::{Arc, Mutex, PoisonError};

use super::SessionStore;
use super::expiry::{Due, End, TouchAfter, ttl_of};
use super::sealing::last_end;
use super::session_table::{Condition, Outcome};
use super::touch::TOUCH_ATTEMPTS;
use super::users::{Before, SessionUser};
use crate::crypto::plaintext::Plaintext;
use crate::error::{Error, Result};
use crate::keys::cache::Since;
use crate::record::listing::Listing;
use crate::record::mark::{Content, Mark};
use crate::record::{AUTH_TAG, Attribute, EncryptedSessionRecord, Item};
use crate::time::{EpochMillis, EpochSeconds};

/// What a save does if somebody else has changed the session since the caller read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// The last write wins.
    #[default]
    Overwrite,
    /// The later write fails with `ERR_CONFLICT`.
    Error,
    /// The later write changes nothing, and succeeds.
    Drop,
}

/// How known sessions are saved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Saving {
    /// When the end of an unchanged session is moved.
    pub touch_after: TouchAfter,
    /// How a conflict is handled.
    pub on_conflict: OnConflict,
}

impl Default for Saving {
    fn default() -> Saving {
        Saving {
            touch_after: TouchAfter::Share,
            on_conflict: OnConflict::default(),
        }
    }
}

/// A session to save.
pub struct Save {
    /// The session id.
    pub sid: String,
    /// The output of `JSON.stringify`.
    pub json: Plaintext,
    /// When the caller made the call.
    pub now: EpochMillis,
    /// The end that the session should get.
    pub end: End,
    /// Whose session it is.
    pub user: SessionUser,
    /// Holds the record that the save sends, as long as the result is unknown.
    pub attempt: Attempt,
}

/// The record that a save sends. It is set from before the request is sent until the table has
/// answered. The table may hold this record although the save failed or ended at its deadline.
#[derive(Clone, Default)]
pub struct Attempt(Arc<Mutex<Option<Mark>>>);

impl Attempt {
    /// The record that may have been written, if there is one.
    #[must_use]
    pub fn in_doubt(&self) -> Option<Mark> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, mark: Option<Mark>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mark;
    }
}

/// What the caller knows of the session's record.
pub enum Known {
    /// Nothing: the session is new.
    Nothing,
    /// The session is gone.
    Gone,
    /// The caller has read or written the record.
    Record {
        /// The mark of the record.
        mark: Mark,
        /// The records that earlier saves of the caller have sent to replace it, with unknown
        /// results.
        attempts: Vec<Mark>,
        /// Whether the content other than the cookie is as it was read. If set, it overrides the
        /// comparison with `mark`.
        untouched: Option<bool>,
        /// The exact end of the session, if `mark` is of the revision that the caller has, and not
        /// of a later one.
        ends: Option<EpochMillis>,
    },
}

impl Known {
    /// A record that was read or written, with its `ttl` as its exact end.
    #[must_use]
    pub fn record(mark: Mark) -> Known {
        Known::Record {
            ends: Some(End::from(mark.end()).exact),
            mark,
            attempts: Vec::new(),
            untouched: None,
        }
    }

    /// The same for a session of this user. If it is not listed so, its record is not up to date.
    fn of(mut self, user: SessionUser) -> Known {
        if let Known::Record { mark, .. } = &mut self {
            mark.up_to_date &= user.agrees(mark.listing);
        }
        self
    }
}

/// The result of a save or touch.
pub enum Saved {
    /// The whole record was written.
    Written {
        /// The mark of the new record.
        mark: Mark,
        /// Whether it replaced a revision that the caller did not know.
        conflict: bool,
    },
    /// The content has not changed, and the end was moved. `None` if the caller knew nothing of the
    /// record.
    Extended(Option<Mark>),
    /// The content has not changed, and the end is near enough to the requested one. Nothing was
    /// changed.
    Unchanged(Mark),
    /// The session is gone, and no record was written; or it was saved as ended, and removed.
    Gone,
    /// Somebody else has changed the session, and nothing was written.
    Dropped,
}

impl SessionStore {
    /// Saves a session. A new or changed session is written. The end of an unchanged session is
    /// moved when that is due. A session that is gone stays gone. A session that is saved as ended
    /// is removed.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, `ERR_SESSION_TOO_LARGE`, `ERR_CONFLICT`, and those of the
    /// table and the keys. Nothing was written then, unless [`Attempt::in_doubt`] has a record.
    pub async fn save(&self, save: Save, known: Known, on_conflict: OnConflict) -> Result<Saved> {
        self.save_as(save, known, on_conflict, false).await
    }

    /// As [`SessionStore::save`], but the session keeps the end that its record has when it is
    /// written. `save.end` is the end that the caller has read; others may have moved it since.
    ///
    /// # Errors
    /// As [`SessionStore::save`]. Also `ERR_CONFLICT` if the end was moved so far that the content
    /// must be sealed for it.
    pub async fn save_keeping_end(
        &self,
        save: Save,
        known: Known,
        on_conflict: OnConflict,
    ) -> Result<Saved> {
        self.save_as(save, known, on_conflict, true).await
    }

    async fn save_as(
        &self,
        save: Save,
        known: Known,
        on_conflict: OnConflict,
        keeps_end: bool,
    ) -> Result<Saved> {
        let Save {
            sid,
            json,
            now,
            mut end,
            user,
            attempt,
        } = save;
        let key = self.ids.key(&sid)?;
        self.table.tidy(now);
        let since = &self.keys.since();
        let content = Content::of(&json);
        let over = match self.plan(known.of(user), content, now, end, keeps_end) {
            Plan::LeaveGone => return Ok(Saved::Gone),
            Plan::Prolong(mark, due) => return self.prolong(&key, mark, now, due, since).await,
            Plan::Write(over) => over,
        };
        if let Some(Over {
            end: Ends::AtLeastAsRead,
            mark,
            ..
        }) = &over
            && end.ttl < mark.end()
        {
            end = mark.end().into();
        }
        // A session that keeps its end may have a later end in the table by now.
        if end.reached(now) && !keeps_end {
            return self.remove(&key, over, now, since, on_conflict).await;
        }
        let not_after = match &over {
            Some(over) => over.last_end(now, end.ttl),
            None => last_end(now, end.ttl),
        };
        let mut record = self
            .seal_until(
                key,
                self.ids.payload(&sid, json),
                end.ttl,
                not_after,
                Listing::Unsaid, // whoever writes it decides
                since,
            )
            .await?;
        let write = async |record: &mut EncryptedSessionRecord, condition, before| {
            let sent = |record: &_| attempt.set(Some(mark_of(record, content)));
            let outcome = self
                .put_listed(record, condition, user, before, now, sent)
                .await?;
            attempt.set(None);
            Ok::<_, Error>(outcome)
        };
        let Some(over) = over else {
            let before = Before::unknown(Listing::Unsaid);
            return match write(&mut record, Condition::Always, before).await? {
                Outcome::Written => Ok(written(&record, content, false)),
                Outcome::Refused(_) => Ok(self.gone(&record.key)),
            };
        };
        let before = Before::known(over.mark.listing);
        let mut outcome = write(&mut record, over.condition(), before).await?;
        for _ in 0..over.end.attempts() {
            let Outcome::Refused(Some(item)) = &outcome else {
                break;
            };
            let Some(revision) = self.revision_to_write_over(item, &over, since).await else {
                break;
            };
            let found = ttl_of(item).unwrap_or(record.ttl);
            let ended = self.has_ended(item, now);
            if !over.end.take(&mut record, item, found, ended) {
                break;
            }
            let before = Before::known(Listing::of(item));
            let condition = over.end.condition(revision, found);
            outcome = write(&mut record, condition, before).await?;
        }
        match outcome {
            Outcome::Written => Ok(written(&record, content, false)),
            Outcome::Refused(None) => Ok(self.gone(&record.key)),
            Outcome::Refused(Some(item)) if over.same => {
                if self.has_ended(&item, now) {
                    Ok(self.gone(&record.key))
                } else {
                    Ok(Saved::Unchanged(over.mark))
                }
            }
            Outcome::Refused(Some(item)) => match on_conflict {
                OnConflict::Error => Err(Error::Conflict),
                OnConflict::Drop => Ok(Saved::Dropped),
                OnConflict::Overwrite => {
                    let before = Before::unknown(Listing::of(&item));
                    match write(&mut record, Condition::Exists, before).await? {
                        Outcome::Written => Ok(written(&record, content, true)),
                        Outcome::Refused(_) => Ok(self.gone(&record.key)),
                    }
                }
            },
        }
    }

    /// Plans a save by what the caller knows of the record.
    fn plan(
        &self,
        known: Known,
        content: Content,
        now: EpochMillis,
        end: End,
        keeps_end: bool,
    ) -> Plan {
        let (mark, attempts, untouched, ends) = match known {
            Known::Nothing => return Plan::Write(None),
            Known::Gone => return Plan::LeaveGone,
            Known::Record {
                mark,
                attempts,
                untouched,
                ends,
            } => (mark, attempts, untouched, ends),
        };
        // A record that an attempt may have written must be overwritten, even with the content from
        // before the attempt.
        let same = attempts.is_empty() && is_same(&mark, content, untouched);
        // The caller has not changed what it read, which was an earlier revision: there is nothing
        // of it to write, and the mark does not say under which user that one was listed.
        let is_earlier = untouched == Some(true) && content.rest != mark.content.rest;
        let current = mark.up_to_date || is_earlier;
        if same && let Some(due) = self.kept(&mark, ends, now, end, current) {
            return Plan::Prolong(mark, due);
        }
        let end = if keeps_end {
            Ends::AsFound
        } else if same && self.asks_for_no_less(&mark, ends, now, end) {
            Ends::AtLeastAsRead
        } else {
            Ends::AsBrought
        };
        Plan::Write(Some(Over {
            mark,
            attempts,
            same,
            end,
        }))
    }

    /// The revision of `item`, if the save may overwrite it although its condition did not hold.
    async fn revision_to_write_over(
        &self,
        item: &Item,
        over: &Over,
        since: &Since,
    ) -> Option<Attribute> {
        if over.same {
            // A save that changes nothing need not seal what somebody else has sealed again
            // meanwhile.
            let read = over.mark.revision();
            let moved = over.end != Ends::AsBrought && item.get(AUTH_TAG) == Some(&read);
            return moved.then_some(read);
        }
        self.own_revision(item, &over.mark, &over.attempts, since)
            .await
    }

    /// The revision of `item`, if it is the caller's own although the caller's condition did not
    /// hold. It is the caller's own in three cases: it is `mark` with another end; an attempt of
    /// the caller wrote it; or a touch has sealed again, without changes, what the caller read or
    /// wrote. An item that cannot be opened is somebody else's.
    pub(super) async fn own_revision(
        &self,
        item: &Item,
        mark: &Mark,
        attempts: &[Mark],
        since: &Since,
    ) -> Option<Attribute> {
        let revision = item.get(AUTH_TAG)?;
        let mut known = attempts.iter().chain([mark]);
        if known.any(|own| own.revision() == *revision) {
            return Some(revision.clone());
        }
        let session = self
            .open(self.parse(item.clone()).ok()?, since)
            .await
            .ok()?;
        let stored = session.mark;
        let mut own = attempts.iter().chain([mark]);
        own.any(|own| own.content == stored.content)
            .then(|| stored.revision())
    }

    /// Writes a record. If the stored revision is the one that is being written, a refusal is the
    /// answer to a retry: the first attempt was applied, and its answer was lost.
    pub(super) async fn write(
        &self,
        record: &EncryptedSessionRecord,
        condition: Condition,
    ) -> Result<Outcome> {
        let item = self.item_of(record);
        let revision = item.get(AUTH_TAG).cloned();
        let outcome = self.table.put(item, condition).await?;
        Ok(unless_applied(revision.as_ref(), outcome))
    }

    /// The item of a record.
    pub(super) fn item_of(&self, record: &EncryptedSessionRecord) -> Item {
        let mut item = record.to_item();
        self.policy.kind.label(&mut item);
        item
    }

    /// Wipes the data key of a session that is gone.
    pub(super) fn gone(&self, key: &str) -> Saved {
        self.forget(key);
        Saved::Gone
    }
}

/// The outcome of a write of this revision. If a refusal met the revision, an earlier attempt of the
/// same write was applied.
pub(super) fn unless_applied(revision: Option<&Attribute>, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Refused(Some(stored)) if stored.get(AUTH_TAG) == revision => Outcome::Written,
        outcome => outcome,
    }
}

/// What a save has to do.
enum Plan {
    /// Nothing: the session is gone.
    LeaveGone,
    /// Move the session's end, because its content has not changed.
    Prolong(Mark, Due),
    /// Write the session over the record that the caller knows, or over whatever is there if it
    /// knows none.
    Write(Option<Over>),
}

/// The record that a save overwrites.
pub(super) struct Over {
    /// The mark of what the caller read or wrote.
    pub(super) mark: Mark,
    /// The records that earlier saves of the caller have sent to replace it, with unknown results.
    pub(super) attempts: Vec<Mark>,
    /// Whether the content has not changed, so that the save only seals it again.
    same: bool,
    /// Which end the session gets.
    end: Ends,
}

impl Over {
    /// The condition that the record is still as it was read.
    pub(super) fn condition(&self) -> Condition {
        self.end.condition(self.mark.revision(), self.mark.ttl)
    }

    /// The `notAfter` of a session that is sealed now and ends at `end`. If the save asks for no
    /// later end than was read, it is not later than the sealed one either: `ttl` is not
    /// authenticated, and somebody who can write the table could otherwise prolong the session with
    /// every save.
    fn last_end(&self, now: EpochMillis, end: EpochSeconds) -> EpochSeconds {
        let usual = last_end(now, end);
        match self.mark.not_after {
            Some(sealed) if end <= self.mark.end() => usual.min(sealed),
            _ => usual,
        }
    }
}

/// Which end a save gives a session whose end others may have moved since it was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// The end that the save brings.
    AsBrought,
    /// The end that the record has when it is written.
    AsFound,
    /// The later one of the record's end and the save's end.
    AtLeastAsRead,
}

impl Ends {
    /// How many times a save is repeated that was refused because of another end, or of a revision
    /// of the caller's own.
    fn attempts(self) -> usize {
        match self {
            Ends::AsBrought => 1,
            Ends::AsFound | Ends::AtLeastAsRead => TOUCH_ATTEMPTS,
        }
    }

    /// The condition that an item is this revision. If the write depends on the item's end, that
    /// must also be `found`.
    fn condition(self, revision: Attribute, found: EpochSeconds) -> Condition {
        match self {
            Ends::AsBrought => Condition::Revision(revision),
            Ends::AsFound | Ends::AtLeastAsRead => Condition::Unmoved {
                revision,
                ttl: found,
            },
        }
    }

    /// Sets the end of `record`, given the end `found` of the stored item. `false` if the item is
    /// not alive, or the record may not live that long.
    fn take(
        self,
        record: &mut EncryptedSessionRecord,
        item: &Item,
        found: EpochSeconds,
        ended: bool,
    ) -> bool {
        let ttl = match self {
            Ends::AsBrought => return true,
            Ends::AsFound => found,
            Ends::AtLeastAsRead => found.max(record.ttl),
        };
        let may = record.bound.is_none_or(|bound| bound.not_after >= ttl);
        let takes = may && ttl_of(item).is_some() && !ended;
        if takes {
            record.ttl = ttl;
        }
        takes
    }
}

fn written(record: &EncryptedSessionRecord, content: Content, conflict: bool) -> Saved {
    Saved::Written {
        mark: mark_of(record, content),
        conflict,
    }
}

/// Whether a session that is saved has the same content as the record of `mark`.
pub(super) fn is_same(mark: &Mark, content: Content, untouched: Option<bool>) -> bool {
    let rest = untouched.unwrap_or(content.rest == mark.content.rest);
    rest && content.cookie == mark.content.cookie
}

/// The mark of a record that this process has sealed.
pub(super) fn mark_of(record: &EncryptedSessionRecord, content: Content) -> Mark {
    Mark {
        version: record.version(),
        tag: record.sealed.tag,
        ttl: record.ttl,
        not_after: record.not_after(),
        content,
        up_to_date: true,
        listing: record.listing,
    }
}
