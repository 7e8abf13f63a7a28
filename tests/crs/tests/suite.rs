//! The whole regression suite: over sockets against the real `palisade-proxy`, and in process; and the fast path of the
//! engine against the straightforward one on every exchange of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::Arc;

use palisade_crs::in_process::{InProcess, Judged, configured};
use palisade_crs::over_sockets::OverSockets;
use palisade_crs::overrides::Overrides;
use palisade_crs::run::Tally;
use palisade_crs::suite::{self, Named};
use palisade_crs::{request, run};
use palisade_tests::process::{program, root};
use palisade_tests::rule_set::CoreRuleSet;
use palisade_waf::Engine;

/// The rules, the tests and the list; none, and it says so, if there is no CRS or it has no tests.
fn suite() -> Option<(CoreRuleSet, Vec<Named>, Overrides)> {
    let (crs, place): (CoreRuleSet, PathBuf) = CoreRuleSet::for_tests()?;
    let tests = place.join("tests");
    if !tests.is_dir() {
        println!("skipped: no regression tests in {}", tests.display());
        return None;
    }
    let overrides = Overrides::read(&root().unwrap().join("tests/crs-overrides.yaml")).unwrap();
    Some((crs, suite::read(&tests).unwrap(), overrides))
}

#[test]
fn the_whole_suite_passes_over_sockets() {
    let Some((crs, suite, overrides)) = suite() else { return };
    let proxy = program("palisade-proxy").unwrap();
    let runner = OverSockets::start(&proxy, &crs).unwrap();
    let tally = run::all(&suite, &overrides, &runner, 8).unwrap();
    tally.print();
    assert!(tally.is_good(), "{} of {}", tally.passed, tally.total);
    assert_eq!(unknown_failures(&tally, &known_failures().anywhere), Vec::<&str>::new());
}

#[test]
fn the_whole_suite_passes_in_process() {
    let Some((crs, suite, overrides)) = suite() else { return };
    let tally = run::all(&suite, &overrides, &InProcess::start(&crs).unwrap(), 2).unwrap();
    tally.print();
    assert!(tally.is_good(), "{} of {}", tally.passed, tally.total);
    let known = known_failures();
    assert_eq!(unknown_failures(&tally, &[known.anywhere, known.in_process].concat()), Vec::<&str>::new());
}

/// The tests that `docs/crs.md` says fail.
struct KnownFailures {
    anywhere: Vec<String>,
    in_process: Vec<String>,
}

/// The rows of the table under "What fails".
fn known_failures() -> KnownFailures {
    let page = std::fs::read_to_string(root().unwrap().join("docs/crs.md")).unwrap();
    let (_, section) = page.split_once("### What fails\n").expect("the page has the section");
    let section = section.split("\n#").next().unwrap();
    let mut known = KnownFailures { anywhere: Vec::new(), in_process: Vec::new() };
    for row in section.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cell = row.split('|').nth(1).unwrap().trim();
        let (list, names) = match cell.strip_prefix("in process only: ") {
            Some(names) => (&mut known.in_process, names),
            None => (&mut known.anywhere, cell),
        };
        list.extend(names.split(", ").map(str::to_owned));
    }
    assert_eq!((known.anywhere.len(), known.in_process.len()), (1, 9), "a row was not read");
    known
}

fn unknown_failures<'a>(tally: &'a Tally, known: &[String]) -> Vec<&'a str> {
    tally
        .failures
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| !known.iter().any(|k| k == name))
        .collect()
}

#[test]
fn the_fast_path_agrees_with_the_straightforward_one_on_every_exchange_and_never_does_more_work() {
    let Some((crs, suite, _)) = suite() else { return };
    let (set, policy) = configured(&crs).unwrap();
    let fast = InProcess::with(Arc::new(Engine::compile(&set, &policy).unwrap()));
    let slow = InProcess::with(Arc::new(Engine::compile_slow(&set, &policy).unwrap()));
    let (mut exchanges, mut matches) = (0, 0);
    for test in &suite {
        for stage in test.stages.iter().flatten() {
            let Ok(bytes) = request::bytes(&stage.input, "") else { continue };
            let (found, truth) = (fast.judge(&bytes), slow.judge(&bytes));
            let told = |judged: &Judged| format!("{:?} {:?}", judged.answer, judged.matches);
            assert_eq!(told(&found), told(&truth), "{}", test.name);
            assert!(
                found.units_left >= truth.units_left,
                "{}: {} units are left, {} of the straightforward evaluation",
                test.name,
                found.units_left,
                truth.units_left
            );
            exchanges += 1;
            matches += truth.matches.len();
        }
    }
    println!("{exchanges} exchanges, {matches} matches");
    assert!(exchanges > 1_000 && matches > exchanges, "{exchanges} exchanges, {matches} matches");
}
