//! Removes a session that is saved as ended. Time to Live would never delete its record if the
//! `ttl` is more than five years ago (Amazon DynamoDB Developer Guide, "Time to Live"), such as
//! that of a cookie that expires in 1970.

use super::SessionStore;
use super::save::{OnConflict, Over, Saved};
use super::session_table::{Condition, Outcome};
use crate::error::{Error, Result};
use crate::keys::cache::Since;
use crate::time::EpochMillis;

impl SessionStore {
    /// Removes a session on the condition that its save would use. A record that the caller's own
    /// attempts wrote is removed, too. A conflict is handled as in a save.
    pub(super) async fn remove(
        &self,
        key: &str,
        over: Option<Over>,
        now: EpochMillis,
        since: &Since,
        on_conflict: OnConflict,
    ) -> Result<Saved> {
        let Some(over) = over else {
            self.remove_any(key, now).await?;
            return Ok(self.gone(key));
        };
        let mut outcome = self.table.delete(key, over.condition()).await?;
        if let Outcome::Refused(Some(item)) = &outcome
            && let Some(revision) = self
                .own_revision(item, &over.mark, &over.attempts, since)
                .await
        {
            outcome = self
                .table
                .delete(key, Condition::Revision(revision))
                .await?;
        }
        match outcome {
            Outcome::Written => self.strike_off(key, over.mark.listing, now).await,
            Outcome::Refused(None) => {}
            Outcome::Refused(Some(_)) => match on_conflict {
                OnConflict::Error => return Err(Error::Conflict),
                OnConflict::Drop => return Ok(Saved::Dropped),
                OnConflict::Overwrite => self.remove_any(key, now).await?,
            },
        }
        Ok(self.gone(key))
    }
}
