//! The WAF on OWASP CRS at paranoia level 1: parse, compile, and one transaction of each request that WAF engines are
//! compared with, with the fast path and without it.
//!
//! CRS is read from `PALISADE_CRS` (a directory with `rules/` and `crs-setup.conf.example`) or from `shared/crs`
//! beside the repository. Every shape asserts which rules fired: a fast engine that judged nothing does not pass.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use divan::{Bencher, black_box};
use palisade_benches::requests::{Judge, expected, shape, shapes};
use palisade_benches::waf::{self, Exchange};
use palisade_model::documents::RuleSet;
use palisade_seclang::{RuleSetSources, Source};
use palisade_waf::Engine;

const PARANOIA: u8 = 1;

fn main() {
    if rules().is_none() {
        println!(
            "skipped: no Core Rule Set; set PALISADE_CRS to a directory with rules/ and crs-setup.conf.example"
        );
        return;
    }
    divan::main();
}

fn rules() -> Option<&'static RuleSet> {
    static RULES: OnceLock<Option<RuleSet>> = OnceLock::new();
    let read = || {
        let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/crs"));
        let directory = std::env::var_os("PALISADE_CRS").map_or(beside, PathBuf::from);
        directory.join("rules").is_dir().then(|| waf::rule_set(&directory, &waf::CRS_FILES).unwrap())
    };
    RULES.get_or_init(read).as_ref()
}

#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let set = rules().unwrap();
    let roots: Vec<Source> = set
        .spec
        .sources
        .iter()
        .map(|file| Source { name: file.name.clone(), text: file.text.clone() })
        .collect();
    let sources = RuleSetSources::new(set);
    bencher.bench(|| palisade_seclang::parse(black_box(&roots), &sources).unwrap());
}

#[divan::bench(sample_count = 5)]
fn compile(bencher: Bencher<'_, '_>) {
    let (set, policy) = (rules().unwrap(), waf::policy(PARANOIA));
    bencher.bench(|| Engine::compile(black_box(set), &policy).unwrap());
}

fn names() -> Vec<&'static str> {
    shapes().iter().map(|shape| shape.name).collect()
}

#[divan::bench(args = names())]
fn transaction(bencher: Bencher<'_, '_>, name: &str) {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    let compile = || Arc::new(Engine::compile(rules().unwrap(), &waf::policy(PARANOIA)).unwrap());
    measure(bencher, name, ENGINE.get_or_init(compile));
}

#[divan::bench(args = names())]
fn transaction_without_the_fast_path(bencher: Bencher<'_, '_>, name: &str) {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    let compile = || Arc::new(Engine::compile_slow(rules().unwrap(), &waf::policy(PARANOIA)).unwrap());
    measure(bencher, name, ENGINE.get_or_init(compile));
}

fn measure(bencher: Bencher<'_, '_>, name: &str, engine: &Arc<Engine>) {
    let shape = shape(name).unwrap();
    let exchange = Exchange::of(&shape).unwrap();
    let outcome = exchange.outcome(engine);
    // The rule that refuses and the one that reports are not logged by themselves in every set-up of CRS.
    let fired = outcome.fired.into_iter().filter(|id| *id < 949_000);
    let wanted = expected(name, PARANOIA, Judge::Palisade).into_iter().filter(|id| *id < 949_000);
    assert!(fired.eq(wanted), "{name}");
    assert_eq!(outcome.refused.is_some(), shape.attack, "{name}");
    bencher.bench(|| black_box(&exchange).judge(engine));
}
