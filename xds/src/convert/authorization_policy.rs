//! `AuthorizationPolicy`.

use palisade_model::documents::{
    Action, AuthorizationPolicy, AuthorizationPolicySpec, Condition, From as FromClause, Metadata, Operation,
    Rule, Selector, Source, To,
};

use super::{Converted, FromProto, ToProto, Within, each, expect_constant, fault, required};
use crate::generated as pb;

const API_VERSION: &str = "security.istio.io/v1";
const KIND: &str = "AuthorizationPolicy";

impl ToProto for AuthorizationPolicy {
    type Message = pb::AuthorizationPolicy;

    fn to_proto(&self) -> Converted<Self::Message> {
        expect_constant("apiVersion", &self.api_version, API_VERSION)?;
        expect_constant("kind", &self.kind, KIND)?;
        let action = match self.spec.action {
            Action::Allow => pb::Action::Allow,
            Action::Deny => pb::Action::Deny,
        };
        Ok(pb::AuthorizationPolicy {
            metadata: Some(self.metadata.to_proto().within("metadata")?),
            selector: self.spec.selector.as_ref().map(Selector::to_proto).transpose()?,
            action: action.into(),
            rules: self.spec.rules.iter().map(rule_to_proto).collect(),
        })
    }
}

impl FromProto for AuthorizationPolicy {
    type Message = pb::AuthorizationPolicy;

    fn from_proto(message: Self::Message) -> Converted<Self> {
        let pb::AuthorizationPolicy { metadata, selector, action, rules } = message;
        let action = match pb::Action::try_from(action) {
            Ok(pb::Action::Allow) => Action::Allow,
            Ok(pb::Action::Deny) => Action::Deny,
            Ok(pb::Action::Unspecified) | Err(_) => {
                return Err(fault("action", format!("{action} is not an action this version knows")));
            }
        };
        Ok(Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            metadata: Metadata::from_proto(required("metadata", metadata)?).within("metadata")?,
            spec: AuthorizationPolicySpec {
                selector: selector.map(Selector::from_proto).transpose().within("selector")?,
                action,
                rules: each("rules", rules, rule_from_proto)?,
            },
        })
    }
}

fn rule_to_proto(rule: &Rule) -> pb::AuthorizationRule {
    pb::AuthorizationRule {
        from: rule.from.iter().map(|from| source_to_proto(&from.source)).collect(),
        to: rule.to.iter().map(|to| operation_to_proto(&to.operation)).collect(),
        when: rule.when.iter().cloned().map(condition_to_proto).collect(),
    }
}

fn rule_from_proto(rule: pb::AuthorizationRule) -> Converted<Rule> {
    let pb::AuthorizationRule { from, to, when } = rule;
    Ok(Rule {
        from: from.into_iter().map(|source| FromClause { source: source_from_proto(source) }).collect(),
        to: to.into_iter().map(|operation| To { operation: operation_from_proto(operation) }).collect(),
        when: each("when", when, condition_from_proto)?,
    })
}

fn source_to_proto(source: &Source) -> pb::Source {
    let Source {
        principals,
        not_principals,
        namespaces,
        not_namespaces,
        service_accounts,
        not_service_accounts,
        ip_blocks,
        not_ip_blocks,
    } = source.clone();
    pb::Source {
        principals,
        not_principals,
        namespaces,
        not_namespaces,
        service_accounts,
        not_service_accounts,
        ip_blocks,
        not_ip_blocks,
    }
}

fn source_from_proto(source: pb::Source) -> Source {
    let pb::Source {
        principals,
        not_principals,
        namespaces,
        not_namespaces,
        service_accounts,
        not_service_accounts,
        ip_blocks,
        not_ip_blocks,
    } = source;
    Source {
        principals,
        not_principals,
        namespaces,
        not_namespaces,
        service_accounts,
        not_service_accounts,
        ip_blocks,
        not_ip_blocks,
    }
}

fn operation_to_proto(operation: &Operation) -> pb::Operation {
    let Operation { hosts, not_hosts, ports, not_ports, methods, not_methods, paths, not_paths } =
        operation.clone();
    pb::Operation { hosts, not_hosts, ports, not_ports, methods, not_methods, paths, not_paths }
}

fn operation_from_proto(operation: pb::Operation) -> Operation {
    let pb::Operation { hosts, not_hosts, ports, not_ports, methods, not_methods, paths, not_paths } =
        operation;
    Operation { hosts, not_hosts, ports, not_ports, methods, not_methods, paths, not_paths }
}

fn condition_to_proto(condition: Condition) -> pb::Condition {
    let Condition { key, values, not_values } = condition;
    pb::Condition { key, values, not_values }
}

fn condition_from_proto(condition: pb::Condition) -> Converted<Condition> {
    let pb::Condition { key, values, not_values } = condition;
    match key.is_empty() {
        true => Err(fault("key", "is empty")),
        false => Ok(Condition { key, values, not_values }),
    }
}
