//! The seam: what the evaluation asks the fast path of one rule.

use super::memo::Work;
use super::program::{Member, Plan, Program};
use crate::engine::{Engine, Link};
use crate::operators::Captures;
use crate::transaction::Transaction;
use crate::values::Value;

impl Transaction {
    /// Whether a rule that stays, at this place of its phase, may match. Work that shows that it may not is charged, but
    /// never more than trying the rule would be.
    pub(super) fn admits(&mut self, program: &Program, index: usize, place: usize, link: &Link) -> bool {
        match program.plan(index) {
            Plan::Straightforward => true,
            Plan::Member(member) => self.admits_member(link, member),
            Plan::View { view, predicate, negated } => {
                self.admits_view(program, place, *view, *predicate, *negated)
            }
        }
    }

    fn admits_view(
        &mut self,
        program: &Program,
        place: usize,
        view: usize,
        predicate: Option<usize>,
        negated: bool,
    ) -> bool {
        if self.scratch.memo.seen(view).is_none() {
            if !self.scratch.memo.open(program, &self.state, &mut self.scratch.arena, view) {
                return true;
            }
            self.sift(program, view);
        }
        let Some(seen) = self.scratch.memo.seen(view) else { return true };
        let may_match =
            |text: &usize| program.may_match(predicate, self.scratch.memo.findings(program, *text));
        let admitted = self.scratch.live.contains(place)
            && (negated || self.scratch.memo.listed(seen.listed.clone()).iter().any(may_match));
        // A rule that is tried pays for its texts when it is.
        let most = if admitted { seen.charge.saturating_sub(seen.evaluations()) } else { seen.charge };
        let Work { transformed, scanned } = self.scratch.memo.take_work();
        let work = if admitted { transformed } else { transformed + scanned };
        self.state.budget.units(work.min(most));
        admitted
    }

    /// Takes away the rules of a view that was just opened that cannot match.
    fn sift(&mut self, program: &Program, view: usize) {
        let (Some(seen), Some(view)) = (self.scratch.memo.seen(view), program.views.get(view)) else {
            return;
        };
        let findings = self.scratch.memo.findings_of(seen);
        for rule in &view.rules {
            if seen.entries.is_empty() || !rule.negated && !program.may_match(rule.predicate, findings) {
                self.scratch.live.remove(rule.place);
            }
        }
    }

    /// Judges the first link of a rule on its view or member, if it has one: only texts that can match are tried.
    pub(crate) fn judge(&mut self, engine: &Engine, index: usize, link: &Link) -> Option<bool> {
        let program = engine.program.as_ref()?;
        if self.scratch.removed_targets.iter().any(|(rules, _)| rules.binary_search(&index).is_ok()) {
            return None;
        }
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
        let entries = self.scratch.memo.seen(view)?.entries.clone();
        let argument = self.state.expand(&link.argument);
        let mut captures = self.scratch.captures();
        let mut matched = false;
        for entry in entries {
            let listed = self.scratch.memo.entry(entry)?.listed.clone();
            for listed in listed {
                let text = *self.scratch.memo.listed(listed..listed + 1).first()?;
                let findings = self.scratch.memo.findings(program, text);
                let may_match = program.may_match(predicate, findings);
                if !may_match && !link.negated {
                    continue;
                }
                self.state.budget.evaluation(findings.bytes);
                if self.state.budget.exhausted().is_some() {
                    return Some(false);
                }
                let found = if may_match {
                    let wanted = link.capture.then_some(&mut captures);
                    operator.matches(self.scratch.memo.bytes(text), &argument, wanted)
                } else {
                    captures.clear();
                    false
                };
                if found == link.negated {
                    continue;
                }
                matched = true;
                let value = self.scratch.memo.value(entry, text)?;
                self.matched(link, value, &captures);
            }
        }
        self.scratch.captures = captures;
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

    /// Tries one member of a collection that rules set; if it matches, it is tried again and charged then.
    fn admits_member(&mut self, link: &Link, member: &Member) -> bool {
        let Some(operator) = &link.operator else { return true };
        let Some(value) = member.value(&self.state) else { return false };
        let admitted = operator.matches(&value, &member.argument, None) != link.negated;
        if !admitted {
            self.state.budget.evaluation(value.len());
        }
        admitted
    }
}
