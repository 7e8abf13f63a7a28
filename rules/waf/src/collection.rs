//! Where variables live: ordered multi-maps for what came in, and a store for what rules set.
//!
//! Keys are compared without regard to ASCII case, as ModSecurity does for every collection; they are shown as they
//! came. Neither map knows which rule may see which entry.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

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

    /// Puts other texts in place of names and values.
    pub(crate) fn change(&mut self, change: impl Fn(&Bytes) -> Option<Bytes>) {
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

/// The names that a rule set writes itself, and texts that the fast path set by their place. Shared by all transactions
/// of an engine.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// In lower case, ascending.
    names: Vec<Bytes>,
    texts: Vec<Bytes>,
}

impl Names {
    /// Names, in lower case and ascending, and texts.
    pub(crate) fn new(names: Vec<Bytes>, texts: Vec<Bytes>) -> Self {
        Self { names, texts }
    }

    /// The place of a name in lower case.
    pub(crate) fn find(&self, name: &[u8]) -> Option<usize> {
        self.names.binary_search_by(|known| known.as_ref().cmp(name)).ok()
    }

    fn name(&self, place: usize) -> &Bytes {
        static NONE: Bytes = Bytes::new();
        self.names.get(place).unwrap_or(&NONE)
    }
}

/// The room of a store.
pub(crate) type Room = (Vec<Slot>, Others);

/// What a name of a rule set holds.
#[derive(Clone, Debug, Default)]
pub(crate) enum Slot {
    /// Nothing.
    #[default]
    Absent,
    /// One of the texts that all transactions share.
    Shared(usize),
    /// A text of its own.
    Own(Bytes),
}

/// Bytes of a name that is put in lower case without an allocation.
const LOWERED: usize = 64;
/// Names without a slot that are kept in a list.
const NEAR: usize = 32;

/// Names without a slot: the first in a list, more in a map.
#[derive(Clone, Debug, Default)]
pub(crate) struct Others {
    /// Ascending.
    near: Vec<(Bytes, Bytes)>,
    far: BTreeMap<Bytes, Bytes>,
}

impl Others {
    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        self.near.binary_search_by(|(known, _)| known.as_ref().cmp(name))
    }

    fn get(&self, name: &[u8]) -> Option<&Bytes> {
        match self.find(name) {
            Ok(place) => self.near.get(place).map(|(_, value)| value),
            Err(_) => self.far.get(name),
        }
    }

    fn set(&mut self, name: &Bytes, value: Bytes) {
        match self.find(name) {
            Ok(place) => {
                if let Some((_, known)) = self.near.get_mut(place) {
                    *known = value;
                }
            }
            Err(place) if self.near.len() < NEAR && !self.far.contains_key(name) => {
                self.near.insert(place, (name.clone(), value));
            }
            Err(_) => {
                self.far.insert(name.clone(), value);
            }
        }
    }

    fn remove(&mut self, name: &[u8]) -> Option<Bytes> {
        match self.find(name) {
            Ok(place) => Some(self.near.remove(place).1),
            Err(_) => self.far.remove(name),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        merge(self.near.iter().map(|(name, value)| (name, value)), self.far.iter())
    }

    /// Takes every entry away and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.near.clear();
        self.far.clear();
    }
}

/// Two lists in the order of names as one.
fn merge<'a>(
    left: impl Iterator<Item = (&'a Bytes, &'a Bytes)>,
    right: impl Iterator<Item = (&'a Bytes, &'a Bytes)>,
) -> impl Iterator<Item = (&'a Bytes, &'a Bytes)> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || match (left.peek(), right.peek()) {
        (Some((first, _)), Some((second, _))) if first < second => left.next(),
        (Some(_), None) => left.next(),
        _ => right.next(),
    })
}

/// What rules set: one value a name, bounded in entries and bytes. Names are kept in lower case and ordered, so that
/// iteration is the same on every run. Names that the rule set writes itself have slots; others are looked up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    names: Option<Arc<Names>>,
    slots: Vec<Slot>,
    others: Others,
    entries: usize,
    bytes: usize,
}

impl Store {
    /// A store with slots for these names, in this room.
    pub(crate) fn new(names: Option<Arc<Names>>, (mut slots, others): Room) -> Self {
        slots.clear();
        slots.resize_with(names.as_ref().map_or(0, |names| names.names.len()), Slot::default);
        Self { names, slots, others, ..Self::default() }
    }

    /// The room, with what is in it; the store is empty then.
    pub(crate) fn take_room(&mut self) -> Room {
        (std::mem::take(&mut self.slots), std::mem::take(&mut self.others))
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        self.names.as_ref()?.find(name)
    }

    /// Sets a value. A store that is full exhausts the budget and stays as it is.
    pub(crate) fn set(&mut self, name: &Bytes, value: Bytes, budget: &mut WorkBudget) {
        let lowered;
        let name = if name.iter().any(u8::is_ascii_uppercase) {
            lowered = Bytes::from(name.to_ascii_lowercase());
            &lowered
        } else {
            name
        };
        let place = self.find(name);
        let before = match place {
            Some(place) => self.slot(place),
            None => self.others.get(name),
        };
        let before = before.map(|value| name.len() + value.len());
        if !self.make_room(before, name.len() + value.len(), budget) {
            return;
        }
        match place.and_then(|place| self.slots.get_mut(place)) {
            Some(slot) => *slot = Slot::Own(value),
            None => self.others.set(name, value),
        }
    }

    /// Sets a slot to one of the shared texts, or to nothing.
    pub(crate) fn share(&mut self, place: usize, text: Option<usize>, budget: &mut WorkBudget) {
        let Some(names) = &self.names else { return };
        let name = names.name(place).len();
        let before = self.slot(place).map(|value| name + value.len());
        let after = text.and_then(|text| names.texts.get(text)).map_or(0, |value| name + value.len());
        let slot = match text {
            Some(text) if self.make_room(before, after, budget) => Slot::Shared(text),
            Some(_) => return,
            None => {
                self.leave_room(before);
                Slot::Absent
            }
        };
        if let Some(known) = self.slots.get_mut(place) {
            *known = slot;
        }
    }

    /// Counts a value that takes the place of another one; false if it is too much.
    fn make_room(&mut self, before: Option<usize>, after: usize, budget: &mut WorkBudget) -> bool {
        let bytes = self.bytes - before.unwrap_or(0) + after;
        if bytes > STORE_BYTES || (before.is_none() && self.entries >= STORE_ENTRIES) {
            budget.exhaust("the variables that rules set take too much memory");
            return false;
        }
        self.bytes = bytes;
        self.entries += usize::from(before.is_none());
        true
    }

    /// Counts what is removed.
    fn leave_room(&mut self, before: Option<usize>) {
        self.bytes -= before.unwrap_or(0);
        self.entries -= usize::from(before.is_some());
    }

    /// Removes a value.
    pub(crate) fn remove(&mut self, name: &[u8]) {
        let name = lower(name);
        let before = match self.find(&name) {
            Some(place) => {
                let before = self.slot(place).map(|value| name.len() + value.len());
                if let Some(slot) = self.slots.get_mut(place) {
                    *slot = Slot::Absent;
                }
                before
            }
            None => self.others.remove(name.as_ref()).map(|value| name.len() + value.len()),
        };
        self.leave_room(before);
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &[u8]) -> Option<&Bytes> {
        let mut room = [0; LOWERED];
        let name = match room.get_mut(..name.len()) {
            Some(lowered) => {
                lowered.copy_from_slice(name);
                lowered.make_ascii_lowercase();
                Cow::Borrowed(&*lowered)
            }
            None => lower(name),
        };
        match self.find(&name) {
            Some(place) => self.slot(place),
            None => self.others.get(&name),
        }
    }

    /// The value of a slot.
    pub(crate) fn slot(&self, place: usize) -> Option<&Bytes> {
        match self.slots.get(place)? {
            Slot::Absent => None,
            Slot::Shared(text) => self.names.as_ref()?.texts.get(*text),
            Slot::Own(value) => Some(value),
        }
    }

    /// Every entry in the order of names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        let named = self.names.iter().flat_map(|names| &names.names).enumerate();
        merge(named.filter_map(|(place, name)| Some((name, self.slot(place)?))), self.others.iter())
    }
}

/// A name in lower case.
fn lower(name: &[u8]) -> Cow<'_, [u8]> {
    if name.iter().any(u8::is_ascii_uppercase) {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    Cow::Borrowed(name)
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
            store.set(&Bytes::from(n.to_string()), Bytes::new(), &mut budget);
        }
        assert_eq!(budget.exhausted(), None, "at the limit");
        store.set(&Bytes::from_static(b"0"), Bytes::from_static(b"again"), &mut budget);
        assert_eq!(budget.exhausted(), None, "replacing is not adding");
        store.set(&Bytes::from_static(b"more"), Bytes::new(), &mut budget);
        assert!(budget.exhausted().is_some(), "one over");
        assert_eq!(store.get(b"more"), None);
    }

    #[test]
    fn names_with_slots_and_others_are_one_store() {
        let names = [&b"b"[..], b"d"].map(Bytes::from_static).to_vec();
        let names = Arc::new(Names::new(names, vec![Bytes::from_static(b"shared")]));
        let (mut store, mut budget) = (Store::new(Some(names), Room::default()), WorkBudget::default());
        for name in ["D", "c", "a"] {
            store.set(&Bytes::from_static(name.as_bytes()), Bytes::from_static(b"own"), &mut budget);
        }
        store.share(0, Some(0), &mut budget);
        let shown = |store: &Store| -> Vec<String> {
            store
                .iter()
                .map(|(name, value)| {
                    format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
                })
                .collect()
        };
        assert_eq!(shown(&store), ["a=own", "b=shared", "c=own", "d=own"]);
        assert_eq!((store.entries, store.bytes), (4, 4 + 3 + 3 + 3 + 6));
        store.remove(b"B");
        store.remove(b"a");
        store.share(1, None, &mut budget);
        assert_eq!(shown(&store), ["c=own"]);
        assert_eq!((store.entries, store.bytes), (1, 4));
    }

    #[test]
    fn a_store_is_bounded_in_bytes_and_gives_back_what_is_removed() {
        let (mut store, mut budget) = (Store::default(), WorkBudget::default());
        store.set(&Bytes::from_static(b"a"), Bytes::from(vec![0; STORE_BYTES - 1]), &mut budget);
        assert_eq!(budget.exhausted(), None, "at the limit");
        store.remove(b"A");
        store.set(&Bytes::from_static(b"b"), Bytes::from(vec![0; STORE_BYTES - 1]), &mut budget);
        assert_eq!(budget.exhausted(), None, "the removed bytes are free again");
        store.set(&Bytes::from_static(b"c"), Bytes::from_static(b""), &mut budget);
        assert!(budget.exhausted().is_some(), "one over");
    }
}
