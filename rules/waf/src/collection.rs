//! Where variables live: ordered multi-maps for what came in, and a store for what rules set.
//!
//! Keys are compared without regard to ASCII case, as ModSecurity does for every collection; they are shown as they
//! came. Neither map knows which rule may see which entry.

mod names;
mod store;

use bytes::Bytes;

use crate::scratch::push;

pub(crate) use names::Names;
pub(crate) use store::{Others, Slot, Store};

/// Names and values in the order in which they came; a name may come twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collection {
    entries: Vec<(Bytes, Bytes)>,
}

impl Collection {
    /// Adds an entry at the end.
    pub(crate) fn push(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        push(&mut self.entries, (name.into(), value.into()));
    }

    /// Every entry in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// The first value of a name.
    pub(crate) fn first(&self, name: &[u8]) -> Option<&Bytes> {
        self.entries.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Every entry with this name.
    pub(crate) fn named(&self, name: &[u8]) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name))
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Puts other texts in place of names and values.
    pub(crate) fn change(&mut self, mut change: impl FnMut(&Bytes) -> Option<Bytes>) {
        for (name, value) in &mut self.entries {
            for text in [name, value] {
                if let Some(other) = change(text) {
                    *text = other;
                }
            }
        }
    }

    /// Takes every entry away and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Bytes of the room.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(Bytes, Bytes)>()
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
}
