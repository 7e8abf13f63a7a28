//! What the person who reads the log needs, and rules that are written twice.

use std::collections::BTreeMap;

use palisade_seclang::ActionKind;

use super::{Entry, Report, shown};

pub(super) fn check(entry: &Entry<'_>, report: &mut Report<'_>) {
    let denies =
        |kind: &ActionKind| matches!(kind, ActionKind::Deny | ActionKind::Drop | ActionKind::Redirect(_));
    let own = entry.rule.actions.iter().any(|action| denies(&action.kind));
    let blocks = entry.rule.actions.iter().any(|action| action.kind == ActionKind::Block);
    let inherited = blocks && entry.defaults.iter().any(|action| denies(&action.kind));
    if (own || inherited) && entry.message.is_none() {
        let text = "denies, and has no msg: whoever reads the log sees an id alone";
        report.add("W040", entry.rule.span, Some(entry.id), text);
    }
}

/// Rules with the same tests in the same phase, and the same conditions before them.
pub(super) fn twice(rules: &[Entry<'_>], report: &mut Report<'_>) {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for entry in rules {
        if entry.rule.operator.is_none() || only_machinery(entry) {
            continue;
        }
        let mut key = format!("{}", entry.phase as u8);
        for link in entry.links() {
            let variables: Vec<String> = link
                .variables
                .iter()
                .map(|variable| format!("{}{}", if variable.exclude { "!" } else { "" }, shown(variable)))
                .collect();
            let operator = link.operator.as_ref();
            let test =
                operator.map(|operator| (operator.kind, operator.negated, operator.argument.to_string()));
            key.push_str(&format!("|{}|{test:?}|{:?}", variables.join("|"), entry.transformations(link)));
        }
        match seen.get(&key) {
            Some(first) => {
                let text = format!("asks the same as rule {first}, of the same variables");
                report.add("W031", entry.rule.span, Some(entry.id), text);
            }
            None => {
                seen.insert(key, entry.id);
            }
        }
    }
}

/// Gates and set-up: rules that only steer or set are repeated on purpose.
fn only_machinery(entry: &Entry<'_>) -> bool {
    let steers = |kind: &ActionKind| {
        matches!(kind, ActionKind::SkipAfter(_) | ActionKind::Skip(_) | ActionKind::Ctl(_))
    };
    entry.message.is_none() || entry.actions().any(|action| steers(&action.kind))
}
