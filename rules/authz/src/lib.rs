//! Identity allowlists with Istio's semantics: a pure function of (policies, connection, head).
//!
//! ```text
//!   AuthorizationPolicy ─compile─▶ rules ─candidates─▶ DENY? ─▶ ALLOW? ─▶ Decision
//! ```
//! Order: a DENY rule that matches denies. Without ALLOW policies everything else is allowed. With ALLOW policies,
//! one of their rules must match. Rules and values are ORed; `from`, `to`, `when` and fields are ANDed; `not…` is
//! NOT(OR). On raw TCP an ALLOW rule with an HTTP field never matches and a DENY rule loses its HTTP part.
//!
//! Promises: no I/O, no clock, no regular expressions; a decision names the rule that decided, or the nearest ALLOW
//! rule that failed and why. It does not select policies for a workload: that is the index's work.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod candidates;
mod compile;
mod condition;
mod facts;
mod nearest;
mod path;
mod pattern;

use palisade_model::documents::{Action, AuthorizationPolicy, FieldError};
use palisade_model::{Connection, Denial, Reason, RequestHead, RuleId};

use crate::candidates::Candidates;
use crate::compile::{Clause, Rule};
use crate::facts::Facts;

pub use crate::compile::RULES;
pub use crate::nearest::NEAREST_RULES;

/// Why a policy cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("AuthorizationPolicy {namespace}/{name}: {error}")]
pub struct AuthorizationError {
    /// The policy's namespace.
    pub namespace: String,
    /// The policy's name.
    pub name: String,
    /// The field and what is wrong with it.
    pub error: FieldError,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed by a rule, or by the absence of ALLOW policies.
    Allow(Option<RuleId>),
    /// Refused.
    Deny(Denial),
}

/// The compiled policies of one workload.
#[derive(Debug, Default)]
pub struct AuthorizationEngine {
    deny: Rules,
    allow: Rules,
    /// The first ALLOW policy, so that one without rules denies everything and can be named.
    allow_policy: Option<RuleId>,
}

/// Rules of one action in the order of their policies, and the file of them.
#[derive(Debug, Default)]
struct Rules {
    rules: Vec<Rule>,
    requests: Candidates,
    connections: Candidates,
}

/// Everything that is wrong with one policy in itself. `is_tcp` says which ports are declared TCP: an HTTP field of
/// an operation or rule that names only such ports could never be judged as written, and is refused.
pub fn validate(policy: &AuthorizationPolicy, is_tcp: &dyn Fn(u16) -> bool) -> Vec<FieldError> {
    match compile::policy(policy) {
        Err(problems) => problems,
        Ok(rules) => compile::http_on_tcp(&rules, is_tcp),
    }
}

impl AuthorizationEngine {
    /// Compiles the policies that select a workload.
    ///
    /// # Errors
    /// The first problem of the first policy that has one; [`validate`] tells all of them.
    pub fn compile(policies: &[AuthorizationPolicy]) -> Result<Self, AuthorizationError> {
        let (mut deny, mut allow, mut allow_policy) = (Vec::new(), Vec::new(), None);
        for policy in policies {
            let refuse = |error| AuthorizationError {
                namespace: policy.metadata.namespace.clone(),
                name: policy.metadata.name.clone(),
                error,
            };
            let rules = compile::policy(policy)
                .map_err(|problems| refuse(problems.into_iter().next().unwrap_or_else(unknown_problem)))?;
            let list = match policy.spec.action {
                Action::Deny => &mut deny,
                Action::Allow => {
                    allow_policy.get_or_insert_with(|| RuleId::Authorization {
                        namespace: policy.metadata.namespace.as_str().into(),
                        name: policy.metadata.name.as_str().into(),
                        rule: None,
                    });
                    &mut allow
                }
            };
            list.extend(rules);
            if list.len() > RULES {
                let problem = format!("more than {RULES} rules in force on one workload");
                return Err(refuse(FieldError { path: "spec.rules".into(), problem }));
            }
        }
        Ok(Self { deny: Rules::new(deny), allow: Rules::new(allow), allow_policy })
    }

    /// Decides on a request.
    pub fn http(&self, connection: &Connection, head: &RequestHead) -> Decision {
        self.decide(&Facts::new(connection, Some(head)), Rules::first)
    }

    /// Decides on a connection whose bytes are opaque.
    pub fn tcp(&self, connection: &Connection) -> Decision {
        self.decide(&Facts::new(connection, None), Rules::first)
    }

    /// The slow truth that [`Self::http`] and [`Self::tcp`] are checked against: every rule in order, nothing filed.
    pub fn decide_slowly(&self, connection: &Connection, head: Option<&RequestHead>) -> Decision {
        self.decide(&Facts::new(connection, head), Rules::first_slowly)
    }

    fn decide(
        &self,
        facts: &Facts<'_>,
        first: for<'a> fn(&'a Rules, &Facts<'_>, Action) -> Option<&'a Rule>,
    ) -> Decision {
        if let Some(rule) = first(&self.deny, facts, Action::Deny) {
            let text = format!("{} matched", rule.id);
            return Decision::Deny(Denial::new(Reason::AuthorizationDenied, Some(rule.id.clone()), text));
        }
        if self.allow_policy.is_none() {
            return Decision::Allow(None);
        }
        match first(&self.allow, facts, Action::Allow) {
            Some(rule) => Decision::Allow(Some(rule.id.clone())),
            None => {
                let (rules, file) = (&self.allow.rules, self.allow.file(facts));
                Decision::Deny(nearest::not_allowed(rules, file, self.allow_policy.as_ref(), facts))
            }
        }
    }
}

fn unknown_problem() -> FieldError {
    FieldError { path: "spec".into(), problem: "cannot be compiled".into() }
}

impl Rules {
    fn new(rules: Vec<Rule>) -> Self {
        let requests = Candidates::build(&rules, true);
        let connections = Candidates::build(&rules, false);
        Self { rules, requests, connections }
    }

    fn file(&self, facts: &Facts<'_>) -> &Candidates {
        if facts.head.is_some() { &self.requests } else { &self.connections }
    }

    fn first(&self, facts: &Facts<'_>, action: Action) -> Option<&Rule> {
        let rule = |slot: u32| usize::try_from(slot).ok().and_then(|slot| self.rules.get(slot));
        self.file(facts)
            .first(facts, |slot| rule(slot).is_some_and(|rule| rule.matches(facts, action)))
            .and_then(rule)
    }

    fn first_slowly(&self, facts: &Facts<'_>, action: Action) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.matches(facts, action))
    }
}

impl Rule {
    fn matches(&self, facts: &Facts<'_>, action: Action) -> bool {
        let all = |clause: &Clause| clause.iter().all(|condition| condition.holds(facts, action));
        let any = |clauses: &[Clause]| clauses.is_empty() || clauses.iter().any(all);
        any(&self.from) && any(&self.to) && all(&self.when)
    }
}
