//! The book of the set: `docs/security-tests.md` names a test for each number, and each test it names exists.

use std::collections::BTreeSet;
use std::path::Path;

use palisade_tests::process::root;

fn sources() -> String {
    let directory = root().unwrap();
    let mut all = String::new();
    let mut open = vec![directory];
    while let Some(directory) = open.pop() {
        for path in std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    all
}

fn book() -> String {
    std::fs::read_to_string(Path::new(&root().unwrap()).join("docs/security-tests.md")).unwrap()
}

/// Words in backticks of the rows' last cells that look like the name of a test.
fn named(book: &str) -> Vec<String> {
    let rows = book.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .filter(|word| word.contains('_'))
        .collect()
}

#[test]
fn every_test_the_book_names_exists_and_every_number_has_a_row() {
    let (book, sources) = (book(), sources());
    let named = named(&book);
    assert!(named.len() > 50, "the table was read: {named:?}");
    for name in &named {
        assert!(sources.contains(&format!("fn {name}(")), "{name} is in docs/security-tests.md only");
    }
    let rows: BTreeSet<&str> = book
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .filter_map(|row| row.split(' ').next())
        .filter(|cell| cell.bytes().all(|byte| byte.is_ascii_digit()))
        .collect();
    assert!(rows.len() > 60, "{rows:?}");
}

#[test]
fn every_numbered_test_of_this_set_is_in_the_book() {
    let named: BTreeSet<String> = named(&book()).into_iter().collect();
    let directory = root().unwrap().join("tests/tests/adversarial");
    let mut count = 0;
    for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&path).unwrap();
        for (_, after) in text.match_indices("#[test]\nfn ").map(|(at, mark)| (at, &text[at + mark.len()..]))
        {
            let name = after.split('(').next().unwrap();
            count += 1;
            let own = path.ends_with("book.rs");
            assert!(own || named.contains(name), "{name} has no row in docs/security-tests.md");
        }
    }
    assert!(count > 60, "{count} tests were found");
}
