//! `crs-suite`: runs the Core Rule Set's regression suite. `cargo xtask crs` builds and starts it.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use palisade_crs::in_process::InProcess;
use palisade_crs::over_sockets::OverSockets;
use palisade_crs::overrides::Overrides;
use palisade_crs::run::{self, Runner};
use palisade_crs::suite;
use palisade_tests::rule_set::CoreRuleSet;

#[derive(Parser)]
#[command(name = "crs-suite")]
struct Arguments {
    /// The directory of the released rules, or the one above it.
    #[arg(long, value_name = "DIR")]
    rules: PathBuf,
    /// The directory of the tests; every YAML file below it is one.
    #[arg(long, value_name = "DIR")]
    tests: PathBuf,
    /// The engine alone, without a proxy.
    #[arg(long)]
    in_process: bool,
    /// The proxy's program.
    #[arg(long, value_name = "FILE", required_unless_present = "in_process")]
    proxy: Option<PathBuf>,
    /// The reviewed list of overrides.
    #[arg(long, value_name = "FILE")]
    overrides: PathBuf,
    /// Only tests whose name contains this, e.g. 942100-1.
    #[arg(long)]
    only: Option<String>,
    /// How many tests run at once.
    #[arg(long, default_value_t = 8)]
    workers: usize,
}

fn main() -> ExitCode {
    match tally(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tally(arguments: &Arguments) -> Result<bool> {
    let begun = Instant::now();
    let crs = CoreRuleSet::at(&arguments.rules)?;
    let overrides = Overrides::read(&arguments.overrides)?;
    let mut suite = suite::read(&arguments.tests)?;
    if let Some(only) = &arguments.only {
        suite.retain(|test| test.name.contains(only.as_str()));
    }
    let runner: Box<dyn Runner> = if arguments.in_process {
        Box::new(InProcess::start(&crs)?)
    } else {
        let proxy = arguments.proxy.as_ref().context("--proxy is given")?;
        Box::new(OverSockets::start(proxy, &crs)?)
    };
    println!("{} tests; ready after {:.1} s", suite.len(), begun.elapsed().as_secs_f64());
    let tally = run::all(&suite, &overrides, &*runner, arguments.workers.max(1))?;
    println!("done after {:.1} s", begun.elapsed().as_secs_f64());
    tally.print();
    Ok(tally.is_good())
}
