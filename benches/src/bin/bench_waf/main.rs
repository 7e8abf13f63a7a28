//! One WAF engine in a process of its own, told over standard input what to judge and how often.
//!
//! `cargo xtask bench waf` starts one for each engine and paranoia level and lets them take turns. A process each keeps
//! memory apart, lets a library be preloaded for one engine alone, and keeps two versions of one C++ library from
//! sharing symbols. The first line of output says what was loaded; each command line is answered by one line of JSON:
//!
//! ```text
//!   check SHAPE       judge once             -> {"fired": [ids], "refused": status or null}, or the process fails
//!   run SHAPE COUNT   judge so many times    -> {"ns": processor time of all}
//!   floor SHAPE COUNT the least it can cost  -> {"parse_ns", "scan_ns"}: the facts of the head, and one scan of its bytes
//! ```

#![deny(unsafe_code)]
#![allow(clippy::print_stdout)]

mod modsecurity;

use std::collections::BTreeSet;
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use palisade_benches::clock::process_ns;
use palisade_benches::requests::{self, Judge, Shape, expected, shapes};
use palisade_benches::waf::{Exchange, FILES, policy, rule_set};
use palisade_waf::Engine;
use serde_json::json;

use modsecurity::{ModSecurity, Prepared};

/// WAF engines for `cargo xtask bench waf`.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve one engine over standard input and output.
    Serve {
        /// Which engine.
        #[arg(long)]
        engine: Kind,
        /// The shared library of libmodsecurity.
        #[arg(long)]
        library: Option<PathBuf>,
        /// The prepared directory: base.conf, crs-setup.conf, rules/, and a paranoia-N.conf for libmodsecurity.
        #[arg(long)]
        rules: PathBuf,
        /// CRS's paranoia level.
        #[arg(long)]
        paranoia: u8,
    },
    /// Print the shapes with the rules they must fire, as one JSON array.
    Shapes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Our engine.
    Palisade,
    /// Our engine without its fast path.
    PalisadeSlow,
    /// libmodsecurity.
    Modsecurity,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Shapes => {
            println!("{}", serde_json::Value::from_iter(shapes().iter().map(describe)));
            Ok(())
        }
        Command::Serve { engine, library, rules, paranoia } => {
            serve(engine, library.as_deref(), &rules, paranoia)
        }
    }
}

/// A shape for the load generator and the end-to-end checks.
fn describe(shape: &Shape) -> serde_json::Value {
    let fires = |judge| {
        let lists = [1, 4].map(|level| (level.to_string(), json!(expected(shape.name, level, judge))));
        serde_json::Value::from_iter(lists)
    };
    json!({
        "name": shape.name, "attack": shape.attack, "method": shape.method, "target": shape.target,
        "headers": shape.headers, "body": shape.body,
        "palisade": fires(Judge::Palisade), "modsecurity": fires(Judge::ModSecurity),
    })
}

/// An engine with the shapes in the form it judges.
enum Loaded {
    Palisade(Arc<Engine>, Vec<(&'static str, Exchange)>),
    ModSecurity(ModSecurity, Vec<(&'static str, Prepared)>),
}

fn load(kind: Kind, library: Option<&Path>, rules: &Path, paranoia: u8) -> Result<Loaded> {
    if kind == Kind::Modsecurity {
        let library = library.context("--library is needed for libmodsecurity")?;
        let engine = ModSecurity::load(library, &rules.join(format!("paranoia-{paranoia}.conf")))?;
        let prepared: Result<Vec<_>> =
            shapes().iter().map(|shape| Ok((shape.name, Prepared::of(shape)?))).collect();
        return Ok(Loaded::ModSecurity(engine, prepared?));
    }
    let set = rule_set(rules, &FILES)?;
    let policy = policy(paranoia);
    let engine = if kind == Kind::Palisade {
        Engine::compile(&set, &policy)
    } else {
        Engine::compile_slow(&set, &policy)
    };
    let exchanges: Result<Vec<_>> =
        shapes().iter().map(|shape| Ok((shape.name, Exchange::of(shape)?))).collect();
    Ok(Loaded::Palisade(Arc::new(engine?), exchanges?))
}

fn serve(kind: Kind, library: Option<&Path>, rules: &Path, paranoia: u8) -> Result<()> {
    let (memory, begun) = (resident_kib()?, process_ns());
    let loaded = load(kind, library, rules, paranoia)?;
    let version = match &loaded {
        Loaded::Palisade(engine, _) => format!("palisade-waf, {} rules", engine.rule_count()),
        Loaded::ModSecurity(engine, _) => engine.version().to_owned(),
    };
    answer(&json!({
        "version": version,
        "load_ms": (process_ns() - begun) as f64 / 1e6,
        "resident_kib": resident_kib()?.saturating_sub(memory),
    }))?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["check", shape] => answer(&check(&loaded, paranoia, shape)?)?,
            ["run", shape, count] => {
                let count: u64 = count.parse().context("a count")?;
                let begun = process_ns();
                for _ in 0..count {
                    judge(&loaded, shape)?;
                }
                answer(&json!({"ns": process_ns() - begun, "resident_kib": resident_kib()?}))?;
            }
            ["floor", shape, count] => answer(&floor(&loaded, shape, count.parse().context("a count")?)?)?,
            _ => bail!("not a command: {line:?}"),
        }
    }
    Ok(())
}

fn answer(value: &serde_json::Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}

fn find<'a, T>(prepared: &'a [(&'static str, T)], shape: &str) -> Result<&'a T> {
    let found = prepared.iter().find(|(name, _)| *name == shape);
    found.map(|(_, prepared)| prepared).with_context(|| format!("no shape is called {shape:?}"))
}

/// Judges once, as in traffic.
fn judge(loaded: &Loaded, shape: &str) -> Result<()> {
    match loaded {
        Loaded::Palisade(engine, exchanges) => {
            std::hint::black_box(find(exchanges, shape)?.judge(engine));
        }
        Loaded::ModSecurity(engine, prepared) => {
            std::hint::black_box(engine.judge(find(prepared, shape)?)?);
        }
    }
    Ok(())
}

/// What the fast path cannot go below: a transaction that knows its head, and one scan of the request's bytes.
fn floor(loaded: &Loaded, shape: &str, count: u64) -> Result<serde_json::Value> {
    let Loaded::Palisade(engine, exchanges) = loaded else { bail!("only our engine has a floor") };
    let exchange = find(exchanges, shape)?;
    let bytes = exchange.bytes();
    engine.scan_probe(&bytes).context("the engine has no fast path")?;
    let begun = process_ns();
    for _ in 0..count {
        std::hint::black_box(exchange.begin(engine));
    }
    let parsed = process_ns();
    for _ in 0..count {
        std::hint::black_box(engine.scan_probe(std::hint::black_box(&bytes)));
    }
    Ok(json!({"parse_ns": parsed - begun, "scan_ns": process_ns() - parsed, "bytes": bytes.len()}))
}

/// Judges once and compares which rules fired with what is expected.
fn check(loaded: &Loaded, paranoia: u8, shape: &str) -> Result<serde_json::Value> {
    let (who, fired, refused) = match loaded {
        Loaded::Palisade(engine, exchanges) => {
            let outcome = find(exchanges, shape)?.outcome(engine);
            (Judge::Palisade, outcome.fired, outcome.refused)
        }
        Loaded::ModSecurity(engine, prepared) => {
            let (fired, refused) = engine.outcome(find(prepared, shape)?)?;
            (Judge::ModSecurity, fired, refused)
        }
    };
    let fired: BTreeSet<u64> = fired.into_iter().collect();
    let wanted: BTreeSet<u64> = requests::expected(shape, paranoia, who).into_iter().collect();
    ensure!(fired == wanted, "{who:?}, {shape}, level {paranoia}: fired {fired:?}, expected {wanted:?}");
    let blocks = wanted.contains(&requests::BLOCKING_RULE);
    ensure!(refused.is_some() == blocks, "{who:?}, {shape}, level {paranoia}: refused with {refused:?}");
    Ok(json!({"fired": fired, "refused": refused}))
}

/// Resident memory of this process.
fn resident_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
