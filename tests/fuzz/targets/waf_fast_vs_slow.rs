//! Promise: the fast path of the WAF never differs from the straightforward evaluation: the same matches in the same
//! order, the same interruption, and never more work units; on rules with every difficulty (negation, captures, multiMatch,
//! counts, exclusions, removals, chains, macros).
#![no_main]

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use libfuzzer_sys::fuzz_target;
use palisade_model::documents::{Metadata, RuleSet, RuleSetSpec, SourceFile, WafPolicySpec};
use palisade_model::{Authority, Connection, Direction, RawHead, RequestHead, Scheme};
use palisade_waf::{Engine, Transaction};

const RULES: &str = include_str!("../../../rules/waf/tests/fast_vs_slow.conf");

fn engines() -> &'static [Arc<Engine>; 2] {
    static ENGINES: OnceLock<[Arc<Engine>; 2]> = OnceLock::new();
    ENGINES.get_or_init(|| {
        let source = SourceFile { name: "rules.conf".into(), text: RULES.into() };
        let set = RuleSet {
            api_version: String::new(),
            kind: String::new(),
            metadata: Metadata::default(),
            spec: RuleSetSpec { sources: vec![source], ..RuleSetSpec::default() },
        };
        let policy = WafPolicySpec::of("rules");
        let fast = Engine::compile(&set, &policy).expect("the rules compile");
        [Arc::new(fast), Arc::new(Engine::compile_slow(&set, &policy).expect("the rules compile"))]
    })
}

/// What an engine says of a request: the first line of the input is the query, the second a header, the rest a form.
fn judge(engine: &Arc<Engine>, query: &str, header: &[u8], body: &[u8]) -> (String, u64) {
    let address = "192.0.2.7:4711".parse().expect("an address");
    let connection = Connection {
        listener: "fuzz".into(),
        direction: Direction::Inbound,
        peer: address,
        client: address,
        local: address,
        principal: None,
        sni: None,
        tls: false,
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
    for name in ["user-agent", "cookie"] {
        if let Ok(value) = HeaderValue::from_bytes(header) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let head = RequestHead {
        method: Method::POST,
        scheme: Scheme::Http,
        authority: Authority { host: "localhost".into(), port: None },
        path: "/".into(),
        query: Some(query.to_owned()),
        headers,
        upgrade: None,
        expect_continue: false,
        version: Version::HTTP_2,
        raw: RawHead::default(),
    };
    let mut transaction = Transaction::begin(engine.clone(), &connection, &head, 0, "id");
    let first = transaction.request_headers();
    transaction.request_body_feed(body);
    let second = transaction.request_body(true);
    transaction.logging();
    (format!("{first:?} {second:?} {:?}", transaction.matches()), transaction.work_units_left())
}

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let query = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let header = lines.next().unwrap_or_default();
    let body = lines.next().unwrap_or_default();
    let [fast, slow] = engines().each_ref().map(|engine| judge(engine, &query, header, body));
    assert_eq!(fast.0, slow.0);
    assert!(fast.1 >= slow.1, "{} units are left of {}", fast.1, slow.1);
});
