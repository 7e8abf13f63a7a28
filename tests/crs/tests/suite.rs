//! The whole regression suite: over sockets against the real `palisade-proxy`, and in process; and the fast path of the
//! engine against the straightforward one on every exchange of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::Arc;

use palisade_crs::in_process::{InProcess, configured};
use palisade_crs::over_sockets::OverSockets;
use palisade_crs::overrides::Overrides;
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
}

#[test]
fn the_whole_suite_passes_in_process() {
    let Some((crs, suite, overrides)) = suite() else { return };
    let tally = run::all(&suite, &overrides, &InProcess::start(&crs).unwrap(), 2).unwrap();
    tally.print();
    assert!(tally.is_good(), "{} of {}", tally.passed, tally.total);
}

#[test]
fn the_fast_path_agrees_with_the_straightforward_one_on_every_exchange_of_the_suite() {
    let Some((crs, suite, _)) = suite() else { return };
    let (set, policy) = configured(&crs).unwrap();
    let fast = InProcess::with(Arc::new(Engine::compile(&set, &policy).unwrap()));
    let slow = InProcess::with(Arc::new(Engine::compile_slow(&set, &policy).unwrap()));
    let (mut exchanges, mut matches) = (0, 0);
    for test in &suite {
        for stage in test.stages.iter().flatten() {
            let Ok(bytes) = request::bytes(&stage.input, "") else { continue };
            let ((answer, found), (true_answer, truth)) = (fast.judge(&bytes), slow.judge(&bytes));
            assert_eq!(
                format!("{answer:?} {found:?}"),
                format!("{true_answer:?} {truth:?}"),
                "{}",
                test.name
            );
            exchanges += 1;
            matches += truth.len();
        }
    }
    println!("{exchanges} exchanges, {matches} matches");
    assert!(exchanges > 1_000 && matches > exchanges, "{exchanges} exchanges, {matches} matches");
}
