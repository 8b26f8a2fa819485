//! Bounds the capacity units that a command uses in a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A bound on units in a second. Whoever needs units waits for its turn.
pub struct Pace {
    per_second: Option<f64>,
    /// When all units that were taken so far are paid for.
    paid_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// At most this many units in a second on average; `None` for as many as there are.
    #[must_use]
    pub fn new(per_second: Option<f64>) -> Pace {
        Pace {
            per_second: per_second.filter(|rate| rate.is_finite() && *rate > 0.0),
            paid_at: Mutex::default(),
        }
    }

    /// The bound.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        self.per_second
    }

    /// Takes units, and waits until those that were taken before are paid for.
    pub async fn take(&self, units: f64) {
        let wait = self.charge(units, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes units at the moment `now`. Returns how long to wait before they may be used.
    #[must_use]
    pub fn charge(&self, units: f64, now: Instant) -> Duration {
        let Some(per_second) = self.per_second else {
            return Duration::ZERO;
        };
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = paid_at.map_or(now, |paid_at| paid_at.max(now));
        *paid_at = Some(begin + seconds(units / per_second));
        begin - now
    }

    /// Corrects the number of units of which [`Pace::take`] took an estimate.
    pub fn correct(&self, estimate: f64, used: f64) {
        let Some(per_second) = self.per_second else {
            return;
        };
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let difference = (used - estimate) / per_second;
        *paid_at = paid_at.map(|paid_at| {
            if difference >= 0.0 {
                paid_at + seconds(difference)
            } else {
                paid_at.checked_sub(seconds(-difference)).unwrap_or(paid_at)
            }
        });
    }
}

/// A duration that is at most a day, whatever the numbers.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, 86_400.0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_used_no_faster_than_allowed() {
        let pace = Pace::new(Some(10.0));
        let start = Instant::now();
        let mut at = start;
        for _ in 0..20 {
            at += pace.charge(5.0, at); // the clock turns by what it says
        }
        // 19 times 5 units must be paid for before the last 5 are used.
        assert_eq!(at - start, Duration::from_millis(9500));
    }

    #[test]
    fn concurrent_takers_wait_for_each_other() {
        let pace = Pace::new(Some(1.0));
        let now = Instant::now();
        let waits: Vec<_> = (0..4).map(|_| pace.charge(2.0, now).as_secs()).collect();
        assert_eq!(waits, [0, 2, 4, 6]);
    }

    #[test]
    fn time_in_which_nothing_was_taken_is_not_saved_up() {
        let pace = Pace::new(Some(1.0));
        let now = Instant::now();
        assert!(pace.charge(1.0, now).is_zero());
        let later = now + Duration::from_hours(1);
        assert!(pace.charge(5.0, later).is_zero());
        assert_eq!(pace.charge(1.0, later), Duration::from_secs(5));
    }

    #[test]
    fn an_estimate_is_corrected_by_what_was_used() {
        let pace = Pace::new(Some(1.0));
        let now = Instant::now();
        assert!(pace.charge(1.0, now).is_zero());
        pace.correct(1.0, 4.0);
        assert_eq!(pace.charge(3.0, now), Duration::from_secs(4));
        pace.correct(3.0, 1.0);
        assert_eq!(pace.charge(0.0, now), Duration::from_secs(5));
    }

    #[test]
    fn without_a_bound_nobody_waits() {
        let pace = Pace::new(None);
        let now = Instant::now();
        assert!((0..9).all(|_| pace.charge(1e9, now).is_zero()));
    }
}
