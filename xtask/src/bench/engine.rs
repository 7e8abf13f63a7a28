//! `cargo xtask bench engine`: the measurement behind docs/rationale/http-engine.md.
//!
//! Minimal proxies on hyper and on pingora-proxy beside nginx and Envoy, one thread each, HTTP/1.1 keep-alive.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::leg::{Shape, compare, ratios};
use super::peers;
use palisade_tests::process;

/// Runs the bench. Argument: `--quick` for short legs.
pub fn run(arguments: &[String]) -> Result<bool> {
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let root = process::root()?;
    let dir = root.join("target/bench/engine");
    std::fs::create_dir_all(&dir)?;
    build(&["build", "--release", "--package", "palisade-benches", "--bins"], &root)?;
    build(&["build", "--release"], &root.join("benches/peers"))?;
    let programs = root.join("target/release");
    let peers_dir = root.join("benches/peers/target/release");

    let origin = peers::free_address()?;
    let mut command = Command::new(programs.join("bench-origin"));
    command.args(["--listen", &origin.to_string()]);
    let _origin = peers::start("origin", command, origin, &dir)?;
    let mut contenders = Vec::new();
    contenders.extend(peers::nginx(&dir, peers::free_address()?, origin, None)?);
    for name in ["hyper-min", "pingora-min"] {
        let listen = peers::free_address()?;
        let mut command = Command::new(peers_dir.join(name));
        command.args([listen.to_string(), origin.to_string()]);
        contenders.push(peers::start(name, command, listen, &dir)?);
    }
    contenders.extend(peers::envoy(&dir, peers::free_address()?, origin, None, 0)?);
    ensure!(contenders.len() > 2, "there is no peer to compare with");

    let shape = Shape::plain(if quick { 1.0 } else { 4.0 }, 32);
    compare(
        "HTTP/1.1 keep-alive, 32 connections, 1 KiB",
        &mut contenders,
        &programs.join("bench-load"),
        shape,
        if quick { 2 } else { 5 },
    )?;
    ratios(&contenders, "hyper-min");
    Ok(true)
}

/// Runs cargo in `dir`.
pub fn build(arguments: &[&str], dir: &std::path::Path) -> Result<()> {
    let status = Command::new("cargo").args(arguments).current_dir(dir).status().context("cargo")?;
    ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    Ok(())
}
