//! The loop over the rules of a phase that stay after folding.

use bytes::Bytes;
use palisade_seclang::{EngineMode, Phase};

use super::fold::{Setting, Source};
use super::program::Program;
use crate::act;
use crate::engine::{Engine, Flow};
use crate::evaluate::Next;
use crate::transaction::Transaction;

/// Whether what was decided at compile time holds for a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Folding {
    /// Phase 1 did not begin.
    NotBegun,
    /// It holds.
    Holds,
    /// A rule that was taken for certain was removed.
    Broken,
}

impl Transaction {
    /// Runs the rules of a phase that stay. If all rules have to run instead: the place from which on.
    pub(crate) fn run_live(&mut self, engine: &Engine, program: &Program, phase: Phase) -> Option<usize> {
        if phase == Phase::RequestHeaders && self.folding == Folding::NotBegun {
            self.folding = Folding::Holds;
        }
        let indices = engine.phase(phase);
        let Some(folded) = program.folded.phases.get(phase as usize - 1) else { return Some(0) };
        self.scratch.live.copy(&folded.live);
        let mut place = 0;
        loop {
            if self.folding != Folding::Holds {
                return Some(place);
            }
            if self.mode == EngineMode::Off {
                return None;
            }
            let at = self.scratch.live.next(place)?;
            place = at + 1;
            if let Some(sets) = folded.sets(at) {
                sets.iter().for_each(|setting| self.settle(setting));
                if self.is_exhausted() {
                    return None;
                }
                continue;
            }
            let index = *indices.get(at)?;
            let rule = engine.rules.get(index)?;
            if self.removed_rules.contains(index) {
                continue;
            }
            if !rule.links.first().is_some_and(|link| self.admits(program, index, at, link)) {
                if self.is_exhausted() {
                    return None;
                }
                continue;
            }
            match self.rule(engine, index, rule) {
                Next::Rule => {}
                Next::Flow(Flow::Skip(rules)) => place = place.saturating_add(rules as usize),
                Next::Flow(Flow::SkipTo(position)) => {
                    let position_of =
                        |index: &usize| engine.rules.get(*index).map_or(0, |rule| rule.position);
                    place = indices.partition_point(|index| position_of(index) < position).max(place);
                }
                Next::End => return None,
            }
            if self.is_exhausted() {
                return None;
            }
        }
    }

    /// Does what a rule's action would do.
    fn settle(&mut self, setting: &Setting) {
        match setting {
            Setting::Share(slot, text) => self.state.tx.share(*slot, *text, &mut self.state.budget),
            Setting::Copy(slot, from) => {
                let value = self.state.expand_slot(*from);
                self.state.tx.fill(*slot, value, &mut self.state.budget);
            }
            Setting::Sum(slot, from, sign) => {
                let change = match from {
                    Source::Text(text) => self.state.tx.shared(*text),
                    Source::Slot(from) => self.state.expand_slot(*from),
                };
                let sum = act::sum(self.state.tx.slot(*slot).map(Bytes::as_ref), &change, *sign);
                self.state.tx.fill(*slot, sum, &mut self.state.budget);
            }
        }
    }

    /// Rules are removed, or targets of them: if one was taken for certain, all rules run from here on.
    pub(crate) fn unfold(&mut self, rules: &[usize]) {
        let program = self.engine.program.as_ref();
        if program.is_some_and(|program| program.folded.assumes(rules)) {
            self.folding = Folding::Broken;
        }
    }
}
