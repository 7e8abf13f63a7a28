//! The body gate: nothing reaches the upstream before the verdict on what the policy inspects.

use palisade_model::documents::{BodyLimit, Mode, OverLimit, RuleSet, WafPolicy};
use palisade_model::record::{Inspection, VerdictFacts};
use palisade_model::{Policy, Reason};
use serde_json::json;

use crate::world::{OK, RawClient, RawOrigin, World};

const RULES: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain
SecRule REQUEST_BODY|ARGS "@contains attack" "id:100,phase:2,deny,status:403,msg:'attack in a body'"
SecRule REQUEST_HEADERS:X-Bad "@contains attack" "id:101,phase:1,deny,status:403,msg:'attack in a header'"
SecRule RESPONSE_BODY "@contains secret" "id:102,phase:4,deny,status:403,msg:'a secret leaves'"
"#;

fn inspect(policy: &mut Policy, request: BodyLimit, response: Option<BodyLimit>) {
    let rule_set: RuleSet = serde_json::from_value(json!({
        "apiVersion": "palisade.dev/v1alpha1", "kind": "RuleSet",
        "metadata": {"name": "rules", "namespace": "shop"},
        "spec": {"sources": [{"name": "rules.conf", "text": RULES}]},
    }))
    .unwrap();
    let mut waf: WafPolicy = serde_json::from_value(json!({
        "apiVersion": "palisade.dev/v1alpha1", "kind": "WafPolicy",
        "metadata": {"name": "waf", "namespace": "shop"},
        "spec": {"ruleSet": "rules"},
    }))
    .unwrap();
    waf.spec.mode = Mode::Block;
    waf.spec.request_body = request;
    waf.spec.response_body = response;
    policy.waf = vec![waf];
    policy.rule_sets = vec![rule_set];
}

fn limit(max_bytes: usize, over: OverLimit) -> BodyLimit {
    BodyLimit { max_bytes, over }
}

async fn guarded(answer: &str, over: OverLimit) -> (RawOrigin, World, std::net::SocketAddr) {
    let origin = RawOrigin::start(answer).await;
    let response = Some(limit(64, OverLimit::InspectPrefix));
    let (world, edge) =
        World::gateway(origin.address, |policy| inspect(policy, limit(100, over), response)).await;
    (origin, world, edge)
}

fn post(body: &str) -> String {
    format!(
        "POST /form HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_body_reaches_the_upstream_only_after_its_verdict() {
    let (origin, world, edge) = guarded(OK, OverLimit::Reject).await;
    let mut client = RawClient::connect(edge).await;
    let whole = post("a=good&b=also-good");
    let (first, last) = whole.split_at(whole.len() - 1);
    client.send(first).await;
    // Everything but one byte is there; a second connection's round trip shows that the proxy has had time to forward.
    let mut other = RawClient::connect(edge).await;
    other.send("GET /other HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(other.response().await.unwrap().0, 200);
    assert!(!origin.text().contains("/form"), "not a byte before the verdict: {}", origin.text());
    client.send(last).await;
    assert_eq!(client.response().await.unwrap().0, 200);
    assert!(origin.text().ends_with("a=good&b=also-good"), "{}", origin.text());
    let records = world.records.wait(2).await;
    assert_eq!(records[1].inspection, Inspection::Full { bytes: 18 });
}

#[tokio::test]
async fn an_attack_in_a_body_is_refused_however_the_body_is_framed() {
    let (origin, world, edge) = guarded(OK, OverLimit::Reject).await;
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                   transfer-encoding: chunked\r\n\r\n5\r\na=att\r\n3\r\nack\r\n0\r\n\r\n";
    for request in [post("a=attack"), chunked.to_owned()] {
        let mut client = RawClient::connect(edge).await;
        client.send(&request).await;
        assert_eq!(client.response().await.unwrap().0, 403, "{request}");
    }
    assert_eq!(origin.text(), "");
    for record in world.records.wait(2).await {
        let VerdictFacts::Deny(denial) = record.verdict else { panic!("permitted") };
        assert_eq!(denial.reason, Reason::WafRequest);
        assert!(record.matches.iter().any(|one| one.id == 100));
    }
}

#[tokio::test]
async fn a_body_at_the_limit_passes_and_over_it_is_413_or_streamed_as_the_policy_says() {
    for (over, length, expected) in [
        (OverLimit::Reject, 99, 200),
        (OverLimit::Reject, 100, 200),
        (OverLimit::Reject, 101, 413),
        (OverLimit::InspectPrefix, 101, 200),
        (OverLimit::InspectPrefix, 5_000, 200),
    ] {
        let (origin, _world, edge) = guarded(OK, over).await;
        let body = format!("a={}", "x".repeat(length - 2));
        let mut declared = RawClient::connect(edge).await;
        declared.send(post(&body)).await;
        assert_eq!(declared.response().await.unwrap().0, expected, "{over:?} {length}");
        let mut chunked = RawClient::connect(edge).await;
        let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        chunked.send(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await;
        assert_eq!(chunked.response().await.unwrap().0, expected, "chunked {over:?} {length}");
        let arrived = origin.text().matches(&body).count();
        assert_eq!(arrived, if expected == 200 { 2 } else { 0 }, "whole and in order, or not at all");
    }
}

#[tokio::test]
async fn framing_48_continue_is_sent_only_after_the_head_was_allowed() {
    let (origin, _world, edge) = guarded(OK, OverLimit::Reject).await;
    let head = |extra: &str| {
        let kind = "content-type: application/x-www-form-urlencoded";
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\n{kind}\r\ncontent-length: 3\r\nexpect: 100-continue\r\n{extra}\r\n"
        )
    };
    let mut refused = RawClient::connect(edge).await;
    refused.send(head("x-bad: attack\r\n")).await;
    assert_eq!(refused.response().await.unwrap().0, 403, "no 100 before the refusal");
    let mut allowed = RawClient::connect(edge).await;
    allowed.send(head("")).await;
    assert_eq!(allowed.response().await.unwrap().0, 100);
    allowed.send("a=b").await;
    assert_eq!(allowed.response().await.unwrap().0, 200);
    assert!(origin.text().ends_with("a=b"));
}

#[tokio::test]
async fn a_response_that_must_not_leave_is_refused_before_its_first_byte() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nthe secret is";
    let (_origin, world, edge) = guarded(answer, OverLimit::Reject).await;
    let mut client = RawClient::connect(edge).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    let text = client.rest().await;
    assert!(text.starts_with("HTTP/1.1 403") && !text.contains("secret"), "{text}");
    let records = world.records.wait(1).await;
    let VerdictFacts::Deny(denial) = &records[0].verdict else { panic!("permitted") };
    assert_eq!(denial.reason, Reason::WafResponse);
}

#[tokio::test]
async fn a_held_response_is_replayed_whole() {
    let body = "x".repeat(200);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 200\r\n\r\n{body}");
    let (_origin, _world, edge) = guarded(&answer, OverLimit::Reject).await;
    let mut client = RawClient::connect(edge).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().2, body.as_bytes());
}

#[tokio::test]
async fn held_bodies_of_all_requests_share_one_bound() {
    let origin = RawOrigin::start(OK).await;
    let (world, edge) = World::gateway(origin.address, |policy| {
        inspect(policy, limit(100, OverLimit::Reject), None);
        policy.limits.buffered_bytes = 50;
    })
    .await;
    for (length, expected) in [(49, 200), (50, 200), (51, 503)] {
        let mut client = RawClient::connect(edge).await;
        client.send(post(&"x".repeat(length))).await;
        assert_eq!(client.response().await.unwrap().0, expected, "{length}");
    }
    world.records.wait(3).await;
    assert_eq!(world.plane.buffered.used(), 0, "everything was given back");
}
