//! The file of rules decides exactly as the plain walk over them does, for any policies and exchanges; and rules
//! beyond the ones that concern an exchange do not change its decision.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod exchange;

use exchange::{connection, engine, head, named, with_header};
use palisade_authz::{AuthorizationEngine, Decision, NEAREST_RULES};
use palisade_model::documents::AuthorizationPolicy;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const PRINCIPALS: [&str; 7] =
    ["td/ns/a/sa/x", "td/ns/a/sa/y", "td/ns/b/sa/x", "tz/ns/a/sa/x", "td/ns/a/*", "*/sa/x", "*"];
const NAMESPACES: [&str; 4] = ["a", "b", "a*", "*"];
const ACCOUNTS: [&str; 3] = ["a/x", "b/x", "a/y"];
const PATHS: [&str; 6] = ["/p", "/p/q", "/p*", "*q", "/{*}", "/p/{**}"];
const SENT: [&str; 8] = ["/p", "/p/q", "/", "/p;v=1", "/p%2Fq", "/z/..;/p", "/p/", "/long/p/q"];

/// None, or some of the values under this field.
fn field(name: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = Vec<(String, Value)>> {
    prop_oneof![
        3 => Just(vec![]),
        2 => subsequence(values, 1..=2).prop_map(move |some| vec![(name.to_owned(), json!(some))]),
    ]
}

fn object(fields: Vec<Vec<(String, Value)>>) -> Option<Value> {
    let fields: serde_json::Map<_, _> = fields.into_iter().flatten().collect();
    (!fields.is_empty()).then_some(Value::Object(fields))
}

fn source() -> impl Strategy<Value = Option<Value>> {
    let identities = prop_oneof![
        (
            field("principals", &PRINCIPALS),
            field("namespaces", &NAMESPACES),
            field("notPrincipals", &PRINCIPALS)
        )
            .prop_map(|(a, b, c)| [a, b, c].concat()),
        (field("serviceAccounts", &ACCOUNTS), field("notServiceAccounts", &ACCOUNTS))
            .prop_map(|(a, b)| [a, b].concat()),
    ];
    (identities, field("ipBlocks", &["10.0.0.0/24", "10.1.0.0/16"])).prop_map(|(a, b)| object(vec![a, b]))
}

fn operation() -> impl Strategy<Value = Option<Value>> {
    let methods = field("methods", &["GET", "P*"]);
    let ports = field("ports", &["8080", "9090"]);
    let hosts = field("hosts", &["payments.shop", "*.net"]);
    (field("paths", &PATHS), field("notPaths", &PATHS), methods, ports, hosts)
        .prop_map(|(a, b, c, d, e)| object(vec![a, b, c, d, e]))
}

fn rule() -> impl Strategy<Value = Value> {
    let header = prop_oneof![
        3 => Just(json!([])),
        1 => Just(json!([{"key": "request.headers[x-a]", "values": ["1"]}])),
        1 => Just(json!([{"key": "request.headers[x-a]", "notValues": ["1"]}])),
    ];
    (vec(source(), 0..3), vec(operation(), 0..3), header).prop_map(|(from, to, when)| {
        let from: Vec<_> = from.into_iter().flatten().map(|source| json!({"source": source})).collect();
        let to: Vec<_> = to.into_iter().flatten().map(|operation| json!({"operation": operation})).collect();
        json!({"from": from, "to": to, "when": when})
    })
}

fn policies() -> impl Strategy<Value = Vec<AuthorizationPolicy>> {
    let policy = (select(vec!["ALLOW", "ALLOW", "DENY"]), vec(rule(), 1..5));
    vec(policy, 0..4).prop_map(|policies| {
        let number = |(index, (action, rules)): (usize, (&str, Vec<Value>))| {
            named(&format!("p{index}"), action, Value::Array(rules))
        };
        policies.into_iter().enumerate().map(number).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_file_of_rules_agrees_with_the_plain_walk(
        policies in policies(),
        principal in select(vec!["", "td/ns/a/sa/x", "td/ns/a/sa/y", "td/ns/b/sa/x", "tz/ns/a/sa/x", "td/ns/c/sa/z"]),
        path in select(SENT.to_vec()),
        method in select(vec!["GET", "PUT"]),
        values in vec(select(vec!["1", "2"]), 0..3),
    ) {
        let engine = engine(&policies);
        let connection = connection(principal);
        let mut head = head(method, "payments.shop", path);
        for value in values {
            head = with_header(head, "x-a", value.as_bytes());
        }
        prop_assert_eq!(engine.http(&connection, &head), engine.decide_slowly(&connection, Some(&head)));
        prop_assert_eq!(engine.tcp(&connection), engine.decide_slowly(&connection, None));
    }

    #[test]
    fn one_more_deny_rule_never_allows_more_and_one_more_allow_rule_never_less(
        policies in policies(), extra in rule(), path in select(SENT.to_vec()),
        principal in select(vec!["", "td/ns/a/sa/x", "td/ns/b/sa/x"]),
    ) {
        let connection = connection(principal);
        let request = exchange::get(path);
        let allows = |policies: &[AuthorizationPolicy]| {
            matches!(engine(policies).http(&connection, &request), Decision::Allow(_))
        };
        let before = allows(&policies);
        let mut denying = policies.clone();
        denying.push(named("extra", "DENY", json!([extra.clone()])));
        prop_assert!(before || !allows(&denying));
        let mut allowing = policies.clone();
        if policies.iter().any(|policy| policy.spec.action == palisade_model::documents::Action::Allow) {
            allowing.push(named("extra", "ALLOW", json!([extra])));
            prop_assert!(!before || allows(&allowing));
        }
    }
}

#[test]
fn a_caller_is_found_among_ten_thousand_rules() {
    let rules: Vec<Value> = (0..10_000)
        .map(|index| json!({"from": [{"source": {"principals": [format!("td/ns/a/sa/s{index}")]}}]}))
        .collect();
    let engine: AuthorizationEngine = engine(&[named("many", "ALLOW", Value::Array(rules))]);
    let request = exchange::get("/");
    for (account, allowed) in [("s0", true), ("s9999", true), ("s10000", false)] {
        let connection = connection(&format!("td/ns/a/sa/{account}"));
        assert_eq!(matches!(engine.http(&connection, &request), Decision::Allow(_)), allowed, "{account}");
    }
}

#[test]
fn the_nearest_rule_is_sought_among_the_first_rules_only() {
    let far = json!({"from": [{"source": {"principals": ["td/ns/a/sa/z"]}}], "to": [{"operation": {"methods": ["PUT"]}}]});
    let near = json!({"from": [{"source": {"principals": ["td/ns/a/sa/z"]}}]});
    for (place, found) in [(NEAREST_RULES - 2, true), (NEAREST_RULES - 1, true), (NEAREST_RULES, false)] {
        let mut rules = vec![far.clone(); place];
        rules.push(near.clone());
        let engine = engine(&[named("many", "ALLOW", Value::Array(rules))]);
        let Decision::Deny(denial) = engine.http(&connection("td/ns/a/sa/x"), &exchange::get("/")) else {
            panic!("allowed")
        };
        assert_eq!(denial.explanation.contains(&format!("rules[{place}]")), found, "{}", denial.explanation);
    }
}

#[test]
fn the_nearest_rule_is_found_under_the_callers_own_name_wherever_it_stands() {
    let rule = |account: &str, method: &str| json!({"from": [{"source": {"principals": [format!("td/ns/a/sa/{account}")]}}], "to": [{"operation": {"methods": [method]}}]});
    let mut rules = vec![rule("z", "PUT"); 10 * NEAREST_RULES];
    rules.push(rule("x", "PUT"));
    let engine = engine(&[named("many", "ALLOW", Value::Array(rules))]);
    let Decision::Deny(denial) = engine.http(&connection("td/ns/a/sa/x"), &exchange::get("/")) else {
        panic!("allowed")
    };
    assert!(
        denial.explanation.ends_with("rules[1000], whose operation.methods does not contain GET"),
        "{}",
        denial.explanation
    );
}
