//! What a cache has that is not switched off.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use super::clock::Clock;
use super::forgotten::Forgotten;
use super::generation::{Generation, Place};
use super::loads::Loads;
use super::revocation::RevocationChecks;
use super::samples::Sample;
use super::slot::Slot;
use super::stats::Counters;
use super::sweeper::Sweeper;
use super::{EntryId, Limits, SessionHash, Since};
use crate::crypto::data_key::{DataKey, WrappedKey};

pub(super) struct Cached {
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) revocation: RevocationChecks,
    pub(super) forgotten: Forgotten,
    pub(super) unwrapping: Loads<EntryId, Loaded>,
    pub(super) making: Loads<SessionHash, Loaded>,
    generation: RwLock<Arc<Generation>>,
    sweeper: Sweeper,
    counters: Arc<Counters>,
}

/// What a load gives to all that wait for it.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) key: Arc<DataKey>,
    pub(super) slot: Arc<Slot>,
}

/// Whether a session's record was opened or written with a data key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    Yes,
    /// Until then, the key is linked to the session only so that it can be wiped with it.
    NotYet,
}

impl Cached {
    pub(super) fn new(limits: Limits, clock: Clock, counters: &Arc<Counters>) -> Cached {
        Cached {
            generation: RwLock::new(Generation::new(&limits, counters)),
            revocation: RevocationChecks::new(limits.revocation_check),
            forgotten: Forgotten::default(),
            unwrapping: Loads::default(),
            making: Loads::default(),
            sweeper: Sweeper::default(),
            counters: counters.clone(),
            clock,
            limits,
        }
    }

    /// The keys that are cached now.
    pub(super) fn generation(&self) -> Arc<Generation> {
        let generation = self.generation.read();
        generation.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of keys, including those that are being wiped.
    pub(super) fn entries(&self) -> u64 {
        self.counters.entries.load(Ordering::Relaxed)
    }

    /// A cached data key.
    pub(super) fn key(&self, entry: &EntryId) -> Option<(Arc<DataKey>, Arc<Slot>)> {
        let slot = self.generation().data_keys.get(entry)?;
        slot.key(self.clock.now()).map(|key| (key, slot))
    }

    /// The data key of a session, for one more seal.
    pub(super) fn key_to_seal(
        &self,
        session: &SessionHash,
        entry_id: impl FnOnce(&WrappedKey) -> EntryId,
        bytes: usize,
    ) -> Option<(Arc<DataKey>, Arc<Slot>)> {
        let generation = self.generation();
        let place = generation.sessions.get(session)?;
        if place.opened == Opened::NotYet {
            return None;
        }
        let slot = generation.data_keys.get(&entry_id(&place.wrapped))?;
        let key = slot.key_to_seal(bytes, &self.limits, self.clock.now())?;
        Some((key, slot))
    }

    /// Caches a key that was just loaded for a session, in the generation in which the load began.
    pub(super) fn put_away(
        self: &Arc<Cached>,
        generation: &Generation,
        key: Arc<DataKey>,
        sample: Sample,
        (entry, session): (EntryId, SessionHash),
        opened: Opened,
        since: &Since,
    ) -> Loaded {
        let now = self.clock.now();
        self.revocation.arm(now);
        let sample = Arc::new(sample);
        let tally = generation.samples.enter(&sample);
        let slot = Slot::new(key.clone(), sample.clone(), tally, &self.limits, now);
        if self.has_room(since) {
            generation.keep(entry, &slot);
            self.sweeper.run(self);
            if opened == Opened::Yes || !generation.sessions.contains_key(&session) {
                let wrapped = sample.wrapped.clone();
                generation
                    .sessions
                    .insert(session, Place { wrapped, opened });
            }
        } else {
            slot.empty();
        }
        // Checked after the key was inserted: a call that forgets the session at the same time
        // either finds the key, or is seen here.
        if since.outlived(&session) {
            generation.sessions.invalidate(&session);
            generation.data_keys.invalidate(&entry);
        }
        Loaded { key, slot }
    }

    /// Notes the wrapped key of a session's record, and returns the previous one.
    pub(super) fn remember(
        &self,
        (entry, session): (EntryId, SessionHash),
        wrapped: &WrappedKey,
        since: &Since,
    ) -> Option<WrappedKey> {
        let generation = self.generation();
        let before = generation.sessions.get(&session);
        let same = |place: &Place| place.opened == Opened::Yes && place.wrapped == *wrapped;
        if before.as_ref().is_some_and(same) {
            return None;
        }
        if before.is_some() || self.has_room(since) {
            let place = Place {
                wrapped: wrapped.clone(),
                opened: Opened::Yes,
            };
            generation.sessions.insert(session, place);
        }
        if since.outlived(&session) {
            generation.sessions.invalidate(&session);
            generation.data_keys.invalidate(&entry);
        }
        before
            .map(|place| place.wrapped)
            .filter(|before| before != wrapped)
    }

    /// Notes that a session is forgotten, and returns its wrapped key.
    pub(super) fn forget(&self, session: SessionHash) -> Option<WrappedKey> {
        self.forgotten.note(session);
        let place = self.generation().sessions.remove(&session);
        place.map(|place| place.wrapped)
    }

    pub(super) fn wipe(&self, entry: &EntryId) {
        self.generation().data_keys.invalidate(entry);
    }

    /// No call finds a key any more when this returns. The keys are overwritten when the returned
    /// future resolves.
    pub(super) fn clear(&self) -> impl Future<Output = ()> + use<> {
        let new = Generation::new(&self.limits, &self.counters);
        let old = {
            let mut generation = self
                .generation
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *generation, new)
        };
        let wiped = old.wipe();
        async {
            let _ = wiped.await;
        }
    }

    pub(super) fn sweeper(&self) -> &Sweeper {
        &self.sweeper
    }

    /// Ends what runs beside the calls.
    pub(super) fn end(&self) {
        self.making.end();
        self.unwrapping.end();
        self.sweeper.end();
    }

    /// A scan caches the keys that it unwraps only where there is room.
    fn has_room(&self, since: &Since) -> bool {
        !since.scan || self.entries() < self.limits.max_entries
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        drop(self.generation().wipe());
    }
}
