//! What the WAF holds in memory: the compiled Core Rule Set, what a worker keeps after it has warmed up, and one request
//! in flight beyond its body; and how long compiling takes. Counted by the allocator, not guessed from the process.

#![deny(unsafe_code)]
#![allow(clippy::print_stdout)]

mod counting;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use clap::Parser;
use palisade_benches::clock::process_ns;
use palisade_benches::recipes::Recipe;
use palisade_benches::requests::shapes;
use palisade_benches::waf::{Exchange, FILES, policy, rule_set};
use palisade_waf::Engine;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Counts the WAF's memory.
#[derive(Parser)]
struct Arguments {
    /// The rules, as `cargo xtask bench waf` prepares them.
    #[arg(long)]
    rules: PathBuf,
    /// Recipes of hostile requests, one a line.
    #[arg(long)]
    recipes: PathBuf,
    /// CRS's paranoia level.
    #[arg(long, default_value_t = 4)]
    paranoia: u8,
}

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;
/// Requests in flight that are counted, after those that take what the worker keeps: more than that.
const IN_FLIGHT: usize = 40;
const WARM: usize = 10;
/// Bytes of the hostile requests' bodies: the inspected limit.
const BODY: usize = 127 * 1024;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let set = rule_set(&arguments.rules, &FILES)?;
    let (before, begun) = (counting::live(), process_ns());
    counting::reset();
    let engine = Arc::new(Engine::compile(&set, &policy(arguments.paranoia))?);
    let ms = (process_ns() - begun) as f64 / 1e6;
    let compiled = counting::live() - before;
    println!("level {}: CRS compiled", arguments.paranoia);
    goal("  compiled, MiB", compiled as f64 / MIB, 25.0);
    println!("  most while compiling, MiB: {:.1}", (counting::most() - before) as f64 / MIB);
    goal("  compiling, ms of processor time", ms, 1000.0);

    let ordinary: Result<Vec<(String, Exchange)>> =
        shapes().iter().map(|shape| Ok((shape.name.to_owned(), Exchange::of(shape)?))).collect();
    let text = std::fs::read_to_string(&arguments.recipes)?;
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let hostile: Result<Vec<(String, Exchange)>> =
        lines.map(|line| Ok((line.to_owned(), Exchange::of(&Recipe::parse(line)?.build(BODY))?))).collect();
    let (ordinary, hostile) = (ordinary?, hostile?);

    let worker = |requests: &[(String, Exchange)]| {
        let before = counting::live();
        for (_, exchange) in requests {
            drop(exchange.judge(&engine));
        }
        counting::live().saturating_sub(before)
    };
    goal("  first worker keeps after ordinary requests, MiB", worker(&ordinary) as f64 / MIB, 4.0);
    goal("  and more after hostile ones, MiB", worker(&hostile) as f64 / MIB, 4.0);
    let second = std::thread::scope(|scope| {
        let both = scope.spawn(|| worker(&ordinary) + worker(&hostile));
        both.join().map_err(|_| anyhow!("the second worker panicked"))
    })?;
    goal("  second worker keeps after all, MiB", second as f64 / MIB, 4.0);

    println!("  one request of many in flight, beyond its body; and the most while the worker judged them:");
    for (name, exchange) in ordinary.iter().chain(&hostile) {
        // The first take the room that the worker keeps.
        let mut judged: Vec<_> = (0..WARM).map(|_| exchange.judge(&engine)).collect();
        let before = counting::live();
        counting::reset();
        judged.extend((0..IN_FLIGHT).map(|_| exchange.judge(&engine)));
        let each = counting::live().saturating_sub(before) / IN_FLIGHT;
        let most = (counting::most() - counting::live()) as f64 / KIB;
        let beyond = each.saturating_sub(exchange.body_bytes()) as f64 / KIB;
        drop(judged);
        goal(&format!("    {name}, KiB (and {most:.1} while judged)"), beyond, 256.0);
    }
    Ok(())
}

fn goal(what: &str, value: f64, limit: f64) {
    let verdict = if value <= limit { "reached" } else { "MISSED" };
    println!("{what}: {value:.1} (goal {limit}): {verdict}");
}
