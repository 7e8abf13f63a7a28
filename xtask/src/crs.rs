//! `cargo xtask crs`: the Core Rule Set's regression suite against a real proxy, or against the engine alone.
//!
//! It builds the proxy and the suite's runner (`tests/crs`), starts the latter and passes its output on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use palisade_tests::process;

/// What `cargo xtask crs` is told.
#[derive(Args)]
pub struct Arguments {
    /// The directory of the released rules, or the one above it.
    #[arg(long, value_name = "DIR")]
    rules: PathBuf,
    /// The directory of the tests; every YAML file below it is one.
    #[arg(long, value_name = "DIR")]
    tests: PathBuf,
    /// The engine alone, without a proxy.
    #[arg(long)]
    in_process: bool,
    /// Only tests whose name contains this, e.g. 942100-1.
    #[arg(long)]
    only: Option<String>,
    /// Use the release profile.
    #[arg(long)]
    release: bool,
}

/// Gives whether enough tests passed. The last line printed is `crs: P of N passed, O overridden`.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let root = process::root()?;
    build(&root, arguments.release)?;
    let programs = root.join("target").join(if arguments.release { "release" } else { "debug" });
    let mut command = Command::new(programs.join("crs-suite"));
    command.arg("--rules").arg(&arguments.rules).arg("--tests").arg(&arguments.tests);
    command.arg("--overrides").arg(root.join("tests/crs-overrides.yaml"));
    command.arg("--proxy").arg(programs.join("palisade-proxy"));
    if arguments.in_process {
        command.arg("--in-process");
    }
    if let Some(only) = &arguments.only {
        command.args(["--only", only]);
    }
    Ok(command.status().context("start crs-suite")?.success())
}

fn build(root: &Path, release: bool) -> Result<()> {
    let mut command = Command::new("cargo");
    // The same selection as the tests build, so that nothing is compiled twice with other features.
    command.args(["build", "--locked", "--workspace", "--bin", "palisade-proxy", "--bin", "crs-suite"]);
    if release {
        command.arg("--release");
    }
    let status = command.current_dir(root).status().context("cargo build")?;
    ensure!(status.success(), "the programs do not build");
    Ok(())
}
