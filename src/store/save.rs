//! Saving a session: what is sent depends on what the caller knows of the record, and on what it changed.

use super::SessionStore;
use crate::envelope::AuthTag;
use crate::error::{Error, Result};
use crate::mark::{Content, Mark};
use crate::plaintext::Plaintext;
use crate::record::{AUTH_TAG, EncryptedSessionRecord};
use crate::session_table::{Condition, Outcome};
use crate::time::{EpochMillis, EpochSeconds};

/// How often a touch tries, while others write the session.
const TOUCH_ATTEMPTS: usize = 3;

/// Below this many seconds of life, whole seconds of `ttl` are too coarse, and an unchanged session is written whole.
const SHORT_LIFE: f64 = 2.0;

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
    pub end: EpochSeconds,
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
        /// Whether the content beside the cookie is what was read, if the caller knows that better than a comparison with `mark` does.
        untouched: Option<bool>,
    },
}

/// What became of a session that was saved or touched.
pub enum Saved {
    /// The whole record was written.
    Written {
        /// The new record; `None` if the session was no JSON object.
        mark: Option<Mark>,
        /// Whether it replaced a revision that the caller did not know.
        conflict: bool,
    },
    /// The content is the same, and the end was moved. `None` if the caller knew nothing of the record.
    Extended(Option<Mark>),
    /// The content is the same, and the end is near enough: nothing was sent.
    Unchanged(Mark),
    /// There is no such session any more, and none was made.
    Gone,
    /// Somebody else has changed it, and nothing was written.
    Dropped,
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
    /// Others kept writing it, which moves its end as well.
    Overtaken,
}

impl SessionStore {
    /// Saves a session: writes a new or changed one, moves the end of an unchanged one when that is due, and lets one that is gone be gone.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, `ERR_SESSION_TOO_LARGE`, `ERR_CONFLICT`, and those of the table and the keys; nothing was written then.
    pub async fn save(&self, save: Save, known: Known, on_conflict: OnConflict) -> Result<Saved> {
        let Save {
            sid,
            json,
            now,
            end,
        } = save;
        let key = self.ids.key(&sid)?;
        let content = Content::of(&json);
        let (condition, unchanged) = match known {
            Known::Nothing => (Condition::Always, None),
            Known::Gone if on_conflict == OnConflict::Overwrite => (Condition::Exists, None),
            Known::Gone => return Ok(Saved::Gone),
            Known::Record { mark, untouched } => {
                let unchanged = is_same(&mark, content, untouched);
                if unchanged && seconds_between(now, end) >= SHORT_LIFE {
                    return self.prolong(&key, mark, now, end).await;
                }
                (
                    Condition::Revision(mark.revision()),
                    unchanged.then_some(mark),
                )
            }
        };
        let record = self
            .seal(key, self.ids.payload(&sid, json), now, end)
            .await?;
        let written = |conflict| Saved::Written {
            mark: content.map(|content| mark_of(&record, content)),
            conflict,
        };
        match (self.write(&record, condition).await?, unchanged) {
            (Outcome::Written, _) => Ok(written(false)),
            (Outcome::Refused(None), _) => self.gone(&record.key).await,
            (Outcome::Refused(Some(_)), Some(mark)) => Ok(Saved::Unchanged(mark)),
            (Outcome::Refused(Some(_)), None) => match on_conflict {
                OnConflict::Error => Err(Error::Conflict),
                OnConflict::Drop => Ok(Saved::Dropped),
                OnConflict::Overwrite => match self.write(&record, Condition::Exists).await? {
                    Outcome::Written => Ok(written(true)),
                    Outcome::Refused(_) => self.gone(&record.key).await,
                },
            },
        }
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
        end: EpochSeconds,
        known: Option<Mark>,
    ) -> Result<Saved> {
        let key = self.ids.key(sid)?;
        let Some(mark) = known else {
            return Ok(match self.extend(&key, now, end).await? {
                Extension::Gone => Saved::Gone,
                _ => Saved::Extended(None),
            });
        };
        // While ttl is the cookie's end rounded up, the finer instant decides, so it must move.
        let end = if end == mark.ttl && seconds_between(now, end) < SHORT_LIFE {
            end.plus(1)
        } else {
            end
        };
        self.prolong(&key, mark, now, end).await
    }

    async fn prolong(
        &self,
        key: &str,
        mark: Mark,
        now: EpochMillis,
        end: EpochSeconds,
    ) -> Result<Saved> {
        if self.is_fresh(mark.ttl, now, end) {
            return Ok(Saved::Unchanged(mark));
        }
        Ok(match self.extend(key, now, end).await? {
            // What the caller has is what was sealed again only if nobody else had changed it.
            Extension::Resealed { before, after } if before == mark.tag => {
                Saved::Extended(Some(mark_of(&after, mark.content)))
            }
            Extension::Moved | Extension::Resealed { .. } => {
                Saved::Extended(Some(Mark { ttl: end, ..mark }))
            }
            Extension::Gone => Saved::Gone,
            Extension::Overtaken => Saved::Unchanged(mark),
        })
    }

    /// Whether a session that ends at `ttl` needs no new end yet.
    fn is_fresh(&self, ttl: EpochSeconds, now: EpochMillis, end: EpochSeconds) -> bool {
        let window = (seconds_between(now, end) * WINDOW_SHARE).min(self.saving.touch_after);
        let gained = seconds_from(ttl, end);
        end == ttl || (gained > 0.0 && gained < window)
    }

    async fn extend(&self, key: &str, now: EpochMillis, end: EpochSeconds) -> Result<Extension> {
        for _ in 0..TOUCH_ATTEMPTS {
            let lives = Condition::Lives {
                at: now.floor(),
                until: end,
            };
            match self.table.extend(key, end, lives).await? {
                Outcome::Written => return Ok(Extension::Moved),
                Outcome::Refused(None) => return Ok(Extension::Gone),
                Outcome::Refused(Some(item)) => {
                    let record = self.parse(&item)?;
                    if record.ended(now) {
                        return Ok(Extension::Gone);
                    }
                    if let Some(resealed) = self.reseal(record, now, end).await? {
                        return Ok(resealed);
                    }
                }
            }
        }
        Ok(Extension::Overtaken)
    }

    /// Seals what is stored again, with a later end, if nobody has written it since it was read.
    async fn reseal(
        &self,
        record: EncryptedSessionRecord,
        now: EpochMillis,
        end: EpochSeconds,
    ) -> Result<Option<Extension>> {
        let (key, before) = (record.key.clone(), record.sealed.tag);
        let revision = record.to_item().remove(AUTH_TAG);
        let unchanged = revision.map_or(Condition::Exists, Condition::Revision);
        let session = self.open(record, now).await?;
        let json = Plaintext::new(session.json.as_bytes().to_vec());
        let payload = self.ids.payload(&session.id, json);
        let after = self.seal(key, payload, now, end).await?;
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
    async fn gone(&self, key: &str) -> Result<Saved> {
        self.forget(key).await;
        Ok(Saved::Gone)
    }
}

fn is_same(mark: &Mark, content: Option<Content>, untouched: Option<bool>) -> bool {
    content.is_some_and(|content| {
        let rest = untouched.unwrap_or(content.rest == mark.content.rest);
        rest && content.cookie == mark.content.cookie
    })
}

fn mark_of(record: &EncryptedSessionRecord, content: Content) -> Mark {
    Mark {
        version: record.version(),
        tag: record.sealed.tag,
        ttl: record.ttl,
        content,
    }
}

#[allow(clippy::cast_precision_loss)] // seconds of this and the coming centuries
fn seconds_between(now: EpochMillis, end: EpochSeconds) -> f64 {
    end.0 as f64 - now.0 / 1000.0
}

#[allow(clippy::cast_precision_loss)]
fn seconds_from(start: EpochSeconds, end: EpochSeconds) -> f64 {
    end.0.saturating_sub(start.0) as f64
}
