//! The clock for the ages of cached keys and for revocation checks. It never goes back, and is read
//! at each use of a key. JavaScript's time, at which a call began, is used only for the ends of
//! sessions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// A monotonic clock in milliseconds. It does not run while the machine sleeps.
#[derive(Clone)]
pub struct Clock(Arc<Hands>);

struct Hands {
    started: Instant,
    /// Milliseconds.
    turned: AtomicU64,
}

/// Milliseconds since a clock was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

static OF_PROCESS: LazyLock<Clock> = LazyLock::new(Clock::default);

impl Default for Clock {
    fn default() -> Clock {
        Clock(Arc::new(Hands {
            started: Instant::now(),
            turned: AtomicU64::new(0),
        }))
    }
}

impl Clock {
    /// The clock of all caches of this process.
    #[must_use]
    pub fn of_process() -> Clock {
        OF_PROCESS.clone()
    }

    /// Advances the clock, for tests. It never goes back, so keys leave sooner and checks come
    /// sooner.
    pub fn turn(&self, by: Duration) {
        self.0.turned.fetch_add(millis(by), Ordering::Relaxed);
    }

    /// The moment that it is.
    #[must_use]
    pub fn now(&self) -> Moment {
        let turned = self.0.turned.load(Ordering::Relaxed);
        Moment(millis(self.0.started.elapsed()).saturating_add(turned))
    }
}

impl Moment {
    /// `duration` after this moment.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_add(millis(duration)))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
