//! What must hold between directives: chains, ids, markers.

use std::collections::{BTreeMap, BTreeSet};

use crate::actions::{Action, ActionKind, Phase};
use crate::diagnostics::{Report, clip};
use crate::directives::{Directive, DirectiveBody, Rule};
use crate::span::Span;

/// Hangs a rule below the chain that waits for it. The rule comes back if none does.
pub(crate) fn link(last: Option<&mut Directive>, rule: Rule, report: &mut Report) -> Option<Rule> {
    let Some(directive) = last else { return Some(rule) };
    let DirectiveBody::Rule(starter) = &mut directive.body else { return Some(rule) };
    if !starter.links.last().unwrap_or(starter).is_chained() {
        return Some(rule);
    }
    for action in &rule.actions {
        let name = action.kind.name();
        let is_starters = name.is_disruptive()
            || matches!(
                action.kind,
                ActionKind::Id(_) | ActionKind::Phase(_) | ActionKind::Skip(_) | ActionKind::SkipAfter(_)
            );
        if is_starters {
            report.error(
                action.span,
                format!("{name} belongs to the rule that starts the chain, not to a link"),
            );
        }
    }
    if rule.span.file == directive.span.file {
        directive.span.end = rule.span.end;
    }
    starter.links.push(rule);
    None
}

/// The last rule of a chain that still waits for a link.
pub(crate) fn open_chain(last: Option<&Directive>) -> Option<Span> {
    let DirectiveBody::Rule(starter) = &last?.body else { return None };
    let rule = starter.links.last().unwrap_or(starter);
    rule.is_chained().then_some(rule.span)
}

/// Checks the whole list.
pub(crate) fn check(directives: &[Directive], report: &mut Report) {
    let mut ids: BTreeMap<u64, Span> = BTreeMap::new();
    let mut phases: BTreeSet<Phase> = BTreeSet::new();
    for directive in directives {
        if let DirectiveBody::DefaultAction { phase, .. } = &directive.body
            && !phases.insert(*phase)
        {
            let number = *phase as u8;
            report.error(directive.span, format!("phase {number} already has a SecDefaultAction"));
        }
        if let DirectiveBody::Rule(rule) = &directive.body {
            check_starter(rule, report);
            if let Some(id) = rule.id()
                && ids.insert(id, rule.span).is_some()
            {
                report.error(id_span(rule), format!("the id {id} is already taken by another rule"));
            }
        }
    }
    check_markers(directives, report);
}

fn id_span(rule: &Rule) -> Span {
    let id = rule.actions.iter().find(|action| matches!(action.kind, ActionKind::Id(_)));
    id.map_or(rule.span, |action| action.span)
}

fn check_starter(rule: &Rule, report: &mut Report) {
    if rule.id().is_none() {
        let word = Span { end: rule.span.start + 1, ..rule.span };
        report.error(word, "this rule needs an id, e.g. id:1000");
    }
    for rule in std::iter::once(rule).chain(&rule.links) {
        single(&rule.actions, "id", |action| matches!(action.kind, ActionKind::Id(_)), report);
        single(&rule.actions, "phase", |action| matches!(action.kind, ActionKind::Phase(_)), report);
        single(&rule.actions, "disruptive action", |action| action.kind.name().is_disruptive(), report);
    }
}

fn single(actions: &[Action], what: &str, is_one: impl Fn(&Action) -> bool, report: &mut Report) {
    if let Some(second) = actions.iter().filter(|action| is_one(action)).nth(1) {
        report.error(second.span, format!("a rule has one {what}; this is the second"));
    }
}

/// `skipAfter` without its marker would skip the rest of the phase.
fn check_markers(directives: &[Directive], report: &mut Report) {
    let mut ahead: BTreeSet<&str> = BTreeSet::new();
    let mut ids: BTreeSet<u64> = BTreeSet::new();
    for directive in directives.iter().rev() {
        match &directive.body {
            DirectiveBody::Marker(name) => {
                ahead.insert(name);
            }
            DirectiveBody::Rule(rule) => {
                for action in &rule.actions {
                    if let ActionKind::SkipAfter(name) = &action.kind
                        && !ahead.contains(name.as_str())
                        && !name.parse().is_ok_and(|id| ids.contains(&id))
                    {
                        let message = format!(
                            "no SecMarker {:?} follows, so that all the rest would be skipped",
                            clip(name)
                        );
                        report.error(action.span, message);
                    }
                }
                ids.extend(rule.id());
            }
            _ => {}
        }
    }
}
