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

/// How far a target is driven.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// The kept seeds, each once: a change is judged by the same inputs on every machine. A fixed seed of the fuzzer would
    /// not do that, since hash tables and addresses change from run to run what it keeps. What nobody has seen yet is for
    /// [`Extent::Seconds`] to find, not for a change's checks.
    Smoke,
    /// So many seconds, on with what was found worth keeping before.
    Seconds(u64),
}

/// Runs one target, or all of them in turn. Ends at the first finding, which it names.
pub fn run(target: Option<&str>, extent: Extent) -> Result<()> {
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
        fuzz(&folder, name, extent)?;
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

fn fuzz(folder: &Path, name: &str, extent: Extent) -> Result<()> {
    let limit = match extent {
        Extent::Smoke => "-runs=0".to_owned(),
        Extent::Seconds(seconds) => format!("-max_total_time={seconds}"),
    };
    let corpus: PathBuf = folder.join("target/corpus").join(name);
    std::fs::create_dir_all(&corpus).with_context(|| format!("making {}", corpus.display()))?;
    let findings = folder.join("target/findings");
    std::fs::create_dir_all(&findings).with_context(|| format!("making {}", findings.display()))?;
    println!("fuzz {name}: {limit}");
    let status = Command::new(folder.join("target").join(TRIPLE).join("release").join(name))
        .current_dir(folder)
        .arg(limit)
        .args([LONGEST_INPUT, HANG, "-print_final_stats=1"])
        .arg(format!("-artifact_prefix={}/{name}-", findings.display()))
        .args(matches!(extent, Extent::Seconds(_)).then_some(&corpus))
        .arg(folder.join("seeds").join(name))
        .status()
        .with_context(|| format!("starting the fuzz target {name}"))?;
    ensure!(status.success(), "{name} found something: the input is in {}", findings.display());
    Ok(())
}
