//! The engines in process: one `bench-waf` process each, which take turns.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Our engine.
pub const OURS: &str = "palisade";
/// libmodsecurity as the wheel carries it. Its PCRE2 is built without a compiler to machine code.
pub const SHIPPED: &str = "modsec-3.0.15";
/// The same library with the system's PCRE2, which has one, in the place of its own.
pub const JIT: &str = "modsec-3.0.15+jit";
/// The distribution's libmodsecurity with the distribution's PCRE2.
pub const SYSTEM: &str = "modsec-system";

/// An engine that can be started at a paranoia level.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its name in the table.
    pub name: &'static str,
    /// `--engine` of bench-waf.
    pub engine: &'static str,
    /// The shared library, for libmodsecurity.
    pub library: Option<PathBuf>,
    /// A library that is loaded before it.
    pub preload: Option<PathBuf>,
}

/// A running engine.
pub struct Engine {
    /// Its name in the table.
    pub name: &'static str,
    /// What it says it is.
    pub version: String,
    /// Processor time of loading the rules.
    pub load_ms: f64,
    /// Resident memory that loading the rules added.
    pub resident_kib: u64,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Engine {
    /// Starts it and waits until it has loaded its rules.
    pub fn start(program: &Path, kind: &Kind, rules: &Path, paranoia: u8) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["serve", "--engine", kind.engine, "--paranoia", &paranoia.to_string()]);
        command.arg("--rules").arg(rules);
        if let Some(library) = &kind.library {
            command.arg("--library").arg(library);
        }
        if let Some(preload) = &kind.preload {
            command.env("LD_PRELOAD", preload);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start bench-waf")?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut engine = Self {
            name: kind.name,
            version: String::new(),
            load_ms: 0.0,
            resident_kib: 0,
            child,
            input: input.context("its input")?,
            output: BufReader::new(output.context("its output")?),
        };
        let loaded = engine.line()?;
        engine.version = loaded.get("version").and_then(Value::as_str).unwrap_or_default().to_owned();
        engine.load_ms = loaded.get("load_ms").and_then(Value::as_f64).unwrap_or_default();
        engine.resident_kib = loaded.get("resident_kib").and_then(Value::as_u64).unwrap_or_default();
        Ok(engine)
    }

    /// Judges a shape once. The process fails if other rules fire than are expected.
    pub fn check(&mut self, shape: &str) -> Result<Value> {
        self.ask(&format!("check {shape}"))
    }

    /// Judges a shape so many times. Gives microseconds of processor time for each.
    pub fn run(&mut self, shape: &str, count: u64) -> Result<f64> {
        let answer = self.ask(&format!("run {shape} {count}"))?;
        let ns = answer.get("ns").and_then(Value::as_f64).context("ns")?;
        Ok(ns / 1e3 / count as f64)
    }

    /// Microseconds of the least that a shape can cost our engine: to know its head, and to scan its bytes once.
    pub fn floor(&mut self, shape: &str, count: u64) -> Result<(f64, f64)> {
        let answer = self.ask(&format!("floor {shape} {count}"))?;
        let us = |field| answer.get(field).and_then(Value::as_f64).map(|ns| ns / 1e3 / count as f64);
        Ok((us("parse_ns").context("parse_ns")?, us("scan_ns").context("scan_ns")?))
    }

    fn ask(&mut self, command: &str) -> Result<Value> {
        writeln!(self.input, "{command}").with_context(|| format!("{}: ask", self.name))?;
        self.line()
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("{}: the engine ended (see above)", self.name);
        }
        serde_json::from_str(&line).with_context(|| format!("{}: {line:?}", self.name))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The engines that can be had here, and for each that cannot a line that says so.
pub fn kinds(dir: &Path) -> (Vec<Kind>, Vec<String>) {
    let own = Kind { name: OURS, engine: "palisade", library: None, preload: None };
    let mut kinds = vec![own];
    let mut missing = Vec::new();
    match wheel(dir) {
        Ok(library) => {
            let shipped =
                Kind { name: SHIPPED, engine: "modsecurity", library: Some(library), preload: None };
            match system_library("libpcre2-8.so.0") {
                Some(pcre) => {
                    let jit = Kind { name: JIT, preload: Some(pcre), ..shipped.clone() };
                    kinds.extend([jit, shipped]);
                }
                None => {
                    missing.push(format!("{JIT}: not run: libpcre2-8.so.0 is not installed"));
                    kinds.push(shipped);
                }
            }
        }
        Err(error) => missing.push(format!("{SHIPPED}: not run: {error:#}")),
    }
    match system_library("libmodsecurity.so.3") {
        Some(library) => {
            kinds.push(Kind { name: SYSTEM, engine: "modsecurity", library: Some(library), preload: None })
        }
        None => missing.push(format!("{SYSTEM}: not run: libmodsecurity.so.3 is not installed")),
    }
    (kinds, missing)
}

/// The wheel that carries the shared library, and its version.
const WHEEL: &str = "libmodsecurity==3.0.15.post2";

/// The shared library of `LIBMODSECURITY`, or of the wheel: `pip download --no-deps libmodsecurity==3.0.15.post2`, unpacked.
fn wheel(dir: &Path) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("LIBMODSECURITY") {
        return Ok(PathBuf::from(named));
    }
    let unpacked = dir.join("wheel");
    if let Some(library) = library_in(&unpacked.join("libmodsecurity.libs")) {
        return Ok(library);
    }
    std::fs::create_dir_all(&unpacked)?;
    run(Command::new("pip")
        .args(["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"])
        .arg(dir)
        .arg(WHEEL))?;
    let entries = std::fs::read_dir(dir)?.filter_map(Result::ok).map(|entry| entry.path());
    let mut wheels = entries.filter(|path| path.extension().is_some_and(|extension| extension == "whl"));
    let wheel = wheels.next().context("pip brought no wheel")?;
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(&unpacked))?;
    library_in(&unpacked.join("libmodsecurity.libs")).context("the wheel carries no libmodsecurity")
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn library_in(dir: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let mut found = entries.filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libmodsecurity-"))
    });
    found.next()
}

/// A shared library where the distribution puts them.
fn system_library(name: &str) -> Option<PathBuf> {
    let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    places.iter().map(|place| Path::new(place).join(name)).find(|path| path.is_file())
}
