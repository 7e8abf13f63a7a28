//! Which rules can match an exchange at all: so that ten thousand rules cost as little as a few.
//!
//! Promises: it never leaves out a rule that could match; a property test compares it with the plain walk. A rule
//! is filed under what every way to match it demands exactly: a principal, a service account, a path, or a
//! namespace, in this order; what demands none of these is always a candidate.

use std::collections::HashMap;

use palisade_model::Principal;

use crate::compile::{Clause, Rule};
use crate::condition::{PrincipalPattern, Values};
use crate::facts::Facts;
use crate::path::PathPattern;
use crate::pattern::Pattern;

/// Indices of rules, ascending.
type Slots = Vec<u32>;

/// The file.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    principals: HashMap<Principal, Slots>,
    accounts: HashMap<Box<str>, HashMap<Box<str>, Slots>>,
    paths: HashMap<Box<str>, Slots>,
    namespaces: HashMap<Box<str>, Slots>,
    always: Slots,
}

/// What one rule demands.
enum Demand<'a> {
    Principals(Vec<&'a Principal>),
    Accounts(Vec<(&'a str, &'a str)>),
    Paths(Vec<&'a str>),
    Namespaces(Vec<&'a str>),
    Nothing,
}

impl Candidates {
    /// Files rules in order. `http`: for requests; otherwise for connections, which have no path.
    pub(crate) fn build(rules: &[Rule], http: bool) -> Self {
        let mut file = Self::default();
        for (index, rule) in (0u32..).zip(rules) {
            match demand(rule, http) {
                Demand::Principals(keys) => {
                    keys.into_iter()
                        .for_each(|key| put(file.principals.entry(key.clone()).or_default(), index));
                }
                Demand::Accounts(keys) => {
                    for (namespace, account) in keys {
                        let of_namespace = file.accounts.entry(namespace.into()).or_default();
                        put(of_namespace.entry(account.into()).or_default(), index);
                    }
                }
                Demand::Paths(keys) => {
                    keys.into_iter().for_each(|key| put(file.paths.entry(key.into()).or_default(), index));
                }
                Demand::Namespaces(keys) => {
                    keys.into_iter()
                        .for_each(|key| put(file.namespaces.entry(key.into()).or_default(), index));
                }
                Demand::Nothing => file.always.push(index),
            }
        }
        file
    }

    /// The first rule, in the order of the policies, that is a candidate and satisfies `matches`.
    pub(crate) fn first(&self, facts: &Facts<'_>, mut matches: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut best: Option<u32> = None;
        let search = |slots: &Slots| {
            for slot in slots {
                if best.is_some_and(|best| best <= *slot) {
                    return;
                }
                if matches(*slot) {
                    best = Some(*slot);
                    return;
                }
            }
        };
        self.filed(facts).chain([&self.always]).for_each(search);
        best
    }

    /// The lists of rules that demand something which this exchange has.
    pub(crate) fn filed<'s>(&'s self, facts: &Facts<'_>) -> impl Iterator<Item = &'s Slots> + use<'s> {
        let by_identity = facts.principal().map(|principal| {
            let accounts = self.accounts.get(principal.namespace());
            [
                self.principals.get(principal),
                accounts.and_then(|accounts| accounts.get(principal.service_account())),
                self.namespaces.get(principal.namespace()),
            ]
        });
        let by_path = facts.head.filter(|_| !self.paths.is_empty()).map(|head| {
            let readings = facts.path(head);
            let loose = readings.loose.as_deref();
            [self.paths.get(readings.canonical), loose.and_then(|path| self.paths.get(path))]
        });
        by_identity.into_iter().flatten().chain(by_path.into_iter().flatten()).flatten()
    }
}

fn put(slots: &mut Slots, index: u32) {
    if slots.last() != Some(&index) {
        slots.push(index);
    }
}

fn demand(rule: &Rule, http: bool) -> Demand<'_> {
    if let Some(keys) = every(&rule.from, |values| match values {
        Values::Principals(patterns) => all(patterns, |pattern| match pattern {
            PrincipalPattern::Exact(principal) => Some(principal),
            PrincipalPattern::Text(_) => None,
        }),
        _ => None,
    }) {
        return Demand::Principals(keys);
    }
    if let Some(keys) = every(&rule.from, |values| match values {
        Values::ServiceAccounts(accounts) => {
            all(accounts, |(namespace, account)| Some((&**namespace, &**account)))
        }
        _ => None,
    }) {
        return Demand::Accounts(keys);
    }
    if http
        && let Some(keys) = every(&rule.to, |values| match values {
            Values::Paths(patterns) => all(patterns, PathPattern::exact),
            _ => None,
        })
    {
        return Demand::Paths(keys);
    }
    if let Some(keys) = every(&rule.from, |values| match values {
        Values::Namespaces(patterns) => all(patterns, |pattern| match pattern {
            Pattern::Exact(namespace) => Some(&**namespace),
            _ => None,
        }),
        _ => None,
    }) {
        return Demand::Namespaces(keys);
    }
    Demand::Nothing
}

/// The keys of all alternatives, if each of them demands some.
fn every<'a, K>(clauses: &'a [Clause], keys: impl Fn(&'a Values) -> Option<Vec<K>>) -> Option<Vec<K>> {
    if clauses.is_empty() {
        return None;
    }
    let mut all = Vec::new();
    for clause in clauses {
        let mut demanded = clause.iter().filter(|condition| !condition.negated);
        all.extend(demanded.find_map(|condition| keys(&condition.values))?);
    }
    Some(all)
}

fn all<'a, T, K>(values: &'a [T], key: impl Fn(&'a T) -> Option<K>) -> Option<Vec<K>> {
    values.iter().map(key).collect()
}
