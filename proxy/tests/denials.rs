//! `docs/denials.md` and the code list the same causes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use palisade_proxy::deny::all_names;

#[test]
fn every_cause_has_exactly_one_row_in_the_page_and_a_name_of_its_own() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/denials.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let names = all_names();
    assert!(names.len() > 50, "the lists are not empty");
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "two causes share a name");
    for name in &names {
        assert_eq!(rows.iter().filter(|row| row == &name).count(), 1, "rows of {name}");
    }
    for row in &rows {
        assert!(names.contains(row), "{row} is on the page and not in the code");
    }
}
