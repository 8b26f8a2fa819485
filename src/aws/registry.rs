//! Things that are shared by all who ask for the same.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

pub(super) struct Registry<K, V>(LazyLock<Mutex<HashMap<K, Arc<V>>>>);

impl<K: Eq + Hash, V> Registry<K, V> {
    pub(super) const fn new() -> Registry<K, V> {
        Registry(LazyLock::new(Mutex::default))
    }

    /// The one for `key`, made if there is none.
    pub(super) fn get(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(key).or_insert_with(|| Arc::new(make())).clone()
    }
}
