//! Promise: no expression makes the translation panic or take more than its limits; where PCRE takes the same
//! expression, both match the same values at the same place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_fuzz::input::Input;
use palisade_waf::operators::compile_regex;
use pcre2::bytes::RegexBuilder;

/// Steps after which PCRE gives up: it backtracks, we do not.
const STEPS: &str = "(*LIMIT_MATCH=100000)(*LIMIT_DEPTH=5000)";

// The first line is the expression, the rest are values, one a line.
fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let Ok(pattern) = std::str::from_utf8(input.line()) else { return };
    let ours = match compile_regex(pattern) {
        Ok(ours) => ours,
        Err(problem) => return assert!(!problem.is_empty() && problem.len() < 4096, "{problem}"),
    };
    // A verb stands before what would be a pattern of its own.
    let Ok(theirs) = RegexBuilder::new().dotall(true).build(&format!("{STEPS}{pattern}")) else { return };
    for value in input.rest().split(|byte| *byte == b'\n').take(16) {
        let Ok(theirs) = theirs.find(value) else { continue };
        let theirs = theirs.map(|found| found.start());
        let found = ours.find(value).map(|found| found.start());
        assert_eq!(found, theirs, "{pattern:?} in {}", value.escape_ascii());
    }
});
