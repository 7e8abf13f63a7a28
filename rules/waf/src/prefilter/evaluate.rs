//! The seam: what the evaluation asks the fast path of one rule.

use bytes::Bytes;

use super::memo::{Charge, Glance};
use super::program::{Member, Plan, Program, View};
use super::texts::Work;
use crate::engine::{Engine, Link};
use crate::operators::{Captures, Operator};
use crate::transaction::Transaction;
use crate::values::{Target, Value};

/// A link that is tried on a part of its view.
struct Trial<'a> {
    program: &'a Program,
    link: &'a Link,
    operator: &'a Operator,
    argument: &'a Bytes,
    /// The rule whose targets `ctl` may have removed.
    removable: Option<usize>,
    /// The lists of removed targets when the link began.
    removed: usize,
    predicate: Option<usize>,
    part: usize,
}

impl Transaction {
    /// Whether a rule that stays, at this place of its phase, may match. Work that shows that it may not is charged, but
    /// never more than trying the rule would be.
    pub(super) fn admits(&mut self, program: &Program, index: usize, place: usize, link: &Link) -> bool {
        match program.plan(index, 0) {
            Plan::Straightforward => true,
            Plan::Member(member) => self.admits_member(link, member),
            Plan::Count(argument) => self.admits_count(link, argument),
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
        let Some(charge) = self.look(program, view) else { return true };
        let admitted = self.scratch.live.contains(place) && self.may_hold(program, view, predicate, negated);
        self.charge(charge, admitted);
        admitted
    }

    /// Glances at a view; none if there are too many texts to know them.
    fn look(&mut self, program: &Program, number: usize) -> Option<Charge> {
        if self.scratch.desk.memo.opened(number).is_none() {
            let view = program.views.get(number)?;
            let (memo, arena) = (&mut self.scratch.desk.memo, &mut self.scratch.arena);
            let is_new = memo.is_new(view);
            let glance = memo.glance(program, &self.state, arena, (number, view))?;
            self.sift(program, view, &glance);
            if is_new {
                self.sift_siblings(program, number, view);
            }
        }
        self.scratch.desk.memo.opened(number)
    }

    /// Opens a view that was glanced at. Whether one of its parts may hold a text that matches.
    fn may_hold(&mut self, program: &Program, view: usize, predicate: Option<usize>, negated: bool) -> bool {
        let Some(view) = program.views.get(view) else { return true };
        view.parts.iter().any(|part| {
            let (memo, arena) = (&mut self.scratch.desk.memo, &mut self.scratch.arena);
            if memo.open(program, &self.state, arena, *part).is_none() {
                return true;
            }
            let findings = memo.findings_of_part(*part);
            findings.is_some_and(|findings| negated || program.may_match(predicate, findings))
        })
    }

    /// Charges what it took to look at a view; a link that is tried pays for its texts when it is.
    fn charge(&mut self, charge: Charge, admitted: bool) {
        let Work { transformed, scanned } = self.scratch.desk.memo.take_work();
        let units = if admitted {
            transformed.min(charge.transformations)
        } else {
            (transformed + scanned).min(charge.transformations + charge.evaluations)
        };
        self.scratch.desk.memo.allow(charge.transformations.saturating_sub(units));
        self.state.budget.units(units);
    }

    /// Takes away the rules of a view that cannot match.
    fn sift(&mut self, program: &Program, view: &View, glance: &Glance) {
        let findings = self.scratch.desk.memo.findings_of(glance);
        for rule in &view.rules {
            let may_match =
                findings.is_some_and(|findings| rule.negated || program.may_match(rule.predicate, findings));
            if !may_match {
                self.scratch.live.remove(rule.place);
            }
        }
    }

    /// The same for all views of the same values whose chains can change none of them.
    fn sift_siblings(&mut self, program: &Program, number: usize, view: &View) {
        let siblings = program.siblings.get(view.siblings).map(Vec::as_slice).unwrap_or_default();
        for sibling in siblings.iter().filter(|sibling| **sibling != number) {
            if let Some(view) = program.views.get(*sibling)
                && let Some(glance) = self.scratch.desk.memo.glance_at_values(program, (*sibling, view))
            {
                self.sift(program, view, &glance);
            }
        }
    }

    /// Judges a link on its view or member, if it has one: only texts that can match are tried.
    pub(crate) fn judge(
        &mut self,
        engine: &Engine,
        (index, number): (usize, usize),
        link: &Link,
    ) -> Option<bool> {
        let program = engine.program.as_ref()?;
        match program.plan(index, number) {
            Plan::Straightforward | Plan::Count(_) => None,
            // What a rule may not look at any more, only its first link may not.
            Plan::View { view, predicate, .. } if number == 0 => {
                self.judge_view(program, link, Some(index), *view, *predicate)
            }
            Plan::View { view, predicate, negated } => {
                let charge = self.look(program, *view)?;
                let admitted = self.may_hold(program, *view, *predicate, *negated);
                self.charge(charge, admitted);
                if admitted { self.judge_view(program, link, None, *view, *predicate) } else { Some(false) }
            }
            Plan::Member(_)
                if number == 0 && self.removed_targets(Some(index), usize::MAX).next().is_some() =>
            {
                None
            }
            Plan::Member(member) => self.judge_member(link, member),
        }
    }

    fn judge_view(
        &mut self,
        program: &Program,
        link: &Link,
        removable: Option<usize>,
        view: usize,
        predicate: Option<usize>,
    ) -> Option<bool> {
        let operator = link.operator.as_ref()?;
        self.scratch.desk.memo.opened(view)?;
        let parts = &program.views.get(view)?.parts;
        for part in parts {
            self.scratch.desk.memo.open(program, &self.state, &mut self.scratch.arena, *part)?;
        }
        let mut allowance = self.scratch.desk.memo.take_allowance(view);
        let argument = self.state.expand(&link.argument);
        let mut captures = self.scratch.captures();
        let removed = self.scratch.removed_targets.len();
        let mut matched = false;
        for part in parts {
            let findings = self.scratch.desk.memo.findings_of_part(*part);
            if findings.is_none_or(|findings| !link.negated && !program.may_match(predicate, findings)) {
                continue;
            }
            let (argument, part) = (&argument, *part);
            let trial = Trial { program, link, operator, argument, removable, removed, predicate, part };
            let Some(found) = self.try_part(&trial, &mut captures, &mut allowance) else {
                return Some(false);
            };
            matched |= found;
        }
        self.scratch.desk.captures = captures;
        Some(matched)
    }

    /// Tries the values of a part; none if the budget is used up.
    fn try_part(&mut self, trial: &Trial<'_>, captures: &mut Captures, allowance: &mut u64) -> Option<bool> {
        let Trial { program, link, operator, predicate, .. } = *trial;
        let part = program.parts.get(trial.part)?;
        let mut matched = false;
        let mut values = (0, std::mem::take(&mut self.scratch.desk.values));
        // Targets that were removed are told by their names.
        let variable = program.groups.get(part.group)?.target.variable;
        let has_removed =
            self.removed_targets(trial.removable, trial.removed).any(|target| target.variable == variable);
        for (number, member) in self.scratch.desk.memo.members(trial.part).enumerate() {
            if has_removed
                && let Some(value) = self.gathered(program, part.group, number, &mut values)
                && self.removed_targets(trial.removable, trial.removed).any(|target| target.takes(value))
            {
                continue;
            }
            let way = self.scratch.desk.memo.way(program, &mut self.scratch.arena, part, member);
            let mut work = self.scratch.desk.memo.take_work().transformed;
            if !self.scratch.desk.memo.is_uncounted(trial.part, member) {
                work = work.min(*allowance);
                *allowance -= work;
            }
            self.state.budget.units(work);
            for text in &way {
                let findings = self.scratch.desk.memo.findings(text);
                let may_match = findings.is_none_or(|findings| program.may_match(predicate, findings));
                if !may_match && !link.negated {
                    continue;
                }
                let bytes = self.scratch.desk.memo.bytes(text);
                self.state.budget.evaluation(bytes.len());
                if self.state.budget.exhausted().is_some() {
                    return None;
                }
                let found = if may_match {
                    let wanted = link.capture.then_some(&mut *captures);
                    operator.matches(bytes, trial.argument, wanted)
                } else {
                    captures.clear();
                    false
                };
                if found == link.negated {
                    continue;
                }
                matched = true;
                let bytes = self.scratch.desk.memo.shared(text);
                if let Some(value) = self.gathered(program, part.group, number, &mut values) {
                    self.matched(link, Value { bytes, ..value.clone() }, captures);
                }
            }
            self.scratch.desk.memo.leave(way);
        }
        let (_, mut values) = values;
        values.clear();
        self.scratch.desk.values = values;
        Some(matched)
    }

    /// The targets that `ctl` removed from a rule, in the first so many lists.
    fn removed_targets(&self, rule: Option<usize>, lists: usize) -> impl Iterator<Item = &Target> {
        let lists = self.scratch.removed_targets.iter().take(lists);
        let from = move |rules: &[usize]| rule.is_some_and(|rule| rules.binary_search(&rule).is_ok());
        lists.filter(move |(rules, _)| from(rules)).flat_map(|(_, targets)| targets.iter())
    }

    /// A value of a group with its name. Those from one on are gathered; they are asked for in order.
    fn gathered<'a>(
        &self,
        program: &Program,
        group: usize,
        number: usize,
        (from, values): &'a mut (usize, Vec<Value>),
    ) -> Option<&'a Value> {
        if values.get(number.checked_sub(*from)?).is_none() {
            let group = program.groups.get(group)?;
            self.state.some(&group.target, &group.exclusions, number, values);
            *from = number;
        }
        values.get(number - *from)
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

    /// Compares how many values a target has; if that matches, it is compared again and charged then.
    fn admits_count(&mut self, link: &Link, argument: &Bytes) -> bool {
        let (Some(operator), Some(target)) = (&link.operator, link.targets.first()) else { return true };
        let number = self.state.count(target);
        let admitted = operator.matches(&number, argument, None) != link.negated;
        if !admitted {
            self.state.budget.evaluation(number.len());
        }
        admitted
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
