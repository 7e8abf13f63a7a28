//! What a policy may not say, and where the error says it stands.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod exchange;

use exchange::policy;
use palisade_authz::{AuthorizationEngine, RULES, validate};
use palisade_http::EncodedSlash;
use palisade_http::path::normalise;
use palisade_model::documents::AuthorizationPolicy;
use proptest::prelude::*;
use serde_json::{Value, json};

fn problems(policy: &AuthorizationPolicy) -> Vec<String> {
    validate(policy, &|port| port == 5432).iter().map(ToString::to_string).collect()
}

#[test]
fn every_impossible_value_is_refused_with_its_field_path() {
    let source = |source: Value| json!([{"from": [{"source": source}]}]);
    let operation = |operation: Value| json!([{"to": [{"operation": operation}]}]);
    let when = |when: Value| json!([{"when": [when]}]);
    for (rules, path) in [
        (source(json!({})), "spec.rules[0].from[0].source"),
        (source(json!({"principals": ["a/ns/b/sa/c", "a*b"]})), "spec.rules[0].from[0].source.principals[1]"),
        (source(json!({"principals": ["not-a-principal"]})), "spec.rules[0].from[0].source.principals[0]"),
        (
            source(json!({"principals": ["spiffe://a/ns/b/sa/c"]})),
            "spec.rules[0].from[0].source.principals[0]",
        ),
        (source(json!({"notPrincipals": ["a.+*"]})), "spec.rules[0].from[0].source.notPrincipals[0]"),
        (source(json!({"namespaces": ["a/b"]})), "spec.rules[0].from[0].source.namespaces[0]"),
        (source(json!({"notNamespaces": [""]})), "spec.rules[0].from[0].source.notNamespaces[0]"),
        (source(json!({"serviceAccounts": ["web*"]})), "spec.rules[0].from[0].source.serviceAccounts[0]"),
        (source(json!({"serviceAccounts": ["a/b/c"]})), "spec.rules[0].from[0].source.serviceAccounts[0]"),
        (
            source(json!({"notServiceAccounts": ["web"], "namespaces": ["shop"]})),
            "spec.rules[0].from[0].source.serviceAccounts",
        ),
        (source(json!({"ipBlocks": ["10.0.0.0/33"]})), "spec.rules[0].from[0].source.ipBlocks[0]"),
        (source(json!({"notIpBlocks": ["10.0.0"]})), "spec.rules[0].from[0].source.notIpBlocks[0]"),
        (operation(json!({})), "spec.rules[0].to[0].operation"),
        (operation(json!({"ports": ["80", "0"]})), "spec.rules[0].to[0].operation.ports[1]"),
        (operation(json!({"ports": ["65536"]})), "spec.rules[0].to[0].operation.ports[0]"),
        (operation(json!({"notPorts": ["+80"]})), "spec.rules[0].to[0].operation.notPorts[0]"),
        (operation(json!({"hosts": ["a.com/x"]})), "spec.rules[0].to[0].operation.hosts[0]"),
        (operation(json!({"hosts": ["a.com."]})), "spec.rules[0].to[0].operation.hosts[0]"),
        (operation(json!({"methods": ["GET POST"]})), "spec.rules[0].to[0].operation.methods[0]"),
        (operation(json!({"paths": ["admin"]})), "spec.rules[0].to[0].operation.paths[0]"),
        (operation(json!({"notPaths": ["/{**}/{*}"]})), "spec.rules[0].to[0].operation.notPaths[0]"),
        (when(json!({"key": "source.ip"})), "spec.rules[0].when[0]"),
        (when(json!({"key": "source.color", "values": ["x"]})), "spec.rules[0].when[0].key"),
        (when(json!({"key": "request.headers[a b]", "values": ["x"]})), "spec.rules[0].when[0].key"),
        (when(json!({"key": "request.headers[host]", "values": ["x"]})), "spec.rules[0].when[0].key"),
        (when(json!({"key": "request.headers[Connection]", "values": ["x"]})), "spec.rules[0].when[0].key"),
        (when(json!({"key": "request.headers[a", "values": ["x"]})), "spec.rules[0].when[0].key"),
        (when(json!({"key": "destination.port", "values": ["http"]})), "spec.rules[0].when[0].values[0]"),
        (when(json!({"key": "connection.sni", "notValues": ["a*b"]})), "spec.rules[0].when[0].notValues[0]"),
    ] {
        let policy = policy("ALLOW", rules.clone());
        let found = problems(&policy);
        assert_eq!(found.len(), 1, "{rules}: {found:?}");
        assert!(found[0].starts_with(&format!("{path}: ")), "{rules}: {} is not at {path}", found[0]);
        let error = AuthorizationEngine::compile(&[policy]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("AuthorizationPolicy shop/test: {path}: ")), "{error}");
    }
}

#[test]
fn all_problems_of_a_policy_are_told_at_once() {
    let mut policy = policy("DENY", json!([{"to": [{"operation": {"ports": ["x"], "paths": ["y"]}}]}, {}]));
    policy.api_version = "security.istio.io/v1beta1".into();
    policy.kind = "Authorization".into();
    assert_eq!(problems(&policy).len(), 4);
}

#[test]
fn a_deny_policy_without_rules_is_refused_since_it_would_do_nothing() {
    assert!(problems(&policy("DENY", json!([])))[0].starts_with("spec.rules: "));
    assert!(problems(&policy("ALLOW", json!([]))).is_empty());
}

#[test]
fn an_http_field_on_a_port_declared_tcp_is_refused() {
    let tcp = policy("DENY", json!([{"to": [{"operation": {"ports": ["5432"], "methods": ["GET"]}}]}]));
    assert!(problems(&tcp)[0].starts_with("spec.rules[0].to[0].operation.methods: "));
    let header = json!({"key": "request.headers[x-a]", "values": ["1"]});
    let when = policy("DENY", json!([{"to": [{"operation": {"ports": ["5432"]}}], "when": [header]}]));
    assert!(problems(&when)[0].starts_with("spec.rules[0].when"));
    for harmless in [
        json!([{"to": [{"operation": {"ports": ["5432", "8080"], "methods": ["GET"]}}]}]),
        json!([{"to": [{"operation": {"notPorts": ["5432"], "methods": ["GET"]}}]}]),
        json!([{"to": [{"operation": {"ports": ["5432"]}}]}]),
    ] {
        assert!(problems(&policy("DENY", harmless.clone())).is_empty(), "{harmless}");
    }
}

#[test]
fn the_number_of_rules_is_limited() {
    let with = |count: usize| {
        let mut policy = policy("ALLOW", json!([]));
        policy.spec.rules = vec![Default::default(); count];
        AuthorizationEngine::compile(&[policy]).map(drop)
    };
    assert!(with(RULES - 1).is_ok() && with(RULES).is_ok());
    assert_eq!(with(RULES + 1).unwrap_err().error.path, "spec.rules");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// A path pattern that no request can have would be a DENY that never fires, or a dead ALLOW.
    #[test]
    fn the_paths_of_policies_are_the_paths_that_requests_can_have(
        path in "/([ab.;|\"^~!$'(),=:@é]|%2[5fFeE0]|%6[1a]|%|/|\\.\\./){0,8}",
    ) {
        let admitted = problems(&policy("DENY", json!([{"to": [{"operation": {"paths": [path]}}]}]))).is_empty();
        // Requests for what cannot be read are refused before any policy is asked.
        if let Ok(canonical) = normalise(&path, EncodedSlash::Keep) {
            prop_assert_eq!(admitted, canonical == path, "canonical is {}", canonical);
        }
    }
}
