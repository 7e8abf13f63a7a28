//! Promise: no data file makes the compiler panic or take more than its limits; every phrase and every address of a file
//! that is accepted matches itself, with the fast path and without.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use palisade_fuzz::exchange::{connection, head, headers, policy, rule_set};
use palisade_fuzz::input::escaped;
use palisade_waf::{Engine, Transaction};

const RULES: &str = "SecRule ARGS \"@pmFromFile d.data\" \"id:1,phase:1,pass\"\n";
const ADDRESSES: &str = "SecRule ARGS \"@ipMatchFromFile d.data\" \"id:1,phase:1,pass\"\n";

/// Whether the rule matches a value.
fn matches(engine: &Arc<Engine>, value: &[u8]) -> bool {
    let head = head(b"GET", "/", Some(format!("a={}", escaped(value))), headers(std::iter::empty()));
    let mut transaction = Transaction::begin(engine.clone(), &connection(), &head, 0, "id");
    transaction.request_headers();
    !transaction.matches().is_empty()
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for (rules, phrases) in [(RULES, true), (ADDRESSES, false)] {
        let set = rule_set(rules, &[("d.data", text)]);
        let compiled = [Engine::compile(&set, &policy()), Engine::compile_slow(&set, &policy())];
        for engine in compiled {
            let engine = match engine {
                Ok(engine) => Arc::new(engine),
                Err(error) => {
                    assert!(error.to_string().contains("fuzz.conf:1"), "no place: {error}");
                    assert!(!phrases || lines().next().is_none(), "{error}");
                    continue;
                }
            };
            for line in lines().take(8) {
                let item =
                    if phrases { line } else { line.split(['#', '/']).next().unwrap_or_default().trim() };
                assert!(
                    item.is_empty() || matches(&engine, item.as_bytes()),
                    "{item:?} does not match itself"
                );
            }
        }
    }
});
