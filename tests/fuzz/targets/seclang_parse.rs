//! Promise: no rule text makes the parser panic, and what is wrong has a place inside the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_seclang::{NoSources, Source, parse};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let root = Source { name: "fuzz.conf".into(), text: text.to_owned() };
    match parse(&[root], &NoSources) {
        Ok(ast) => {
            for rule in ast.rules() {
                let _ = format!("{rule:?}");
            }
        }
        Err(diagnostics) => assert!(!diagnostics.to_string().is_empty()),
    }
});
