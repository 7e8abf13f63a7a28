//! `cargo xtask`: the one front door for developers and CI. It spawns programs and links no product crate.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod crs;
mod demo;
mod fuzz;
mod report;
mod tables;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of Palisade.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every check of the project: format, clippy, tests, house test, docs, fuzz smoke, the demo once.
    Test {
        /// Only the steps whose name contains this.
        #[arg(long)]
        only: Option<String>,
    },
    /// Build and run the demo: control plane, four services with sidecars, a gateway.
    Demo {
        /// Play the steps, print expected and got, and exit.
        #[arg(long)]
        once: bool,
        /// Use the release profile.
        #[arg(long)]
        release: bool,
    },
    /// Measure beside real peers.
    Bench {
        /// What: engine, proxy, waf, worst, memory, micro.
        what: String,
        /// Arguments of that bench.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the Core Rule Set's regression suite against a real proxy; `--in-process`: against the engine alone.
    Crs(crs::Arguments),
    /// Build the fuzz targets on stable Rust and run one, or all in turn.
    Fuzz {
        /// One of tests/fuzz/targets; all of them if absent.
        target: Option<String>,
        /// Seconds for each target.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Make the tables of the injection detectors anew from the source of `libinjectionrs` and the package `@webref/idl`.
    Tables {
        /// The directory of the one.
        source: std::path::PathBuf,
        /// The directory of the other.
        idl: std::path::PathBuf,
    },
    /// The long counts of the tests, in full (1,000 swaps and the like).
    Soak,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test { only } => test::run(only.as_deref()),
        Command::Demo { once, release } => demo::run(once, release),
        Command::Bench { what, arguments } => bench::run(&what, &arguments),
        Command::Crs(arguments) => crs::run(&arguments),
        Command::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds).map(|()| true),
        Command::Tables { source, idl } => tables::run(&source, &idl).map(|()| true),
        Command::Soak => test::soak(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
