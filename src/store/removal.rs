//! Removing a session that is saved as ended. Time to Live would leave a record whose `ttl` is more than five years ago (Amazon `DynamoDB` Developer Guide,
//! "Time to Live"), as of a cookie that ends in 1970.

use super::SessionStore;
use super::save::{OnConflict, Saved};
use crate::error::{Error, Result};
use crate::keys::cache::Since;
use crate::record::mark::Mark;
use crate::store::session_table::{Condition, Outcome};

impl SessionStore {
    /// Removes a session as its save would have written it: on the same condition, which what the caller knows as its `own` fulfils, too; a conflict
    /// ends in the same.
    pub(super) async fn remove(
        &self,
        key: &str,
        condition: Condition,
        own: Option<(Mark, Vec<Mark>)>,
        since: &Since,
        on_conflict: OnConflict,
    ) -> Result<Saved> {
        let mut outcome = self.table.delete(key, condition).await?;
        if let (Outcome::Refused(Some(item)), Some((mark, attempts))) = (&outcome, &own)
            && let Some(revision) = self.own_revision(item, mark, attempts, since).await
        {
            outcome = self
                .table
                .delete(key, Condition::Revision(revision))
                .await?;
        }
        if let Outcome::Refused(Some(_)) = outcome {
            match on_conflict {
                OnConflict::Error => return Err(Error::Conflict),
                OnConflict::Drop => return Ok(Saved::Dropped),
                OnConflict::Overwrite => self.table.delete(key, Condition::Always).await?,
            };
        }
        Ok(self.gone(key))
    }
}
