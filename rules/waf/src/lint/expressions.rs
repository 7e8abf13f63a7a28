//! Regular expressions: what the fast path cannot use, and what is rarely meant.

use palisade_seclang::{OperatorKind, Variable};

use super::{Entry, Report};
use crate::operators::{Interner, Operator, compile_regex};
use crate::state::is_settable;

pub(super) fn check(entry: &Entry<'_>, report: &mut Report<'_>) {
    for (number, link) in entry.links().enumerate() {
        let Some(operator) = &link.operator else { continue };
        if !matches!(operator.kind, OperatorKind::Rx | OperatorKind::RxGlobal) {
            continue;
        }
        let pattern = operator.argument.to_string();
        if has_wide_range(&pattern) {
            let text = "the range A-z takes in [ \\ ] ^ _ and the backquote; A-Za-z is meant";
            report.add("W032", operator.argument_span, Some(entry.id), text);
        }
        // Links after the first, negated tests and what rules set are never prefiltered; that is not the pattern's fault.
        if number > 0 || operator.negated || link.variables.iter().all(is_set_by_rules) {
            continue;
        }
        if let Some(why) = unfiltered(&pattern) {
            let text = format!("is tried on every value: {why}");
            report.add("W030", operator.argument_span, Some(entry.id), text);
        }
    }
}

fn is_set_by_rules(variable: &Variable) -> bool {
    variable.exclude || variable.count || is_settable(variable.kind)
}

/// Why nothing is known of what a match must hold.
fn unfiltered(pattern: &str) -> Option<&'static str> {
    let mut interner = Interner::default();
    let operator = Operator::compile(OperatorKind::Rx, Some(pattern), &[], &mut interner).ok()?;
    if operator.needs().is_some_and(|needs| !needs.clauses.is_empty()) {
        return None;
    }
    let matches_empty = compile_regex(pattern).ok()?.is_match(b"");
    Some(match matches_empty {
        true => "it matches the empty text",
        false => "no text, and no rare byte, is part of every match",
    })
}

/// `[…A-z…]`: the range over the signs between `Z` and `a`.
fn has_wide_range(pattern: &str) -> bool {
    let mut rest = pattern;
    while let Some(at) = rest.find("A-z") {
        let before = rest.get(..at).unwrap_or_default();
        let is_open = before.rfind('[') > before.rfind(']') && before.contains('[');
        if is_open && !before.ends_with('\\') {
            return true;
        }
        rest = rest.get(at + 3..).unwrap_or_default();
    }
    false
}
