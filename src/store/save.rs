//! Saving a session: what is sent depends on what the caller knows of the record, and on what it changed.

use std::sync::{Arc, Mutex, PoisonError};

use super::SessionStore;
use super::expiry::{Due, End, ttl_of};
use super::session_table::{Condition, Outcome};
use super::touch::TOUCH_ATTEMPTS;
use crate::crypto::plaintext::Plaintext;
use crate::error::{Error, Result};
use crate::keys::cache::Since;
use crate::record::mark::{Content, Mark};
use crate::record::{AUTH_TAG, Attribute, EncryptedSessionRecord, Item};
use crate::time::{EpochMillis, EpochSeconds};

/// What becomes of a session that somebody else has changed since the caller read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// The last write wins.
    #[default]
    Overwrite,
    /// The later write fails with `ERR_CONFLICT`.
    Error,
    /// The later write does nothing, and succeeds.
    Drop,
}

/// How sessions that the caller knows are saved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Saving {
    /// How many seconds pass at least between two moves of a session's end; never more than a tenth of its lifetime.
    pub touch_after: f64,
    /// What a conflict ends in.
    pub on_conflict: OnConflict,
}

impl Default for Saving {
    fn default() -> Saving {
        Saving {
            touch_after: 60.0,
            on_conflict: OnConflict::default(),
        }
    }
}

/// A session to save.
pub struct Save {
    /// Its id.
    pub sid: String,
    /// What `JSON.stringify` gave.
    pub json: Plaintext,
    /// When the caller asked.
    pub now: EpochMillis,
    /// When it is to end.
    pub end: End,
    /// What is sent of it while nobody knows what became of that.
    pub attempt: Attempt,
}

/// The record that a save has sent, from before it is sent until the table has answered: what may lie there although the save has failed, or was
/// ended at its deadline.
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
    /// It is gone.
    Gone,
    /// It was read or written like this.
    Record {
        /// The record.
        mark: Mark,
        /// What earlier saves of the caller have sent in its place, without learning what became of that.
        attempts: Vec<Mark>,
        /// Whether the content beside the cookie is what was read, if the caller knows that better than a comparison with `mark` does.
        untouched: Option<bool>,
        /// When it was to end, if `mark` is of what the caller has, and not of a later revision.
        ends: Option<EpochMillis>,
    },
}

impl Known {
    /// A record that was read or written, and ended with its `ttl`.
    #[must_use]
    pub fn record(mark: Mark) -> Known {
        Known::Record {
            ends: Some(End::from(mark.ttl).exact),
            mark,
            attempts: Vec::new(),
            untouched: None,
        }
    }
}

/// What became of a session that was saved or touched.
pub enum Saved {
    /// The whole record was written.
    Written {
        /// The new record.
        mark: Mark,
        /// Whether it replaced a revision that the caller did not know.
        conflict: bool,
    },
    /// The content is the same, and the end was moved. `None` if the caller knew nothing of the record.
    Extended(Option<Mark>),
    /// The content is the same, and the end is near enough: nothing was sent.
    Unchanged(Mark),
    /// There is no such session any more, and none was made; or it was saved as ended, and removed.
    Gone,
    /// Somebody else has changed it, and nothing was written.
    Dropped,
}

impl SessionStore {
    /// Saves a session: writes a new or changed one, moves the end of an unchanged one when that is due, and lets one that is gone be gone. One that
    /// has ended by then is removed.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, `ERR_SESSION_TOO_LARGE`, `ERR_CONFLICT`, and those of the table and the keys; nothing was written then.
    pub async fn save(&self, save: Save, known: Known, on_conflict: OnConflict) -> Result<Saved> {
        self.save_as(save, known, on_conflict, false).await
    }

    /// As [`SessionStore::save`], but the session keeps the end that it has when it is written: `save.end` is what the caller has read, and others may have
    /// moved it since.
    ///
    /// # Errors
    /// As [`SessionStore::save`]; `ERR_CONFLICT` also where the end was moved so far that the content has to be sealed for it.
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
            attempt,
        } = save;
        let key = self.ids.key(&sid)?;
        self.table.tidy(now);
        let since = &self.keys.since();
        let content = Content::of(&json);
        let over = match self.plan(known, content, now, end, keeps_end) {
            Plan::LeaveGone => return Ok(Saved::Gone),
            Plan::Prolong(mark, due) => return self.prolong(&key, mark, now, due, since).await,
            Plan::Write(over) => over,
        };
        if let Some(Over {
            end: Ends::AtLeastAsRead,
            mark,
            ..
        }) = &over
            && end.ttl < mark.ttl
        {
            end = mark.ttl.into();
        }
        // A session that keeps its end may have got a later one meanwhile.
        if end.reached(now) && !keeps_end {
            return self.remove(&key, over, since, on_conflict).await;
        }
        let mut record = self
            .seal(key, self.ids.payload(&sid, json), now, end.ttl, since)
            .await?;
        let write = async |record: &EncryptedSessionRecord, condition| {
            attempt.set(Some(mark_of(record, content)));
            let outcome = self.write(record, condition).await?;
            attempt.set(None);
            Ok::<_, Error>(outcome)
        };
        let Some(over) = over else {
            return match write(&record, Condition::Always).await? {
                Outcome::Written => Ok(written(&record, content, false)),
                Outcome::Refused(_) => Ok(self.gone(&record.key)),
            };
        };
        let mut outcome = write(&record, over.condition()).await?;
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
            outcome = write(&record, over.end.condition(revision, found)).await?;
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
            Outcome::Refused(Some(_)) => match on_conflict {
                OnConflict::Error => Err(Error::Conflict),
                OnConflict::Drop => Ok(Saved::Dropped),
                OnConflict::Overwrite => match write(&record, Condition::Exists).await? {
                    Outcome::Written => Ok(written(&record, content, true)),
                    Outcome::Refused(_) => Ok(self.gone(&record.key)),
                },
            },
        }
    }

    /// What a save is to do, by what the caller knows of the record.
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
        // What an attempt may have written must be written over, also by what was there before it.
        let same = attempts.is_empty() && is_same(&mark, content, untouched);
        if same && let Some(due) = self.kept(&mark, ends, now, end) {
            return Plan::Prolong(mark, due);
        }
        let (end, read) = if keeps_end {
            (Ends::AsFound, end.ttl)
        } else if same && self.asks_for_no_less(&mark, ends, now, end) {
            (Ends::AtLeastAsRead, mark.ttl)
        } else {
            (Ends::AsBrought, mark.ttl)
        };
        Plan::Write(Some(Over {
            mark,
            attempts,
            same,
            end,
            read,
        }))
    }

    /// The revision of an item that a save may write over although its condition did not hold, if there is one.
    async fn revision_to_write_over(
        &self,
        item: &Item,
        over: &Over,
        since: &Since,
    ) -> Option<Attribute> {
        if over.same {
            // What somebody has sealed again needs not be sealed again by a save that changes nothing.
            let read = over.mark.revision();
            let moved = over.end != Ends::AsBrought && item.get(AUTH_TAG) == Some(&read);
            return moved.then_some(read);
        }
        self.own_revision(item, &over.mark, &over.attempts, since)
            .await
    }

    /// The revision of an item that the caller's condition did not hold for, and that is nobody else's all the same: it is `mark` with another end, an
    /// attempt of the caller's wrote it, or a touch has sealed again what the caller read or wrote, which changed nothing. An item that cannot be opened is
    /// somebody else's.
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

    /// Writes a record. A refusal by the very revision that is being written is the answer to a repetition: the first attempt was applied, and its
    /// answer was lost.
    pub(super) async fn write(
        &self,
        record: &EncryptedSessionRecord,
        condition: Condition,
    ) -> Result<Outcome> {
        let item = record.to_item();
        let revision = item.get(AUTH_TAG).cloned();
        let outcome = self.table.put(item, condition).await?;
        Ok(match outcome {
            Outcome::Refused(Some(stored)) if stored.get(AUTH_TAG) == revision.as_ref() => {
                Outcome::Written
            }
            outcome => outcome,
        })
    }

    /// The session is gone, so its data key goes as well.
    pub(super) fn gone(&self, key: &str) -> Saved {
        self.forget(key);
        Saved::Gone
    }
}

/// What a save is to do.
enum Plan {
    /// Nothing: the session is gone.
    LeaveGone,
    /// To move the session's end, since its content is what it was.
    Prolong(Mark, Due),
    /// To write the session: over the record that the caller knows, or over whatever is there.
    Write(Option<Over>),
}

/// The record that a save writes over.
pub(super) struct Over {
    /// What the caller read or wrote.
    pub(super) mark: Mark,
    /// What earlier saves of the caller have sent in its place, without learning what became of that.
    pub(super) attempts: Vec<Mark>,
    /// Whether the content is the same, so that the save only seals it again.
    same: bool,
    /// Which end the session gets.
    end: Ends,
    /// The end that the record had when it was read.
    read: EpochSeconds,
}

impl Over {
    /// What must hold for the write to replace the record as it was read.
    pub(super) fn condition(&self) -> Condition {
        self.end.condition(self.mark.revision(), self.read)
    }
}

/// Which end a session gets that others may have moved since it was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// The one that the save brings.
    AsBrought,
    /// The one that the record has when it is written.
    AsFound,
    /// The later one of both.
    AtLeastAsRead,
}

impl Ends {
    /// How often a save tries again that was refused by another end, or by a revision of its own.
    fn attempts(self) -> usize {
        match self {
            Ends::AsBrought => 1,
            Ends::AsFound | Ends::AtLeastAsRead => TOUCH_ATTEMPTS,
        }
    }

    /// The condition that an item is this revision; with the end `found`, where the write is to hold on to that.
    fn condition(self, revision: Attribute, found: EpochSeconds) -> Condition {
        match self {
            Ends::AsBrought => Condition::Revision(revision),
            Ends::AsFound | Ends::AtLeastAsRead => Condition::Unmoved {
                revision,
                ttl: found,
            },
        }
    }

    /// Gives a record the end that it is to have beside the end `found` of an item. `false` if the item does not live, or the record may not live as long.
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

/// Whether a session that was saved again holds what the record of `mark` does.
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
        content,
        up_to_date: true,
    }
}
