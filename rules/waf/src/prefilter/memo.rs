//! What a transaction knows of its texts: each value transformed once a chain, each distinct text scanned once.
//!
//! A value is known by the place of its bytes, which are held, so that the place cannot be taken by others. Promise:
//! bounded by [`MEMO_BYTES`] and [`MEMO_ENTRIES`]; when one is reached nothing is added, and what is not known is
//! evaluated straightforwardly. What is known of texts is kept from phase to phase of one side; views are not.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use bytes::Bytes;
use palisade_seclang::Phase;

use super::needs::ByteSet;
use super::program::{Findings, Program, Selection, side};
use crate::limits::EVALUATION_UNITS;
use crate::state::State;
use crate::transformations;
use crate::values::Value;

/// Bytes of transformed texts that one transaction keeps: what a request may cost beside its body.
pub(crate) const MEMO_BYTES: usize = 256 * 1024;
/// Steps of values, texts and view entries that one transaction keeps: each is some 100 bytes.
pub(crate) const MEMO_ENTRIES: usize = 64 * 1024;

/// What is known. Lists of one view or selection are ranges of one vector for all.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    side: usize,
    /// The place and length of a value's bytes.
    places: HashMap<(usize, usize), usize, BuildHasherDefault<PlaceHasher>>,
    /// The texts of each value, in steps of the trie.
    steps: Vec<Step>,
    texts: Vec<Text>,
    /// The hits of each text, one after the other.
    hits: Vec<u64>,
    selections: Vec<Option<Range<usize>>>,
    /// Values with their places in the memo.
    selected: Vec<(Value, usize)>,
    views: Vec<Option<Seen>>,
    entries: Vec<Entry>,
    /// The texts of entries.
    listed: Vec<usize>,
    /// The hits of each view.
    together: Vec<u64>,
    /// Bytes of texts that are kept.
    bytes: usize,
    /// What else is kept.
    count: usize,
    /// Whether a limit was reached.
    full: bool,
}

/// A value after some transformations.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// [`UNKNOWN`] until it is made.
    text: u32,
    /// Bytes that were transformed on the way.
    charge: u32,
    /// Whether the last transformation changed something.
    changed: bool,
}

/// No text has this place.
const UNKNOWN: u32 = u32::MAX;

/// A text.
#[derive(Debug)]
struct Text {
    bytes: Bytes,
    present: ByteSet,
    /// The next text of the same value.
    next: Option<usize>,
}

/// A view on one transaction.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) entries: Range<usize>,
    /// Its texts.
    pub(super) listed: Range<usize>,
    /// Work units of trying everything.
    pub(super) charge: u64,
    bytes: usize,
    present: ByteSet,
    together: Range<usize>,
}

/// A value of a view.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its place among the selected values.
    value: usize,
    /// Bytes that its transformations read.
    pub(super) charge: usize,
    pub(super) listed: Range<usize>,
}

impl Memo {
    /// A phase begins: rules have not run yet, but what came in may have changed.
    pub(crate) fn begin(&mut self, phase: Phase) {
        if side(phase) != self.side {
            *self = Self { side: side(phase), ..Self::default() };
        }
        self.selections.clear();
        self.selected.clear();
        self.views.clear();
        self.entries.clear();
        self.listed.clear();
        self.together.clear();
    }

    /// A text.
    pub(super) fn text(&self, text: usize) -> Bytes {
        self.texts.get(text).map(|text| text.bytes.clone()).unwrap_or_default()
    }

    /// A value of a view with its text in place of its bytes.
    pub(super) fn value(&self, entry: &Entry, text: Bytes) -> Option<Value> {
        let (value, _) = self.selected.get(entry.value)?;
        Some(Value { variable: value.variable, key: value.key.clone(), count: value.count, bytes: text })
    }

    /// A value of a view.
    pub(super) fn entry(&self, entry: usize) -> Option<&Entry> {
        self.entries.get(entry)
    }

    /// Texts of a view.
    pub(super) fn listed(&self, listed: Range<usize>) -> &[usize] {
        self.listed.get(listed).unwrap_or_default()
    }

    /// What is known of a text.
    pub(super) fn findings(&self, program: &Program, text: usize) -> Findings<'_> {
        static EVERYTHING: ByteSet = ByteSet::ALL;
        let words = program.scanners.get(self.side).map_or(0, |scanner| scanner.words());
        let hits = self.hits.get(text * words..(text + 1) * words).unwrap_or_default();
        match self.texts.get(text) {
            Some(text) => Findings { bytes: text.bytes.len(), present: &text.present, hits },
            // Of what is not known, anything may be true.
            None => Findings { bytes: usize::MAX, present: &EVERYTHING, hits },
        }
    }

    /// What is known of all texts of a view together.
    pub(super) fn findings_of<'a>(&'a self, seen: &'a Seen) -> Findings<'a> {
        let hits = self.together.get(seen.together.clone()).unwrap_or_default();
        Findings { bytes: seen.bytes, present: &seen.present, hits }
    }

    /// A view; none if the memo is full.
    pub(super) fn view(&mut self, program: &Program, state: &State, view: usize) -> Option<Seen> {
        if self.views.len() <= view {
            self.views.resize(program.views.len(), None);
        }
        if let Some(seen) = self.views.get(view)? {
            return Some(seen.clone());
        }
        if self.full {
            return None;
        }
        let seen = self.look(program, state, view);
        self.full = seen.is_none();
        self.views.get_mut(view)?.clone_from(&seen);
        seen
    }

    fn look(&mut self, program: &Program, state: &State, view: usize) -> Option<Seen> {
        let view = program.views.get(view)?;
        let values = self.select(program, state, view.selection)?;
        let words = program.scanners.get(self.side)?.words();
        let (first, first_listed, together) = (self.entries.len(), self.listed.len(), self.together.len());
        let (mut charge, mut bytes, mut present) = (0, 0, ByteSet::NONE);
        self.together.resize(together + words, 0);
        for value in values {
            let known = self.selected.get(value)?.1;
            let step = self.step(program, known, view.step)?;
            let from = self.listed.len();
            if view.multi_match {
                self.on_the_way(program, known, view.step);
            }
            self.listed.push(step.text as usize);
            charge += u64::from(step.charge);
            for listed in from..self.listed.len() {
                let at = *self.listed.get(listed)?;
                let text = self.texts.get(at)?;
                charge += text.bytes.len() as u64 + EVALUATION_UNITS;
                bytes = bytes.max(text.bytes.len());
                present.extend(&text.present);
                let hits = self.hits.get(at * words..(at + 1) * words)?;
                self.together
                    .get_mut(together..)?
                    .iter_mut()
                    .zip(hits)
                    .for_each(|(word, more)| *word |= more);
            }
            let listed = from..self.listed.len();
            self.entries.push(Entry { value, charge: step.charge as usize, listed });
        }
        let (entries, listed) = (first..self.entries.len(), first_listed..self.listed.len());
        let seen = Seen { entries, listed, charge, bytes, present, together: together..together + words };
        self.add(seen.listed.len()).then_some(seen)
    }

    /// The values of a selection, before any transformation.
    fn select(&mut self, program: &Program, state: &State, selection: usize) -> Option<Range<usize>> {
        if self.selections.len() <= selection {
            self.selections.resize(program.selections.len(), None);
        }
        if let Some(known) = self.selections.get(selection)? {
            return Some(known.clone());
        }
        let Selection { targets, exclusions } = program.selections.get(selection)?;
        let mut values = Vec::new();
        targets.iter().for_each(|target| state.collect(target, &mut values));
        values.retain(|value| !exclusions.iter().any(|target| target.takes(value)));
        let from = self.selected.len();
        for value in values {
            let known = self.known(program, &value.bytes)?;
            self.selected.push((value, known));
        }
        let selected = from..self.selected.len();
        *self.selections.get_mut(selection)? = Some(selected.clone());
        self.add(selected.len()).then_some(selected)
    }

    /// The place of a value's steps.
    fn known(&mut self, program: &Program, bytes: &Bytes) -> Option<usize> {
        let place = (bytes.as_ptr() as usize, bytes.len());
        if let Some(known) = self.places.get(&place) {
            return Some(*known);
        }
        if !self.add(program.steps.len()) {
            return None;
        }
        // The text holds the bytes in their place.
        let text = self.keep(program, bytes.clone(), None)?;
        let from = self.steps.len();
        self.steps.resize(from + program.steps.len(), Step { text: UNKNOWN, charge: 0, changed: false });
        *self.steps.get_mut(from)? = Step { text: u32::try_from(text).ok()?, charge: 0, changed: false };
        self.places.insert(place, from);
        Some(from)
    }

    /// A value after a step of the trie; none if the memo is full.
    fn step(&mut self, program: &Program, value: usize, step: usize) -> Option<Step> {
        let known = *self.steps.get(value + step)?;
        if known.text != UNKNOWN {
            return Some(known);
        }
        let (parent, transformation) = *program.steps.get(step)?;
        let before = self.step(program, value, parent)?;
        let input = &self.texts.get(before.text as usize)?.bytes;
        let charge = before.charge.checked_add(u32::try_from(input.len()).ok()?)?;
        let next = match transformations::apply(transformation?, input) {
            Cow::Borrowed(same) if same.len() == input.len() => None,
            Cow::Borrowed(part) => Some(input.slice_ref(part)),
            Cow::Owned(changed) => Some(Bytes::from(changed)),
        };
        let after = match next {
            None => Step { charge, changed: false, ..before },
            Some(text) => {
                let text = u32::try_from(self.distinct(program, value, text)?).ok()?;
                Step { text, charge, changed: true }
            }
        };
        *self.steps.get_mut(value + step)? = after;
        Some(after)
    }

    /// Lists the texts before each transformation that changed something.
    fn on_the_way(&mut self, program: &Program, value: usize, step: usize) {
        let Some((parent, Some(_))) = program.steps.get(step) else { return };
        self.on_the_way(program, value, *parent);
        if let (Some(before), Some(after)) = (self.steps.get(value + parent), self.steps.get(value + step))
            && after.changed
        {
            self.listed.push(before.text as usize);
        }
    }

    /// The place of a text that a value became; the same texts of one value are one.
    fn distinct(&mut self, program: &Program, value: usize, bytes: Bytes) -> Option<usize> {
        let first = self.steps.get(value)?.text as usize;
        let (mut at, mut alike) = (first, None);
        loop {
            let text = self.texts.get(at)?;
            if text.bytes == bytes {
                return Some(at);
            }
            // Literals are looked for in any case.
            if alike.is_none() && text.bytes.len() == bytes.len() && text.bytes.eq_ignore_ascii_case(&bytes) {
                alike = Some(at);
            }
            match text.next {
                Some(next) => at = next,
                None => break,
            }
        }
        self.bytes += bytes.len();
        if self.bytes > MEMO_BYTES {
            return None;
        }
        let text = self.keep(program, bytes, alike)?;
        self.texts.get_mut(at)?.next = Some(text);
        Some(text)
    }

    /// Keeps and scans a text, unless another one has the same literals.
    fn keep(&mut self, program: &Program, bytes: Bytes, alike: Option<usize>) -> Option<usize> {
        if !self.add(1) {
            return None;
        }
        let scanner = program.scanners.get(self.side)?;
        let from = self.hits.len();
        match alike {
            Some(text) => self.hits.extend_from_within(text * scanner.words()..(text + 1) * scanner.words()),
            None => {
                self.hits.resize(from + scanner.words(), 0);
                scanner.scan(&bytes, self.hits.get_mut(from..)?);
            }
        }
        self.texts.push(Text { present: ByteSet::of(&bytes), bytes, next: None });
        Some(self.texts.len() - 1)
    }

    /// Counts what is about to be kept; false if it is too much.
    fn add(&mut self, count: usize) -> bool {
        self.count += count;
        self.count <= MEMO_ENTRIES
    }
}

/// Hashes the place of bytes in memory, which nobody outside chooses.
#[derive(Debug, Default)]
struct PlaceHasher(u64);

impl Hasher for PlaceHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(usize::from(*byte)));
    }

    fn write_usize(&mut self, part: usize) {
        self.0 = (self.0.rotate_left(23) ^ part as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fold::Folded;
    use super::*;

    #[test]
    fn the_memo_keeps_texts_up_to_its_limit() {
        let program = Program::build(&[], &Default::default(), Folded::default()).unwrap();
        let keeps = |bytes: usize| {
            let mut memo = Memo::default();
            let value = memo.known(&program, &Bytes::from_static(b"x")).unwrap();
            memo.distinct(&program, value, Bytes::from(vec![b'y'; bytes])).is_some()
        };
        assert!(keeps(MEMO_BYTES - 1), "one under");
        assert!(keeps(MEMO_BYTES), "at the limit");
        assert!(!keeps(MEMO_BYTES + 1), "one over");
    }

    #[test]
    fn the_memo_keeps_entries_up_to_its_limit() {
        let keeps = |count: usize| Memo::default().add(count);
        assert!(keeps(MEMO_ENTRIES - 1), "one under");
        assert!(keeps(MEMO_ENTRIES), "at the limit");
        assert!(!keeps(MEMO_ENTRIES + 1), "one over");
    }

    #[test]
    fn equal_texts_of_one_value_are_one() {
        let program = Program::build(&[], &Default::default(), Folded::default()).unwrap();
        let mut memo = Memo::default();
        let value = memo.known(&program, &Bytes::from_static(b"AB")).unwrap();
        let lower = memo.distinct(&program, value, Bytes::from_static(b"ab"));
        assert_eq!(memo.distinct(&program, value, Bytes::from(b"ab".to_vec())), lower);
        assert_ne!(memo.distinct(&program, value, Bytes::from_static(b"b")), lower);
        assert_eq!(
            memo.known(&program, &Bytes::from_static(b"other")).map(|other| other > value),
            Some(true)
        );
    }
}
