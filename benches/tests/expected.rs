//! The shapes of the WAF bench fire what the bench expects of our engine. The bench asserts it only when it runs.
//!
//! Needs the Core Rule Set in `PALISADE_CRS` or in `shared/crs` beside the repository.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use palisade_benches::requests::{self, BLOCKING_RULE, Judge, expected};
use palisade_benches::waf::{CRS_FILES, Exchange, policy, rule_set};
use palisade_waf::Engine;

#[test]
fn every_shape_fires_the_rules_that_the_bench_expects_at_the_lowest_and_the_highest_level() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/crs");
    let directory = std::env::var_os("PALISADE_CRS").map_or_else(|| beside.into(), PathBuf::from);
    if !directory.join("rules").is_dir() {
        println!("skipped: no Core Rule Set at {} (set PALISADE_CRS)", directory.display());
        return;
    }
    let set = rule_set(&directory, &CRS_FILES).unwrap();
    for level in [1, 4] {
        let engine =
            Arc::new(Engine::compile(&set, &policy(level)).unwrap_or_else(|error| panic!("{error}")));
        for shape in requests::shapes() {
            let outcome = Exchange::of(&shape).unwrap().outcome(&engine);
            let fired: BTreeSet<u64> = outcome.fired.into_iter().collect();
            let wanted = BTreeSet::from_iter(expected(shape.name, level, Judge::Palisade));
            assert_eq!(fired, wanted, "{} at level {level}", shape.name);
            let refused = wanted.contains(&BLOCKING_RULE).then_some(403);
            assert_eq!(outcome.refused, refused, "{} at level {level}", shape.name);
            assert!(!shape.attack || refused.is_some(), "{} at level {level} passes", shape.name);
        }
    }
}
