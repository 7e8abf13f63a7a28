//! Promise: the fast path never differs from the straightforward evaluation: the same matches in the same order with the
//! same targets and messages, the same interruption, and never more work units.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use std::sync::{Arc, OnceLock};

use exchange::{Exchange, crs, crs_directory, form, get, policy, post, rule_set};
use palisade_model::documents::{Mode, RuleSet, SourceFile, WafPolicySpec};
use palisade_waf::Engine;
use proptest::prelude::*;

/// The same rules both ways.
struct Pair {
    fast: Arc<Engine>,
    slow: Arc<Engine>,
}

impl Pair {
    fn of(set: &RuleSet, policy: &WafPolicySpec) -> Self {
        Self {
            fast: Arc::new(Engine::compile(set, policy).unwrap()),
            slow: Arc::new(Engine::compile_slow(set, policy).unwrap()),
        }
    }

    fn text(rules: &str) -> Self {
        let sources = vec![SourceFile { name: "test.conf".into(), text: rules.into() }];
        Self::of(&rule_set(sources), &policy())
    }

    /// What both say; they must agree. How many rules matched, and whether the exchange was ended.
    fn agree(&self, exchange: &Exchange) -> (usize, bool) {
        let (slow, fast) = (exchange.run(&self.slow), exchange.run(&self.fast));
        fast.assert_same_as(&slow, exchange);
        (slow.matches.len(), slow.interruption.is_some())
    }
}

/// CRS at a level, blocking or detecting.
fn core_rules(mode: Mode, level: u8) -> Option<Pair> {
    let set = crs(&crs_directory()?, "", "");
    let policy = WafPolicySpec { mode, paranoia_level: Some(level), ..policy() };
    Some(Pair::of(&set, &policy))
}

/// Pieces of attacks, and pieces that look like them.
const PIECES: [&str; 40] = [
    "1' OR '1'='1",
    "union all select 1,2",
    "UnIoN/**/SeLeCt",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "../../etc/passwd",
    "..%2f..%2f",
    "%252e%252e%252f",
    "${jndi:ldap://x/a}",
    "; cat /etc/shadow",
    "|whoami",
    "`id`",
    "$(sleep 5)",
    "<?php system($_GET['c']); ?>",
    "{{7*7}}",
    "O:8:\"stdClass\":0:{}",
    "rO0ABXNy",
    "%u003cscript%u003e",
    "&lt;script&gt;",
    "\\x3cscript\\x3e",
    "\\u003cscript",
    "Set-Cookie: a=b",
    "\r\nX-Injected: 1",
    "%00",
    "%0a%0d",
    "é€😀",
    "%c3%a9%ff",
    "http://169.254.169.254/latest/meta-data",
    "file:///etc/hosts",
    "O'Brien & Sons (Ltd.)",
    "john.doe@example.com",
    "The quick brown fox selects a union of sets",
    "2026-11-22T10:00:00Z",
    "query { user(id: 1) { name } }",
    "a=b&c=d;e",
    "c:\\windows\\system32",
    "/* comment */ -- x #",
    "eval(base64_decode(",
    "__proto__[x]",
];

fn value() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned),
        2 => "[a-zA-Z0-9 ]{0,12}",
        1 => "[ -~]{0,8}",
        1 => Just("aB".repeat(300)),
    ];
    prop::collection::vec(piece, 0..3).prop_map(|pieces| pieces.concat())
}

/// A value as it is in a query, escaped or not.
fn escaped(value: &str, escape: bool) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            b' ' => text.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'/' | b'%' => text.push(byte.into()),
            b'!'..=b'~' if !escape && byte != b'#' && byte != b'?' => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn exchanges() -> impl Strategy<Value = Exchange> {
    let pairs = || prop::collection::vec((value(), value()), 0..4);
    (pairs(), pairs(), value(), value(), 0_usize..6, any::<bool>(), value()).prop_map(
        |(query, body, header, cookie, kind, escape, answer)| {
            let join = |pairs: &[(String, String)]| {
                let one = |(name, value): &(String, String)| {
                    format!("{}={}", escaped(name, escape), escaped(value, escape))
                };
                pairs.iter().map(one).collect::<Vec<_>>().join("&")
            };
            let uri = format!("/a/{}?{}", escaped(&header, true), join(&query));
            let first = body.first().cloned().unwrap_or_default();
            let json = format!("{{{:?}: {:?}, \"list\": [1, {:?}]}}", first.0, first.1, header);
            let parts = format!(
                "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{}\"\r\n\r\n{}\r\n--B--\r\n",
                cookie, first.1
            );
            let exchange = match kind {
                0 => get(&uri),
                1 | 2 => form(&uri, &join(&body)),
                3 => post(&uri, "application/json", &json),
                4 => post(&uri, "multipart/form-data; boundary=B", &parts),
                _ => post(&uri, "text/xml", &format!("<a b=\"{}\">{}</a>", cookie.len(), header)),
            };
            let plain = |text: &str| text.replace(['\r', '\n', '\0'], " ");
            exchange
                .header("User-Agent", &plain(&header))
                .header("Cookie", &format!("sid={}", plain(&cookie)))
                .header("Referer", &plain(&answer))
                .answered(200, "text/html", &answer)
        },
    )
}

/// Rules with what is easily got wrong: negation, captures, multiMatch, counts, exclusions, removals, chains, macros,
/// chains of transformations with common beginnings, skips.
const HARD: &str = include_str!("fast_vs_slow.conf");

fn hard() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| Pair::text(HARD))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_fast_path_agrees_on_rules_with_every_difficulty(exchange in exchanges()) {
        hard().agree(&exchange);
    }
}

#[test]
fn the_difficult_rules_do_match() {
    let exchange =
        form("/?a=union+select+x'", "b=%3Cscript%3E;union/passwd").answered(200, "text/html", "<script>");
    let ids = exchange.run(&hard().slow).ids();
    assert!(hard().agree(&exchange).0 > 12, "{ids:?}");
    assert!(hard().agree(&get("/$%7bjndi:ldap?x=ldap")).1);
}

#[test]
fn the_fast_path_agrees_on_the_core_rules() {
    for (mode, level) in [(Mode::Block, 1), (Mode::Detect, 4)] {
        let Some(pair) = core_rules(mode, level) else { return };
        let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
        let (mut matches, mut ended) = (0, 0);
        let mut runner = proptest::test_runner::TestRunner::new_with_rng(
            config,
            proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
        );
        let seen = std::cell::RefCell::new((&mut matches, &mut ended));
        runner
            .run(&exchanges(), |exchange| {
                let (found, stopped) = pair.agree(&exchange);
                let mut seen = seen.borrow_mut();
                *seen.0 += found;
                *seen.1 += usize::from(stopped);
                Ok(())
            })
            .unwrap();
        assert!(matches > 60 && (mode == Mode::Detect || ended > 5), "{matches} matches, {ended} ended");
    }
}

#[test]
fn a_request_that_fills_the_memo_is_judged_the_same() {
    // Over the memo's 256 KiB of transformed texts, and over its entries.
    let large = format!("a={}&b=%3Cscript%3E", "The+Quick%2bBrown'+".repeat(6_000));
    let many: Vec<String> = (0..900).map(|number| format!("A{number}=x%27{number}+select")).collect();
    for body in [large, many.join("&")] {
        hard().agree(&form("/", &body));
    }
    let Some(pair) = core_rules(Mode::Detect, 1) else { return };
    let body = format!("a={}&b=%3Cscript%3E", "The+Quick%2bBrown'+".repeat(1_500));
    assert!(pair.agree(&form("/", &body)).0 > 0);
}

#[test]
fn hostile_requests_never_cost_more_work_units_than_without_the_fast_path() {
    // Candidates everywhere, many arguments, long runs, nesting.
    let everything: Vec<String> =
        (0..60).map(|number| format!("a{number}={}", escaped(PIECES[number % PIECES.len()], true))).collect();
    let runs = format!("a={}&b={}", "%2e%2e/".repeat(400), "'or(".repeat(400));
    let nested = format!("{}1{}", "{\"a\":[".repeat(20), "]}".repeat(20));
    let exchanges = [
        form("/?x=%3Cscript%3E", &everything.join("&")),
        form("/", &runs),
        post("/", "application/json", &nested),
        get(&format!("/{}?{}", "a%2f".repeat(200), "&".repeat(300))),
    ];
    for (mode, level) in [(Mode::Block, 1), (Mode::Detect, 4)] {
        let Some(pair) = core_rules(mode, level) else { return };
        let found: usize = exchanges.iter().map(|exchange| pair.agree(exchange).0).sum();
        assert!(found > 10, "{found} matches at level {level}");
    }
}
