//! Moves the end of a session.

use super::SessionStore;
use super::expiry::{Due, End};
use super::save::{Known, OnConflict, Saved, mark_of};
use super::session_table::{Condition, Outcome};
use crate::crypto::envelope::AuthTag;
use crate::crypto::plaintext::Plaintext;
use crate::error::Result;
use crate::keys::cache::Since;
use crate::record::mark::Mark;
use crate::record::{AUTH_TAG, EncryptedSessionRecord};
use crate::time::{EpochMillis, EpochSeconds};

/// How many times a touch tries while others write the session.
pub(super) const TOUCH_ATTEMPTS: usize = 3;

/// The result of an attempt to move a session's end.
enum Extension {
    Moved,
    /// The session was sealed again, with the same content.
    Resealed {
        before: AuthTag,
        after: Box<EncryptedSessionRecord>,
    },
    Gone,
    /// Others have moved the end as far, or kept writing the session, which also moves its end.
    Overtaken,
}

impl SessionStore {
    /// Moves a session's end, if that is due. A session that is gone or has ended stays so, and the
    /// call succeeds. If the new end is later than the sealed `notAfter`, the session is sealed
    /// again, unless somebody else writes it meanwhile.
    ///
    /// # Errors
    /// `ERR_CONFIG` for an unusable id, and those of the table. If the session is sealed again,
    /// also those of [`SessionStore::get`].
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
                    .remove(&key, None, now, since, OnConflict::Overwrite)
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

    /// Moves the end of an unchanged session as `due` says.
    pub(super) async fn prolong(
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
            // Like an earlier end, this applies even if others have changed the session.
            Due::Over => {
                return self
                    .remove(key, None, now, since, OnConflict::Overwrite)
                    .await;
            }
            Due::Back(until) => (until, Condition::Lives { at, until }),
            Due::On(until) => (until, Condition::EndsBefore { at, until }),
        };
        let moved = |ttl| {
            Saved::Extended(Some(Mark {
                ttl,
                // Others may have sealed the session for longer than the caller knows.
                not_after: mark.not_after.map(|sealed| sealed.max(ttl)),
                ..mark.clone()
            }))
        };
        Ok(
            match self.extend(key, now, until, condition, since).await? {
                // The caller's content was sealed again only if nobody else had changed the
                // session.
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
                    if self.has_ended(&item, now) {
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

    /// Seals the stored session again, with a later end, if nobody has written it or moved its end
    /// since it was read.
    async fn reseal(
        &self,
        record: EncryptedSessionRecord,
        now: EpochMillis,
        end: EpochSeconds,
        since: &Since,
    ) -> Result<Option<Extension>> {
        let (key, before) = (record.key.clone(), record.sealed.tag);
        let (ttl, revision) = (record.ttl, record.to_item().remove(AUTH_TAG));
        let listing = record.listing;
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
        let after = self.seal(key, payload, now, end, listing, since).await?;
        Ok(match self.write(&after, unchanged).await? {
            Outcome::Written => Some(Extension::Resealed {
                before,
                after: Box::new(after),
            }),
            Outcome::Refused(_) => None,
        })
    }
}
