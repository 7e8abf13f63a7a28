//! An explanation has the data path's verdict, and tells it stage by stage.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod exchange;

use std::sync::Arc;

use http::{HeaderMap, Method, Version};
use palisade_model::record::VerdictFacts;
use palisade_model::{
    Authority, BodyKind, Connection, Direction, Policy, RawHead, Reason, RequestHead, Scheme, WorkloadId,
};
use palisade_rules::explain::{self, Outcome};
use palisade_rules::stages::Stage;
use palisade_rules::{Engine, Exchange, Explanation, Snapshot, Step};
use serde_json::json;

const WEB: &str = "cluster.local/ns/shop/sa/web";

fn workload() -> WorkloadId {
    WorkloadId::local("shop", "payments")
}

/// GET /charge for `caller` only.
fn policy(caller: &str) -> Policy {
    let mut policy = Policy::empty(workload());
    policy.authorization = vec![
        serde_json::from_value(json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": {"name": "callers", "namespace": "shop"},
            "spec": {"rules": [{
                "from": [{"source": {"principals": [caller]}}],
                "to": [{"operation": {"methods": ["GET"], "paths": ["/charge"]}}],
            }]},
        }))
        .unwrap(),
    ];
    policy
}

fn with_waf(mut policy: Policy, mode: &str) -> Policy {
    let text = "SecRuleEngine On\nSecRequestBodyAccess On\n\
                SecRule ARGS \"@contains attack\" \"id:100,phase:2,deny,status:403,log,msg:'Attack'\"\n";
    let with = exchange::policy(text, json!({"mode": mode}));
    (policy.rule_sets, policy.waf) = (with.rule_sets, with.waf);
    policy
}

fn snapshot(policy: &Policy) -> Snapshot {
    Snapshot::new(Arc::new(Engine::compile(policy, "v1", None).unwrap()), None)
}

fn connection(principal: &str, direction: Direction) -> Connection {
    Connection {
        listener: "in".into(),
        direction,
        peer: "10.0.0.9:40000".parse().unwrap(),
        client: "10.0.0.9:40000".parse().unwrap(),
        local: "10.0.0.1:8080".parse().unwrap(),
        principal: principal.parse().ok(),
        sni: None,
        tls: true,
    }
}

fn head(path: &str, query: Option<&str>) -> RequestHead {
    let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let headers = vec![("Host".into(), "payments.shop".into())];
    let line = format!("GET {target} HTTP/1.1");
    RequestHead {
        method: Method::GET,
        scheme: Scheme::Http,
        authority: Authority { host: "payments.shop".into(), port: None },
        path: path.into(),
        query: query.map(str::to_owned),
        headers: HeaderMap::new(),
        upgrade: None,
        expect_continue: false,
        version: Version::HTTP_11,
        raw: RawHead { request_line: line.into(), uri: target.into(), headers },
    }
}

fn exchange() -> Exchange {
    Exchange { reference: "explain".into(), time_ms: 0 }
}

/// Explains, and checks the verdict against the data path's.
fn explain(snapshot: &Snapshot, connection: &Connection, head: RequestHead) -> Explanation {
    let explanation = explain::request(snapshot, connection, head.clone(), b"", exchange());
    let permitted = match snapshot.request(connection, head, BodyKind::Empty, exchange()) {
        Step::Forward(_) => true,
        Step::NeedBody(stage) => stage.finish().is_ok(),
        Step::Deny(_) => false,
    };
    assert_eq!(explanation.is_permit(), permitted);
    explanation
}

fn outcomes(explanation: &Explanation) -> Vec<(Stage, Outcome)> {
    explanation.stages.iter().map(|stage| (stage.stage, stage.outcome)).collect()
}

#[test]
fn a_permit_names_the_rule_that_allowed_it() {
    let connection = connection(WEB, Direction::Inbound);
    let explanation = explain(&snapshot(&policy(WEB)), &connection, head("/charge", None));
    assert!(explanation.is_permit());
    assert_eq!(explanation.sentence, "permitted: allowed by AuthorizationPolicy shop/callers rules[0]");
    assert_eq!(
        outcomes(&explanation),
        [
            (Stage::Route, Outcome::Passed),
            (Stage::Authorization, Outcome::Passed),
            (Stage::WafRequest, Outcome::NotAsked)
        ]
    );
}

#[test]
fn a_denial_names_the_nearest_rule_and_what_it_lacked() {
    let connection = connection("cluster.local/ns/shop/sa/intruder", Direction::Inbound);
    let explanation = explain(&snapshot(&with_waf(policy(WEB), "block")), &connection, head("/charge", None));
    assert_eq!(explanation.rule.as_ref().unwrap().to_string(), "AuthorizationPolicy shop/callers rules[0]");
    assert!(explanation.sentence.ends_with("does not contain cluster.local/ns/shop/sa/intruder"));
    assert_eq!(
        outcomes(&explanation),
        [
            (Stage::Route, Outcome::Passed),
            (Stage::Authorization, Outcome::Denied),
            (Stage::WafRequest, Outcome::NotReached)
        ]
    );
}

#[test]
fn a_waf_rule_is_named_and_a_detected_one_is_told_without_deciding() {
    let connection = connection(WEB, Direction::Inbound);
    let attack = || head("/charge", Some("q=attack"));
    let blocked = explain(&snapshot(&with_waf(policy(WEB), "block")), &connection, attack());
    assert_eq!(blocked.rule.as_ref().unwrap().to_string(), "RuleSet shop/rules rule 100");
    assert_eq!(
        outcomes(&blocked)[1..],
        [(Stage::Authorization, Outcome::Passed), (Stage::WafRequest, Outcome::Denied)]
    );
    let detected = explain(&snapshot(&with_waf(policy(WEB), "detect")), &connection, attack());
    assert!(detected.is_permit());
    assert_eq!((detected.matches.len(), detected.matches[0].detect_only), (1, true));
}

#[test]
fn a_body_is_judged_as_the_data_path_judges_it() {
    let connection = connection(WEB, Direction::Inbound);
    let mut posted = head("/charge", None);
    posted.headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    posted.raw.headers.push(("Content-Type".into(), "application/x-www-form-urlencoded".into()));
    let snapshot = snapshot(&with_waf(policy(WEB), "block"));
    let tell = |body: &[u8]| explain::request(&snapshot, &connection, posted.clone(), body, exchange());
    assert!(tell(b"q=harmless").is_permit());
    assert_eq!(tell(b"q=attack").rule.unwrap().to_string(), "RuleSet shop/rules rule 100");
}

#[test]
fn what_no_route_takes_stops_at_the_first_stage() {
    let connection = connection("", Direction::Gateway);
    let explanation = explain(&snapshot(&policy(WEB)), &connection, head("/charge", None));
    let VerdictFacts::Deny(denial) = &explanation.verdict else { panic!("permitted") };
    assert_eq!(denial.reason, Reason::NoRoute);
    assert_eq!(outcomes(&explanation)[0], (Stage::Route, Outcome::Denied));
    assert!(outcomes(&explanation)[1..].iter().all(|(_, outcome)| *outcome == Outcome::NotReached));
}

#[test]
fn without_a_policy_no_stage_is_reached_and_fail_open_says_so() {
    let connection = connection(WEB, Direction::Inbound);
    let refusing = Snapshot::new(Arc::new(Engine::no_policy(workload())), None);
    let explanation = explain(&refusing, &connection, head("/", None));
    assert!(outcomes(&explanation).iter().all(|(_, outcome)| *outcome == Outcome::NotReached));
    let open = Snapshot::new(Arc::new(Engine::fail_open(workload())), None);
    let explanation = explain(&open, &connection, head("/", None));
    assert_eq!(explanation.sentence, "permitted unjudged: failOpen is in force");
}

#[test]
fn a_tcp_connection_is_explained_at_layer_4() {
    let snapshot = snapshot(&policy(WEB));
    let explanation = explain::connection(&snapshot, &connection(WEB, Direction::Inbound));
    assert!(!explanation.is_permit(), "an ALLOW rule with HTTP fields never matches TCP");
    assert!(explanation.sentence.contains("cannot be met by a TCP connection"));
    assert_eq!(outcomes(&explanation), [(Stage::Authorization, Outcome::Denied)]);
}

#[test]
fn an_outbound_call_is_left_to_the_callees_sidecar() {
    let mut policy = Policy::empty(workload());
    policy.routes = vec![serde_json::from_value(json!({
        "name": "catalog.shop:80", "hosts": ["payments.shop"], "backends": [{"cluster": "catalog.shop:80"}],
    }))
    .unwrap()];
    let explanation = explain(&snapshot(&policy), &connection("", Direction::Outbound), head("/", None));
    assert_eq!(explanation.sentence, "permitted: the callee's sidecar will judge it");
    assert_eq!(explanation.stages[0].detail, "route catalog.shop:80 to catalog.shop:80");
}

#[test]
fn a_staged_policy_is_told_beside_the_enforced_one() {
    let enforced = Arc::new(Engine::compile(&policy(WEB), "v1", None).unwrap());
    let staged = Arc::new(Engine::compile(&policy("cluster.local/ns/shop/sa/other"), "v2", None).unwrap());
    let snapshot = Snapshot::new(enforced, Some(staged));
    let explanation = explain(&snapshot, &connection(WEB, Direction::Inbound), head("/charge", None));
    assert!(explanation.is_permit());
    assert!(matches!(explanation.staged, Some(VerdictFacts::Deny(_))));
    assert!(explanation.to_string().contains("the staged policy would deny"));
}

#[test]
fn an_explanation_is_json_and_text() {
    let connection = connection("cluster.local/ns/shop/sa/intruder", Direction::Inbound);
    let explanation = explain(&snapshot(&policy(WEB)), &connection, head("/charge", None));
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["policyVersion"], "v1");
    assert_eq!(json["verdict"]["denial"]["reason"], "authorization_not_allowed");
    assert_eq!(json["stages"][1]["outcome"], "denied");
    let text = explanation.to_string();
    assert!(text.contains("authorization_not_allowed (status 403)"), "{text}");
    assert!(text.contains("shop/callers rules[0]"), "{text}");
}
