//! The default rule set takes what its examples say and nothing of ordinary traffic, with and without the fast path.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use http::{HeaderMap, StatusCode, Version};
use palisade_http::head::{HeadLimits, canonical};
use palisade_loader::default_rules;
use palisade_model::documents::{BodyLimit, Mode, WafPolicySpec};
use palisade_model::{Connection, Direction, RawHead, ResponseHead, Scheme};
use palisade_waf::{Engine, Transaction};
use serde::Deserialize;

/// One entry of `rules/default/examples.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    rule: u64,
    #[serde(default, rename = "in")]
    place: Option<String>,
    takes: Vec<String>,
    leaves: Vec<String>,
}

struct Exchange {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    response: Vec<u8>,
}

fn examples() -> Vec<Example> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../default/examples.yaml");
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn policy() -> WafPolicySpec {
    WafPolicySpec { response_body: Some(BodyLimit::RESPONSE), ..WafPolicySpec::of(default_rules::NAME) }
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        match byte {
            // What the example writes in escapes stays so.
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => all.push(byte.into()),
            other => write!(all, "%{other:02X}").unwrap(),
        }
        all
    })
}

fn exchange(place: &str, text: &str) -> Exchange {
    let mut made = Exchange {
        method: "GET".into(),
        target: "/".into(),
        headers: vec![
            ("Host".into(), "shop.example".into()),
            ("Accept".into(), "text/html,*/*;q=0.8".into()),
        ],
        body: Vec::new(),
        response: Vec::new(),
    };
    let mut posts = |content_type: &str, body: &str| {
        made.method = "POST".into();
        made.headers.push(("Content-Type".into(), content_type.into()));
        made.headers.push(("Content-Length".into(), body.len().to_string()));
        made.body = body.into();
    };
    match place.split_once(' ').unwrap_or((place, "")) {
        ("q", _) => made.target = format!("/?q={}", encoded(text)),
        ("name", _) => made.target = format!("/?{}=1", encoded(text)),
        ("path" | "target", _) => made.target = text.into(),
        ("header", name) => made.headers.push((name.into(), text.into())),
        ("cookie", _) => made.headers.push(("Cookie".into(), format!("session={text}"))),
        ("method", _) => made.method = text.into(),
        ("file", _) => posts(
            "multipart/form-data; boundary=b",
            &format!(
                "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{text}\"\r\nContent-Type: \
                 text/plain\r\n\r\nx\r\n--b--\r\n"
            ),
        ),
        ("multipart", _) => posts("multipart/form-data; boundary=b", text),
        ("json", _) => posts("application/json", text),
        ("xml", _) => posts("application/xml", text),
        ("response", _) => made.response = text.into(),
        (other, _) => panic!("an example in {other}"),
    }
    made
}

/// The rules that match, and the rule that denies; none: refused before any rule.
fn judge(engine: &Arc<Engine>, exchange: &Exchange) -> Option<(BTreeSet<u64>, Option<u64>)> {
    let Exchange { method, target, headers, body, response } = exchange;
    let mut request = http::Request::builder().method(method.as_str()).uri(target);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let raw = RawHead {
        request_line: format!("{method} {target} HTTP/1.1").into(),
        uri: target.clone().into(),
        headers: headers.iter().map(|(name, value)| (name.clone().into(), value.clone().into())).collect(),
    };
    let (head, _) = canonical(parts, Some(raw), Scheme::Http, false, &HeadLimits::default()).ok()?;
    let address = "192.0.2.7:4711".parse().unwrap();
    let connection = Connection {
        listener: "test".into(),
        direction: Direction::Gateway,
        peer: address,
        client: address,
        local: address,
        principal: None,
        sni: None,
        tls: false,
    };
    let mut transaction = Transaction::begin(engine.clone(), &connection, &head, 1_767_225_600_000, "id");
    let mut ended = transaction.request_headers();
    if ended.is_none() {
        transaction.request_body_feed(body);
        ended = transaction.request_body(true);
    }
    if ended.is_none() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", http::HeaderValue::from_static("text/html"));
        let head = ResponseHead { status: StatusCode::OK, headers, version: Version::HTTP_11 };
        ended = transaction.response_headers(&head);
        transaction.response_body_feed(response);
        ended = ended.or(transaction.response_body(true));
    }
    transaction.logging();
    let ids = transaction.matches().iter().map(|found| found.id).collect();
    Some((ids, ended.map(|interruption| interruption.rule)))
}

#[test]
fn every_example_is_judged_as_it_says() {
    let set = default_rules::rule_set("shop");
    let fast = Arc::new(Engine::compile(&set, &policy()).unwrap_or_else(|error| panic!("{error}")));
    let slow = Arc::new(Engine::compile_slow(&set, &policy()).unwrap());
    let (mut wrong, mut judged) = (Vec::new(), 0);
    for Example { rule, place, takes, leaves } in examples() {
        let place = place.unwrap_or_else(|| "q".into());
        for (text, is_attack) in
            takes.iter().map(|text| (text, true)).chain(leaves.iter().map(|text| (text, false)))
        {
            judged += 1;
            let exchange = exchange(&place, text);
            let Some((ids, denied)) = judge(&fast, &exchange) else {
                wrong.push(format!("{rule}: {text:?} is refused before any rule"));
                continue;
            };
            assert_eq!(judge(&slow, &exchange).unwrap(), (ids.clone(), denied), "{text:?}: fast and slow");
            // Answers are only detected.
            let denies = place != "response";
            match is_attack {
                true if !ids.contains(&rule) => wrong.push(format!("{rule} does not take {text:?}: {ids:?}")),
                true if denies != denied.is_some() => {
                    wrong.push(format!("{rule}: {text:?} ends in {denied:?}"))
                }
                false if !ids.is_empty() => {
                    wrong.push(format!("{rule}: {text:?} is ordinary, and {ids:?} take it"))
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {judged}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(judged > 400, "{judged}");
}

#[test]
fn every_rule_has_examples() {
    let set = default_rules::rule_set("shop");
    let written = palisade_waf::trace::written(&set).unwrap();
    let with: BTreeSet<u64> = examples().iter().map(|example| example.rule).collect();
    let machinery = |id: u64| {
        (8_100_000..8_110_000).contains(&id) || (8_190_000..8_195_000).contains(&id) || id == 8_195_900
    };
    let without: Vec<u64> =
        written.keys().copied().filter(|id| !with.contains(id) && !machinery(*id)).collect();
    assert!(without.is_empty(), "{without:?}");
    assert!(with.iter().all(|id| written.contains_key(id)));
    assert!(
        written.keys().all(|id| (8_100_000..8_200_000).contains(id)),
        "the range that rules/default documents"
    );
    assert!(written.len() > 60, "{}", written.len());
}

#[test]
fn detect_mode_tells_and_lets_through_and_thresholds_decide() {
    let set = default_rules::rule_set("shop");
    let attack = exchange("q", "1' or '1'='1");
    let detect = Arc::new(Engine::compile(&set, &WafPolicySpec { mode: Mode::Detect, ..policy() }).unwrap());
    let (ids, denied) = judge(&detect, &attack).unwrap();
    assert!(ids.contains(&8_150_030) && denied.is_none(), "{ids:?}");
    let thresholds = Some(palisade_model::documents::Thresholds { inbound: 100, outbound: 4 });
    let high = Arc::new(Engine::compile(&set, &WafPolicySpec { thresholds, ..policy() }).unwrap());
    assert_eq!(judge(&high, &attack).unwrap().1, None);
    let leak = exchange("response", "SQLSTATE[42000]");
    assert_eq!(
        judge(&high, &leak).unwrap().1,
        Some(8_195_900),
        "with an outbound threshold answers are denied"
    );
}
