//! When sessions end, and whether a touch is due.

use super::SessionStore;
use crate::error::{Error, Result};
use crate::record::mark::Mark;
use crate::record::{Item, TTL, seconds};
use crate::time::{EpochMillis, EpochSeconds};

/// The longest `ttlSeconds`: ten years. A longer one is more likely milliseconds taken for seconds.
pub const MAX_TTL_SECONDS: f64 = 315_360_000.0;

/// Below this many milliseconds of life, whole seconds of `ttl` are too coarse, and an unchanged session is written whole.
const COARSE: f64 = 2000.0;

/// How much of a session's lifetime the window of `touchAfter` takes at most.
const WINDOW_SHARE: f64 = 0.1;

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as their cookie, ten years at most; seven days without an end of the cookie, as most session stores have it.
    OfCookie,
    /// So many seconds, a checked `ttlSeconds`; or as long as their cookie, if that is less.
    AtMost(i64),
}

/// How many seconds a session lives whose cookie has no end, where nobody says.
const SEVEN_DAYS: i64 = 604_800;

impl Lifetime {
    /// From seconds; parts of a second are dropped.
    ///
    /// # Errors
    /// `ERR_CONFIG` outside 1 second to ten years.
    #[allow(clippy::cast_possible_truncation)] // the range was checked
    pub fn from_seconds(seconds: f64) -> Result<Lifetime> {
        if (1.0..=MAX_TTL_SECONDS).contains(&seconds) {
            Ok(Lifetime::AtMost(seconds as i64))
        } else {
            Err(Error::Config(format!(
                "ttlSeconds must be 1 to {MAX_TTL_SECONDS} seconds, not {seconds}"
            )))
        }
    }

    /// When a session ends that is saved or touched now.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // a constant
    pub fn end(self, now: EpochMillis, cookie_expires: Option<EpochMillis>) -> End {
        let after = |seconds| End::from(now.floor().plus(seconds));
        let (latest, otherwise) = match self {
            Lifetime::OfCookie => (after(MAX_TTL_SECONDS as i64), after(SEVEN_DAYS)),
            Lifetime::AtMost(seconds) => (after(seconds), after(seconds)),
        };
        match cookie_expires {
            None => otherwise,
            Some(exact) if exact.ceil() <= latest.ttl => End {
                ttl: exact.ceil(),
                exact,
            },
            Some(_) => latest,
        }
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

/// How a session's end is to move.
pub(super) enum Due {
    /// It is near enough.
    No,
    /// To an earlier moment.
    Back(EpochSeconds),
    /// To a later moment, unless it is later already.
    On(EpochSeconds),
    /// It is to have ended.
    Over,
}

impl SessionStore {
    /// Whether a save of a session that did not change asks for no earlier end than the caller has read. Others may have moved it further meanwhile, in
    /// requests that began later.
    pub(super) fn asks_for_no_less(
        &self,
        mark: &Mark,
        ends: Option<EpochMillis>,
        now: EpochMillis,
        end: End,
    ) -> bool {
        !matches!(self.due(mark, ends, now, end), Due::Back(_))
    }

    /// How the end of a session whose content is what it was is to move; `None` if the session must be written whole all the same.
    pub(super) fn kept(
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
        (over || !lives(mark, ends, now) || (mark.up_to_date && !coarse)).then_some(due)
    }

    /// How the end of a session whose content is what it was is to move.
    pub(super) fn due(
        &self,
        mark: &Mark,
        ends: Option<EpochMillis>,
        now: EpochMillis,
        end: End,
    ) -> Due {
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
}

/// Whether the session of a mark lives at `now`, as far as this process can tell.
pub(super) fn lives(mark: &Mark, ends: Option<EpochMillis>, now: EpochMillis) -> bool {
    ends.unwrap_or(End::from(mark.ttl).exact).0 > now.0
}

/// The `ttl` of an item.
pub(super) fn ttl_of(item: &Item) -> Option<EpochSeconds> {
    seconds(item, TTL).ok()
}
