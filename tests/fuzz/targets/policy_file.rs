//! Promise: no policy file makes the loader panic; what it accepts is rendered and read back as the same policy.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use palisade_http::routes::RouteTable;
use palisade_loader::policy_file::{parse, render};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Rule sets by path read directories: this target stays inside the text.
    if text.contains("ruleSetPaths") || text.contains("\\") {
        return;
    }
    let nowhere = Path::new("/nonexistent/fuzz");
    let Ok(file) = parse("fuzz.yaml", text, nowhere) else { return };
    let _ = RouteTable::compile(&file.policy.routes);
    let rendered = render(&file.policy).expect("an accepted policy can be rendered");
    let again = parse("rendered.yaml", &rendered, nowhere).expect("a rendered policy is accepted");
    assert_eq!(file.policy, again.policy);
});
