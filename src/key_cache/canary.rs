//! The revocation canary: while keys are used from the cache, one of them is unwrapped again now and then. If KMS refuses, somebody took
//! the key away, and the whole cache goes.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::error::{Error, Result};
use crate::time::EpochMillis;

/// When the next check is due.
pub(super) struct Canary {
    /// Epoch milliseconds; [`NEVER`] until a key is cached.
    next: AtomicI64,
    /// Milliseconds.
    interval: i64,
}

const NEVER: i64 = i64::MIN;

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Usable,
    Revoked,
    /// KMS did not answer, or not now: nothing is known.
    Unknown,
}

impl Canary {
    pub(super) fn new(interval: std::time::Duration) -> Canary {
        Canary {
            next: AtomicI64::new(NEVER),
            interval: i64::try_from(interval.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// A key was unwrapped: the first check is due an interval later.
    #[allow(clippy::cast_possible_truncation)] // milliseconds of a Date
    pub(super) fn arm(&self, now: EpochMillis) {
        let first = (now.0 as i64).saturating_add(self.interval);
        let _ = self
            .next
            .compare_exchange(NEVER, first, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether a check is due at `now`; of concurrent callers one alone is told so. A clock that was set back makes it due at once.
    #[allow(clippy::cast_possible_truncation)] // milliseconds of a Date
    pub(super) fn due(&self, now: EpochMillis) -> bool {
        let now = now.0 as i64;
        let next = self.next.load(Ordering::Relaxed);
        let following = now.saturating_add(self.interval);
        let set_back = next > following.saturating_add(super::CLOCK_SLACK_MILLIS as i64);
        let due = next != NEVER && (now >= next || set_back);
        due && self
            .next
            .compare_exchange(next, following, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

impl Verdict {
    pub(super) fn of<T>(result: &Result<T>) -> Verdict {
        match result {
            Ok(_) => Verdict::Usable,
            // Integrity with a source is KMS's refusal of a wrapped key that it has opened before: the key encryption key is another one now. Without one,
            // it is an answer that holds something else than a data key, which says nothing of the key encryption key.
            Err(
                Error::KmsKeyUnusable { .. }
                | Error::AccessDenied { .. }
                | Error::Integrity { source: Some(_) },
            ) => Verdict::Revoked,
            Err(_) => Verdict::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_refusal_of_kms_says_that_the_key_was_taken_away() {
        let refused = Error::Integrity {
            source: Some(crate::error::Cause::new("IncorrectKeyException", "")),
        };
        assert_eq!(Verdict::of::<()>(&Err(refused)), Verdict::Revoked);
        // An answer that holds no data key of the right length.
        let odd = Err(Error::integrity());
        assert_eq!(Verdict::of::<()>(&odd), Verdict::Unknown);
    }

    #[test]
    fn it_is_due_once_an_interval_after_the_first_load() {
        let canary = Canary::new(Duration::from_mins(1));
        let due = |seconds: f64| canary.due(EpochMillis(seconds * 1000.0));
        assert!(!due(900.0), "nothing is cached yet");
        canary.arm(EpochMillis(1_000_000.0));
        canary.arm(EpochMillis(1_030_000.0));
        assert!(!due(1000.0), "the key was unwrapped just now");
        assert!(!due(1059.0));
        assert!(due(1060.0));
        assert!(!due(1060.0), "one caller checks");
        assert!(due(1120.0));
        assert!(!due(1119.9), "a call that began a little earlier");
        assert!(due(500.0), "the clock was set back");
        assert!(!due(501.0));
    }
}
