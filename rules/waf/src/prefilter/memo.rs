//! What a transaction knows of its texts: each value transformed once a chain, each distinct text scanned once.
//!
//! A value is known by the place of its bytes, which are held, so that the place cannot be taken by others. Promise:
//! bounded by [`MEMO_BYTES`] and [`MEMO_ENTRIES`]; when one is reached nothing is added, and what is not known is
//! evaluated straightforwardly. What is known of texts is kept from phase to phase of one side; views are not.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

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

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    side: usize,
    values: Vec<Known>,
    /// The place and length of a value's bytes.
    places: HashMap<(usize, usize), usize>,
    texts: Vec<Text>,
    /// The hits of each text, one after the other.
    hits: Vec<u64>,
    selections: Vec<Option<Selected>>,
    views: Vec<Option<Arc<Seen>>>,
    bytes: usize,
    entries: usize,
    /// Whether a limit was reached.
    full: bool,
}

/// Values with their places in the memo.
type Selected = Arc<[(Value, usize)]>;

/// A value.
#[derive(Debug)]
struct Known {
    /// By the index of the step.
    steps: Vec<Option<Step>>,
    /// What it became; the first is the value itself, which holds its bytes in their place.
    texts: Vec<usize>,
}

/// A value after some transformations.
#[derive(Clone, Copy, Debug)]
struct Step {
    text: usize,
    /// Bytes that were transformed on the way.
    charge: usize,
    /// Whether the last transformation changed something.
    changed: bool,
}

/// A text.
#[derive(Debug)]
struct Text {
    bytes: Bytes,
    present: ByteSet,
}

/// A view on one transaction.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) entries: Vec<Entry>,
    /// Work units of trying everything.
    pub(super) charge: u64,
    bytes: usize,
    present: ByteSet,
    hits: Vec<u64>,
}

/// A value of a view.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    /// Bytes that its transformations read.
    pub(super) charge: usize,
    pub(super) texts: Vec<usize>,
}

impl Seen {
    /// What is known of all its texts together.
    pub(super) fn findings(&self) -> Findings<'_> {
        Findings { bytes: self.bytes, present: &self.present, hits: &self.hits }
    }
}

impl Memo {
    /// A phase begins: rules have not run yet, but what came in may have changed.
    pub(crate) fn begin(&mut self, phase: Phase) {
        if side(phase) != self.side {
            *self = Self { side: side(phase), ..Self::default() };
        }
        self.selections.clear();
        self.views.clear();
    }

    /// A text.
    pub(super) fn text(&self, text: usize) -> Bytes {
        self.texts.get(text).map(|text| text.bytes.clone()).unwrap_or_default()
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

    /// A view; none if the memo is full.
    pub(super) fn view(&mut self, program: &Program, state: &State, view: usize) -> Option<&Arc<Seen>> {
        if self.views.len() <= view {
            self.views.resize(program.views.len(), None);
        }
        if self.views.get(view)?.is_none() {
            if self.full {
                return None;
            }
            let Some(seen) = self.look(program, state, view) else {
                self.full = true;
                return None;
            };
            *self.views.get_mut(view)? = Some(Arc::new(seen));
        }
        self.views.get(view)?.as_ref()
    }

    fn look(&mut self, program: &Program, state: &State, view: usize) -> Option<Seen> {
        let view = program.views.get(view)?;
        let values = self.select(program, state, view.selection)?;
        let words = program.scanners.get(self.side)?.words();
        let mut seen = Seen {
            entries: Vec::with_capacity(values.len()),
            charge: 0,
            bytes: 0,
            present: ByteSet::NONE,
            hits: vec![0; words],
        };
        for (value, known) in values.iter() {
            let step = self.step(program, *known, view.step)?;
            let mut texts = Vec::with_capacity(1);
            if view.multi_match {
                self.on_the_way(program, *known, view.step, &mut texts);
            }
            texts.push(step.text);
            seen.charge += step.charge as u64;
            for text in &texts {
                let findings = self.findings(program, *text);
                seen.charge += findings.bytes as u64 + EVALUATION_UNITS;
                seen.bytes = seen.bytes.max(findings.bytes);
                seen.present.extend(findings.present);
                seen.hits.iter_mut().zip(findings.hits).for_each(|(word, more)| *word |= more);
            }
            seen.entries.push(Entry { value: value.clone(), charge: step.charge, texts });
        }
        self.add(seen.entries.len()).then_some(seen)
    }

    /// The values of a selection, before any transformation.
    fn select(&mut self, program: &Program, state: &State, selection: usize) -> Option<Selected> {
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
        let mut selected = Vec::with_capacity(values.len());
        for value in values {
            let known = self.value(program, &value.bytes)?;
            selected.push((value, known));
        }
        let selected: Selected = selected.into();
        *self.selections.get_mut(selection)? = Some(selected.clone());
        self.add(selected.len()).then_some(selected)
    }

    /// The place of a value in the memo.
    fn value(&mut self, program: &Program, bytes: &Bytes) -> Option<usize> {
        let place = (bytes.as_ptr() as usize, bytes.len());
        if let Some(known) = self.places.get(&place) {
            return Some(*known);
        }
        if !self.add(program.steps.len()) {
            return None;
        }
        let text = self.keep(program, bytes.clone(), None)?;
        let mut steps = vec![None; program.steps.len()];
        *steps.first_mut()? = Some(Step { text, charge: 0, changed: false });
        self.values.push(Known { steps, texts: vec![text] });
        self.places.insert(place, self.values.len() - 1);
        Some(self.values.len() - 1)
    }

    /// A value after a step of the trie; none if the memo is full.
    fn step(&mut self, program: &Program, value: usize, step: usize) -> Option<Step> {
        if let Some(known) = self.values.get(value)?.steps.get(step)? {
            return Some(*known);
        }
        let (parent, transformation) = *program.steps.get(step)?;
        let before = self.step(program, value, parent)?;
        let input = self.text(before.text);
        let charge = before.charge + input.len();
        let next = match transformations::apply(transformation?, &input) {
            Cow::Borrowed(same) if same.len() == input.len() => None,
            Cow::Borrowed(part) => Some(input.slice_ref(part)),
            Cow::Owned(changed) => Some(Bytes::from(changed)),
        };
        let after = match next {
            None => Step { charge, changed: false, ..before },
            Some(text) => Step { text: self.distinct(program, value, text)?, charge, changed: true },
        };
        *self.values.get_mut(value)?.steps.get_mut(step)? = Some(after);
        Some(after)
    }

    /// The texts before each transformation that changed something.
    fn on_the_way(&self, program: &Program, value: usize, step: usize, texts: &mut Vec<usize>) {
        let Some((parent, Some(_))) = program.steps.get(step) else { return };
        self.on_the_way(program, value, *parent, texts);
        let known = |step: usize| self.values.get(value)?.steps.get(step).copied().flatten();
        if let (Some(before), Some(after)) = (known(*parent), known(step))
            && after.changed
        {
            texts.push(before.text);
        }
    }

    /// The place of a text that a value became; the same texts of one value are one.
    fn distinct(&mut self, program: &Program, value: usize, bytes: Bytes) -> Option<usize> {
        let known = &self.values.get(value)?.texts;
        let text_of = |text: &usize| self.texts.get(*text).map(|text| &text.bytes);
        if let Some(same) = known.iter().find(|text| text_of(text) == Some(&bytes)) {
            return Some(*same);
        }
        // Literals are looked for in any case.
        let alike = known.iter().copied().find(|text| {
            text_of(text)
                .is_some_and(|known| known.len() == bytes.len() && known.eq_ignore_ascii_case(&bytes))
        });
        self.bytes += bytes.len();
        if self.bytes > MEMO_BYTES {
            return None;
        }
        let text = self.keep(program, bytes, alike)?;
        self.values.get_mut(value)?.texts.push(text);
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
        self.texts.push(Text { present: ByteSet::of(&bytes), bytes });
        Some(self.texts.len() - 1)
    }

    /// Counts what is about to be kept; false if it is too much.
    fn add(&mut self, entries: usize) -> bool {
        self.entries += entries;
        self.entries <= MEMO_ENTRIES
    }
}
