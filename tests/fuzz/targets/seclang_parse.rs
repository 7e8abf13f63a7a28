//! Promise: no rule text makes the parser or the compiler panic, or takes more than their limits; what is wrong has a
//! place inside the text, and what has no effect is told with one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_model::documents::{Metadata, RuleSet, RuleSetSpec, SourceFile, WafPolicySpec};
use palisade_seclang::{NoSources, Source, parse};
use palisade_waf::Engine;

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
    let source = SourceFile { name: "fuzz.conf".into(), text: text.to_owned() };
    let files = [("d.data", "10.0.0.1\nphrase\n"), ("more.inc", "SecMarker more\nInclude fuzz.inc\n")];
    let set = RuleSet {
        api_version: String::new(),
        kind: String::new(),
        metadata: Metadata::default(),
        spec: RuleSetSpec {
            sources: vec![source],
            data: files.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
        },
    };
    match Engine::compile(&set, &WafPolicySpec::of("fuzz")) {
        Ok(engine) => assert!(engine.notes().iter().all(|note| note.contains(": note: "))),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
