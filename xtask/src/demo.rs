//! `cargo xtask demo`: the main job on one machine, on embedded defaults, without root.
//!
//! Interactive it prints what to try and waits for Ctrl-C; with `--once` it plays the steps itself.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use palisade_tests::house::{House, steps};
use palisade_tests::process;

/// Builds the programs, runs the house, and plays or waits.
pub fn run(once: bool, release: bool) -> Result<bool> {
    let root = process::root()?;
    build(&root, release)?;
    let programs = root.join("target").join(if release { "release" } else { "debug" });
    let state = root.join("target/demo").join(std::process::id().to_string());
    let mut house = House::start(&programs, &state)?;
    let outcome = if once { steps::play(&mut house) } else { wait(&mut house) };
    let ended_well = house.stop();
    if outcome.is_ok() {
        let _ = std::fs::remove_dir_all(&state);
    } else {
        println!("the logs are in {}", state.display());
    }
    println!("{}", if ended_well { "everything ended cleanly" } else { "a program had to be killed" });
    Ok(outcome? && ended_well)
}

fn build(root: &std::path::Path, release: bool) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["build", "--locked", "--bin", "palisade", "--bin", "palisade-proxy", "--bin", "demo-app"]);
    // The same selection as the tests build, so that nothing is compiled twice with other features.
    command.arg("--workspace");
    if release {
        command.arg("--release");
    }
    let status = command.current_dir(root).status().context("cargo build")?;
    ensure!(status.success(), "the programs do not build");
    Ok(())
}

/// Shows what runs and waits for Ctrl-C, which reaches only this process: the children are in groups of their own.
fn wait(house: &mut House) -> Result<bool> {
    println!("{}", house.describe());
    println!("{}", steps::curl_lines(house));
    println!("Ctrl-C ends everything.");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut look = tokio::time::interval(std::time::Duration::from_millis(200));
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return Ok(true),
                _ = terminate.recv() => return Ok(true),
                _ = look.tick() => house.check()?,
            }
        }
    })
}
