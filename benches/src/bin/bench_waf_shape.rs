//! One shape judged so many times by our engine alone: what a profiler is run on.
//!
//! `bench-waf-shape LEVEL SHAPES RUNS [slow]` reads the Core Rule Set of `PALISADE_CRS`; shapes are separated by commas,
//! and `all` is each of them; a recipe (`form*900 "'"`) is built at 128 KiB. Instructions do not depend on what else the machine does, so two revisions are compared by
//! counting those below `measured`:
//!
//! ```text
//!   valgrind --tool=callgrind --toggle-collect='*measured*' bench-waf-shape 1 simple_get 100
//! ```
//!
//! The rules that fire are compared first with those the shape must fire; those that a recipe fires are printed.

#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use palisade_benches::recipes::Recipe;
use palisade_benches::requests::{self, Judge, expected};
use palisade_benches::waf::{CRS_FILES, Exchange, policy, rule_set};
use palisade_waf::Engine;

/// Judgements before those that count: what a thread keeps is made by then.
const WARM_UP: usize = 3;

/// Bytes of a recipe's request.
const RECIPE_BYTES: usize = 127 * 1024;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (level, names, runs, slow) = match words.as_slice() {
        [level, names, runs] => (level, names, runs, false),
        [level, names, runs, "slow"] => (level, names, runs, true),
        _ => bail!("LEVEL SHAPES RUNS [slow]"),
    };
    let level: u8 = level.parse().context("LEVEL is a number")?;
    let runs: usize = runs.parse().context("RUNS is a number")?;
    let directory = std::env::var("PALISADE_CRS").context("PALISADE_CRS names the Core Rule Set")?;
    let (set, policy) = (rule_set(Path::new(&directory), &CRS_FILES)?, policy(level));
    let engine = if slow { Engine::compile_slow(&set, &policy) } else { Engine::compile(&set, &policy) };
    let engine = Arc::new(engine?);
    let one = |name| requests::shape(name).with_context(|| format!("no shape is called {name}"));
    if let Ok(recipe) = Recipe::parse(names) {
        let exchange = Exchange::of(&recipe.build(RECIPE_BYTES))?;
        println!("{names} fires {:?}", exchange.outcome(&engine).fired);
        let best = bench(&engine, &exchange, runs)?;
        println!("{names} at level {level}: {} ns", best.as_nanos());
        return Ok(());
    }
    let shapes = match *names {
        "all" => requests::shapes(),
        names => names.split(',').map(one).collect::<Result<_>>()?,
    };
    for shape in shapes {
        let exchange = Exchange::of(&shape)?;
        let fired = BTreeSet::from_iter(exchange.outcome(&engine).fired);
        let wanted = BTreeSet::from_iter(expected(shape.name, level, Judge::Palisade));
        ensure!(fired == wanted, "{} at level {level} must fire {wanted:?}, and fired {fired:?}", shape.name);
        let best = bench(&engine, &exchange, runs)?;
        println!("{} at level {level}: {} ns", shape.name, best.as_nanos());
    }
    Ok(())
}

/// The least time of one judgement. Not the processor's clock of the other benches: its reading fails under valgrind.
fn bench(engine: &Arc<Engine>, exchange: &Exchange, runs: usize) -> Result<Duration> {
    for _ in 0..WARM_UP {
        black_box(exchange.judge(engine));
    }
    measured(engine, exchange, runs).context("RUNS is at least 1")
}

/// What a profiler collects.
#[inline(never)]
fn measured(engine: &Arc<Engine>, exchange: &Exchange, runs: usize) -> Option<Duration> {
    let judge = |_| {
        let begun = Instant::now();
        black_box(exchange.judge(engine));
        begun.elapsed()
    };
    (0..runs).map(judge).min()
}
