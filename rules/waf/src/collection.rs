//! Where variables live: ordered multi-maps for what came in, and a store for what rules set.
//!
//! Keys are compared without regard to ASCII case, as ModSecurity does for every collection; they are shown as they
//! came. Neither map knows which rule may see which entry.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::budget::WorkBudget;
use crate::limits::{STORE_BYTES, STORE_ENTRIES};

/// Names and values in the order in which they came; a name may come twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collection {
    entries: Vec<(Bytes, Bytes)>,
}

impl Collection {
    /// Adds an entry at the end.
    pub(crate) fn push(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.entries.push((name.into(), value.into()));
    }

    /// Every entry in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// The first value of a name.
    pub(crate) fn first(&self, name: &[u8]) -> Option<&Bytes> {
        self.entries.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// What rules set: one value a name, bounded in entries and bytes. Names are kept in lower case and ordered, so that
/// iteration is the same on every run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    entries: BTreeMap<Bytes, Bytes>,
    bytes: usize,
}

impl Store {
    /// Sets a value. A store that is full exhausts the budget and stays as it is.
    pub(crate) fn set(&mut self, name: &[u8], value: Bytes, budget: &mut WorkBudget) {
        let name = name.to_ascii_lowercase();
        let before = self.entries.get(name.as_slice());
        let freed = before.map_or(0, |value| name.len() + value.len());
        let bytes = self.bytes - freed + name.len() + value.len();
        if bytes > STORE_BYTES || (before.is_none() && self.entries.len() >= STORE_ENTRIES) {
            budget.exhaust("the variables that rules set take too much memory");
            return;
        }
        self.bytes = bytes;
        self.entries.insert(name.into(), value);
    }

    /// Removes a value.
    pub(crate) fn remove(&mut self, name: &[u8]) {
        let name = name.to_ascii_lowercase();
        if let Some(value) = self.entries.remove(name.as_slice()) {
            self.bytes -= name.len() + value.len();
        }
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &[u8]) -> Option<&Bytes> {
        if name.iter().any(u8::is_ascii_uppercase) {
            return self.entries.get(name.to_ascii_lowercase().as_slice());
        }
        self.entries.get(name)
    }

    /// Every entry in the order of names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_without_case_and_shown_as_they_came() {
        let mut collection = Collection::default();
        collection.push("User-Agent", "a");
        collection.push("user-agent", "b");
        assert_eq!(collection.first(b"USER-AGENT").unwrap(), "a");
        let names: Vec<_> = collection.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, ["User-Agent", "user-agent"]);
    }

    #[test]
    fn a_store_is_bounded_in_entries() {
        let (mut store, mut budget) = (Store::default(), WorkBudget::default());
        for n in 0..STORE_ENTRIES {
            store.set(n.to_string().as_bytes(), Bytes::new(), &mut budget);
        }
        assert_eq!(budget.exhausted(), None, "at the limit");
        store.set(b"0", Bytes::from_static(b"again"), &mut budget);
        assert_eq!(budget.exhausted(), None, "replacing is not adding");
        store.set(b"more", Bytes::new(), &mut budget);
        assert!(budget.exhausted().is_some(), "one over");
        assert_eq!(store.get(b"more"), None);
    }

    #[test]
    fn a_store_is_bounded_in_bytes_and_gives_back_what_is_removed() {
        let (mut store, mut budget) = (Store::default(), WorkBudget::default());
        store.set(b"a", Bytes::from(vec![0; STORE_BYTES - 1]), &mut budget);
        assert_eq!(budget.exhausted(), None, "at the limit");
        store.remove(b"A");
        store.set(b"b", Bytes::from(vec![0; STORE_BYTES - 1]), &mut budget);
        assert_eq!(budget.exhausted(), None, "the removed bytes are free again");
        store.set(b"c", Bytes::from_static(b""), &mut budget);
        assert!(budget.exhausted().is_some(), "one over");
    }
}
