//! Every regular expression of the OWASP Core Rule Set compiles, and the trap of `\x{HH}` is avoided.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use palisade_waf::operators::compile_regex;

/// The directory with the Core Rule Set, if there is one.
fn core_rule_set() -> Option<PathBuf> {
    let named = std::env::var_os("PALISADE_CRS").map(PathBuf::from);
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs");
    [named, Some(beside)].into_iter().flatten().find(|directory| directory.join("rules").is_dir())
}

/// The arguments of `@rx` in a file, by a rough reading that shares nothing with the parser.
fn patterns(text: &str) -> Vec<String> {
    let rules = text.replace("\\\n", " ");
    let rules = rules.lines().map(str::trim).filter(|line| line.starts_with("SecRule "));
    rules
        .filter_map(|rule| {
            let (_, rest) = rule.split_once("\"@rx ").or_else(|| rule.split_once("\"!@rx "))?;
            let mut pattern = String::new();
            let mut characters = rest.chars().peekable();
            while let Some(character) = characters.next() {
                match (character, characters.peek()) {
                    ('"', _) => break,
                    ('\\', Some('"')) => pattern.extend(characters.next()),
                    ('\\', Some(_)) => {
                        pattern.push(character);
                        pattern.extend(characters.next());
                    }
                    _ => pattern.push(character),
                }
            }
            Some(pattern)
        })
        .collect()
}

#[test]
fn every_pattern_of_the_core_rule_set_compiles() {
    let Some(directory) = core_rule_set() else {
        println!("skipped: no Core Rule Set (PALISADE_CRS)");
        return;
    };
    let mut all = BTreeSet::new();
    for entry in std::fs::read_dir(directory.join("rules")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            all.extend(patterns(&std::fs::read_to_string(path).unwrap()));
        }
    }
    println!("{} patterns", all.len());
    assert!(all.len() > 250, "the reading of the files finds only {} patterns", all.len());
    for pattern in &all {
        if let Err(error) = compile_regex(pattern) {
            panic!("{error}\n{pattern}");
        }
    }
}

#[test]
fn the_hexadecimal_trap_is_avoided() {
    // As 942420 and its siblings write it: each \x{HH} is one byte, not a code point.
    let regex = compile_regex(r"(?:[~!@#\$%\^&\*\(\)\-\+=\{\}\[\]\|:;\x{c2}\x{b4}\x{e2}'<>].*?){2}").unwrap();
    assert!(regex.is_match(b"\xb4\xe2"));
    assert!(!regex.is_match(b"ab"));
}
