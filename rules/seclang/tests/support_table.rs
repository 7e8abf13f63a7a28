//! `docs/seclang-support.md` has exactly one row for every name of the grammar.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use palisade_seclang::{ActionName, ControlName, DirectiveName, OperatorKind, Transformation, VariableKind};

const DOCUMENT: &str = include_str!("../../../docs/seclang-support.md");

/// (name, engine, note) of the rows of a section.
fn rows(section: &str) -> Vec<(&'static str, &'static str, &'static str)> {
    let heading = format!("\n## {section}\n");
    let text = DOCUMENT.split(&heading).nth(1).unwrap_or_else(|| panic!("no section {section}"));
    let text = text.split("\n## ").next().unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 3, "{row}");
        (cells[0].trim_matches('`'), cells[1], cells[2])
    })
    .collect()
}

fn check(section: &str, names: Vec<&str>, words: &[&str]) {
    let rows = rows(section);
    let mut documented: Vec<&str> = rows.iter().map(|(name, _, _)| *name).collect();
    let mut names = names;
    documented.sort_unstable();
    names.sort_unstable();
    assert_eq!(documented, names, "{section}");
    for (name, engine, note) in rows {
        assert!(words.contains(&engine), "{section} {name}: {engine}");
        assert!(engine == "enforced" || !note.is_empty(), "{section} {name}: {engine} needs a reason");
    }
}

#[test]
fn every_name_of_the_grammar_has_one_row_with_a_reason_if_it_is_not_enforced() {
    let settings = ["enforced", "one value", "no effect", "refused"];
    check("Directives", DirectiveName::ALL.iter().map(|name| name.name()).collect(), &settings);
    check("Operators", OperatorKind::ALL.iter().map(|name| name.name()).collect(), &["enforced", "refused"]);
    check("Transformations", Transformation::ALL.iter().map(|name| name.name()).collect(), &["enforced"]);
    let variables = VariableKind::ALL.iter().map(|name| name.name()).collect();
    check("Variables", variables, &["enforced", "empty", "refused"]);
    check("Actions", ActionName::ALL.iter().map(|name| name.name()).collect(), &settings);
    check("ctl", ControlName::ALL.iter().map(|name| name.name()).collect(), &settings);
}

#[test]
fn other_spellings_are_documented() {
    for spelling in ["normalisePath", "pmf", "ipMatchF", "sanitizeArg", "MULTIPART_SEMICOLON_MISSING"] {
        assert!(DOCUMENT.contains(&format!("also `{spelling}`")), "{spelling}");
    }
}
