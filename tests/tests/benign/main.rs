//! Requests that are no attacks, through the real `palisade-proxy` with the Core Rule Set as it is released, blocking.
//!
//! `tests/benign/*.yaml` has the requests, written for this; `docs/crs.md` has a row for each that a rule finds fault
//! with, at paranoia levels 1 and 2. A row too few or too many fails, so that the list is neither hidden nor stale.
//!
//! ```text
//!   corpus   the files, and a request as the bytes a browser, a page, an app or a server sends
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs
)]

mod corpus;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use corpus::Benign;
use palisade_tests::origin::{Origin, Reply};
use palisade_tests::process::{program, root};
use palisade_tests::proxy::{self, Proxy};
use palisade_tests::rule_set::CoreRuleSet;
use palisade_tests::wire;
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// What every set-up of CRS has beside it.
const BEFORE: &str = "SecRequestBodyAccess On\nSecResponseBodyAccess On\n\
    SecResponseBodyMimeType text/plain text/html text/xml application/json\n\
    SecRule REQUEST_HEADERS:Content-Type \"@rx ^(?:application|text)/(?:soap\\+|[a-z.\\-]+\\+)?xml\" \
    \"id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"\n\
    SecRule REQUEST_HEADERS:Content-Type \"@rx ^application/(?:[a-z0-9.\\-]+\\+)?json\" \
    \"id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n\
    SecRule REQBODY_ERROR \"!@eq 0\" \"id:200002,phase:2,t:none,deny,status:400,log,msg:'body',severity:CRITICAL\"\n\
    SecRule MULTIPART_STRICT_ERROR \"!@eq 0\" \
    \"id:200003,phase:2,t:none,deny,status:400,log,msg:'multipart',severity:CRITICAL\"\n";

/// Rules that only act on the sum of others, or report it.
const SUMS: [u64; 6] = [949_110, 949_111, 959_100, 959_101, 980_170, 980_099];

/// Sends every request at a paranoia level; gives a row for each that a rule found fault with.
fn rows(crs: &CoreRuleSet, corpus: &[Benign], level: u8) -> BTreeSet<String> {
    let directory = TempDir::new().unwrap();
    let place = directory.path().join("rules");
    let include = crs.lay_out(&place, BEFORE, "").unwrap();
    let page = "<!DOCTYPE html><html><head><title>Shop</title></head><body><p>Thank you.</p></body></html>";
    let origin = Origin::forgetful(move |_| Reply::new(200, "text/html; charset=utf-8", page)).unwrap();
    let mut policy = proxy::gateway(origin.address);
    let spec = json!({
        "mode": "block",
        "paranoiaLevel": level,
        "responseBody": {"maxBytes": 524_288, "over": "inspectPrefix"},
    });
    proxy::protect(&mut policy, spec, &place, &include);
    let proxy = Proxy::start(&program("palisade-proxy").unwrap(), &policy, directory.path()).unwrap();
    let rows: Mutex<BTreeSet<String>> = Mutex::default();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(one) = corpus.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(row) = row(&proxy, one, level) {
                        rows.lock().unwrap().insert(row);
                    }
                }
            });
        }
    });
    rows.into_inner().unwrap()
}

/// `| forms-12 | 1 | 403 | 942100 942190 |`
fn row(proxy: &Proxy, one: &Benign, level: u8) -> Option<String> {
    let exchange = wire::exchange(proxy.edge, &one.bytes, PATIENCE).unwrap();
    let answer = exchange.answer.unwrap_or_else(|why| panic!("{}: {why}", one.name));
    let record = proxy.record(exchange.client).unwrap();
    let matches = record["matches"].as_array().cloned().unwrap_or_default();
    let ids: BTreeSet<u64> = matches.iter().filter_map(|found| found["id"].as_u64()).collect();
    let ids: Vec<String> = ids.iter().filter(|id| !SUMS.contains(id)).map(u64::to_string).collect();
    // Without a rule nothing may stand in the way: not the framing, not the path, not the origin.
    let refused_by_rule = record.pointer("/verdict/denial/rule").is_some_and(Value::is_object);
    assert!(answer.status == 200 || refused_by_rule, "{}: {} {record}", one.name, answer.status);
    let row = format!("| {} | {level} | {} | {} |", one.name, answer.status, ids.join(" "));
    (!ids.is_empty() || answer.status != 200).then_some(row)
}

/// The rows of the book.
fn listed() -> BTreeSet<String> {
    let book = std::fs::read_to_string(root().unwrap().join("docs/crs.md")).unwrap();
    let rows = book.lines().filter(|line| line.starts_with("| "));
    let is_row = |line: &&str| {
        let level = line.split(" | ").nth(1);
        level == Some("1") || level == Some("2")
    };
    rows.filter(is_row).map(str::to_owned).collect()
}

#[test]
fn the_corpus_has_at_least_300_requests_of_every_kind() {
    let corpus = corpus::read();
    assert!(corpus.len() >= 300, "{}", corpus.len());
    let names: BTreeSet<&str> = corpus.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names.len(), corpus.len(), "names are unique");
    let has = |text: &str| {
        let text = text.as_bytes();
        corpus.iter().filter(|one| one.bytes.windows(text.len()).any(|window| window == text)).count()
    };
    for (text, least) in [
        ("\r\ncookie: ", 25),
        ("multipart/form-data; boundary=", 15),
        ("content-type: application/json", 40),
        ("application/x-www-form-urlencoded", 40),
        ("/graphql", 4),
        ("eyJhbGciOi", 2),
        ("%D0%", 3),
        ("%E3%8", 2),
        ("access-control-request-method: ", 2),
        ("range: bytes=", 2),
    ] {
        assert!(has(text) >= least, "{text:?} is in {} requests", has(text));
    }
}

#[test]
fn the_false_positives_at_levels_1_and_2_are_the_ones_in_the_book() {
    let Some((crs, _)) = CoreRuleSet::for_tests() else { return };
    let corpus = corpus::read();
    let mut found = rows(&crs, &corpus, 1);
    found.extend(rows(&crs, &corpus, 2));
    let listed = listed();
    let new: Vec<&String> = found.difference(&listed).collect();
    let gone: Vec<&String> = listed.difference(&found).collect();
    if !new.is_empty() || !gone.is_empty() {
        println!("the table that docs/crs.md should have:");
        let mut sorted: Vec<(String, &String)> = found.iter().map(|row| (order(row), row)).collect();
        sorted.sort();
        sorted.iter().for_each(|(_, row)| println!("{row}"));
    }
    assert!(new.is_empty() && gone.is_empty(), "new: {new:#?}, gone: {gone:#?}");
    let refused = |level: &str| found.iter().filter(|row| row.contains(&format!(" | {level} | 40"))).count();
    println!("{} requests: {} refused at level 1, {} at level 2", corpus.len(), refused("1"), refused("2"));
}

/// By file, number and level.
fn order(row: &str) -> String {
    let mut cells = row.trim_start_matches("| ").split(" | ");
    let (name, level) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
    let (file, number) = name.rsplit_once('-').unwrap_or((name, "0"));
    format!("{file} {number:0>4} {level}")
}
