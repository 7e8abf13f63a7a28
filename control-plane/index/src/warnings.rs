//! What only several documents together show: policies that select nothing, names of nothing, two where one is meant,
//! and rules that can never decide.

use palisade_model::documents::{AuthorizationPolicy, Document, Rule, Selector};

use crate::{DocumentRef, Index, Problem};

/// Rules of one policy that every later one is compared with, for duplicates; more would take quadratic time.
const COMPARED_RULES: usize = 200;

/// Everything about the policies of an index.
pub(crate) fn policies(index: &Index, problems: &mut Vec<Problem>) {
    for policy in &index.inventory.authorization {
        let reference = DocumentRef::of(&Document::AuthorizationPolicy(policy.clone()));
        selects_nothing(index, &reference, policy.spec.selector.as_ref(), problems);
        dead_rules(policy, &reference, problems);
    }
    for policy in &index.inventory.waf {
        let reference = DocumentRef::of(&Document::WafPolicy(policy.clone()));
        selects_nothing(index, &reference, policy.spec.selector.as_ref(), problems);
        if index.rule_set(policy).is_none() {
            let text = format!(
                "there is no RuleSet {:?}; its workloads keep their last policy",
                policy.spec.rule_set
            );
            problems.push(Problem::warning(reference, "spec.ruleSet", text));
        }
    }
    for service in index.inventory.services.values() {
        let Some(selector) = &service.spec.workload_selector else { continue };
        if index.inventory.selected(&service.metadata.namespace, &selector.labels).next().is_none() {
            let reference = DocumentRef::of(&Document::ServiceEntry(service.clone()));
            problems.push(Problem::warning(reference, "spec.workloadSelector", "selects no workload"));
        }
    }
    two_waf_policies(index, problems);
}

/// More than one WafPolicy on a workload: which one is meant cannot be known.
fn two_waf_policies(index: &Index, problems: &mut Vec<Problem>) {
    for (id, workload) in &index.inventory.workloads {
        let mut policies = index.waf(workload);
        let Some(first) = policies.next() else { continue };
        for other in policies {
            let text = format!(
                "selects {}/{}, which WafPolicy {}/{} also selects; one must be narrowed",
                id.namespace, id.name, first.metadata.namespace, first.metadata.name
            );
            let reference = DocumentRef::of(&Document::WafPolicy(other.clone()));
            problems.push(Problem::error(reference, "spec.selector", text));
        }
    }
}

fn selects_nothing(
    index: &Index,
    document: &DocumentRef,
    selector: Option<&Selector>,
    problems: &mut Vec<Problem>,
) {
    let selected = index.inventory.workloads.values();
    if !selected.into_iter().any(|workload| index.applies(&document.namespace, selector, workload)) {
        problems.push(Problem::warning(document.clone(), "spec.selector", "selects no workload"));
    }
}

/// Rules after one that matches everything, and rules that are written twice.
fn dead_rules(policy: &AuthorizationPolicy, document: &DocumentRef, problems: &mut Vec<Problem>) {
    let rules = &policy.spec.rules;
    let everything = rules.iter().position(|rule| *rule == Rule::default());
    for (index, rule) in rules.iter().enumerate() {
        let text = match everything {
            Some(first) if index > first => format!("never decides: rules[{first}] matches everything"),
            _ => {
                let earlier = rules.iter().take(index.min(COMPARED_RULES));
                let Some(twin) = earlier.into_iter().position(|other| other == rule) else { continue };
                format!("never decides: it is the same as rules[{twin}]")
            }
        };
        problems.push(Problem::warning(document.clone(), format!("spec.rules[{index}]"), text));
    }
}
