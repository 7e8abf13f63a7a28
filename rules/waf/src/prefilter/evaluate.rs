//! The seam: what the evaluation asks the fast path.

use super::memo::Memo;
use super::program::{Member, Plan, Program};
use crate::engine::{Link, Rule};
use crate::limits::EVALUATION_UNITS;
use crate::operators::Captures;
use crate::state::State;
use crate::transaction::Transaction;
use crate::values::Value;

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

    /// Judges the first link of a rule on its view or member, if it has one: only texts that can match are tried.
    pub(crate) fn judge(&mut self, index: usize, link: &Link) -> Option<bool> {
        if self.removed_targets.iter().any(|(rules, _)| rules.binary_search(&index).is_ok()) {
            return None;
        }
        let engine = self.engine.clone();
        let program = engine.program.as_ref()?;
        match program.plan(index) {
            Plan::Straightforward => None,
            Plan::View { view, predicate, .. } => self.judge_view(program, link, *view, *predicate),
            Plan::Member(member) => self.judge_member(link, member),
        }
    }

    fn judge_view(
        &mut self,
        program: &Program,
        link: &Link,
        view: usize,
        predicate: Option<usize>,
    ) -> Option<bool> {
        let operator = link.operator.as_ref()?;
        let seen = self.memo.view(program, &self.state, view)?;
        let argument = self.state.expand(&link.argument);
        let mut captures = Captures::default();
        let mut matched = false;
        for entry in seen.entries {
            let entry = self.memo.entry(entry)?.clone();
            self.state.budget.bytes(entry.charge);
            for listed in entry.listed.clone() {
                let text = *self.memo.listed(listed..listed + 1).first()?;
                let findings = self.memo.findings(program, text);
                self.state.budget.evaluation(findings.bytes);
                if self.state.budget.exhausted().is_some() {
                    return Some(false);
                }
                let may_match = program.may_match(predicate, findings);
                if !may_match && !link.negated {
                    continue;
                }
                let candidate = self.memo.text(text);
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
                let value = self.memo.value(&entry, candidate)?;
                self.matched(link, value, &captures);
            }
        }
        Some(matched)
    }

    fn judge_member(&mut self, link: &Link, member: &Member) -> Option<bool> {
        let Some(bytes) = member.value(&self.state) else { return Some(false) };
        self.state.budget.evaluation(bytes.len());
        if self.state.budget.exhausted().is_some() {
            return Some(false);
        }
        let mut captures = Captures::default();
        let wanted = link.capture.then_some(&mut captures);
        if link.operator.as_ref()?.matches(&bytes, &member.argument, wanted) == link.negated {
            return Some(false);
        }
        let Member { variable, key, count, .. } = member;
        let value = Value { variable: *variable, key: Some(key.clone()), count: *count, bytes };
        self.matched(link, value, &captures);
        Some(true)
    }
}

/// What is known of a rule whose first link is this.
fn foresee(program: &Program, memo: &mut Memo, state: &State, plan: &Plan, link: &Link) -> Known {
    match plan {
        Plan::Straightforward => Known::Nothing,
        Plan::Member(tested) => member(state, link, tested),
        Plan::View { view, predicate, negated, is_literal } => {
            let Some(seen) = memo.view(program, state, *view) else { return Known::Nothing };
            let may_match = |text: &usize| program.may_match(*predicate, memo.findings(program, *text));
            let impossible = seen.entries.is_empty()
                || !negated
                    && (!program.may_match(*predicate, memo.findings_of(&seen))
                        || !memo.listed(seen.listed.clone()).iter().any(may_match));
            if *is_literal && impossible { Known::NoMatch { units: seen.charge } } else { Known::Nothing }
        }
    }
}

/// Tries one member of a collection that rules set.
fn member(state: &State, link: &Link, member: &Member) -> Known {
    let Some(operator) = &link.operator else { return Known::Nothing };
    let Some(value) = member.value(state) else { return Known::NoMatch { units: 0 } };
    if operator.matches(&value, &member.argument, None) == link.negated {
        return Known::NoMatch { units: EVALUATION_UNITS + value.len() as u64 };
    }
    Known::Nothing
}
