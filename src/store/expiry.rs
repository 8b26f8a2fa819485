//! When sessions end, and whether a touch is due.

use super::SessionStore;
use crate::error::{Error, Result};
use crate::record::mark::Mark;
use crate::record::{Item, TTL, seconds};
use crate::time::{EpochMillis, EpochSeconds};

/// The longest `ttlSeconds`: ten years. A larger value is probably in milliseconds by mistake.
pub const MAX_TTL_SECONDS: f64 = 315_360_000.0;

/// If a session lives less than this many milliseconds, the whole seconds of `ttl` are too coarse,
/// and even an unchanged session is written whole.
const COARSE: f64 = 2000.0;

/// The window of `touchAfter` is this share of a session's lifetime if the option is not given.
const DEFAULT_SHARE: f64 = 0.01;

/// The window of `touchAfter` is at most this share of a session's lifetime.
const LARGEST_SHARE: f64 = 0.1;

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as their cookie, but at most ten years. Seven days if the cookie has no end, as in
    /// most session stores.
    OfCookie,
    /// This many seconds, from a checked `ttlSeconds`; or as long as their cookie, if that is
    /// shorter.
    AtMost(i64),
}

/// The lifetime in seconds if neither the cookie nor the caller sets one.
const SEVEN_DAYS: i64 = 604_800;

impl Lifetime {
    /// From seconds. Fractions of a second are dropped.
    ///
    /// # Errors
    /// `ERR_CONFIG` outside the range from 1 second to ten years.
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

    /// The end of a session that is saved or touched now.
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

/// The end that a session should get.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct End {
    /// The `ttl` to write.
    pub ttl: EpochSeconds,
    /// The exact moment. `ttl` rounds it up to whole seconds.
    pub exact: EpochMillis,
}

impl End {
    /// Whether this moment has passed at `now`, or is `now`.
    #[must_use]
    pub fn reached(self, now: EpochMillis) -> bool {
        self.exact <= now
    }
}

impl From<EpochSeconds> for End {
    #[allow(clippy::cast_precision_loss)] // exact for the coming centuries
    fn from(ttl: EpochSeconds) -> End {
        End {
            ttl,
            exact: EpochMillis(ttl.0 as f64 * 1000.0),
        }
    }
}

/// How far the end of an unchanged session must move, so that the move is worth a write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TouchAfter {
    /// By 1 % of the session's lifetime. Touches are most of the writes of a rolling session
    /// (`docs/scaling.md`).
    Share,
    /// By this many seconds, or by a tenth of the session's lifetime if that is less.
    Seconds(f64),
}

impl TouchAfter {
    /// The same in milliseconds, for a session that will live `lifetime` milliseconds.
    fn window(self, lifetime: f64) -> f64 {
        match self {
            TouchAfter::Share => lifetime * DEFAULT_SHARE,
            TouchAfter::Seconds(seconds) => (seconds * 1000.0).min(lifetime * LARGEST_SHARE),
        }
    }
}

/// How a session's end has to move.
pub(super) enum Due {
    /// Not at all: it is near enough.
    No,
    /// To an earlier moment.
    Back(EpochSeconds),
    /// To a later moment, unless the end is already as late.
    On(EpochSeconds),
    /// The session should have ended by now.
    Over,
}

impl SessionStore {
    /// Whether a save of an unchanged session asks for no earlier end than the caller has read.
    /// Others may have moved the end further meanwhile, in requests that began later.
    pub(super) fn asks_for_no_less(
        &self,
        mark: &Mark,
        ends: Option<EpochMillis>,
        now: EpochMillis,
        end: End,
    ) -> bool {
        !matches!(self.due(mark, ends, now, end), Due::Back(_))
    }

    /// How the end of an unchanged session has to move. `None` if the session must be written whole
    /// although it has not changed, because its record is not `current` or its end is too near.
    pub(super) fn kept(
        &self,
        mark: &Mark,
        ends: Option<EpochMillis>,
        now: EpochMillis,
        end: End,
        current: bool,
    ) -> Option<Due> {
        let due = self.due(mark, ends, now, end);
        let short = end.exact.0 - now.0 < COARSE;
        let coarse = short && matches!(due, Due::On(_));
        let over = matches!(due, Due::Over);
        (over || !lives(mark, ends, now) || (current && !coarse)).then_some(due)
    }

    /// How the end of an unchanged session has to move.
    pub(super) fn due(
        &self,
        mark: &Mark,
        ends: Option<EpochMillis>,
        now: EpochMillis,
        end: End,
    ) -> Due {
        let window = self.saving.touch_after.window(end.exact.0 - now.0);
        let by_ttl = End::from(mark.ttl).exact;
        // While `ttl` is the cookie's end rounded up, the exact end is compared. Otherwise, the
        // whole seconds of `ttl` are compared.
        let finer = ends.filter(|ends| *ends != by_ttl);
        let gained = match finer {
            Some(ends) => end.exact.0 - ends.0,
            None => End::from(end.ttl).exact.0 - by_ttl.0,
        };
        // A request that began earlier never asks for an earlier end than it has read. An earlier
        // end is therefore intended.
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
            // While `ttl` is the cookie's end rounded up, readers use the cookie's end. So `ttl`
            // must move.
            Due::On(end.ttl.max(mark.ttl.plus(1)))
        }
    }
}

/// Whether the session of a mark is alive at `now`, as far as this process knows.
pub(super) fn lives(mark: &Mark, ends: Option<EpochMillis>, now: EpochMillis) -> bool {
    ends.unwrap_or(End::from(mark.ttl).exact).0 > now.0
}

/// The `ttl` of an item.
pub(super) fn ttl_of(item: &Item) -> Option<EpochSeconds> {
    seconds(item, TTL).ok()
}
