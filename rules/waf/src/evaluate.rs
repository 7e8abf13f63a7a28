//! Running the rules of one phase, straightforwardly: every rule, every target, every value, in order.
//!
//! This is the slow truth; [`crate::prefilter`] says first what cannot match, and must never differ from it. A link's
//! actions run for each value that matches, and before the links after it are tried, as ModSecurity does; rule sets count
//! on it.

use std::borrow::Cow;

use bytes::Bytes;
use palisade_seclang::{Allow, EngineMode, Phase, Transformation};

use crate::engine::{Disruption, Engine, Flow, Link, Rule};
use crate::limits::MATCHED_VALUES;
use crate::operators::{Captures, Operator};
use crate::scratch::{Desk, push};
use crate::transaction::{Interruption, InterruptionKind, Transaction};
use crate::transformations;
use crate::values::Value;

/// What a rule means for the rules after it.
pub(crate) enum Next {
    /// They run.
    Rule,
    /// Some are skipped.
    Flow(Flow),
    /// The phase ends.
    End,
}

impl Transaction {
    /// Runs a phase.
    pub(crate) fn run(&mut self, phase: Phase) -> Option<Interruption> {
        if self.interruption.is_some() && phase != Phase::Logging {
            return self.interruption.clone();
        }
        if self.passes(phase) {
            return None;
        }
        let engine = self.engine.clone();
        self.take_desk();
        self.scratch.desk.memo.begin(phase);
        let place = match &engine.program {
            Some(program) => self.run_live(&engine, program, phase),
            None => Some(0),
        };
        if let Some(place) = place {
            self.run_all(&engine, phase, place);
        }
        if phase != Phase::RequestHeaders {
            // Requests wait for their responses without it, and those are little to read.
            self.leave_desk(&engine, phase);
        }
        if phase == Phase::Logging { None } else { self.interruption.clone() }
    }

    /// Gets what is needed while rules run.
    fn take_desk(&mut self) {
        if self.scratch.take_desk() {
            let Desk { matched, others, .. } = &mut self.scratch.desk;
            self.state.matched = std::mem::take(matched);
            self.state.tx.give_room(std::mem::take(others));
        }
    }

    /// Gives it back, and forgets what no rule of a later phase reads.
    fn leave_desk(&mut self, engine: &Engine, phase: Phase) {
        // Who follows the rules wants to see what they set.
        let traced = self.trace.is_some();
        let is_read = |name: &[u8]| traced || engine.later(phase).is_some_and(|later| later.reads(name));
        self.scratch.desk.others = self.state.tx.forget(is_read);
        self.scratch.desk.matched = self.state.end_rules();
        self.scratch.leave_desk();
    }

    /// Runs every rule of a phase from a place on.
    fn run_all(&mut self, engine: &Engine, phase: Phase, place: usize) {
        let (mut skip, mut skip_to) = (0_u32, 0_usize);
        for index in engine.phase(phase).iter().skip(place) {
            let Some(rule) = engine.rules.get(*index) else { continue };
            if self.mode == EngineMode::Off {
                break;
            }
            if rule.position < skip_to {
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            if self.removed_rules.contains(*index) {
                continue;
            }
            match self.rule(engine, *index, rule) {
                Next::Rule => {}
                Next::Flow(Flow::Skip(rules)) => skip = rules,
                Next::Flow(Flow::SkipTo(position)) => skip_to = position,
                Next::End => break,
            }
            if self.is_exhausted() {
                break;
            }
        }
    }

    /// Whether the work budget is used up; if so the transaction ends.
    pub(crate) fn is_exhausted(&mut self) -> bool {
        let Some(why) = self.state.budget.exhausted() else { return false };
        self.interrupt_for(InterruptionKind::WorkBudget, why);
        true
    }

    /// Whether a rule allowed this phase, or rules are off.
    fn passes(&self, phase: Phase) -> bool {
        let allowed = match self.allowed {
            Some(Allow::Transaction) => phase != Phase::Logging,
            Some(Allow::Request) => phase <= Phase::RequestBody,
            Some(Allow::Phase) | None => false,
        };
        allowed || self.mode == EngineMode::Off
    }

    /// Evaluates one rule with its chain.
    pub(crate) fn rule(&mut self, engine: &Engine, index: usize, rule: &Rule) -> Next {
        self.state.begin_rule(&rule.facts);
        self.trace_rule(rule);
        for (number, link) in rule.links.iter().enumerate() {
            // Exclusions at run time name a rule by its id, which only the first link has.
            let removable = (number == 0).then_some(index);
            if !self.link(engine, (index, number), removable, link) {
                return Next::Rule;
            }
        }
        if let Some(severity) = rule.severity {
            self.state.highest_severity = self.state.highest_severity.min(severity.number());
        }
        self.trace_complete(rule);
        if rule.log {
            self.record(rule);
        }
        self.audit_match(rule);
        match self.disrupt(rule) {
            Next::Rule => rule.flow.map_or(Next::Rule, Next::Flow),
            next => next,
        }
    }

    /// Evaluates one link on all its values.
    fn link(
        &mut self,
        engine: &Engine,
        place: (usize, usize),
        removable: Option<usize>,
        link: &Link,
    ) -> bool {
        let Some(operator) = &link.operator else {
            self.act(&link.actions);
            self.trace_action(link);
            return true;
        };
        if let Some(matched) = self.judge(engine, place, link) {
            return matched;
        }
        let mut values = std::mem::take(&mut self.scratch.desk.values);
        for target in &link.targets {
            self.state.collect(target, &mut values);
        }
        values.retain(|value| !link.exclusions.iter().any(|target| target.takes(value)));
        if let Some(index) = removable {
            self.retain_allowed(index, &mut values);
        }
        let argument = self.state.expand(&link.argument);
        let mut captures = self.scratch.captures();
        let mut matched = false;
        for value in values.drain(..) {
            let Some(found) = self.try_value(link, operator, &argument, &value, &mut captures) else {
                matched = false;
                break;
            };
            matched |= found;
        }
        self.scratch.desk.values = values;
        self.scratch.desk.captures = captures;
        matched
    }

    /// Tries a link on a value and what it becomes; none if the budget is used up.
    fn try_value(
        &mut self,
        link: &Link,
        operator: &Operator,
        argument: &Bytes,
        value: &Value,
        captures: &mut Captures,
    ) -> Option<bool> {
        let mut matched = false;
        let mut current = value.bytes.clone();
        let mut steps = link.transformations.iter();
        loop {
            // With multiMatch every different text on the way is tried.
            let next = steps.by_ref().find_map(|step| self.transform(*step, &current));
            let (candidate, is_last) = match next {
                Some(next) => (std::mem::replace(&mut current, next), false),
                None => (current.clone(), true),
            };
            if is_last || link.multi_match {
                self.state.budget.evaluation(candidate.len());
                if self.state.budget.exhausted().is_some() {
                    return None;
                }
                let wanted = link.capture.then_some(&mut *captures);
                let found = operator.matches(&candidate, argument, wanted) != link.negated;
                self.trace_value(link, value, &candidate, found);
                if found {
                    matched = true;
                    self.matched(link, Value { bytes: candidate, ..value.clone() }, captures);
                    self.trace_changes();
                }
            }
            if is_last {
                return Some(matched);
            }
        }
    }

    /// What a transformation makes of a text; none if it stays as it is.
    fn transform(&mut self, transformation: Transformation, text: &Bytes) -> Option<Bytes> {
        self.state.budget.bytes(text.len());
        match transformations::apply_with(self.engine.settings.unicode_map.as_deref(), transformation, text) {
            Cow::Borrowed(same) if same.len() == text.len() => None,
            Cow::Borrowed(part) => Some(text.slice_ref(part)),
            Cow::Owned(changed) => Some(self.scratch.arena.take(changed)),
        }
    }

    /// Takes away the values that `ctl:ruleRemoveTarget…` excluded from a rule.
    fn retain_allowed(&self, index: usize, values: &mut Vec<Value>) {
        for (rules, targets) in &self.scratch.removed_targets {
            if rules.binary_search(&index).is_ok() {
                values.retain(|value| !targets.iter().any(|target| target.takes(value)));
            }
        }
    }

    /// A value matched: it is remembered, and the link's actions run.
    pub(crate) fn matched(&mut self, link: &Link, value: Value, captures: &Captures) {
        if link.capture {
            for (group, text) in captures.iter() {
                let text = text.map(|text| match value.bytes == text {
                    true => value.bytes.clone(),
                    false => self.state.arena.copy(text),
                });
                self.state.tx.capture(group, text, &mut self.state.budget);
            }
        }
        if self.state.matched.len() >= MATCHED_VALUES {
            self.state.budget.exhaust("one chain matched too many values");
            return;
        }
        push(&mut self.state.matched, value);
        self.act(&link.actions);
    }

    /// Carries out the disruptive action of a complete match.
    fn disrupt(&mut self, rule: &Rule) -> Next {
        if rule.detect_only || self.mode != EngineMode::On {
            return Next::Rule;
        }
        let (status, redirect, drop) = match &rule.disruption {
            Disruption::Pass => return Next::Rule,
            Disruption::Allow(scope) => {
                if *scope != Allow::Phase {
                    self.allowed = Some(*scope);
                }
                return Next::End;
            }
            Disruption::Deny(status) => (*status, None, false),
            Disruption::Drop(status) => (*status, None, true),
            Disruption::Redirect(status, location) => (*status, Some(self.state.expand(location)), false),
        };
        if rule.phase == Phase::Logging {
            return Next::Rule;
        }
        self.interruption = Some(Interruption {
            kind: InterruptionKind::Rule,
            rule: rule.id,
            status,
            explanation: self.explain(rule),
            redirect,
            drop,
        });
        Next::End
    }
}
