//! The outlook: what a save or touch will have to do, decided before anything is sent. Callers that
//! need not wait are answered at once.

use super::SessionStore;
use super::expiry::{Due, End, lives};
use super::save::is_same;
use super::users::SessionUser;
use crate::record::mark::{Content, Hash, Mark};
use crate::time::EpochMillis;

/// What a save or touch of a known session has to do, as far as this process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Write the whole record, because its content has changed or it must be sealed again; or
    /// remove it.
    Write,
    /// Move the end to a later moment.
    Extend,
    /// Move the end to an earlier moment. If that fails, the next save does not make up for it.
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

/// What is compared with the mark of a session.
#[derive(Clone, Copy)]
pub enum Comparison {
    /// The whole content.
    Whole(Content),
    /// Only the cookie, because the caller knows that the rest has not changed.
    Cookie(Hash),
}

impl SessionStore {
    /// What a save of a known session has to do, as far as this process knows. `content` is its
    /// current content, and `user` its current user.
    #[must_use]
    pub fn outlook_of_save(
        &self,
        mark: &Mark,
        content: Comparison,
        ends: Option<EpochMillis>,
        now: EpochMillis,
        end: End,
        user: SessionUser,
    ) -> Outlook {
        let same = match content {
            Comparison::Whole(content) => is_same(mark, content, None),
            Comparison::Cookie(cookie) => cookie == mark.content.cookie,
        };
        let same = same && user.agrees(mark.listing);
        match self.kept(mark, ends, now, end, mark.up_to_date) {
            Some(due) if same => due.into(),
            _ => Outlook::Write,
        }
    }

    /// What a touch of a known session has to do, as far as this process knows. `cookie` is the
    /// hash of its current cookie, and `user` its current user.
    #[must_use]
    pub fn outlook_of_touch(
        &self,
        mark: &Mark,
        cookie: Hash,
        ends: Option<EpochMillis>,
        now: EpochMillis,
        end: End,
        user: SessionUser,
    ) -> Outlook {
        let up_to_date = mark.up_to_date && user.agrees(mark.listing);
        if cookie == mark.content.cookie && (up_to_date || !lives(mark, ends, now)) {
            self.due(mark, ends, now, end).into()
        } else {
            Outlook::Write
        }
    }
}
