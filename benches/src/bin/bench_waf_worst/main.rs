//! The search for the worst request: which bytes cost our engine most, with the fast path and without it.
//!
//! It starts from the recipes in `benches/worst.txt` (the worst found so far), mutates them for so many seconds, and
//! measures the worst of each kind at 64 and 128 KiB: nanoseconds a byte, fast beside slow, growth with the size, and
//! nanoseconds a work unit. What it finds it prints as recipes. The goals are checked; one that is missed is said.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout)]

mod measure;
mod search;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use palisade_benches::recipes::Recipe;
use palisade_benches::requests::shapes;
use palisade_benches::waf::Exchange;
use palisade_waf::limits::WORK_UNITS;
use serde_json::json;

use measure::{Engines, Worst};

/// Searches for the worst request.
#[derive(Parser)]
struct Arguments {
    /// The rules, as `cargo xtask bench waf` prepares them.
    #[arg(long)]
    rules: PathBuf,
    /// Recipes to start from, one a line.
    #[arg(long)]
    recipes: PathBuf,
    /// How long to search.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// CRS's paranoia level.
    #[arg(long, default_value_t = 4)]
    paranoia: u8,
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
    /// The seed of the search: the same steps, though not the same measurements.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The fast path may cost so many times the straightforward evaluation.
const FAST_OVER_SLOW: f64 = 1.2;
/// Twice the bytes may cost so many times as much.
const GROWTH: f64 = 2.2;
/// Nanoseconds that one byte may cost at the worst.
const CEILING_NS_PER_BYTE: f64 = 5_000.0;

/// Requests of fewer units (refused for their number of arguments, say) tell nothing about a unit.
const NOTABLE_UNITS: u64 = 100_000;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let engines = Engines::load(&arguments.rules, arguments.paranoia)?;
    let seeds = recipes(&arguments.recipes)?;
    println!("level {}: {} recipes to start from", arguments.paranoia, seeds.len());
    let deadline = Instant::now() + Duration::from_secs(arguments.seconds);
    let (candidates, tried) = search::run(&engines, seeds, arguments.seed, deadline)?;
    println!("{tried} requests tried in {} s", arguments.seconds);
    let worst: Result<Vec<Worst>> =
        candidates.iter().map(|recipe| Worst::measure(&engines, recipe)).collect();
    let mut worst = worst?;
    worst.sort_by(|a, b| b.ns_per_byte().total_cmp(&a.ns_per_byte()));
    println!(
        "\n{:>10} {:>10} {:>8} {:>8} {:>8} {:>9}  recipe (128 KiB)",
        "ns/byte", "ms", "fast/slow", "growth", "ns/unit", "Munits"
    );
    for found in &worst {
        println!("{found}");
    }
    let units = calibration(&engines, &worst)?;
    let most = |value: fn(&Worst) -> f64| worst.iter().map(value).fold(0.0, f64::max);
    let (ceiling, ratio, growth) = (most(Worst::ns_per_byte), most(Worst::ratio), most(Worst::growth));
    println!();
    goal("nanoseconds a byte at most", ceiling, CEILING_NS_PER_BYTE);
    goal("fast path / straightforward at most", ratio, FAST_OVER_SLOW);
    goal("128 KiB / 64 KiB at most", growth, GROWTH);
    if arguments.json {
        let found = worst.iter().map(Worst::json).collect::<Vec<_>>();
        println!(
            "{}",
            json!({"paranoia": arguments.paranoia, "ns_per_byte": ceiling, "fast_over_slow": ratio,
                "growth": growth, "ns_per_unit": units, "work_units": WORK_UNITS, "worst": found})
        );
    }
    Ok(())
}

fn goal(what: &str, value: f64, limit: f64) {
    let verdict = if value <= limit { "reached" } else { "MISSED" };
    println!("{what}: {value:.2} (goal {limit}): {verdict}");
}

/// The recipes of a file; lines that begin with `#` are comments.
fn recipes(file: &Path) -> Result<Vec<Recipe>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(Recipe::parse).collect()
}

/// What a work unit is in nanoseconds: over the ordinary shapes and over the worst. Gives least, median, most of all.
fn calibration(engines: &Engines, worst: &[Worst]) -> Result<[f64; 3]> {
    let mut all = Vec::new();
    println!("\nnanoseconds a work unit");
    for shape in shapes() {
        let exchange = Exchange::of(&shape)?;
        let measured = engines.fast(&exchange, 5);
        println!(
            "{:>10.2} {} ({:.2} million units, {:.2} ms)",
            measured.ns_per_unit(),
            shape.name,
            measured.units as f64 / 1e6,
            measured.ns / 1e6
        );
        all.push(measured.ns_per_unit());
    }
    all.extend(worst.iter().filter(|found| found.units() >= NOTABLE_UNITS).map(Worst::ns_per_unit));
    all.sort_by(f64::total_cmp);
    let at = |index: usize| all.get(index).copied().unwrap_or(f64::NAN);
    let units = [at(0), at(all.len() / 2), at(all.len().saturating_sub(1))];
    let [least, median, most] = units.map(|ns| ns * WORK_UNITS as f64 / 1e6);
    println!(
        "least {:.2}, median {:.2}, most {:.2}: WORK_UNITS ({WORK_UNITS}) end a request after {least:.0}, {median:.0}, {most:.0} ms",
        units[0], units[1], units[2]
    );
    Ok(units)
}
