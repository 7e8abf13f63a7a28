//! Members of `TX` that are read and never set.

use std::collections::BTreeSet;

use palisade_seclang::{
    ActionKind, Ast, Collection, MacroPart, MacroText, Selector, SetVarOperation, VariableKind,
};

use super::{Entry, Report};

/// Members that a WafPolicy sets.
const BY_POLICY: [&str; 4] = [
    "blocking_paranoia_level",
    "detection_paranoia_level",
    "inbound_anomaly_score_threshold",
    "outbound_anomaly_score_threshold",
];

pub(super) fn check(_ast: &Ast, rules: &[Entry<'_>], report: &mut Report<'_>) {
    let mut set: BTreeSet<String> = BY_POLICY.iter().map(|name| (*name).to_owned()).collect();
    let mut optional: BTreeSet<String> = BTreeSet::new();
    let mut beginnings: Vec<String> = Vec::new();
    for entry in rules {
        for action in entry.actions() {
            if let ActionKind::SetVar(change) = &action.kind
                && change.collection == Collection::Tx
                && change.operation != SetVarOperation::Unset
            {
                match change.key.as_literal() {
                    Some(name) => {
                        set.insert(name.to_ascii_lowercase());
                    }
                    None => beginnings.push(beginning(&change.key)),
                }
            }
        }
        for variable in entry.links().flat_map(|link| &link.variables) {
            // Whoever counts a member asks whether it is set: it is an option.
            if let (VariableKind::Tx, true, Selector::Exact(name)) =
                (variable.kind, variable.count, &variable.selector)
            {
                optional.insert(name.to_ascii_lowercase());
            }
        }
    }
    let is_known = |name: &str| {
        let name = name.to_ascii_lowercase();
        let is_capture = name.len() == 1 && name.bytes().all(|byte| byte.is_ascii_digit());
        is_capture
            || set.contains(&name)
            || optional.contains(&name)
            || beginnings.iter().any(|start| name.starts_with(start.as_str()))
    };
    for entry in rules {
        for link in entry.links() {
            for variable in link.variables.iter().filter(|variable| !variable.exclude && !variable.count) {
                if let (VariableKind::Tx, Selector::Exact(name)) = (variable.kind, &variable.selector)
                    && !is_known(name)
                {
                    report.add("W043", variable.span, Some(entry.id), unset(name));
                }
            }
            if let Some(operator) = &link.operator {
                for name in read_by(&operator.argument).filter(|name| !is_known(name)) {
                    report.add("W043", operator.argument_span, Some(entry.id), unset(name));
                }
            }
        }
    }
}

fn unset(name: &str) -> String {
    format!("reads TX:{name}, and no rule sets it")
}

/// The text before the first expansion of a name.
fn beginning(key: &MacroText) -> String {
    match key.parts.first() {
        Some(MacroPart::Literal(text)) => text.to_ascii_lowercase(),
        _ => String::new(),
    }
}

/// Members of `TX` in a text.
fn read_by(text: &MacroText) -> impl Iterator<Item = &str> {
    text.parts.iter().filter_map(|part| match part {
        MacroPart::Expansion { variable: VariableKind::Tx, key: Some(key) } => Some(key.as_str()),
        _ => None,
    })
}
