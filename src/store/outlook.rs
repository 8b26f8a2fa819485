//! What a save or a touch will have to do, before anything is sent: callers that need not wait are answered at once.

use super::SessionStore;
use super::expiry::{Due, End, lives};
use super::save::is_same;
use crate::record::mark::{Content, Hash, Mark};
use crate::time::EpochMillis;

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

impl SessionStore {
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
        if cookie == mark.content.cookie && (mark.up_to_date || !lives(mark, ends, now)) {
            self.due(mark, ends, now, end).into()
        } else {
            Outlook::Write
        }
    }
}
