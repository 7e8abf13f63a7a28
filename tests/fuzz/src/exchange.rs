//! An exchange, and engines to judge it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use palisade_model::documents::{
    BodyLimit, Metadata, OverLimit, RuleSet, RuleSetSpec, SourceFile, WafPolicySpec,
};
use palisade_model::{Authority, Connection, Direction, RawHead, RequestHead, ResponseHead, Scheme};
use palisade_waf::Engine;

/// The connection of every exchange.
pub fn connection() -> Connection {
    let address = "192.0.2.7:4711".parse().expect("an address");
    Connection {
        listener: "fuzz".into(),
        direction: Direction::Inbound,
        peer: address,
        client: address,
        local: address,
        principal: None,
        sni: None,
        tls: false,
    }
}

/// Headers from lines `name: value`; what is no header is left out.
pub fn headers<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// A request as its canonical head.
pub fn head(method: &[u8], path: &str, query: Option<String>, headers: HeaderMap) -> RequestHead {
    RequestHead {
        method: Method::from_bytes(method).unwrap_or(Method::POST),
        scheme: Scheme::Http,
        authority: Authority { host: "localhost".into(), port: None },
        path: path.into(),
        query,
        headers,
        upgrade: None,
        expect_continue: false,
        version: Version::HTTP_2,
        raw: RawHead::default(),
    }
}

/// An answer's head.
pub fn answer(status: u16, headers: HeaderMap) -> ResponseHead {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    ResponseHead { status, headers, version: Version::HTTP_11 }
}

/// A policy that blocks and looks at the first bytes of every body.
pub fn policy() -> WafPolicySpec {
    WafPolicySpec {
        request_body: BodyLimit { max_bytes: 64 * 1024, over: OverLimit::Reject },
        response_body: Some(BodyLimit::RESPONSE),
        ..WafPolicySpec::of("fuzz")
    }
}

/// A rule set of one file, and the data files it may name.
pub fn rule_set(text: &str, data: &[(&str, &str)]) -> RuleSet {
    let source = SourceFile { name: "fuzz.conf".into(), text: text.to_owned() };
    let data = data.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    RuleSet {
        api_version: String::new(),
        kind: String::new(),
        metadata: Metadata::default(),
        spec: RuleSetSpec { sources: vec![source], data },
    }
}

/// The fast engine of a rule set, and the straightforward one.
pub fn engines(set: &RuleSet, policy: &WafPolicySpec) -> [Arc<Engine>; 2] {
    let fast = Engine::compile(set, policy).unwrap_or_else(|error| panic!("{error}"));
    let slow = Engine::compile_slow(set, policy).unwrap_or_else(|error| panic!("{error}"));
    [Arc::new(fast), Arc::new(slow)]
}
