//! Why nothing allowed an exchange: the ALLOW rule that came nearest, and what it lacked. Made only on denial.

use std::cmp::Reverse;

use palisade_model::documents::Action;
use palisade_model::{Denial, Reason, RuleId};

use crate::candidates::Candidates;
use crate::compile::{Clause, Rule};
use crate::condition::Condition;
use crate::facts::Facts;

/// Rules that are compared: so many of those filed under what the exchange has, and so many of the first. A denial
/// flood must not cost much more than the traffic it replaces.
pub const NEAREST_RULES: usize = 100;

/// The denial of an exchange that no ALLOW rule took. `fallback` is an ALLOW policy without rules, if that is all
/// there is.
pub(crate) fn not_allowed(
    rules: &[Rule],
    file: &Candidates,
    fallback: Option<&RuleId>,
    facts: &Facts<'_>,
) -> Denial {
    let filed = file.filed(facts).flatten().take(NEAREST_RULES).copied();
    let first = (0u32..).take(rules.len().min(NEAREST_RULES));
    let nearest = filed
        .chain(first)
        .filter_map(|slot| Some((slot, rules.get(usize::try_from(slot).ok()?)?)))
        .map(|(slot, rule)| (distance(rule, facts), slot, rule))
        .min_by_key(|(distance, slot, _)| (*distance, *slot));
    let Some((_, _, rule)) = nearest else {
        let text = match fallback {
            Some(rule) => format!("{rule} is an ALLOW policy without rules, which denies everything"),
            None => "no ALLOW rule matched".to_owned(),
        };
        return Denial::new(Reason::AuthorizationNotAllowed, fallback.cloned(), text);
    };
    let why = failed(rule, facts).map(|condition| lack(condition, facts)).collect::<Vec<_>>().join(" and ");
    let text = format!("no ALLOW rule matched; nearest is {}, whose {why}", short(&rule.id));
    Denial::new(Reason::AuthorizationNotAllowed, Some(rule.id.clone()), text)
}

/// `namespace/name rules[index]`
fn short(rule: &RuleId) -> String {
    let full = rule.to_string();
    full.strip_prefix("AuthorizationPolicy ").map_or(full.clone(), str::to_owned)
}

/// How far something is from matching: conditions that fail, then (more is nearer) conditions that hold.
type Distance = (usize, Reverse<usize>);

fn distance(rule: &Rule, facts: &Facts<'_>) -> Distance {
    parts(rule, facts)
        .map(|clause| clause_distance(clause, facts))
        .fold((0, Reverse(0)), |sum, part| (sum.0 + part.0, Reverse(sum.1.0 + part.1.0)))
}

fn clause_distance(clause: &Clause, facts: &Facts<'_>) -> Distance {
    let held = clause.iter().filter(|condition| condition.holds(facts, Action::Allow)).count();
    (clause.len() - held, Reverse(held))
}

/// The nearest alternative of `from`, the nearest of `to`, and `when`.
fn parts<'a>(rule: &'a Rule, facts: &Facts<'_>) -> impl Iterator<Item = &'a Clause> {
    let nearest = |clauses: &'a [Clause]| clauses.iter().min_by_key(|clause| clause_distance(clause, facts));
    [nearest(&rule.from), nearest(&rule.to), Some(&rule.when)].into_iter().flatten()
}

fn failed<'a>(rule: &'a Rule, facts: &Facts<'_>) -> impl Iterator<Item = &'a Condition> {
    parts(rule, facts).flatten().filter(|condition| !condition.holds(facts, Action::Allow))
}

/// What a condition lacks: `source.principals does not contain cluster.local/ns/shop/sa/intruder`.
fn lack(condition: &Condition, facts: &Facts<'_>) -> String {
    let (field, found) = (&condition.field, condition.found(facts));
    if facts.head.is_none() && condition.is_http() {
        return format!("{field} cannot be met by {found}");
    }
    match condition.negated {
        false => format!("{field} does not contain {found}"),
        true => format!("{field} excludes {found}"),
    }
}
