//! What the tests of the WAF share: a policy with one rule set, the sidecar of `payments`, and a POST to it.
//!
//! Each test file uses its part.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Version};
use palisade_model::{
    Authority, BodyKind, Connection, Direction, Policy, RawHead, RequestHead, Scheme, WorkloadId,
};
use palisade_rules::{BodyStage, Engine, Exchange, Feed, Refused, ResponseStage, Snapshot, Step};
use serde_json::{Value, json};

/// A policy with a rule set of this text, and a WafPolicy that says `waf` of it.
pub fn policy(rules: &str, mut waf: Value) -> Policy {
    let document = |kind: &str, spec: Value| {
        json!({"apiVersion": "palisade.dev/v1alpha1", "kind": kind,
               "metadata": {"name": "rules", "namespace": "shop"}, "spec": spec})
    };
    waf["ruleSet"] = "rules".into();
    let set = document("RuleSet", json!({"sources": [{"name": "t.conf", "text": rules}]}));
    let mut policy = Policy::empty(WorkloadId::local("shop", "payments"));
    policy.rule_sets = vec![serde_json::from_value(set).unwrap()];
    policy.waf = vec![serde_json::from_value(document("WafPolicy", waf)).unwrap()];
    policy
}

/// It in force.
pub fn snapshot(rules: &str, waf: Value) -> Snapshot {
    Snapshot::new(Arc::new(Engine::compile(&policy(rules, waf), "v1", None).unwrap()), None)
}

/// From somewhere to the sidecar.
pub fn connection() -> Connection {
    Connection {
        listener: "in".into(),
        direction: Direction::Inbound,
        peer: "192.0.2.9:40000".parse().unwrap(),
        client: "192.0.2.9:40000".parse().unwrap(),
        local: "192.0.2.1:8080".parse().unwrap(),
        principal: None,
        sni: None,
        tls: false,
    }
}

/// Headers from pairs.
pub fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    map
}

/// A POST over HTTP/1.1 with these headers.
pub fn head(pairs: &[(&'static str, &str)]) -> RequestHead {
    RequestHead {
        method: Method::POST,
        scheme: Scheme::Http,
        authority: Authority { host: "payments.shop".into(), port: None },
        path: "/charge".into(),
        query: None,
        headers: headers(pairs),
        upgrade: None,
        expect_continue: false,
        version: Version::HTTP_11,
        raw: RawHead::default(),
    }
}

/// The step after the head, before this body.
pub fn request(snapshot: &Snapshot, head: RequestHead, body: &[u8]) -> Step {
    let kind = if body.is_empty() { BodyKind::Empty } else { BodyKind::Length(body.len() as u64) };
    request_of(snapshot, head, kind)
}

/// The step after the head, before a body of this kind.
pub fn request_of(snapshot: &Snapshot, head: RequestHead, kind: BodyKind) -> Step {
    let exchange = Exchange { reference: "reference".into(), time_ms: 0 };
    snapshot.request(&connection(), head, kind, exchange)
}

/// Feeds a piece, and looks where a look is due.
pub fn fed(stage: &mut BodyStage, piece: &[u8]) -> Feed {
    match stage.feed(piece) {
        Feed::Look => stage.look(),
        feed => feed,
    }
}

/// The whole request, its body in small pieces.
pub fn judge(snapshot: &Snapshot, head: RequestHead, body: &[u8]) -> Result<ResponseStage, Box<Refused>> {
    match request(snapshot, head, body) {
        Step::Forward(permit) => Ok(permit.into_exchange().2),
        Step::NeedBody(mut stage) => {
            for piece in body.chunks(7) {
                if fed(&mut stage, piece) != Feed::More {
                    break;
                }
            }
            stage.finish().map(|permit| permit.into_exchange().2)
        }
        Step::Deny(refused) => Err(refused),
    }
}
