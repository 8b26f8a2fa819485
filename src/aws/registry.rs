//! Values that are shared by all who ask for the same key, as long as one of them holds the value.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

pub(super) struct Registry<K, V>(LazyLock<Mutex<HashMap<K, Weak<V>>>>);

impl<K: Eq + Hash, V> Registry<K, V> {
    pub(super) const fn new() -> Registry<K, V> {
        Registry(LazyLock::new(Mutex::default))
    }

    /// The one for `key`, made if there is none.
    pub(super) fn get(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = all.get(&key).and_then(Weak::upgrade) {
            return shared;
        }
        all.retain(|_, shared| shared.strong_count() > 0);
        let new = Arc::new(make());
        all.insert(key, Arc::downgrade(&new));
        new
    }

    /// Those that somebody holds, of the keys that are `wanted`.
    pub(super) fn held(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<V>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = all.iter().filter(|(key, _)| wanted(key));
        wanted.filter_map(|(_, shared)| shared.upgrade()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_any_more_is_let_go() {
        let registry: Registry<u32, Arc<()>> = Registry::new();
        let (first, used) = (Arc::new(()), Arc::new(()));
        let one = registry.get(1, || first.clone());
        let other = registry.get(1, || used.clone());
        assert!(Arc::ptr_eq(&one, &other), "shared");
        drop((one, other));
        assert_eq!(Arc::strong_count(&first), 1);
        let _two = registry.get(2, || used.clone());
        assert_eq!(registry.0.lock().expect("no panic").len(), 1);
    }
}
