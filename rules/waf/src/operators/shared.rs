//! What all engines of the process share: equal automata are one, also those of a rule set that replaces its like.
//!
//! Nothing is kept alive here: what no engine uses any more is gone.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Entries from which the first look for dead ones is taken.
const FIRST_LOOK: usize = 1024;

/// Compiled things by what they are compiled from.
#[derive(Debug)]
pub(super) struct Shared<K, V> {
    entries: Mutex<Option<Entries<K, V>>>,
}

#[derive(Debug)]
struct Entries<K, V> {
    known: HashMap<K, Weak<V>>,
    /// Entries at which dead ones are looked for: twice the living ones of the last look.
    look_at: usize,
}

impl<K: Eq + Hash, V> Shared<K, V> {
    pub(super) const fn new() -> Self {
        Self { entries: Mutex::new(None) }
    }

    /// What some engine has.
    pub(super) fn get<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.as_ref()?.known.get(key)?.upgrade()
    }

    /// Shares what was compiled.
    pub(super) fn insert(&self, key: K, value: &Arc<V>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = entries.get_or_insert_with(|| Entries { known: HashMap::new(), look_at: FIRST_LOOK });
        entries.known.insert(key, Arc::downgrade(value));
        if entries.known.len() >= entries.look_at {
            entries.known.retain(|_, value| value.strong_count() > 0);
            entries.look_at = (entries.known.len() * 2).max(FIRST_LOOK);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.lock().unwrap().as_ref().map_or(0, |entries| entries.known.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_are_shared_and_the_dead_are_forgotten() {
        static SHARED: Shared<usize, usize> = Shared::new();
        let kept = Arc::new(7);
        SHARED.insert(7, &kept);
        for key in 10..10 * FIRST_LOOK {
            SHARED.insert(key, &Arc::new(key));
            assert!(SHARED.get(&key).is_none(), "nobody has it");
        }
        assert!(Arc::ptr_eq(&SHARED.get(&7).unwrap(), &kept));
        assert!(SHARED.len() <= FIRST_LOOK, "{}", SHARED.len());
    }
}
