//! Removals, updates and `ctl` exclusions that change nothing.

use palisade_seclang::{
    ActionKind, Ast, Control, DirectiveBody, IdRange, RuleSelection, UpdateTarget, Variable,
};
use regex_automata::meta::Regex;

use super::{Entry, Report, shown};
use crate::operators::compile_regex;

/// Which rules a removal, an update or a `ctl` names.
pub(super) enum Chosen {
    Ids(Vec<IdRange>),
    Tag(Expression),
    Message(Expression),
}

/// A text, or an expression if it has signs of one: as the compiler reads it.
pub(super) enum Expression {
    Exact(String),
    Regex(Box<Regex>),
    /// It does not compile; the compiler says so.
    Wrong,
}

impl Expression {
    fn new(text: &str) -> Self {
        if !text.contains(['^', '$', '*', '+', '?', '[', '(', '|', '\\']) {
            return Self::Exact(text.to_owned());
        }
        compile_regex(text).map_or(Self::Wrong, |regex| Self::Regex(Box::new(regex)))
    }

    fn finds(&self, text: &str) -> bool {
        match self {
            Self::Exact(wanted) => wanted == text,
            Self::Regex(regex) => regex.is_match(text),
            Self::Wrong => true,
        }
    }
}

impl Chosen {
    /// What a directive removes.
    pub(super) fn removed_by(body: &DirectiveBody) -> Option<Self> {
        Some(match body {
            DirectiveBody::RemoveById(ranges) => Self::Ids(ranges.clone()),
            DirectiveBody::RemoveByTag(text) => Self::Tag(Expression::new(text)),
            DirectiveBody::RemoveByMsg(text) => Self::Message(Expression::new(text)),
            _ => return None,
        })
    }

    fn updated_by(body: &DirectiveBody) -> Option<Self> {
        Some(match body {
            DirectiveBody::UpdateTarget(update) => match &update.rules {
                RuleSelection::Ids(ranges) => Self::Ids(ranges.clone()),
                RuleSelection::Tag(text) => Self::Tag(Expression::new(text)),
                RuleSelection::Msg(text) => Self::Message(Expression::new(text)),
            },
            DirectiveBody::UpdateAction { id, .. } => Self::Ids(vec![IdRange { first: *id, last: *id }]),
            _ => return None,
        })
    }

    /// What a `ctl` names, and the targets it takes away.
    fn controlled(control: &Control) -> Option<(Self, &[Variable])> {
        Some(match control {
            Control::RuleRemoveById(ranges) => (Self::Ids(ranges.clone()), &[]),
            Control::RuleRemoveByTag(text) => (Self::Tag(Expression::new(text)), &[]),
            Control::RuleRemoveByMsg(text) => (Self::Message(Expression::new(text)), &[]),
            Control::RuleRemoveTargetById(ranges, targets) => (Self::Ids(ranges.clone()), targets),
            Control::RuleRemoveTargetByTag(text, targets) => (Self::Tag(Expression::new(text)), targets),
            Control::RuleRemoveTargetByMsg(text, targets) => (Self::Message(Expression::new(text)), targets),
            _ => return None,
        })
    }

    /// Whether it names a rule.
    pub(super) fn takes(&self, entry: &Entry<'_>) -> bool {
        match self {
            Self::Ids(ranges) => ranges.iter().any(|range| range.contains(entry.id)),
            Self::Tag(tag) => entry.tags.iter().any(|found| tag.finds(found)),
            Self::Message(message) => entry.message.as_ref().is_some_and(|found| message.finds(found)),
        }
    }
}

pub(super) fn check(ast: &Ast, rules: &[Entry<'_>], report: &mut Report<'_>) {
    for (position, directive) in ast.directives.iter().enumerate() {
        let body = &directive.body;
        let Some(chosen) = Chosen::removed_by(body).or_else(|| Chosen::updated_by(body)) else { continue };
        let named: Vec<&Entry<'_>> = rules.iter().filter(|entry| chosen.takes(entry)).collect();
        let mut before = named.iter().filter(|entry| entry.position < position).peekable();
        if before.peek().is_none() {
            let text = match named.first() {
                Some(later) => format!("changes nothing: rule {} comes after it; move it behind", later.id),
                None => "changes nothing: there is no such rule".to_owned(),
            };
            report.add("W010", directive.span, None, text);
        } else if let DirectiveBody::UpdateTarget(update) = body {
            let before: Vec<&Entry<'_>> = before.copied().collect();
            update_target(update, &before, directive.span, report);
        }
    }
    for entry in rules {
        own_exclusions(entry, report);
        controls(entry, rules, report);
    }
}

/// Targets that an update takes away, or replaces, and no rule has.
fn update_target(
    update: &UpdateTarget,
    rules: &[&Entry<'_>],
    span: palisade_seclang::Span,
    report: &mut Report<'_>,
) {
    let excluded = update.variables.iter().filter(|variable| variable.exclude);
    for variable in excluded.chain(update.replaced.iter().flatten()) {
        if !rules.iter().any(|entry| looks_at(entry.rule.variables.iter(), variable)) {
            let text = format!("takes away {}, and no rule it names looks at that", shown(variable));
            report.add("W011", span, None, text);
        }
    }
}

/// `!ARGS:x` in a rule that does not look at `ARGS`.
fn own_exclusions(entry: &Entry<'_>, report: &mut Report<'_>) {
    for link in entry.links() {
        for variable in link.variables.iter().filter(|variable| variable.exclude) {
            if !looks_at(link.variables.iter(), variable) {
                let text = format!("takes away {}, which it does not look at", shown(variable));
                report.add("W011", variable.span, Some(entry.id), text);
            }
        }
    }
}

/// Whether one of these targets can give a value that an exclusion takes.
fn looks_at<'a>(mut targets: impl Iterator<Item = &'a Variable>, exclusion: &Variable) -> bool {
    use palisade_seclang::Selector as S;
    targets.any(|target| {
        let apart = match (&target.selector, &exclusion.selector) {
            (S::Exact(one), S::Exact(other)) => !one.eq_ignore_ascii_case(other),
            _ => false,
        };
        !target.exclude && target.kind == exclusion.kind && !apart
    })
}

/// `ctl` exclusions that come too late, or name nothing.
fn controls(entry: &Entry<'_>, rules: &[Entry<'_>], report: &mut Report<'_>) {
    for action in entry.actions() {
        let ActionKind::Ctl(control) = &action.kind else { continue };
        let Some((chosen, targets)) = Chosen::controlled(control) else { continue };
        let named: Vec<&Entry<'_>> = rules.iter().filter(|other| chosen.takes(other)).collect();
        let here = (entry.phase, entry.position);
        if named.is_empty() {
            report.add("W013", action.span, Some(entry.id), "names no rule of this rule set");
        } else if named.iter().all(|other| (other.phase, other.position) < here) {
            let text = "runs after every rule it names: put it in front of them, or in an earlier phase";
            report.add("W012", action.span, Some(entry.id), text);
        } else {
            for variable in targets {
                if !named.iter().any(|other| looks_at(other.rule.variables.iter(), variable)) {
                    let text = format!("takes away {}, and no rule it names looks at that", shown(variable));
                    report.add("W011", action.span, Some(entry.id), text);
                }
            }
        }
    }
}
