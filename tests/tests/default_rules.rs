//! The rule set that comes with Palisade, through the real `palisade-proxy` with `examples/protect.yaml`: what its rules
//! must take is refused and the audit log says by which rule; requests that are no attacks pass.
//!
//! The attacks are those of `rules/default/examples.yaml`, as bytes on a connection of their own; the ordinary requests are
//! `tests/benign/*.yaml`. `docs/writing-rules.md` has a row for each of those that a rule finds fault with: a row too few
//! or too many fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "benign/corpus.rs"]
mod corpus;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use palisade_tests::origin::{Origin, Reply};
use palisade_tests::process::{program, root};
use palisade_tests::proxy::Proxy;
use palisade_tests::wire;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// What denies when the score of a request is reached, behind its head and behind its body.
const REFUSALS: [u64; 2] = [8_190_010, 8_190_020];
/// What denies when the score of an answer is reached.
const REFUSAL_OF_ANSWERS: u64 = 8_195_900;

/// What an origin should not show: 8195010 takes it.
const LEAK: &str = "<p>SQLSTATE[42000]: Syntax error</p>";

/// `examples/protect.yaml` on ports of its own, in front of an origin that leaks at `/leak`.
struct Stage {
    proxy: Proxy,
    origin: Origin,
    _directory: TempDir,
}

impl Stage {
    fn start(change: impl FnOnce(&mut Value)) -> Self {
        let page = |leaks: bool| format!("<html><body>{}</body></html>", if leaks { LEAK } else { "Thanks" });
        let answer = move |path: &str| Reply::new(200, "text/html; charset=utf-8", page(path == "/leak"));
        let origin = Origin::start(move |received| answer(&received.target)).unwrap();
        let text = std::fs::read_to_string(root().unwrap().join("examples/protect.yaml")).unwrap();
        let mut policy: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(policy["waf"][0]["spec"]["ruleSet"], "palisade-default");
        policy["listeners"][0]["address"] = "127.0.0.1:0".into();
        policy["admin"] = "127.0.0.1:0".into();
        policy["clusters"][0]["endpoints"][0]["address"] = origin.address.to_string().into();
        change(&mut policy);
        let directory = TempDir::new().unwrap();
        let proxy = Proxy::start(&program("palisade-proxy").unwrap(), &policy, directory.path()).unwrap();
        Self { proxy, origin, _directory: directory }
    }

    /// Sends bytes; gives the status, the rule that refused, and the rules that the audit log names.
    fn send(&self, name: &str, bytes: &[u8]) -> Seen {
        let exchange = wire::exchange(self.proxy.edge, bytes, PATIENCE).unwrap();
        let answer = exchange.answer.unwrap_or_else(|why| panic!("{name}: {why}"));
        let record = self.proxy.record(exchange.client).unwrap();
        let refused_by = record.pointer("/verdict/denial/rule/id").and_then(Value::as_u64);
        let found = record["matches"].as_array().is_some_and(|matches| !matches.is_empty());
        let audited = if found { self.proxy.audited(exchange.client, PATIENCE).unwrap() } else { Vec::new() };
        let matches = audited.iter().filter_map(|line| line.pointer("/H/matches").and_then(Value::as_array));
        let ids = matches.flatten().filter_map(|found| found["id"].as_u64());
        let ids = ids.filter(|id| !REFUSALS.contains(id) && *id != REFUSAL_OF_ANSWERS).collect();
        Seen { status: answer.status, refused_by, ids }
    }
}

struct Seen {
    status: u16,
    refused_by: Option<u64>,
    ids: BTreeSet<u64>,
}

/// Several at once; gives what was made of each, in any order.
fn each<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> Option<R> + Sync) -> Vec<R> {
    let (next, made): (AtomicUsize, Mutex<Vec<R>>) = Default::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work(one);
                    made.lock().unwrap().extend(result);
                }
            });
        }
    });
    made.into_inner().unwrap()
}

/// One entry of `rules/default/examples.yaml`.
#[derive(Deserialize)]
struct Example {
    rule: u64,
    #[serde(default = "query", rename = "in")]
    place: String,
    takes: Vec<String>,
}

fn query() -> String {
    "q".into()
}

fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

/// An attack as its sender writes it; none: it is an answer's.
fn bytes(place: &str, text: &str) -> Option<Vec<u8>> {
    let write = |method: &str, target: &str, header: &str, body: &str| {
        let length =
            if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        format!(
            "{method} {target} HTTP/1.1\r\nhost: shop.example\r\n{header}{length}connection: close\r\n\r\n{body}"
        )
    };
    let form = "content-type: multipart/form-data; boundary=b\r\n";
    let file = || {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{text}\"\r\n\
             Content-Type: text/plain\r\n\r\nx\r\n--b--\r\n"
        )
    };
    let text = match place.split_once(' ').unwrap_or((place, "")) {
        ("q", _) => write("GET", &format!("/?q={}", encoded(text)), "", ""),
        ("name", _) => write("GET", &format!("/?{}=1", encoded(text)), "", ""),
        ("path" | "target", _) => write("GET", text, "", ""),
        ("header", name) => write("GET", "/", &format!("{name}: {text}\r\n"), ""),
        ("cookie", _) => write("GET", "/", &format!("cookie: session={text}\r\n"), ""),
        ("method", _) => write(text, "/", "", ""),
        ("file", _) => write("POST", "/", form, &file()),
        ("multipart", _) => write("POST", "/", form, text),
        ("json", _) => write("POST", "/", "content-type: application/json\r\n", text),
        ("xml", _) => write("POST", "/", "content-type: application/xml\r\n", text),
        ("response", _) => return None,
        (other, _) => panic!("an example in {other}"),
    };
    Some(text.into_bytes())
}

#[test]
fn what_a_rule_must_take_is_refused_by_the_proxy_and_the_audit_log_names_the_rule() {
    let text = std::fs::read_to_string(root().unwrap().join("rules/default/examples.yaml")).unwrap();
    let examples: Vec<Example> = serde_saphyr::from_str(&text).unwrap();
    let attacks: Vec<(u64, &str, Vec<u8>)> = examples
        .iter()
        .flat_map(|example| example.takes.iter().map(move |text| (example, text)))
        .filter_map(|(example, text)| Some((example.rule, text.as_str(), bytes(&example.place, text)?)))
        .collect();
    let stage = Stage::start(|_| {});
    let wrong = each(&attacks, |(rule, text, bytes)| {
        let seen = stage.send(text, bytes);
        let refused = seen.status == 403 && seen.refused_by.is_some_and(|rule| REFUSALS.contains(&rule));
        let told = seen.ids.contains(rule);
        (!refused || !told)
            .then(|| format!("{rule} {text:?}: {}, by {:?}, {:?}", seen.status, seen.refused_by, seen.ids))
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), attacks.len(), wrong.join("\n"));
    assert!(stage.origin.received().is_empty(), "the origin saw an attack");
    // Each file of rules on requests is a group: its attacks are among them.
    let mut groups: BTreeMap<u64, usize> = BTreeMap::new();
    for (rule, ..) in &attacks {
        *groups.entry(rule / 10_000 % 100).or_default() += 1;
    }
    assert_eq!(groups.keys().copied().collect::<Vec<_>>(), [11, 12, 13, 14, 15, 16, 17, 18], "{groups:?}");
    assert!(groups.values().all(|count| *count >= 10), "{groups:?}");
}

#[test]
fn a_leak_in_an_answer_is_told_and_refused_only_where_the_policy_has_a_threshold() {
    let get = bytes("path", "/leak").unwrap();
    let inspected = json!({"maxBytes": 524_288, "over": "inspectPrefix"});
    let stage = Stage::start(|policy| policy["waf"][0]["spec"]["responseBody"] = inspected.clone());
    let seen = stage.send("leak", &get);
    assert_eq!((seen.status, seen.refused_by, seen.ids), (200, None, [8_195_010].into()));
    let stage = Stage::start(|policy| {
        policy["waf"][0]["spec"]["responseBody"] = inspected;
        policy["waf"][0]["spec"]["thresholds"] = json!({"inbound": 5, "outbound": 4});
    });
    let seen = stage.send("leak", &get);
    assert_eq!((seen.status, seen.refused_by, seen.ids), (403, Some(REFUSAL_OF_ANSWERS), [8_195_010].into()));
    assert_eq!(stage.send("page", &bytes("path", "/").unwrap()).status, 200);
}

#[test]
fn the_false_positives_of_the_default_rules_are_the_ones_in_the_book() {
    let corpus = corpus::read();
    let stage = Stage::start(|policy| {
        policy["waf"][0]["spec"]["responseBody"] = json!({"maxBytes": 524_288, "over": "inspectPrefix"});
    });
    let found: BTreeSet<String> = each(&corpus, |one| {
        let seen = stage.send(&one.name, &one.bytes);
        // Without a rule nothing may stand in the way.
        assert!(seen.status == 200 || seen.refused_by.is_some(), "{}: {}", one.name, seen.status);
        let ids: Vec<String> = seen.ids.iter().map(u64::to_string).collect();
        let row = format!("| {} | {} | {} |", one.name, seen.status, ids.join(" "));
        (seen.status != 200 || !ids.is_empty()).then_some(row)
    })
    .into_iter()
    .collect();
    let book = std::fs::read_to_string(root().unwrap().join("docs/writing-rules.md")).unwrap();
    let names: BTreeSet<&str> = corpus.iter().map(|one| one.name.as_str()).collect();
    let is_row = |line: &&str| {
        let name = line.strip_prefix("| ").and_then(|line| line.split(" | ").next());
        name.is_some_and(|name| names.contains(name))
    };
    let listed: BTreeSet<String> = book.lines().filter(is_row).map(str::to_owned).collect();
    println!("{} requests, {} with a match", corpus.len(), found.len());
    assert_eq!(found, listed, "the rows that docs/writing-rules.md should have");
}
