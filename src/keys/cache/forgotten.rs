//! Notes which sessions were forgotten while a call was under way. What the call has read of such a
//! session is out of date, so its data key is not cached.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::SessionHash;

/// The sessions that were forgotten since the oldest call that is still under way began.
#[derive(Clone, Default)]
pub(super) struct Forgotten(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    /// How many sessions were forgotten so far.
    count: u64,
    /// How many calls under way began at each count.
    under_way: BTreeMap<u64, usize>,
    /// At which count a session was forgotten last.
    last: HashMap<SessionHash, u64>,
    order: VecDeque<(u64, SessionHash)>,
}

/// The point from which a call has read the table. Must be taken before the first read.
pub(super) struct Began {
    log: Forgotten,
    at: u64,
}

impl Forgotten {
    pub(super) fn begin(&self) -> Began {
        let mut log = self.lock();
        let at = log.count;
        *log.under_way.entry(at).or_default() += 1;
        Began {
            log: self.clone(),
            at,
        }
    }

    pub(super) fn note(&self, session: SessionHash) {
        let mut log = self.lock();
        log.count += 1;
        if !log.under_way.is_empty() {
            let at = log.count;
            log.last.insert(session, at);
            log.order.push_back((at, session));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Began {
    /// Whether the session was forgotten since.
    pub(super) fn outlived(&self, session: &SessionHash) -> bool {
        let log = self.log.lock();
        log.last.get(session).is_some_and(|at| *at > self.at)
    }
}

impl Drop for Began {
    fn drop(&mut self) {
        let mut log = self.log.lock();
        if let Some(calls) = log.under_way.get_mut(&self.at) {
            *calls -= 1;
            if *calls == 0 {
                log.under_way.remove(&self.at);
            }
        }
        let oldest = log.under_way.keys().next().copied().unwrap_or(u64::MAX);
        while let Some((at, session)) = log.order.front().copied().filter(|(at, _)| *at <= oldest) {
            log.order.pop_front();
            if log.last.get(&session) == Some(&at) {
                log.last.remove(&session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_forgotten_is_known_to_the_calls_under_way_and_to_nobody_later() {
        let forgotten = Forgotten::default();
        let [a, b] = [[1; 32], [2; 32]];
        let first = forgotten.begin();
        forgotten.note(a);
        let second = forgotten.begin();
        forgotten.note(b);
        assert!(first.outlived(&a) && first.outlived(&b));
        assert!(!second.outlived(&a) && second.outlived(&b));
        drop(first);
        assert_eq!(forgotten.lock().order.len(), 1);
        assert!(second.outlived(&b));
        drop(second);
        forgotten.note(a);
        let log = forgotten.lock();
        assert!(log.last.is_empty() && log.order.is_empty() && log.under_way.is_empty());
    }
}
