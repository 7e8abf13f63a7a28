//! What an AuthorizationPolicy means: order, AND and OR, negation, every attribute, and the explanation.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod exchange;

use exchange::{
    INTRUDER, WEB, allow, allowed, connection, deny, engine, get, head, named, policy, reason, with_header,
};
use palisade_authz::{AuthorizationEngine, Decision};
use palisade_model::{Reason, RuleId};
use serde_json::json;

fn from_web() -> serde_json::Value {
    json!([{"from": [{"source": {"principals": [WEB]}}]}])
}

#[test]
fn without_policies_everything_is_allowed() {
    let engine = AuthorizationEngine::default();
    assert_eq!(engine.http(&connection(""), &get("/")), Decision::Allow(None));
    assert_eq!(engine.tcp(&connection("")), Decision::Allow(None));
}

#[test]
fn an_allow_policy_without_rules_denies_everything_and_is_named() {
    let engine = allow(json!([]));
    let Decision::Deny(denial) = engine.http(&connection(WEB), &get("/")) else { panic!("allowed") };
    assert_eq!(denial.reason, Reason::AuthorizationNotAllowed);
    assert_eq!(
        denial.rule,
        Some(RuleId::Authorization { namespace: "shop".into(), name: "test".into(), rule: None })
    );
    assert!(!allowed(&engine.tcp(&connection(WEB))));
}

#[test]
fn an_empty_rule_matches_everything() {
    assert!(allowed(&allow(json!([{}])).http(&connection(""), &get("/"))));
    let denied = deny(json!([{}])).http(&connection(WEB), &get("/"));
    assert_eq!(reason(&denied), Some(Reason::AuthorizationDenied));
}

#[test]
fn deny_comes_before_allow() {
    let policies = [policy("ALLOW", json!([{}])), named("no-web", "DENY", from_web())];
    let engine = engine(&policies);
    let Decision::Deny(denial) = engine.http(&connection(WEB), &get("/")) else { panic!("allowed") };
    assert_eq!(denial.reason, Reason::AuthorizationDenied);
    assert_eq!(denial.rule.unwrap().to_string(), "AuthorizationPolicy shop/no-web rules[0]");
    assert!(allowed(&engine.http(&connection(INTRUDER), &get("/"))));
}

#[test]
fn only_deny_policies_allow_the_rest() {
    let engine = deny(from_web());
    assert_eq!(engine.http(&connection(INTRUDER), &get("/")), Decision::Allow(None));
}

#[test]
fn an_allowed_request_names_the_first_rule_that_matched() {
    let engine = allow(json!([
        {"to": [{"operation": {"methods": ["POST"]}}]},
        {"from": [{"source": {"principals": [WEB]}}]},
        {},
    ]));
    let Decision::Allow(Some(rule)) = engine.http(&connection(WEB), &get("/")) else { panic!("denied") };
    assert_eq!(rule.to_string(), "AuthorizationPolicy shop/test rules[1]");
}

#[test]
fn from_to_and_when_are_anded_and_their_alternatives_ored() {
    let engine = allow(json!([{
        "from": [{"source": {"principals": [WEB]}}, {"source": {"namespaces": ["ops"]}}],
        "to": [{"operation": {"methods": ["GET"], "paths": ["/a*"]}}, {"operation": {"methods": ["PUT"]}}],
        "when": [{"key": "request.headers[x-team]", "values": ["red", "blue"]}],
    }]));
    let decide = |principal: &str, method: &str, path: &str, team: &str| {
        let head = with_header(head(method, "payments.shop", path), "x-team", team.as_bytes());
        allowed(&engine.http(&connection(principal), &head))
    };
    assert!(decide(WEB, "GET", "/abc", "red"));
    assert!(decide("other.domain/ns/ops/sa/any", "PUT", "/z", "blue"));
    assert!(!decide(INTRUDER, "GET", "/abc", "red"));
    assert!(!decide(WEB, "GET", "/z", "red"));
    assert!(!decide(WEB, "POST", "/abc", "red"));
    assert!(!decide(WEB, "GET", "/abc", "green"));
}

#[test]
fn negations_exclude_and_hold_for_peers_without_identity_as_in_istio() {
    let engine =
        allow(json!([{"from": [{"source": {"notPrincipals": [INTRUDER], "notNamespaces": ["bad"]}}]}]));
    assert!(allowed(&engine.http(&connection(WEB), &get("/"))));
    assert!(allowed(&engine.http(&connection(""), &get("/"))));
    assert!(!allowed(&engine.http(&connection(INTRUDER), &get("/"))));
    assert!(!allowed(&engine.http(&connection("cluster.local/ns/bad/sa/web"), &get("/"))));
}

#[test]
fn principals_match_exactly_by_prefix_by_suffix_and_by_presence() {
    for (pattern, yes, no) in [
        (WEB, WEB, INTRUDER),
        ("cluster.local/ns/shop/*", INTRUDER, "cluster.local/ns/ops/sa/web"),
        ("*/sa/web", "other/ns/x/sa/web", INTRUDER),
        ("*", WEB, ""),
    ] {
        let engine = allow(json!([{"from": [{"source": {"principals": [pattern]}}]}]));
        assert!(allowed(&engine.http(&connection(yes), &get("/"))), "{pattern} refused {yes}");
        assert!(!allowed(&engine.http(&connection(no), &get("/"))), "{pattern} took {no}");
    }
}

#[test]
fn a_service_account_without_namespace_is_of_the_policys_own() {
    let engine = allow(json!([{"from": [{"source": {"serviceAccounts": ["web", "ops/batch"]}}]}]));
    for (principal, expected) in [
        (WEB, true),
        ("any.domain/ns/shop/sa/web", true),
        ("cluster.local/ns/ops/sa/batch", true),
        ("cluster.local/ns/ops/sa/web", false),
        ("cluster.local/ns/shop/sa/web-2", false),
        ("", false),
    ] {
        assert_eq!(allowed(&engine.http(&connection(principal), &get("/"))), expected, "{principal}");
    }
}

#[test]
fn addresses_match_by_block_and_mapped_addresses_are_their_ipv4_form() {
    let engine = allow(json!([{"from": [{"source": {
        "ipBlocks": ["10.0.0.0/8", "::ffff:192.168.0.1"], "notIpBlocks": ["10.1.0.0/16"]
    }}]}]));
    for (peer, expected) in [
        ("10.0.0.9:1", true),
        ("10.1.0.9:1", false),
        ("[::ffff:10.0.0.9]:1", true),
        ("[::ffff:10.1.0.9]:1", false),
        ("192.168.0.1:1", true),
        ("192.168.0.2:1", false),
        ("[2001:db8::1]:1", false),
    ] {
        let mut connection = connection(WEB);
        connection.peer = peer.parse().unwrap();
        assert_eq!(allowed(&engine.tcp(&connection)), expected, "{peer}");
    }
}

#[test]
fn every_when_key_is_compared_with_its_attribute() {
    let mut with_sni = connection(WEB);
    with_sni.sni = Some("Payments.Shop".into());
    for (key, yes, no) in [
        ("source.ip", "10.0.0.0/24", "10.0.1.0/24"),
        ("source.namespace", "sh*", "ops"),
        ("source.principal", WEB, INTRUDER),
        ("source.serviceAccount", "shop/web", "intruder"),
        ("destination.ip", "10.0.0.1", "10.0.0.2"),
        ("destination.port", "8080", "80"),
        ("connection.sni", "payments.shop", "catalog.shop"),
    ] {
        let values = |field: &str, value: &str| allow(json!([{"when": [{"key": key, field: [value]}]}]));
        assert!(allowed(&values("values", yes).tcp(&with_sni)), "{key} {yes}");
        assert!(!allowed(&values("values", no).tcp(&with_sni)), "{key} {no}");
        assert!(!allowed(&values("notValues", yes).tcp(&with_sni)), "{key} not {yes}");
        assert!(allowed(&values("notValues", no).tcp(&with_sni)), "{key} not {no}");
    }
}

#[test]
fn header_values_are_joined_for_allow_and_absent_headers_satisfy_negations() {
    let engine = allow(json!([{"when": [{"key": "request.headers[x-a]", "values": ["1,2", "3*"]}]}]));
    let two = with_header(with_header(get("/"), "x-a", b"1"), "x-a", b"2");
    assert!(allowed(&engine.http(&connection(WEB), &two)));
    assert!(!allowed(&engine.http(&connection(WEB), &with_header(get("/"), "x-a", b"1"))));
    assert!(!allowed(&engine.http(&connection(WEB), &get("/"))));
    let not = allow(json!([{"when": [{"key": "request.headers[x-a]", "notValues": ["1"]}]}]));
    assert!(allowed(&not.http(&connection(WEB), &get("/"))));
    assert!(!allowed(&not.http(&connection(WEB), &two)), "one of two values is excluded");
    let present = allow(json!([{"when": [{"key": "request.headers[x-a]", "values": ["*"]}]}]));
    assert!(allowed(&present.http(&connection(WEB), &with_header(get("/"), "x-a", b""))));
    assert!(!allowed(&present.http(&connection(WEB), &get("/"))));
}

#[test]
fn a_refusal_names_the_nearest_rule_and_what_it_lacked() {
    let engine = engine(&[
        named(
            "catalog-allow",
            "ALLOW",
            json!([{
                "from": [{"source": {"principals": ["cluster.local/ns/shop/sa/catalog"]}}],
                "to": [{"operation": {"methods": ["PUT"]}}],
            }]),
        ),
        named(
            "payments-allow",
            "ALLOW",
            json!([{
                "from": [{"source": {"principals": [WEB]}}],
                "to": [{"operation": {"methods": ["GET"]}}],
            }]),
        ),
    ]);
    let Decision::Deny(denial) = engine.http(&connection(INTRUDER), &get("/")) else { panic!("allowed") };
    assert_eq!(
        denial.explanation,
        "no ALLOW rule matched; nearest is shop/payments-allow rules[0], whose source.principals does not contain \
         cluster.local/ns/shop/sa/intruder"
    );
    assert_eq!(denial.rule.unwrap().to_string(), "AuthorizationPolicy shop/payments-allow rules[0]");
    let Decision::Deny(denial) = engine.tcp(&connection(WEB)) else { panic!("allowed") };
    assert!(denial.explanation.ends_with("whose operation.methods cannot be met by a TCP connection"));
}

#[test]
fn an_explanation_never_shows_a_path_or_a_header_value() {
    let engine = allow(json!([{
        "to": [{"operation": {"paths": ["/open"]}}],
        "when": [{"key": "request.headers[x-token]", "values": ["right"]}],
    }]));
    let request = with_header(get("/secret-path"), "x-token", b"secret-token");
    let Decision::Deny(denial) = engine.http(&connection(WEB), &request) else { panic!("allowed") };
    assert!(!denial.explanation.contains("secret") && !denial.explanation.contains("right"));
    assert!(denial.explanation.contains("operation.paths") && denial.explanation.contains("x-token"));
}
