//! What a transaction knows of its texts: each value transformed once a chain, each distinct text scanned once.
//!
//! A value is known by the place of its bytes, which are held, so that the place cannot be taken by others. A
//! transformation that cannot change a text, by its bytes, is not tried: the text is then the same text. Promise:
//! bounded by [`MEMO_BYTES`] and [`MEMO_ENTRIES`]; when one is reached nothing is added, and what is not known is
//! evaluated straightforwardly. What is known of texts is kept from phase to phase of one side; views are not.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use bytes::Bytes;
use palisade_seclang::Phase;

use super::needs::ByteSet;
use super::program::{Findings, Program, side};
use crate::limits::EVALUATION_UNITS;
use crate::scratch::Arena;
use crate::state::State;
use crate::transformations;
use crate::values::Value;

/// Bytes of transformed texts that one transaction keeps: what a request may cost beside its body.
pub(crate) const MEMO_BYTES: usize = 144 * 1024;
/// Entries that one transaction keeps, each of up to 16 bytes: steps of values, texts, view entries. A body of a thousand
/// arguments takes half of them; an ordinary request a hundredth.
pub(crate) const MEMO_ENTRIES: usize = 64 * 1024;
/// Entries that a text counts for, with its hits.
const TEXT_ENTRIES: usize = 12;
/// Entries that a selected value counts for.
const VALUE_ENTRIES: usize = 8;

/// What is known. Lists of one view or selection are ranges of one vector for all.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    side: usize,
    /// The place and length of a value's bytes.
    places: HashMap<(usize, usize), usize, BuildHasherDefault<PlaceHasher>>,
    values: Vec<Known>,
    /// The texts of values, in steps of the trie.
    steps: Vec<Step>,
    texts: Vec<Text>,
    /// The hits of each text, one after the other.
    hits: Vec<u64>,
    /// The views and selections that were opened.
    seen: Vec<Seen>,
    /// Where in `seen` each selection is, and each view; [`UNKNOWN`] until it is opened.
    selections: Vec<u32>,
    /// Values with their places in `values`.
    selected: Vec<(Value, usize)>,
    /// Values on their way to `selected`.
    gathered: Vec<Value>,
    views: Vec<u32>,
    entries: Vec<Entry>,
    /// The texts of entries.
    listed: Vec<usize>,
    /// The hits of each view.
    together: Vec<u64>,
    /// Bytes of texts that are kept.
    bytes: usize,
    /// What else is kept.
    count: usize,
    /// Work since it was last asked for: bytes that were transformed, and bytes that were scanned.
    work: Work,
    /// Whether a limit was reached.
    full: bool,
}

/// Bytes that were really read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    pub(super) transformed: u64,
    pub(super) scanned: u64,
}

/// A value.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The text that it is.
    text: usize,
    /// Where its steps are, once one was taken.
    steps: Option<usize>,
}

/// A value after some transformations.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// [`UNKNOWN`] until it is made.
    text: u32,
    /// Bytes that all transformations on the way read.
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
    /// The longest text.
    longest: usize,
    /// The bytes of all texts.
    total: u64,
    present: ByteSet,
    together: Range<usize>,
}

impl Seen {
    /// Work units of trying every text, without those of its transformations.
    pub(super) fn evaluations(&self) -> u64 {
        self.total + self.listed.len() as u64 * EVALUATION_UNITS
    }
}

/// A value of a view.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its place among the selected values.
    value: usize,
    pub(super) listed: Range<usize>,
}

impl Memo {
    /// A phase begins: rules have not run yet, but what came in may have changed.
    pub(crate) fn begin(&mut self, phase: Phase) {
        if side(phase) != self.side {
            self.clear();
            self.side = side(phase);
        }
        self.forget_views();
    }

    fn forget_views(&mut self) {
        self.seen.clear();
        self.selections.clear();
        self.selected.clear();
        self.views.clear();
        self.entries.clear();
        self.listed.clear();
        self.together.clear();
    }

    /// Forgets everything and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.values.clear();
        self.steps.clear();
        self.texts.clear();
        self.hits.clear();
        self.gathered.clear();
        self.forget_views();
        (self.side, self.bytes, self.count, self.full) = (0, 0, 0, false);
        self.work = Work::default();
    }

    /// Bytes of the room that is kept when it is cleared, without that of the least parts.
    pub(crate) fn room(&self) -> usize {
        self.places.capacity() * size_of::<((usize, usize), usize)>()
            + self.steps.capacity() * size_of::<Step>()
            + self.texts.capacity() * size_of::<Text>()
            + (self.hits.capacity() + self.listed.capacity() + self.together.capacity()) * size_of::<u64>()
            + self.seen.capacity() * size_of::<Seen>()
            + (self.selected.capacity() + self.gathered.capacity()) * size_of::<(Value, usize)>()
            + self.entries.capacity() * size_of::<Entry>()
    }

    /// The work since it was last asked for.
    pub(super) fn take_work(&mut self) -> Work {
        std::mem::take(&mut self.work)
    }

    /// A text.
    pub(super) fn bytes(&self, text: usize) -> &[u8] {
        self.texts.get(text).map(|text| text.bytes.as_ref()).unwrap_or_default()
    }

    /// A value of a view with a text in place of its bytes.
    pub(super) fn value(&self, entry: usize, text: usize) -> Option<Value> {
        let (value, _) = self.selected.get(self.entries.get(entry)?.value)?;
        let bytes = self.texts.get(text)?.bytes.clone();
        Some(Value { variable: value.variable, key: value.key.clone(), count: value.count, bytes })
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
        Findings { bytes: seen.longest, present: &seen.present, hits }
    }

    /// A view that was opened.
    pub(super) fn seen(&self, view: usize) -> Option<&Seen> {
        self.seen.get(*self.views.get(view)? as usize)
    }

    /// Opens a view; false if the memo is full.
    pub(super) fn open(&mut self, program: &Program, state: &State, arena: &mut Arena, view: usize) -> bool {
        if self.seen(view).is_some() {
            return true;
        }
        if self.views.is_empty() {
            self.views.resize(program.views.len(), UNKNOWN);
            self.selections.resize(program.selections.len(), UNKNOWN);
        }
        let seen = if self.full { None } else { self.look(program, state, arena, view) };
        self.full |= seen.is_none();
        let Some(seen) = seen else { return false };
        let place = self.keep_seen(seen);
        self.views.get_mut(view).map(|known| *known = place).is_some()
    }

    fn keep_seen(&mut self, seen: Seen) -> u32 {
        self.seen.push(seen);
        u32::try_from(self.seen.len() - 1).unwrap_or(UNKNOWN)
    }

    fn look(&mut self, program: &Program, state: &State, arena: &mut Arena, view: usize) -> Option<Seen> {
        let view = program.views.get(view)?;
        let values = match self.seen.get(*self.selections.get(view.selection)? as usize) {
            Some(known) => known.clone(),
            None => {
                let selected = self.select(program, state, view.selection)?;
                let place = self.keep_seen(selected.clone());
                *self.selections.get_mut(view.selection)? = place;
                selected
            }
        };
        let chain = program.chains.get(view.step)?;
        if !chain.iter().any(|transformation| transformations::may_change(*transformation, &values.present)) {
            // Every text is its value.
            let charge = values.charge + values.total.saturating_mul(chain.len() as u64);
            return Some(Seen { charge, ..values });
        }
        let mut seen = self.nothing_seen(program)?;
        for entry in values.entries {
            let value = self.entries.get(entry)?.value;
            let known = self.selected.get(value)?.1;
            let step = self.step(program, arena, known, view.step)?;
            let from = self.listed.len();
            if view.multi_match {
                self.on_the_way(program, known, view.step);
            }
            self.listed.push(step.text as usize);
            seen.charge += u64::from(step.charge);
            self.see(&mut seen, value, from)?;
        }
        self.add(seen.listed.len() * 3).then_some(seen)
    }

    fn nothing_seen(&mut self, program: &Program) -> Option<Seen> {
        let (entries, listed, together) = (self.entries.len(), self.listed.len(), self.together.len());
        let words = program.scanners.get(self.side)?.words();
        self.together.resize(together + words, 0);
        Some(Seen {
            entries: entries..entries,
            listed: listed..listed,
            charge: 0,
            longest: 0,
            total: 0,
            present: ByteSet::NONE,
            together: together..together + words,
        })
    }

    /// Adds a value whose texts are the last that were listed.
    fn see(&mut self, seen: &mut Seen, value: usize, from: usize) -> Option<()> {
        let words = seen.together.len();
        for at in self.listed.get(from..)? {
            let text = self.texts.get(*at)?;
            seen.charge += text.bytes.len() as u64 + EVALUATION_UNITS;
            seen.total += text.bytes.len() as u64;
            seen.longest = seen.longest.max(text.bytes.len());
            seen.present.extend(&text.present);
            let hits = self.hits.get(at * words..(at + 1) * words)?;
            let together = self.together.get_mut(seen.together.clone())?;
            together.iter_mut().zip(hits).for_each(|(word, more)| *word |= more);
        }
        self.entries.push(Entry { value, listed: from..self.listed.len() });
        (seen.entries.end, seen.listed.end) = (self.entries.len(), self.listed.len());
        Some(())
    }

    /// The values of a selection, before any transformation.
    fn select(&mut self, program: &Program, state: &State, selection: usize) -> Option<Seen> {
        let selection = program.selections.get(selection)?;
        let mut gathered = std::mem::take(&mut self.gathered);
        selection.targets.iter().for_each(|target| state.collect(target, &mut gathered));
        if !selection.exclusions.is_empty() {
            gathered.retain(|value| !selection.exclusions.iter().any(|target| target.takes(value)));
        }
        let mut seen = self.nothing_seen(program);
        for value in gathered.drain(..) {
            let Some(known) = self.known(program, &value.bytes) else {
                seen = None;
                break;
            };
            self.selected.push((value, known));
            let from = self.listed.len();
            self.listed.push(self.values.get(known)?.text);
            seen.as_mut().and_then(|seen| self.see(seen, self.selected.len() - 1, from))?;
        }
        self.gathered = gathered;
        let seen = seen?;
        self.add(seen.listed.len() * VALUE_ENTRIES).then_some(seen)
    }

    /// The place of a value.
    fn known(&mut self, program: &Program, bytes: &Bytes) -> Option<usize> {
        let place = (bytes.as_ptr() as usize, bytes.len());
        if let Some(known) = self.places.get(&place) {
            return Some(*known);
        }
        // The text holds the bytes in their place.
        let text = self.keep(program, bytes.clone(), None)?;
        self.values.push(Known { text, steps: None });
        self.places.insert(place, self.values.len() - 1);
        Some(self.values.len() - 1)
    }

    /// Where the steps of a value are.
    fn steps_of(&mut self, program: &Program, value: usize) -> Option<usize> {
        let known = self.values.get(value)?;
        if let Some(steps) = known.steps {
            return Some(steps);
        }
        let text = u32::try_from(known.text).ok()?;
        if !self.add(program.steps.len()) {
            return None;
        }
        let from = self.steps.len();
        self.steps.resize(from + program.steps.len(), Step { text: UNKNOWN, charge: 0, changed: false });
        *self.steps.get_mut(from)? = Step { text, charge: 0, changed: false };
        self.values.get_mut(value)?.steps = Some(from);
        Some(from)
    }

    /// A value after a step of the trie; none if the memo is full.
    fn step(&mut self, program: &Program, arena: &mut Arena, value: usize, step: usize) -> Option<Step> {
        let steps = self.steps_of(program, value)?;
        let known = *self.steps.get(steps + step)?;
        if known.text != UNKNOWN {
            return Some(known);
        }
        let (parent, transformation) = *program.steps.get(step)?;
        let before = self.step(program, arena, value, parent)?;
        let input = self.texts.get(before.text as usize)?;
        let charge = before.charge.checked_add(u32::try_from(input.bytes.len()).ok()?)?;
        let mut next = None;
        if transformations::may_change(transformation?, &input.present) {
            self.work.transformed += input.bytes.len() as u64;
            next = match transformations::apply(transformation?, &input.bytes) {
                Cow::Borrowed(same) if same.len() == input.bytes.len() => None,
                Cow::Borrowed(part) => Some(input.bytes.slice_ref(part)),
                Cow::Owned(changed) => Some(arena.take(changed)),
            };
        }
        let after = match next {
            None => Step { charge, changed: false, ..before },
            Some(text) => {
                let text = u32::try_from(self.distinct(program, value, text)?).ok()?;
                Step { text, charge, changed: true }
            }
        };
        *self.steps.get_mut(steps + step)? = after;
        Some(after)
    }

    /// Lists the texts before each transformation that changed something.
    fn on_the_way(&mut self, program: &Program, value: usize, step: usize) {
        let Some((parent, Some(_))) = program.steps.get(step) else { return };
        self.on_the_way(program, value, *parent);
        let Some(steps) = self.values.get(value).and_then(|known| known.steps) else { return };
        if let (Some(before), Some(after)) = (self.steps.get(steps + parent), self.steps.get(steps + step))
            && after.changed
        {
            self.listed.push(before.text as usize);
        }
    }

    /// The place of a text that a value became; the same texts of one value are one.
    fn distinct(&mut self, program: &Program, value: usize, bytes: Bytes) -> Option<usize> {
        let first = self.values.get(value)?.text;
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
        if !self.add(TEXT_ENTRIES) {
            return None;
        }
        let scanner = program.scanners.get(self.side)?;
        let from = self.hits.len();
        match alike {
            Some(text) => self.hits.extend_from_within(text * scanner.words()..(text + 1) * scanner.words()),
            None => {
                self.work.scanned += bytes.len() as u64;
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
