//! What rules set: one value a name, with slots for the names that the rule set writes itself.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use regex_automata::meta::Regex;

use super::Names;
use crate::budget::WorkBudget;
use crate::limits::{STORE_BYTES, STORE_ENTRIES};
use crate::scratch::{Arena, push};
use crate::values::number_text;

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
/// Names without a slot, with their values.
#[derive(Debug, Default)]
pub(crate) struct Others {
    /// In any order.
    entries: Vec<(Bytes, Bytes)>,
    /// Their places, by ascending names; [`STORE_ENTRIES`] are fewer than numbers.
    order: Vec<u16>,
    /// Names in lower case.
    lowered: Arena,
}

impl Others {
    fn at(&self, place: u16) -> Option<(&Bytes, &Bytes)> {
        self.entries.get(usize::from(place)).map(|(name, value)| (name, value))
    }

    /// Where a name is in the order, or would be.
    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        let known = |place: &u16| self.at(*place).map(|(known, _)| known.as_ref()).unwrap_or_default();
        self.order.binary_search_by(|place| known(place).cmp(name))
    }

    fn get(&self, name: &[u8]) -> Option<&Bytes> {
        let place = *self.order.get(self.find(name).ok()?)?;
        self.at(place).map(|(_, value)| value)
    }

    fn set(&mut self, name: &Bytes, value: Bytes) {
        match self.find(name) {
            Ok(at) => {
                let place = self.order.get(at).map_or(usize::MAX, |place| usize::from(*place));
                if let Some((_, known)) = self.entries.get_mut(place) {
                    *known = value;
                }
            }
            Err(at) => {
                let Ok(place) = u16::try_from(self.entries.len()) else { return };
                push(&mut self.entries, (name.clone(), value));
                self.order.insert(at, place);
            }
        }
    }

    fn remove(&mut self, name: &[u8]) -> Option<Bytes> {
        let at = self.find(name).ok()?;
        // The last one takes the place of what is removed.
        let last = self.entries.last().and_then(|(name, _)| self.find(name).ok())?;
        let place = *self.order.get(at)?;
        if let Some(moved) = self.order.get_mut(last) {
            *moved = place;
        }
        self.order.remove(at);
        Some(self.entries.swap_remove(usize::from(place)).1)
    }

    fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.from(b"")
    }

    /// The entries from a name on.
    fn from(&self, start: &[u8]) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        let from = self.find(start).unwrap_or_else(|from| from);
        self.order.get(from..).unwrap_or_default().iter().filter_map(|place| self.at(*place))
    }

    /// Takes every entry away and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
    }

    /// Bytes of the room.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(Bytes, Bytes)>() + self.order.capacity() * size_of::<u16>()
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
#[derive(Debug, Default)]
pub(crate) struct Store {
    names: Option<Arc<Names>>,
    slots: Vec<Slot>,
    others: Others,
    entries: usize,
    bytes: usize,
}

impl Store {
    /// A store with slots for these names, in this room.
    pub(crate) fn new(names: Option<Arc<Names>>, mut slots: Vec<Slot>) -> Self {
        slots.clear();
        slots.resize_with(names.as_ref().map_or(0, |names| names.len()), Slot::default);
        Self { names, slots, ..Self::default() }
    }

    /// The room of the slots; they are gone then.
    pub(crate) fn take_slots(&mut self) -> Vec<Slot> {
        std::mem::take(&mut self.slots)
    }

    /// Gives room for names without a slot, where there are none.
    pub(crate) fn give_room(&mut self, room: Others) {
        if self.others.entries.is_empty() {
            self.others = room;
        }
    }

    /// Forgets the names without a slot that are not needed any more. Gives their room.
    pub(crate) fn forget(&mut self, is_needed: impl Fn(&[u8]) -> bool) -> Others {
        let mut room = std::mem::take(&mut self.others);
        for (name, value) in room.entries.drain(..) {
            if is_needed(&name) {
                self.others.set(&name, value);
            } else {
                self.leave_room(Some(name.len() + value.len()));
            }
        }
        room.clear();
        room
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        self.names.as_ref()?.find(name)
    }

    /// Sets a value. A store that is full exhausts the budget and stays as it is.
    pub(crate) fn set(&mut self, name: &Bytes, value: Bytes, budget: &mut WorkBudget) {
        if let Some(place) = self.find(name) {
            return self.fill(place, value, budget);
        }
        let lowered;
        let name = if name.iter().any(u8::is_ascii_uppercase) {
            lowered = self.others.lowered.lower(name);
            &lowered
        } else {
            name
        };
        let before = self.others.get(name).map(|value| name.len() + value.len());
        if self.make_room(before, name.len() + value.len(), budget) {
            self.others.set(name, value);
        }
    }

    /// Sets a slot.
    pub(crate) fn fill(&mut self, place: usize, value: Bytes, budget: &mut WorkBudget) {
        let after = self.name_bytes(place) + value.len();
        if self.make_room(self.bytes_at(place), after, budget)
            && let Some(slot) = self.slots.get_mut(place)
        {
            *slot = Slot::Own(value);
        }
    }

    /// Sets a slot to one of the shared texts, or to nothing.
    pub(crate) fn share(&mut self, place: usize, text: Option<usize>, budget: &mut WorkBudget) {
        let Some(text) = text else { return self.empty(place) };
        let shared = self.names.as_ref().and_then(|names| names.text(text)).map_or(0, Bytes::len);
        if self.make_room(self.bytes_at(place), self.name_bytes(place) + shared, budget)
            && let Some(slot) = self.slots.get_mut(place)
        {
            *slot = Slot::Shared(text);
        }
    }

    /// One of the shared texts.
    pub(crate) fn shared(&self, text: usize) -> Bytes {
        self.names.as_ref().and_then(|names| names.text(text)).cloned().unwrap_or_default()
    }

    /// Sets what a group captured, or nothing.
    pub(crate) fn capture(&mut self, group: usize, text: Option<Bytes>, budget: &mut WorkBudget) {
        let place = self.names.as_ref().and_then(|names| names.capture(group));
        match (place, text) {
            (Some(place), Some(text)) => self.fill(place, text, budget),
            (Some(place), None) => self.empty(place),
            (None, Some(text)) => self.set(&number_text(group as u64), text, budget),
            (None, None) => self.remove(&number_text(group as u64)),
        }
    }

    /// Takes the value of a slot away.
    fn empty(&mut self, place: usize) {
        if matches!(self.slots.get(place), Some(Slot::Absent)) {
            return;
        }
        self.leave_room(self.bytes_at(place));
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Slot::Absent;
        }
    }

    /// Bytes of the name of a slot.
    fn name_bytes(&self, place: usize) -> usize {
        self.names.as_ref().map_or(0, |names| names.name(place).len())
    }

    /// Bytes of name and value of a slot, if it has a value.
    fn bytes_at(&self, place: usize) -> Option<usize> {
        self.slot(place).map(|value| self.name_bytes(place) + value.len())
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
        if let Some(place) = self.find(name) {
            return self.empty(place);
        }
        let removed = self.others.remove(&lower(name));
        self.leave_room(removed.map(|value| name.len() + value.len()));
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &[u8]) -> Option<&Bytes> {
        if let Some(place) = self.find(name) {
            return self.slot(place);
        }
        let mut room = [0; LOWERED];
        let name = match room.get_mut(..name.len()) {
            Some(lowered) => {
                lowered.copy_from_slice(name);
                lowered.make_ascii_lowercase();
                Cow::Borrowed(&*lowered)
            }
            None => lower(name),
        };
        self.others.get(&name)
    }

    /// The value of a slot.
    pub(crate) fn slot(&self, place: usize) -> Option<&Bytes> {
        match self.slots.get(place)? {
            Slot::Absent => None,
            Slot::Shared(text) => self.names.as_ref()?.text(*text),
            Slot::Own(value) => Some(value),
        }
    }

    /// Every entry in the order of names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        merge(self.named(0..self.slots.len()), self.others.iter())
    }

    /// The entries whose name an expression finds, in the order of names.
    pub(crate) fn found_by<'a>(
        &'a self,
        selector: &'a Arc<Regex>,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Bytes)> {
        let finds = |(name, _): &(&Bytes, &Bytes)| selector.is_match(name.as_ref());
        let found = self.names.as_ref().and_then(|names| names.found_by(selector));
        let rest = if found.is_some() { 0 } else { self.slots.len() };
        let named = self.named(found.unwrap_or_default().iter().copied());
        merge(named.chain(self.named(0..rest).filter(finds)), self.others.iter().filter(finds))
    }

    /// The entries whose name begins like this, in lower case, in the order of names.
    pub(crate) fn beginning<'a>(&'a self, start: &'a [u8]) -> impl Iterator<Item = (&'a Bytes, &'a Bytes)> {
        let places = self.names.as_ref().map_or(0..0, |names| names.beginning(start));
        let others = self.others.from(start).take_while(move |(name, _)| name.starts_with(start));
        merge(self.named(places), others)
    }

    /// The entries of slots.
    fn named(&self, places: impl Iterator<Item = usize>) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        places.filter_map(|place| Some((self.names.as_ref()?.name(place), self.slot(place)?)))
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
        let names = Arc::new(Names::new(names, vec![Bytes::from_static(b"shared")], &[]));
        let (mut store, mut budget) = (Store::new(Some(names), Vec::new()), WorkBudget::default());
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
    fn names_that_are_not_needed_are_forgotten_and_no_others() {
        let names = Arc::new(Names::new(vec![Bytes::from_static(b"own")], Vec::new(), &[]));
        let (mut store, mut budget) = (Store::new(Some(names), Vec::new()), WorkBudget::default());
        for name in ["own", "c", "a", "b"] {
            store.set(&Bytes::from_static(name.as_bytes()), Bytes::from_static(b"1"), &mut budget);
        }
        let room = store.forget(|name| name == b"b");
        assert!(room.bytes() > 0 && room.iter().next().is_none(), "the room is empty");
        let left: Vec<&Bytes> = store.iter().map(|(name, _)| name).collect();
        assert_eq!(left, ["b", "own"], "what has a slot stays");
        assert_eq!((store.entries, store.bytes), (2, 6));
        store.give_room(room);
        assert_eq!(store.get(b"b").unwrap(), "1", "room is not taken where there are names");
    }

    #[test]
    fn names_without_slots_are_found_in_order_whatever_is_removed() {
        let (mut others, mut truth) = (Others::default(), std::collections::BTreeMap::new());
        for number in 0_u32..2_000 {
            let name = Bytes::from((number.wrapping_mul(2_654_435_761) >> 22).to_string());
            if number % 3 == 2 {
                assert_eq!(others.remove(&name), truth.remove(&name));
            } else {
                others.set(&name, Bytes::from(number.to_string()));
                truth.insert(name.clone(), Bytes::from(number.to_string()));
            }
            assert_eq!(others.get(&name), truth.get(&name));
        }
        assert!(others.iter().eq(truth.iter()));
        let start = Bytes::from_static(b"5");
        assert!(others.from(b"5").eq(truth.range(start..)));
        others.clear();
        assert_eq!((others.iter().count(), others.get(b"5")), (0, None));
        assert!(u16::try_from(STORE_ENTRIES).is_ok(), "their places are numbers of two bytes");
    }

    #[test]
    fn captures_replace_those_before_with_slots_and_without() {
        let digits: Vec<Bytes> = (b'0'..=b'9').map(|digit| Bytes::from(vec![digit])).collect();
        for names in [None, Some(Arc::new(Names::new(digits, Vec::new(), &[])))] {
            let (mut store, mut budget) = (Store::new(names, Vec::new()), WorkBudget::default());
            for (group, text) in [(0, Some("all")), (1, Some("one")), (1, None), (9, None), (0, Some("new"))]
            {
                store.capture(group, text.map(|text| Bytes::from_static(text.as_bytes())), &mut budget);
            }
            assert_eq!((store.get(b"0"), store.get(b"1")), (Some(&Bytes::from_static(b"new")), None));
            assert_eq!((store.entries, store.bytes), (1, 4));
        }
    }

    #[test]
    fn names_are_selected_among_slots_and_others_in_order() {
        let find = Arc::new(Regex::new("^a_|z$").unwrap());
        let list = || ["a_1", "a_3", "c", "z"].map(|name| Bytes::from_static(name.as_bytes())).to_vec();
        let with = |selectors: &[Arc<Regex>]| Some(Arc::new(Names::new(list(), Vec::new(), selectors)));
        for names in [None, with(&[]), with(std::slice::from_ref(&find))] {
            let (mut store, mut budget) = (Store::new(names, Vec::new()), WorkBudget::default());
            for name in ["z", "A_3", "c", "a_2", "a_1", "b", "a_", "a"] {
                store.set(&Bytes::from_static(name.as_bytes()), Bytes::new(), &mut budget);
            }
            let shown = |entries: &mut dyn Iterator<Item = (&Bytes, &Bytes)>| -> Vec<Bytes> {
                entries.map(|(name, _)| name.clone()).collect()
            };
            assert_eq!(shown(&mut store.found_by(&find)), ["a_", "a_1", "a_2", "a_3", "z"]);
            assert_eq!(shown(&mut store.beginning(b"a_")), ["a_", "a_1", "a_2", "a_3"]);
            assert_eq!(shown(&mut store.beginning(b"d")), [""; 0]);
        }
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
