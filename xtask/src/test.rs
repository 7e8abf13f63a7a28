//! `cargo xtask test`: every check, in the order in which a fault is cheapest to find.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::report::Tally;
use palisade_tests::process;

/// One step: a name and the command that must end with 0.
struct Step {
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    /// Whether the output has closing lines of tests; other steps count as one.
    counts: bool,
}

const STEPS: &[Step] = &[
    Step {
        name: "format",
        program: "cargo",
        arguments: &["fmt", "--all", "--check"],
        environment: &[],
        counts: false,
    },
    Step {
        name: "clippy",
        program: "cargo",
        arguments: &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        environment: &[],
        counts: false,
    },
    // Programs first: the end-to-end tests run them.
    Step {
        name: "programs",
        program: "cargo",
        arguments: &["build", "--workspace", "--bins", "--locked"],
        environment: &[],
        counts: false,
    },
    Step {
        name: "tests",
        program: "cargo",
        arguments: &["test", "--workspace", "--locked", "--no-fail-fast", "--", "--show-output"],
        environment: &[],
        counts: true,
    },
    Step {
        name: "docs",
        program: "cargo",
        arguments: &["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
        counts: false,
    },
    Step {
        name: "fuzz smoke",
        program: "cargo",
        arguments: &["run", "--quiet", "--package", "xtask", "--", "fuzz", "--seconds", "3"],
        environment: &[],
        counts: false,
    },
    Step {
        name: "supply chain",
        program: "cargo",
        arguments: &["deny", "--offline", "check", "bans", "licenses", "sources"],
        environment: &[],
        counts: false,
    },
    Step {
        name: "demo",
        program: "cargo",
        arguments: &["run", "--quiet", "--package", "xtask", "--", "demo", "--once"],
        environment: &[],
        counts: false,
    },
];

/// Runs all steps, or those whose name contains `only`. The last line printed is the tally of the whole run.
pub fn run(only: Option<&str>) -> Result<bool> {
    let mut total = Tally::default();
    for step in STEPS.iter().filter(|step| only.is_none_or(|only| step.name.contains(only))) {
        println!("==> {}: {} {}", step.name, step.program, step.arguments.join(" "));
        if let Some(reason) = cannot_run(step) {
            println!("skipped: {reason}");
            total.skipped += 1;
            continue;
        }
        let begun = Instant::now();
        let (ended_well, output) = stream(step)?;
        let mut tally = if step.counts { Tally::of_output(&output) } else { Tally::default() };
        match (ended_well, step.counts) {
            (true, false) => tally.passed += 1,
            (false, false) => tally.failed += 1,
            // A test program that did not build or crashed has no closing line of its own.
            (false, true) if tally.failed == 0 => tally.failed += 1,
            (_, true) => {}
        }
        println!("<== {}: {tally} in {} s", step.name, begun.elapsed().as_secs());
        total.add(tally);
    }
    println!("{total}");
    Ok(total.failed == 0 && total.passed > 0)
}

/// The same tests with their long counts.
pub fn soak() -> Result<bool> {
    let status = Command::new("cargo")
        .args(["test", "--workspace", "--release", "--", "--nocapture", "soak_", "swap"])
        .env("PALISADE_SOAK", "1")
        .env("PALISADE_SWAPS", "1000")
        .current_dir(process::root()?)
        .status()
        .context("cargo test")?;
    Ok(status.success())
}

/// Why a step cannot run on this machine.
fn cannot_run(step: &Step) -> Option<&'static str> {
    if step.arguments.first() != Some(&"deny") {
        return None;
    }
    let found = Command::new("cargo")
        .args(["deny", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    (!found).then_some(
        "cargo-deny is not installed (cargo install cargo-deny --locked); the house test checks the bans",
    )
}

/// Runs a step, passes its output on as it comes, and gives it back.
fn stream(step: &Step) -> Result<(bool, String)> {
    let mut child = Command::new(step.program)
        .args(step.arguments)
        .envs(step.environment.iter().copied())
        .current_dir(process::root()?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", step.program))?;
    let mut collected = String::new();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            collected.push_str(&line);
            collected.push('\n');
        }
    }
    Ok((child.wait()?.success(), collected))
}
