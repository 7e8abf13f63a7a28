//! The seam: what the evaluation asks the fast path.

use palisade_seclang::VariableKind;

use super::memo::Memo;
use super::program::{Plan, Program};
use crate::engine::{Link, Rule};
use crate::operators::Captures;
use crate::state::State;
use crate::transaction::Transaction;
use crate::values::{Value, number_text};

/// What is known of a rule before it runs.
enum Known {
    /// It may match.
    Nothing,
    /// It does not match; finding that out costs so many bytes and so many evaluations' worth of units.
    NoMatch { units: u64 },
}

impl Transaction {
    /// Whether a rule cannot match. If so its work is charged, as if it had run.
    pub(crate) fn cannot_match(&mut self, index: usize, rule: &Rule) -> bool {
        let Some(program) = &self.engine.program else { return false };
        if self.removed_targets.iter().any(|(rules, _)| rules.binary_search(&index).is_ok()) {
            return false;
        }
        let Some(link) = rule.links.first() else { return false };
        match foresee(program, &mut self.memo, &self.state, program.plan(index), link) {
            Known::Nothing => false,
            Known::NoMatch { units } => {
                self.state.budget.units(units);
                true
            }
        }
    }

    /// Judges the first link of a rule on its view, if it has one: only texts that can match are tried.
    pub(crate) fn judge_view(&mut self, index: usize, link: &Link) -> Option<bool> {
        let engine = self.engine.clone();
        let program = engine.program.as_ref()?;
        let Plan::View { view, predicate, .. } = *program.plan(index) else { return None };
        if self.removed_targets.iter().any(|(rules, _)| rules.binary_search(&index).is_ok()) {
            return None;
        }
        let operator = link.operator.as_ref()?;
        let seen = self.memo.view(program, &self.state, view)?.clone();
        let argument = self.state.expand(&link.argument);
        let mut captures = Captures::default();
        let mut matched = false;
        for entry in &seen.entries {
            self.state.budget.bytes(entry.charge);
            for text in &entry.texts {
                let findings = self.memo.findings(program, *text);
                self.state.budget.evaluation(findings.bytes);
                if self.state.budget.exhausted().is_some() {
                    return Some(false);
                }
                let may_match = program.may_match(predicate, findings);
                if !may_match && !link.negated {
                    continue;
                }
                let candidate = self.memo.text(*text);
                let found = if may_match {
                    operator.matches(&candidate, &argument, link.capture.then_some(&mut captures))
                } else {
                    captures = Captures::default();
                    false
                };
                if found == link.negated {
                    continue;
                }
                matched = true;
                self.matched(link, Value { bytes: candidate, ..entry.value.clone() }, &captures);
            }
        }
        Some(matched)
    }
}

/// What is known of a rule whose first link is this.
fn foresee(program: &Program, memo: &mut Memo, state: &State, plan: &Plan, link: &Link) -> Known {
    match plan {
        Plan::Straightforward => Known::Nothing,
        Plan::Member { variable, key, count, argument } => {
            member(state, link, *variable, key, *count, argument)
        }
        Plan::View { view, predicate, negated, is_literal } => {
            let Some(seen) = memo.view(program, state, *view).cloned() else { return Known::Nothing };
            let impossible = seen.entries.is_empty()
                || (!negated
                    && (!program.may_match(*predicate, seen.findings())
                        || !seen
                            .entries
                            .iter()
                            .flat_map(|entry| &entry.texts)
                            .any(|text| program.may_match(*predicate, memo.findings(program, *text)))));
            if *is_literal && impossible { Known::NoMatch { units: seen.charge } } else { Known::Nothing }
        }
    }
}

/// Tries one member of a collection that rules set.
fn member(
    state: &State,
    link: &Link,
    variable: VariableKind,
    key: &[u8],
    count: bool,
    argument: &[u8],
) -> Known {
    let (Some(operator), Some(store)) = (&link.operator, state.store(variable)) else {
        return Known::Nothing;
    };
    let found = store.get(key);
    let counted;
    let value = match (count, found) {
        (true, _) => {
            counted = number_text(found.is_some().into());
            &counted
        }
        (false, Some(value)) => value,
        (false, None) => return Known::NoMatch { units: 0 },
    };
    if operator.matches(value, argument, None) == link.negated {
        return Known::NoMatch { units: crate::limits::EVALUATION_UNITS + value.len() as u64 };
    }
    Known::Nothing
}
