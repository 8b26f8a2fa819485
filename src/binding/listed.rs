//! Sessions that a call lists. JavaScript takes them in slices, so that its thread can do other
//! things in between.

use std::collections::VecDeque;

use napi_derive::napi;

use super::objects::Session;
use crate::store::OpenedSession;

/// How many bytes of JSON one slice has, unless a single session has more. `JSON.parse` takes less
/// than a millisecond for them.
const SLICE: usize = 65_536;

/// The sessions that have not been taken yet.
#[napi]
pub struct ListedSessions(VecDeque<OpenedSession>);

impl From<Vec<OpenedSession>> for ListedSessions {
    fn from(sessions: Vec<OpenedSession>) -> ListedSessions {
        ListedSessions(sessions.into())
    }
}

#[napi]
impl ListedSessions {
    /// Takes the next slice; an empty one if there are no more.
    #[napi(catch_unwind)]
    pub fn take(&mut self) -> Vec<Session> {
        let (mut slice, mut size) = (Vec::new(), 0);
        while size < SLICE
            && let Some(session) = self.0.pop_front()
        {
            size += session.json.len();
            slice.push(Session::named(session));
        }
        slice
    }
}

/// One page of all sessions.
#[napi(object, object_from_js = false)]
pub struct SessionPage {
    pub sessions: Vec<Session>,
    /// Where the next page begins; missing on the last one.
    pub next: Option<String>,
}
