//! Points in time. Every call brings the time of its caller's clock, so that a test can set it.

/// Whole seconds since 1970-01-01T00:00:00Z, the unit of the `ttl` attribute (`DynamoDB` Time to
/// Live takes no other).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochSeconds(pub i64);

/// Milliseconds since 1970-01-01T00:00:00Z, the unit of JavaScript's `Date.now()`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct EpochMillis(pub f64);

impl EpochMillis {
    /// The second that this moment lies in.
    #[must_use]
    pub fn floor(self) -> EpochSeconds {
        EpochSeconds(whole(self.0 / 1000.0))
    }

    /// The first whole second at or after this moment.
    #[must_use]
    pub fn ceil(self) -> EpochSeconds {
        EpochSeconds(whole((self.0 / 1000.0).ceil()))
    }
}

impl EpochMillis {
    /// In decimal notation, without fractions of a millisecond, as in an attribute of an item.
    #[must_use]
    pub fn number(self) -> String {
        format!("{:.0}", self.0.floor())
    }
}

impl EpochSeconds {
    /// Whether this moment has passed at `now`, or is `now`.
    #[must_use]
    pub fn reached(self, now: EpochMillis) -> bool {
        now.floor() >= self
    }

    /// `seconds` after this moment.
    #[must_use]
    pub fn plus(self, seconds: i64) -> EpochSeconds {
        EpochSeconds(self.0.saturating_add(seconds))
    }
}

/// Rounds down. `as` saturates at the limits of `i64` and converts NaN to 0; both are far from any
/// moment that a `Date` can hold.
#[allow(clippy::cast_possible_truncation)]
fn whole(seconds: f64) -> i64 {
    seconds.floor() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_rounded_down_and_up_to_seconds() {
        assert_eq!(EpochMillis(1999.0).floor(), EpochSeconds(1));
        assert_eq!(EpochMillis(1001.0).ceil(), EpochSeconds(2));
        assert_eq!(EpochMillis(1000.0).ceil(), EpochSeconds(1));
        assert_eq!(EpochMillis(-1.0).floor(), EpochSeconds(-1));
    }

    #[test]
    fn an_end_is_reached_at_its_own_second() {
        assert!(!EpochSeconds(5).reached(EpochMillis(4999.0)));
        assert!(EpochSeconds(5).reached(EpochMillis(5000.0)));
    }
}
