//! `cargo xtask bench worst`: searches for the requests that cost our WAF most, and checks the goals for the worst case.
//! `cargo xtask bench memory`: what the WAF holds in memory, ordinary requests and the worst, and how long CRS compiles.
//!
//! `--seconds N` at each paranoia level (60), `--rules DIR` for CRS, `--json`. The search is a program of
//! palisade-benches; the recipes it starts from are in `benches/worst.txt`.

use std::process::Command;

use anyhow::{Result, ensure};
use palisade_tests::process;

use super::engine::build;
use super::value;
use super::waf::rules;

/// Runs the search at both levels.
pub fn run(arguments: &[String]) -> Result<bool> {
    let mut passed = vec!["--seconds".to_owned(), value(arguments, "--seconds")?.unwrap_or("60").to_owned()];
    if arguments.iter().any(|argument| argument == "--json") {
        passed.push("--json".to_owned());
    }
    at_both_levels("bench-waf-worst", arguments, &passed)
}

/// Counts memory at both levels.
pub fn memory(arguments: &[String]) -> Result<bool> {
    at_both_levels("bench-waf-memory", arguments, &[])
}

fn at_both_levels(program: &str, arguments: &[String], passed: &[String]) -> Result<bool> {
    let root = process::root()?;
    let dir = root.join("target/bench/waf");
    std::fs::create_dir_all(&dir)?;
    build(&["build", "--release", "--package", "palisade-benches", "--bin", program], &root)?;
    let prepared = rules::prepare(&rules::find(value(arguments, "--rules")?, &root)?, &dir)?;
    for level in rules::LEVELS {
        let mut command = Command::new(root.join("target/release").join(program));
        command.args(passed).args(["--paranoia", &level.to_string()]);
        command.arg("--rules").arg(&prepared).arg("--recipes").arg(root.join("benches/worst.txt"));
        ensure!(command.status()?.success(), "{program} failed");
    }
    Ok(true)
}
