//! Builders of connections, heads and policies for these tests.

#![allow(dead_code)]

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use palisade_authz::{AuthorizationEngine, Decision};
use palisade_model::documents::AuthorizationPolicy;
use palisade_model::{Authority, Connection, Direction, RawHead, Reason, RequestHead, Scheme};
use serde_json::{Value, json};

pub fn connection(principal: &str) -> Connection {
    Connection {
        listener: "inbound".into(),
        direction: Direction::Inbound,
        peer: "10.0.0.9:40000".parse().unwrap(),
        client: "10.0.0.9:40000".parse().unwrap(),
        local: "10.0.0.1:8080".parse().unwrap(),
        principal: (!principal.is_empty()).then(|| principal.parse().unwrap()),
        sni: None,
        tls: true,
    }
}

pub const WEB: &str = "cluster.local/ns/shop/sa/web";
pub const INTRUDER: &str = "cluster.local/ns/shop/sa/intruder";

pub fn head(method: &str, authority: &str, path: &str) -> RequestHead {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().unwrap())),
        None => (authority, None),
    };
    RequestHead {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        scheme: Scheme::Http,
        authority: Authority { host: host.to_owned(), port },
        path: path.to_owned(),
        query: None,
        headers: HeaderMap::new(),
        upgrade: None,
        expect_continue: false,
        version: Version::HTTP_11,
        raw: RawHead::default(),
    }
}

pub fn with_header(mut head: RequestHead, name: &str, value: &[u8]) -> RequestHead {
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    head.headers.append(name, HeaderValue::from_bytes(value).unwrap());
    head
}

pub fn get(path: &str) -> RequestHead {
    head("GET", "payments.shop", path)
}

pub fn named(name: &str, action: &str, rules: Value) -> AuthorizationPolicy {
    serde_json::from_value(json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"action": action, "rules": rules},
    }))
    .unwrap()
}

pub fn policy(action: &str, rules: Value) -> AuthorizationPolicy {
    named("test", action, rules)
}

pub fn engine(policies: &[AuthorizationPolicy]) -> AuthorizationEngine {
    AuthorizationEngine::compile(policies).unwrap()
}

pub fn deny(rules: Value) -> AuthorizationEngine {
    engine(&[policy("DENY", rules)])
}

pub fn allow(rules: Value) -> AuthorizationEngine {
    engine(&[policy("ALLOW", rules)])
}

pub fn allowed(decision: &Decision) -> bool {
    matches!(decision, Decision::Allow(_))
}

pub fn reason(decision: &Decision) -> Option<Reason> {
    match decision {
        Decision::Allow(_) => None,
        Decision::Deny(denial) => Some(denial.reason),
    }
}
