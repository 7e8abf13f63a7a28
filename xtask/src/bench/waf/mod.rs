//! `cargo xtask bench waf`: our WAF beside libmodsecurity, in process and end to end, in one run.
//!
//! The same rules (OWASP CRS, paranoia levels 1 and 4), the same requests; all engines take turns, and the cheapest leg
//! of each counts. Before anything is measured each engine must show for each request that the expected rules fire and
//! no other. `--quick` for short legs, `--rules DIR` for CRS, `--in-process` without the proxies, `--end-to-end` with them
//! alone, `--programs DIR` for programs that are built already; with `--json` the last line is one JSON object.

mod engines;
mod proxies;
mod report;
pub mod rules;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use palisade_tests::process;
use serde_json::Value;

use super::engine::build;
use super::value;
use engines::{Engine, Kind};

/// How long and how often is measured.
#[derive(Clone, Copy)]
struct Effort {
    /// Milliseconds of processor time of one leg in process.
    leg_ms: f64,
    /// Alternating legs in process.
    rounds: u32,
    /// Seconds of one leg end to end.
    seconds: f64,
    /// Alternating legs end to end.
    proxy_rounds: u32,
}

const QUICK: Effort = Effort { leg_ms: 40.0, rounds: 5, seconds: 0.7, proxy_rounds: 2 };
const FULL: Effort = Effort { leg_ms: 150.0, rounds: 11, seconds: 2.0, proxy_rounds: 3 };

/// What one engine costs for one shape, in microseconds of processor time per request.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// The cheapest leg.
    least: f64,
    /// The leg in the middle.
    median: f64,
}

/// The costs of one shape at one level, by the name of the engine.
struct Row {
    shape: String,
    attack: bool,
    paranoia: u8,
    costs: Vec<(&'static str, Cost)>,
}

/// The least that a simple GET can cost our engine, in microseconds.
struct Floor {
    paranoia: u8,
    /// Knowing the head: headers, cookies, arguments.
    parse: f64,
    /// One scan of its bytes.
    scan: f64,
    /// What judging it costs, as a multiple of both.
    times: f64,
}

/// The shape whose floor is measured.
const FLOOR_SHAPE: &str = "simple_get";

/// What an engine was and what loading the rules took.
struct Loaded {
    name: &'static str,
    version: String,
    paranoia: u8,
    load_ms: f64,
    resident_kib: u64,
}

/// Runs the bench.
pub fn run(arguments: &[String]) -> Result<bool> {
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let named = value(arguments, "--rules")?;
    let effort = if has("--quick") { QUICK } else { FULL };
    let root = process::root()?;
    let dir = root.join("target/bench/waf");
    std::fs::create_dir_all(&dir)?;
    let built = value(arguments, "--programs")?.map(PathBuf::from);
    if built.is_none() {
        build(&["build", "--release", "--package", "palisade-benches", "--bin", "bench-waf"], &root)?;
    }
    let programs = built.clone().unwrap_or_else(|| root.join("target/release"));
    let rules = rules::prepare(&rules::find(named, &root)?, &dir)?;
    let shapes = shapes(&programs)?;

    let (kinds, missing) = engines::kinds(&dir);
    for line in &missing {
        println!("{line}");
    }
    let (mut rows, mut loaded, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    let levels: &[u8] = if has("--end-to-end") { &[] } else { &rules::LEVELS };
    for paranoia in levels.iter().copied() {
        let (mut measured, engines, floor) =
            in_process(&programs, &kinds, &rules, paranoia, &shapes, effort)?;
        report::engines(paranoia, &measured, &engines, &floor);
        rows.append(&mut measured);
        loaded.extend(engines);
        floors.push(floor);
    }
    let mut legs = Vec::new();
    if !has("--in-process") {
        if built.is_none() {
            let packages = ["--package", "palisade-benches", "--package", "palisade-proxy"];
            build(&[["build", "--release", "--bins"].as_slice(), &packages].concat(), &root)?;
        }
        let levels: &[u8] = if has("--quick") { &[1] } else { &rules::LEVELS };
        for paranoia in levels {
            legs.extend(proxies::compare(&programs, &dir, *paranoia, &shapes, effort)?);
        }
    }
    if has("--json") {
        println!("{}", report::json(&rows, &loaded, &floors, &legs, &missing));
    }
    Ok(true)
}

/// The shapes, as bench-waf tells them.
fn shapes(programs: &Path) -> Result<Vec<Value>> {
    let output = std::process::Command::new(programs.join("bench-waf")).arg("shapes").output()?;
    ensure!(output.status.success(), "bench-waf shapes: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The text of a field of a shape.
fn text<'a>(shape: &'a Value, field: &str) -> &'a str {
    shape.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// All engines at one level: checked, then measured in turns.
fn in_process(
    programs: &Path,
    kinds: &[Kind],
    rules: &Path,
    paranoia: u8,
    shapes: &[Value],
    effort: Effort,
) -> Result<(Vec<Row>, Vec<Loaded>, Floor)> {
    let program = programs.join("bench-waf");
    let engines: Result<Vec<Engine>> =
        kinds.iter().map(|kind| Engine::start(&program, kind, rules, paranoia)).collect();
    let mut engines = engines?;
    let mut rows = Vec::new();
    for shape in shapes {
        let name = text(shape, "name");
        let mut legs: Vec<(u64, Vec<f64>)> = Vec::new();
        for engine in &mut engines {
            engine.check(name)?;
            let once = engine.run(name, 3)?;
            legs.push((((effort.leg_ms * 1e3 / once) as u64).max(3), Vec::new()));
        }
        for _ in 0..effort.rounds {
            for (engine, (count, costs)) in engines.iter_mut().zip(&mut legs) {
                costs.push(engine.run(name, *count)?);
            }
        }
        let costs = engines.iter().zip(legs).map(|(engine, (_, costs))| (engine.name, Cost::of(costs)));
        let attack = shape.get("attack").and_then(Value::as_bool).unwrap_or(false);
        rows.push(Row { shape: name.to_owned(), attack, paranoia, costs: costs.collect() });
    }
    let floor = floor(&mut engines, &rows, paranoia, effort)?;
    let loaded = engines.iter().map(|engine| Loaded {
        name: engine.name,
        version: engine.version.clone(),
        paranoia,
        load_ms: engine.load_ms,
        resident_kib: engine.resident_kib,
    });
    Ok((rows, loaded.collect(), floor))
}

/// The floor under the simple GET, from the cheapest of as many legs.
fn floor(engines: &mut [Engine], rows: &[Row], paranoia: u8, effort: Effort) -> Result<Floor> {
    let ours = engines.iter_mut().find(|engine| engine.name == engines::OURS).context("our engine")?;
    let (mut parse, mut scan) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..effort.rounds {
        let leg = ours.floor(FLOOR_SHAPE, 2_000)?;
        (parse, scan) = (parse.min(leg.0), scan.min(leg.1));
    }
    let row = rows.iter().find(|row| row.shape == FLOOR_SHAPE).context("the shape of the floor")?;
    let cost = row.cost(engines::OURS).context("our cost")?;
    Ok(Floor { paranoia, parse, scan, times: cost.least / (parse + scan) })
}

impl Cost {
    fn of(mut legs: Vec<f64>) -> Self {
        legs.sort_by(f64::total_cmp);
        Self {
            least: legs.first().copied().unwrap_or(f64::NAN),
            median: legs.get(legs.len() / 2).copied().unwrap_or(f64::NAN),
        }
    }
}

impl Row {
    fn cost(&self, engine: &str) -> Option<Cost> {
        self.costs.iter().find(|(name, _)| *name == engine).map(|(_, cost)| *cost)
    }

    /// How many times cheaper ours is.
    fn ratio(&self, engine: &str) -> Option<f64> {
        Some(self.cost(engine)?.least / self.cost(engines::OURS)?.least)
    }
}
