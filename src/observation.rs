//! What happens inside calls, for those who look at it: JavaScript's diagnostics channels. Nothing
//! is noted while nobody looks.

use std::fmt::{Debug, Formatter};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Service;

/// Something that happened. `call` is the number of the call that it belongs to; 0 if it belongs to
/// none, as what runs beside the calls.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An attempt of a request to AWS ended.
    Attempt {
        /// The call that sent it.
        call: f64,
        /// Where it went.
        service: Service,
        /// The operation: `GetItem`.
        operation: String,
        /// The number of the attempt, from 1.
        number: u32,
        /// How long it took, in milliseconds.
        millis: f64,
        /// The HTTP status; `None` if there was no answer.
        status: Option<u16>,
    },
    /// A data key was needed.
    KeyNeeded {
        /// The call that needed it.
        call: f64,
        /// Whether it was cached.
        cached: bool,
    },
    /// A revocation check ended.
    RevocationCheck {
        /// `usable`, `revoked` or `unknown`.
        outcome: &'static str,
    },
}

type Listener = Box<dyn Fn(Event) + Send + Sync>;

/// Whether anybody looks at one store, and who gets the events.
#[derive(Default)]
pub struct Observation {
    on: AtomicBool,
    listener: OnceLock<Listener>,
}

impl Observation {
    /// Sets who gets the events. Only the first one is kept.
    pub fn listen(&self, listener: impl Fn(Event) + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
    }

    /// Begins or ends it.
    pub fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// Whether anybody looks.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Passes an event on.
    pub(crate) fn note(&self, event: Event) {
        if let Some(listener) = self.listener.get() {
            listener(event);
        }
    }
}

impl Debug for Observation {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Observation")
            .field("on", &self.on)
            .finish_non_exhaustive()
    }
}
