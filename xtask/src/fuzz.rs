//! `cargo xtask fuzz`: builds the fuzz targets with coverage on stable Rust and runs them on seeds and corpus.
//!
//! Promises the flags that `tests/fuzz/README.md` names. It knows no target by itself: it asks the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Coverage for libFuzzer without a nightly compiler. Given by environment, so that no other build is touched.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table --cfg fuzzing";
/// The flags must not reach build scripts and macros; naming the target keeps them out.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Bytes of an input. Everything that is fuzzed has its faults in the first lines.
const LONGEST_INPUT: &str = "-max_len=4096";
/// Seconds for one input, then it is a hang.
const HANG: &str = "-timeout=25";

/// Runs one target, or all of them in turn, for so many seconds each. Ends at the first finding, which it names.
pub fn run(target: Option<&str>, seconds: u64) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz");
    let known = targets(&folder)?;
    let chosen: Vec<&String> = match target {
        None => known.iter().collect(),
        Some(name) => known.iter().filter(|known| *known == name).collect(),
    };
    if chosen.is_empty() {
        bail!("no fuzz target is named {}; there are: {}", target.unwrap_or_default(), known.join(", "));
    }
    build(&folder, target)?;
    for name in chosen {
        fuzz(&folder, name, seconds)?;
    }
    Ok(())
}

/// The targets are the files of `targets/`.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let targets = folder.join("targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&targets).with_context(|| format!("reading {}", targets.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn build(folder: &Path, target: Option<&str>) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder).env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", folder.join("target"));
    cargo.args(["build", "--release", "--locked", "--target", TRIPLE]);
    if let Some(name) = target {
        cargo.args(["--bin", name]);
    }
    let status = cargo.status().context("starting cargo")?;
    ensure!(status.success(), "the fuzz targets do not build");
    Ok(())
}

/// Seconds of a smoke, at most: its seed is fixed, so that two runs differ less. They do differ: hash tables, addresses and
/// the machine's speed change what is kept and how far it gets. What it finds is a fault all the same.
const SMOKE_SECONDS: u64 = 5;

fn fuzz(folder: &Path, name: &str, seconds: u64) -> Result<()> {
    // 0 is a seed of the fuzzer's own choice.
    let seed = if seconds <= SMOKE_SECONDS { "-seed=1" } else { "-seed=0" };
    let corpus: PathBuf = folder.join("target/corpus").join(name);
    std::fs::create_dir_all(&corpus).with_context(|| format!("making {}", corpus.display()))?;
    let findings = folder.join("target/findings");
    std::fs::create_dir_all(&findings).with_context(|| format!("making {}", findings.display()))?;
    println!("fuzz {name}: {seconds} s");
    let status = Command::new(folder.join("target").join(TRIPLE).join("release").join(name))
        .current_dir(folder)
        .arg(format!("-max_total_time={seconds}"))
        .args([LONGEST_INPUT, HANG, "-print_final_stats=1", seed])
        .arg(format!("-artifact_prefix={}/{name}-", findings.display()))
        .arg(&corpus)
        .arg(folder.join("seeds").join(name))
        .status()
        .with_context(|| format!("starting the fuzz target {name}"))?;
    ensure!(status.success(), "{name} found something: the input is in {}", findings.display());
    Ok(())
}
