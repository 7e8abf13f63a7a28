//! What the fast path makes of a rule and a text, for the person who writes rules. It is asked, not guessed: the same
//! plans, the same automaton, the same predicates.

use super::needs::ByteSet;
use super::program::{Findings, Plan, Program, side};
use crate::engine::Engine;

/// What becomes of a text at a rule's first link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The rule's outcome was known when the rule set was loaded.
    Decided,
    /// The rule is tried as it is written.
    Straightforward,
    /// It looks at one member of a collection that rules set, whenever that is there.
    Member,
    /// It compares how many values there are.
    Count,
    /// It is tried on every text, since its operator is negated.
    Negated,
    /// It is tried on every text, since nothing is known of what a match must hold.
    Anything,
    /// The text holds what a match must hold.
    Admitted,
    /// It does not, and is passed over.
    PassedOver,
}

impl Program {
    /// What becomes of a text, as the operator would see it, at a rule.
    pub(crate) fn told(&self, engine: &Engine, rule: usize, text: &[u8]) -> Told {
        let Some(written) = engine.rules.get(rule) else { return Told::Straightforward };
        let phase = written.phase as usize - 1;
        let place = engine.phases.get(phase).and_then(|rules| rules.iter().position(|index| *index == rule));
        if let (Some(place), Some(folded)) = (place, self.folded.phases.get(phase))
            && (!folded.live.contains(place) || folded.sets(place).is_some())
        {
            return Told::Decided;
        }
        match self.plan(rule, 0) {
            Plan::Straightforward => Told::Straightforward,
            Plan::Member(_) => Told::Member,
            Plan::Count(_) => Told::Count,
            Plan::View { negated: true, .. } => Told::Negated,
            Plan::View { predicate: None, .. } => Told::Anything,
            Plan::View { predicate, .. } => {
                let side = side(written.phase);
                let mut hits = vec![0; self.words(side)];
                self.scan(side, text, &mut hits);
                self.mark(side, &ByteSet::of(text), &mut hits);
                let findings = Findings { bytes: text.len(), hits: &hits };
                if self.may_match(*predicate, findings) { Told::Admitted } else { Told::PassedOver }
            }
        }
    }
}
