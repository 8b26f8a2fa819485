//! Reading and removing a session in one call, for what may be used once.

use super::session_table::{Condition, Outcome};
use super::{Forgets, Lookup, SessionStore};
use crate::error::Result;
use crate::time::EpochMillis;

impl SessionStore {
    /// Reads a session and removes it: of all callers, one gets it. It is removed only after it was opened, and only as it was read, so a failure of the
    /// keys, a record that cannot be opened, and whatever is no session of this store leave the item where it is. (Removing it first and putting it back
    /// after such a failure could bring back what somebody has destroyed meanwhile, and would lose it where the process or the table fails in between.)
    ///
    /// A removal that the SDK repeats because its answer was lost finds nothing, and then no caller gets the session.
    ///
    /// # Errors
    /// Those of [`SessionStore::get`]. After those of the table, the session may be gone.
    pub async fn take(&self, sid: &str, now: EpochMillis) -> Result<Lookup> {
        let key = self.ids.key(sid)?;
        // Repeated only if somebody has changed the session since it was read.
        loop {
            let session = match self.get(sid, now).await? {
                Lookup::Found(session) => session,
                none => return Ok(none),
            };
            // The caller cannot read it either, and will say so.
            if !self.policy.kind.is_shape_of(&session.json) {
                return Ok(Lookup::Found(session));
            }
            let as_read = Condition::Unmoved {
                revision: session.mark.revision(),
                ttl: session.mark.ttl,
            };
            let _forgets = Forgets(self, &key);
            match self.table.delete(&key, as_read).await? {
                Outcome::Written => {
                    self.strike_off(&key, session.mark.listing, now).await;
                    return Ok(Lookup::Found(session));
                }
                Outcome::Refused(None) => return Ok(Lookup::Missing),
                Outcome::Refused(Some(_)) => {}
            }
        }
    }
}
