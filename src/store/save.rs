//! Saving a session: what is sent depends on what the caller knows of the record, and on what it changed.

use std::sync::{Arc, Mutex, PoisonError};

use super::SessionStore;
use crate::crypto::envelope::AuthTag;
use crate::crypto::plaintext::Plaintext;
use crate::error::{Error, Result};
use crate::keys::cache::Since;
use crate::record::mark::{Content, Hash, Mark};
use crate::record::{AUTH_TAG, Attribute, EncryptedSessionRecord, Item, TTL, has_ended};
use crate::store::session_table::{Condition, Outcome};
use crate::time::{EpochMillis, EpochSeconds};

/// How often a touch tries, while others write the session.
const TOUCH_ATTEMPTS: usize = 3;

/// Below this many milliseconds of life, whole seconds of `ttl` are too coarse, and an unchanged session is written whole.
const COARSE: f64 = 2000.0;

/// How much of a session's lifetime the window of `touchAfter` takes at most.
const WINDOW_SHARE: f64 = 0.1;

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

/// When a session is to end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct End {
    /// The `ttl` to write.
    pub ttl: EpochSeconds,
    /// The very moment, which `ttl` rounds up.
    pub exact: EpochMillis,
}

impl End {
    /// Whether this moment is past, or is this very moment, at `now`.
    #[must_use]
    pub fn reached(self, now: EpochMillis) -> bool {
        self.exact <= now
    }
}

impl From<EpochSeconds> for End {
    #[allow(clippy::cast_precision_loss)] // seconds of this and the coming centuries
    fn from(ttl: EpochSeconds) -> End {
        End {
            ttl,
            exact: EpochMillis(ttl.0 as f64 * 1000.0),
        }
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

/// How a session's end is to move.
enum Due {
    /// It is near enough.
    No,
    /// To an earlier moment.
    Back(EpochSeconds),
    /// To a later moment, unless it is later already.
    On(EpochSeconds),
    /// It is to have ended.
    Over,
}

/// What a save or a touch of a known session is to do, as far as this process can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// To write the session whole, since its content has changed or it must be sealed again, or to remove it.
    Write,
    /// To move its end to a later moment.
    Extend,
    /// To move its end to an earlier moment, which the next save would not make up for.
    Shorten,
    /// Nothing.
    Settled,
}

impl From<Due> for Outlook {
    fn from(due: Due) -> Outlook {
        match due {
            Due::No => Outlook::Settled,
            Due::On(_) => Outlook::Extend,
            Due::Back(_) => Outlook::Shorten,
            Due::Over => Outlook::Write,
        }
    }
}

/// What a session is compared by.
#[derive(Clone, Copy)]
pub enum Comparison {
    /// All that it holds.
    Whole(Content),
    /// Its cookie, since the caller knows that the rest is what it was.
    Cookie(Hash),
}

/// What became of a move of a session's end.
enum Extension {
    Moved,
    /// It was sealed again, with the same content.
    Resealed {
        before: AuthTag,
        after: EncryptedSessionRecord,
    },
    Gone,
    /// Others have moved its end as far, or kept writing it, which moves it as well.
    Overtaken,
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
        let (mut hold, mut unchanged) = (keeps_end.then_some(Hold::AsItIs), false);
        let (condition, mark, attempts) = match known {
            Known::Nothing => (Condition::Always, None, Vec::new()),
            Known::Gone => return Ok(Saved::Gone),
            Known::Record {
                mark,
                attempts,
                untouched,
                ends,
            } => {
                // What an attempt may have written must be written over, also by what was there before it.
                unchanged = attempts.is_empty() && is_same(&mark, content, untouched);
                if unchanged && let Some(due) = self.kept(&mark, ends, now, end) {
                    return self.prolong(&key, mark, now, due, since).await;
                }
                let mut found = end.ttl;
                if unchanged && !keeps_end && self.asks_for_no_less(&mark, ends, now, end) {
                    hold = Some(Hold::IfLater);
                    found = mark.ttl;
                    if end.ttl < mark.ttl {
                        end = mark.ttl.into();
                    }
                }
                let condition = own(hold, mark.revision(), found);
                (condition, Some(mark), attempts)
            }
        };
        // A session that keeps its end may have got a later one meanwhile.
        if end.reached(now) && !keeps_end {
            let own = mark.map(|mark| (mark, attempts));
            return self.remove(&key, condition, own, since, on_conflict).await;
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
        let mut outcome = write(&record, condition).await?;
        for _ in 0..if hold.is_some() { TOUCH_ATTEMPTS } else { 1 } {
            let (Outcome::Refused(Some(item)), Some(mark)) = (&outcome, &mark) else {
                break;
            };
            // What somebody has sealed again needs not be sealed again by a save that changes nothing.
            let revision = if unchanged {
                let read = hold.map(|_| mark.revision());
                read.filter(|revision| item.get(AUTH_TAG) == Some(revision))
            } else {
                self.own_revision(item, mark, &attempts, since).await
            };
            let Some(revision) = revision else {
                break;
            };
            let found = end_of(item).unwrap_or(record.ttl);
            if hold.is_some_and(|hold| !hold.take_end(&mut record, item, found, now)) {
                break;
            }
            outcome = write(&record, own(hold, revision, found)).await?;
        }
        let written = |conflict| Saved::Written {
            mark: mark_of(&record, content),
            conflict,
        };
        match (outcome, mark.filter(|_| unchanged)) {
            (Outcome::Written, _) => Ok(written(false)),
            (Outcome::Refused(None), _) => Ok(self.gone(&record.key)),
            (Outcome::Refused(Some(item)), Some(_)) if has_ended(&item, now) => {
                Ok(self.gone(&record.key))
            }
            (Outcome::Refused(Some(_)), Some(mark)) => Ok(Saved::Unchanged(mark)),
            (Outcome::Refused(Some(_)), None) => match on_conflict {
                OnConflict::Error => Err(Error::Conflict),
                OnConflict::Drop => Ok(Saved::Dropped),
                OnConflict::Overwrite => match write(&record, Condition::Exists).await? {
                    Outcome::Written => Ok(written(true)),
                    Outcome::Refused(_) => Ok(self.gone(&record.key)),
                },
            },
        }
    }

    /// Whether a save of a session that did not change asks for no earlier end than the caller has read. Others may have moved it further meanwhile, in
    /// requests that began later.
    fn asks_for_no_less(
        &self,
        mark: &Mark,
        ends: Option<EpochMillis>,
        now: EpochMillis,
        end: End,
    ) -> bool {
        !matches!(self.due(mark, ends, now, end), Due::Back(_))
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

    /// Moves a session's end, if that is due. One that is gone or has ended stays so, which is a success. Where the new end lies behind the one that was
    /// sealed in, the session is sealed again, unless somebody else wrote it meanwhile.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, and those of the table; those of [`SessionStore::get`] where it is sealed again.
    pub async fn touch(
        &self,
        sid: &str,
        now: EpochMillis,
        end: End,
        known: Known,
    ) -> Result<Saved> {
        let key = self.ids.key(sid)?;
        self.table.tidy(now);
        let since = &self.keys.since();
        match known {
            Known::Gone => return Ok(Saved::Gone),
            Known::Record { mark, ends, .. } => {
                let due = self.due(&mark, ends, now, end);
                return self.prolong(&key, mark, now, due, since).await;
            }
            Known::Nothing if end.reached(now) => {
                return self
                    .remove(&key, Condition::Always, None, since, OnConflict::Overwrite)
                    .await;
            }
            Known::Nothing => {}
        }
        let at = now.floor();
        let until = end.ttl;
        let moved = self.extend(&key, now, until, Condition::Lives { at, until }, since);
        Ok(match moved.await? {
            Extension::Gone => Saved::Gone,
            _ => Saved::Extended(None),
        })
    }

    /// What a save of a known session is to do, as far as this process can tell. `content` is what it holds now.
    #[must_use]
    pub fn outlook_of_save(
        &self,
        mark: &Mark,
        content: Comparison,
        ends: Option<EpochMillis>,
        now: EpochMillis,
        end: End,
    ) -> Outlook {
        let same = match content {
            Comparison::Whole(content) => is_same(mark, content, None),
            Comparison::Cookie(cookie) => cookie == mark.content.cookie,
        };
        match self.kept(mark, ends, now, end) {
            Some(due) if same => due.into(),
            _ => Outlook::Write,
        }
    }

    /// What a touch of a known session is to do, as far as this process can tell. `cookie` is the hash of the cookie that it has now.
    #[must_use]
    pub fn outlook_of_touch(
        &self,
        mark: &Mark,
        cookie: Hash,
        ends: Option<EpochMillis>,
        now: EpochMillis,
        end: End,
    ) -> Outlook {
        if cookie == mark.content.cookie && (mark.current || !lives(mark, ends, now)) {
            self.due(mark, ends, now, end).into()
        } else {
            Outlook::Write
        }
    }

    /// How the end of a session whose content is what it was is to move; `None` if the session must be written whole all the same.
    fn kept(
        &self,
        mark: &Mark,
        ends: Option<EpochMillis>,
        now: EpochMillis,
        end: End,
    ) -> Option<Due> {
        let due = self.due(mark, ends, now, end);
        let short = end.exact.0 - now.0 < COARSE;
        let coarse = short && matches!(due, Due::On(_));
        let over = matches!(due, Due::Over);
        (over || !lives(mark, ends, now) || (mark.current && !coarse)).then_some(due)
    }

    /// How the end of a session whose content is what it was is to move.
    fn due(&self, mark: &Mark, ends: Option<EpochMillis>, now: EpochMillis, end: End) -> Due {
        let window = (self.saving.touch_after * 1000.0).min((end.exact.0 - now.0) * WINDOW_SHARE);
        let by_ttl = End::from(mark.ttl).exact;
        // While ttl is the cookie's end rounded up, the finer instant decides; else the seconds of ttl do, and are compared.
        let finer = ends.filter(|ends| *ends != by_ttl);
        let gained = match finer {
            Some(ends) => end.exact.0 - ends.0,
            None => End::from(end.ttl).exact.0 - by_ttl.0,
        };
        // A request that began earlier never asks for less than it has read: less is meant so.
        let least = if finer.is_some() {
            mark.ttl
        } else {
            mark.ttl.plus(-1)
        };
        if ends.is_some() && end.ttl < least {
            if end.reached(now) {
                Due::Over
            } else {
                Due::Back(end.ttl)
            }
        } else if gained <= 0.0 || gained < window {
            Due::No
        } else {
            // As long as ttl is the cookie's end rounded up, that decides: it must move.
            Due::On(end.ttl.max(mark.ttl.plus(1)))
        }
    }

    async fn prolong(
        &self,
        key: &str,
        mark: Mark,
        now: EpochMillis,
        due: Due,
        since: &Since,
    ) -> Result<Saved> {
        let at = now.floor();
        let (until, condition) = match due {
            Due::No => return Ok(Saved::Unchanged(mark)),
            // As a shorter life does, this ends what others have made of the session, too.
            Due::Over => {
                return self
                    .remove(key, Condition::Always, None, since, OnConflict::Overwrite)
                    .await;
            }
            Due::Back(until) => (until, Condition::Lives { at, until }),
            Due::On(until) => (until, Condition::EndsBefore { at, until }),
        };
        let moved = |ttl| {
            Saved::Extended(Some(Mark {
                ttl,
                ..mark.clone()
            }))
        };
        Ok(
            match self.extend(key, now, until, condition, since).await? {
                // What the caller has is what was sealed again only if nobody else had changed it.
                Extension::Resealed { before, after } if before == mark.tag => {
                    Saved::Extended(Some(mark_of(&after, mark.content)))
                }
                Extension::Moved | Extension::Resealed { .. } => moved(until),
                Extension::Gone => Saved::Gone,
                Extension::Overtaken => Saved::Unchanged(mark),
            },
        )
    }

    async fn extend(
        &self,
        key: &str,
        now: EpochMillis,
        until: EpochSeconds,
        condition: Condition,
        since: &Since,
    ) -> Result<Extension> {
        for _ in 0..TOUCH_ATTEMPTS {
            match self.table.extend(key, until, condition.clone()).await? {
                Outcome::Written => return Ok(Extension::Moved),
                Outcome::Refused(None) => return Ok(Extension::Gone),
                Outcome::Refused(Some(item)) => {
                    if has_ended(&item, now) {
                        return Ok(Extension::Gone);
                    }
                    let record = self.parse(item)?;
                    if record.ttl >= until && matches!(condition, Condition::EndsBefore { .. }) {
                        return Ok(Extension::Overtaken);
                    }
                    if let Some(resealed) = self.reseal(record, now, until, since).await? {
                        return Ok(resealed);
                    }
                }
            }
        }
        Ok(Extension::Overtaken)
    }

    /// Seals what is stored again, with a later end, if nobody has written it or moved its end since it was read.
    async fn reseal(
        &self,
        record: EncryptedSessionRecord,
        now: EpochMillis,
        end: EpochSeconds,
        since: &Since,
    ) -> Result<Option<Extension>> {
        let (key, before) = (record.key.clone(), record.sealed.tag);
        let (ttl, revision) = (record.ttl, record.to_item().remove(AUTH_TAG));
        let unchanged = revision.map_or(Condition::Exists, |revision| Condition::Unmoved {
            revision,
            ttl,
        });
        let session = self.open(record, since).await?;
        if session.hashed {
            return Ok(Some(Extension::Overtaken));
        }
        let json = Plaintext::new(session.json.as_bytes().to_vec());
        let payload = self.ids.payload(&session.id, json);
        let after = self.seal(key, payload, now, end, since).await?;
        Ok(match self.write(&after, unchanged).await? {
            Outcome::Written => Some(Extension::Resealed { before, after }),
            Outcome::Refused(_) => None,
        })
    }

    /// Writes a record. A refusal by the very revision that is being written is the answer to a repetition: the first attempt was applied, and its
    /// answer was lost.
    async fn write(
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

fn lives(mark: &Mark, ends: Option<EpochMillis>, now: EpochMillis) -> bool {
    ends.unwrap_or(End::from(mark.ttl).exact).0 > now.0
}

/// What a save does with an end that others have moved since the session was read.
#[derive(Clone, Copy)]
enum Hold {
    /// It keeps it.
    AsItIs,
    /// It keeps it if it is later than the one that it brings.
    IfLater,
}

impl Hold {
    /// Gives a record the end `found` that an item has, if the item lives and the record may live as long.
    fn take_end(
        self,
        record: &mut EncryptedSessionRecord,
        item: &Item,
        found: EpochSeconds,
        now: EpochMillis,
    ) -> bool {
        let ttl = match self {
            Hold::AsItIs => found,
            Hold::IfLater => found.max(record.ttl),
        };
        let may = record.bound.is_none_or(|bound| bound.not_after >= ttl);
        let takes = may && end_of(item).is_some() && !has_ended(item, now);
        if takes {
            record.ttl = ttl;
        }
        takes
    }
}

/// The condition that an item is the caller's own revision; with the end `found`, where the write is to hold on to that.
fn own(hold: Option<Hold>, revision: Attribute, found: EpochSeconds) -> Condition {
    match hold {
        Some(_) => Condition::Unmoved {
            revision,
            ttl: found,
        },
        None => Condition::Revision(revision),
    }
}

fn end_of(item: &Item) -> Option<EpochSeconds> {
    match item.get(TTL) {
        Some(Attribute::N(ttl)) => ttl.parse().ok().map(EpochSeconds),
        _ => None,
    }
}

fn is_same(mark: &Mark, content: Content, untouched: Option<bool>) -> bool {
    let rest = untouched.unwrap_or(content.rest == mark.content.rest);
    rest && content.cookie == mark.content.cookie
}

fn mark_of(record: &EncryptedSessionRecord, content: Content) -> Mark {
    Mark {
        version: record.version(),
        tag: record.sealed.tag,
        ttl: record.ttl,
        content,
        current: true,
    }
}
