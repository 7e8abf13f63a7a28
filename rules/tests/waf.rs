//! What the WAF's interruptions become: reasons, rules, statuses, and what the record says of inspection.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use palisade_model::record::Inspection;
use palisade_model::{
    Authority, BodyKind, Connection, Direction, Policy, RawHead, Reason, RequestHead, ResponseHead, Scheme,
    WorkloadId,
};
use palisade_rules::{
    Answer, Engine, Exchange, LOCATION_BYTES, Refused, ResponseBody, ResponseStage, Snapshot, Step,
};
use serde_json::{Value, json};

fn snapshot(rules: &str, waf: Value) -> Snapshot {
    let mut policy = Policy::empty(WorkloadId::local("shop", "payments"));
    let document = |kind: &str, spec: Value| {
        json!({"apiVersion": "palisade.dev/v1alpha1", "kind": kind,
               "metadata": {"name": "rules", "namespace": "shop"}, "spec": spec})
    };
    let set = document("RuleSet", json!({"sources": [{"name": "t.conf", "text": rules}]}));
    policy.rule_sets = vec![serde_json::from_value(set).unwrap()];
    policy.waf = vec![serde_json::from_value(document("WafPolicy", waf)).unwrap()];
    Snapshot::new(Arc::new(Engine::compile(&policy, "v1", None).unwrap()), None)
}

fn send(
    snapshot: &Snapshot,
    query: &str,
    content_type: &str,
    body: &str,
) -> Result<ResponseStage, Box<Refused>> {
    let connection = Connection {
        listener: "in".into(),
        direction: Direction::Inbound,
        peer: "192.0.2.9:40000".parse().unwrap(),
        client: "192.0.2.9:40000".parse().unwrap(),
        local: "192.0.2.1:8080".parse().unwrap(),
        principal: None,
        sni: None,
        tls: false,
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_str(content_type).unwrap());
    let head = RequestHead {
        method: Method::POST,
        scheme: Scheme::Http,
        authority: Authority { host: "payments.shop".into(), port: None },
        path: "/charge".into(),
        query: Some(query.to_owned()),
        headers,
        upgrade: None,
        expect_continue: false,
        version: Version::HTTP_11,
        raw: RawHead::default(),
    };
    let length = match body.len() {
        0 => BodyKind::Empty,
        length => BodyKind::Length(length as u64),
    };
    let exchange = Exchange { reference: "reference".into(), time_ms: 0 };
    match snapshot.request(&connection, head, length, exchange) {
        Step::Forward(permit) => Ok(permit.into_exchange().2),
        Step::NeedBody(mut stage) => {
            stage.feed(body.as_bytes());
            stage.finish().map(|permit| permit.into_exchange().2)
        }
        Step::Deny(refused) => Err(refused),
    }
}

fn answer(status: u16) -> ResponseHead {
    ResponseHead {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        version: Version::HTTP_11,
    }
}

fn refused(rules: &str, query: &str, content_type: &str, body: &str) -> Box<Refused> {
    let snapshot = snapshot(rules, json!({"ruleSet": "rules"}));
    send(&snapshot, query, content_type, body).expect_err("it is refused")
}

#[test]
fn an_interruption_becomes_the_reason_of_its_kind() {
    let rule =
        refused("SecRule ARGS \"@rx bad\" \"id:7,phase:1,deny,status:409\"", "a=bad", "text/plain", "")
            .denial;
    assert_eq!((rule.reason, rule.status.as_u16()), (Reason::WafRequest, 409));
    assert!(rule.rule.unwrap().to_string().ends_with("rule 7"));
    let nothing = "SecAction \"id:1,phase:1,pass,nolog\"";
    let malformed = refused(nothing, "", "application/json", "{").denial;
    assert_eq!((malformed.reason, malformed.status.as_u16()), (Reason::BodyMalformed, 400));
    assert_eq!(malformed.rule, None);
    let many = refused(nothing, &"a=1&".repeat(2_000), "text/plain", "").denial;
    assert_eq!((many.reason, many.status.as_u16(), many.rule), (Reason::WorkBudget, 503, None));
}

#[test]
fn a_redirection_is_answered_with_its_location_and_a_drop_not_at_all() {
    let of = |rules: &str, query: &str| {
        let refused = refused(rules, query, "text/plain", "");
        (refused.denial.status.as_u16(), refused.answer)
    };
    let to = |location: &'static str| Answer::Redirect(http::HeaderValue::from_static(location));
    let plain = "SecAction \"id:7,phase:1,redirect:'https://example.com/'\"";
    assert_eq!(of(plain, ""), (302, to("https://example.com/")));
    for (status, answered) in [(301, 301), (303, 303), (307, 307), (308, 308), (304, 302), (403, 302)] {
        let rules = format!("SecAction \"id:7,phase:1,status:{status},redirect:'/denied'\"");
        assert_eq!(of(&rules, ""), (answered, to("/denied")), "{status}");
    }
    let expanded = "SecRule ARGS:to \"@rx .\" \"id:7,phase:1,redirect:'/denied?%{ARGS.to}'\"";
    assert_eq!(of(expanded, "to=a%0d%0aset-cookie:%20x"), (302, to("/denied?a%0D%0Aset-cookie:%20x")));
    let long = format!("to={}", "x".repeat(LOCATION_BYTES));
    assert_eq!(of(expanded, &long), (403, Answer::Status), "what is too long is refused without a location");
    assert_eq!(of("SecAction \"id:7,phase:1,drop\"", ""), (403, Answer::Drop));
    assert_eq!(of("SecAction \"id:7,phase:1,deny,status:409\"", ""), (409, Answer::Status));
}

#[test]
fn the_record_says_what_was_not_inspected_and_why() {
    let snapshot = snapshot("SecAction \"id:1,phase:1,pass,nolog\"", json!({"ruleSet": "rules"}));
    let inspection = |content_type| send(&snapshot, "", content_type, "a=1").unwrap().finish().inspection;
    assert_eq!(inspection("application/x-www-form-urlencoded"), Inspection::Full { bytes: 3 });
    assert_eq!(inspection("application/octet-stream"), Inspection::Full { bytes: 3 }, "as the bytes it is");
}

#[test]
fn rules_of_phase_4_run_though_the_body_is_not_held() {
    let rules = "SecRule RESPONSE_STATUS \"@rx ^5\" \"id:4,phase:4,deny\"\nSecAction \"id:5,phase:5,pass\"";
    let snapshot = snapshot(rules, json!({"ruleSet": "rules"}));
    let mut stage = send(&snapshot, "", "text/plain", "").unwrap();
    let refused = stage.head(&answer(500)).unwrap_err();
    assert_eq!(refused.denial.reason, Reason::WafResponse);
    let ids: Vec<u64> = refused.judgement.matches.iter().map(|found| found.id).collect();
    assert_eq!(ids, [4, 5]);
    let mut stage = send(&snapshot, "", "text/plain", "").unwrap();
    assert_eq!(stage.head(&answer(200)).unwrap(), ResponseBody::Stream);
    assert_eq!(stage.finish().matches.len(), 1);
}
