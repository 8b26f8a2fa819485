//! The schedule of revocation checks. While keys are used from the cache, one of them is unwrapped
//! again from time to time. If KMS refuses, the right to use the KMS key was taken away, and the
//! whole cache is emptied.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock::Moment;
use crate::error::{Error, Kind, Result};

/// When the next check is due.
pub(super) struct RevocationChecks {
    /// A [`Moment`]; [`NEVER`] until a key is cached.
    next: AtomicU64,
    interval: Duration,
}

const NEVER: u64 = u64::MAX;

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Usable,
    Revoked,
    /// KMS did not answer, or not now: the result is unknown.
    Unknown,
}

impl RevocationChecks {
    pub(super) fn new(interval: Duration) -> RevocationChecks {
        RevocationChecks {
            next: AtomicU64::new(NEVER),
            interval,
        }
    }

    /// A key was unwrapped: the first check is due an interval later.
    pub(super) fn arm(&self, now: Moment) {
        let Moment(first) = now.plus(self.interval);
        let _ = self
            .next
            .compare_exchange(NEVER, first, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether a check is due at `now`. Only one of several concurrent callers gets `true`.
    pub(super) fn due(&self, now: Moment) -> bool {
        let next = self.next.load(Ordering::Relaxed);
        let Moment(following) = now.plus(self.interval);
        now.0 >= next
            && self
                .next
                .compare_exchange(next, following, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

impl Verdict {
    pub(super) fn name(self) -> &'static str {
        match self {
            Verdict::Usable => "usable",
            Verdict::Revoked => "revoked",
            Verdict::Unknown => "unknown",
        }
    }

    pub(super) fn of<T>(result: &Result<T>) -> Verdict {
        match result {
            Ok(_) => Verdict::Usable,
            // Integrity with a source is KMS's refusal of a wrapped key that it has opened before:
            // the key encryption key is another one now. Without one, it is an answer that holds
            // something else than a data key, which says nothing of the key encryption key.
            Err(Error::Integrity { source: Some(_) }) => Verdict::Revoked,
            Err(error) => match error.kind() {
                Some(Kind::KeyUnusable | Kind::AccessDenied) => Verdict::Revoked,
                _ => Verdict::Unknown,
            },
        }
    }
}

#[cfg(test)]
mod tests {
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
        let checks = RevocationChecks::new(Duration::from_mins(1));
        let at = |seconds: u64| Moment(seconds * 1000);
        let due = |seconds: u64| checks.due(at(seconds));
        assert!(!due(900), "nothing is cached yet");
        checks.arm(at(1000));
        checks.arm(at(1030));
        assert!(!due(1000), "the key was unwrapped just now");
        assert!(!due(1059));
        assert!(due(1060));
        assert!(!due(1060), "one caller checks");
        assert!(due(1300), "intervals that passed are not made up for");
        assert!(!due(1301));
    }
}
