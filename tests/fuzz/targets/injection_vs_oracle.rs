//! Promise: the injection detectors see what the port of libinjection sees, with the same fingerprints, where the two are
//! not known to differ.
#![no_main]

#[path = "../../../rules/waf/tests/injection/differences.rs"]
mod differences;

use libfuzzer_sys::fuzz_target;
use palisade_waf::injection::{sqli, xss};

fuzz_target!(|value: &[u8]| {
    let ours = sqli(value);
    if !differences::of_sqli(value) {
        let theirs = libinjectionrs::detect_sqli(value);
        let theirs = theirs.fingerprint.clone().filter(|_| theirs.is_injection());
        let theirs = theirs.as_ref().map(|found| found.as_str().as_bytes());
        assert_eq!(ours.as_ref().map(|found| found.as_bytes()), theirs, "{}", value.escape_ascii());
    }
    let ours = xss(value);
    let theirs = libinjectionrs::detect_xss(value).is_injection();
    let may_differ = value.contains(&0) || ours && differences::of_xss(value);
    assert!(ours == theirs || may_differ, "ours {ours}, theirs {theirs}: {}", value.escape_ascii());
});
