//! One leg: load on one proxy for some seconds, and what it cost.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::cpu;
use palisade_tests::process::Program;

/// A program that is measured.
pub struct Contender {
    /// Its name in the table.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The process.
    pub program: Program,
    /// The legs so far.
    pub legs: Vec<Leg>,
}

/// What one leg cost.
#[derive(Clone, Copy, Debug)]
pub struct Leg {
    /// Microseconds of processor time per request.
    pub cpu_us: f64,
    /// Requests a second.
    pub rate: f64,
}

/// How the load is made.
#[derive(Clone, Copy)]
pub struct Shape<'a> {
    /// Seconds a leg.
    pub seconds: f64,
    /// Connections.
    pub connections: u32,
    /// Directory of the client's identity: mTLS.
    pub identity: Option<&'a Path>,
    /// One request a connection.
    pub reconnect: bool,
    /// A file with the request (bench-load's `--request`); else a plain GET.
    pub request: Option<&'a Path>,
    /// The status every answer must have.
    pub expect: u16,
}

impl Shape<'_> {
    /// Plain GET requests on kept-alive connections.
    pub fn plain(seconds: f64, connections: u32) -> Self {
        Self { seconds, connections, identity: None, reconnect: false, request: None, expect: 200 }
    }
}

impl Contender {
    /// Runs one leg.
    pub fn run(&mut self, load: &Path, shape: Shape<'_>) -> Result<()> {
        self.program.check()?;
        let before = cpu::seconds(self.program.id())?;
        let mut command = Command::new(load);
        command.args(["--target", &self.address.to_string()]);
        command.args([
            "--seconds",
            &shape.seconds.to_string(),
            "--connections",
            &shape.connections.to_string(),
        ]);
        if let Some(identity) = shape.identity {
            command.arg("--identity").arg(identity);
        }
        if shape.reconnect {
            command.arg("--reconnect");
        }
        if let Some(request) = shape.request {
            command.arg("--request").arg(request);
        }
        command.args(["--expect", &shape.expect.to_string()]);
        let output = command.output().context("run bench-load")?;
        let after = cpu::seconds(self.program.id())?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{}: {text}{}", self.name, String::from_utf8_lossy(&output.stderr));
        let counts: serde_json::Value = serde_json::from_str(text.trim().lines().last().unwrap_or_default())?;
        let number = |name: &str| counts.get(name).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        // A proxy that answers wrongly, or not at all, is fast for the wrong reason.
        ensure!(number("wrong") == 0.0, "{}: {} answers had the wrong status", self.name, number("wrong"));
        ensure!(
            number("failed") * 1000.0 <= number("answered"),
            "{}: {} of {} exchanges failed",
            self.name,
            number("failed"),
            number("answered")
        );
        let answered = number("answered");
        self.legs.push(Leg { cpu_us: (after - before) * 1e6 / answered, rate: answered / number("seconds") });
        Ok(())
    }

    /// The cheapest leg.
    pub fn best(&self) -> f64 {
        self.legs.iter().map(|leg| leg.cpu_us).fold(f64::INFINITY, f64::min)
    }

    /// The highest rate.
    pub fn rate(&self) -> f64 {
        self.legs.iter().map(|leg| leg.rate).fold(0.0, f64::max)
    }
}

/// Runs `rounds` alternating legs of all contenders after one leg each to warm up, then prints the table.
pub fn compare(
    title: &str,
    contenders: &mut [Contender],
    load: &Path,
    shape: Shape<'_>,
    rounds: u32,
) -> Result<()> {
    for contender in contenders.iter_mut() {
        contender.run(load, Shape { seconds: 1.0, ..shape })?;
        contender.legs.clear();
    }
    for _ in 0..rounds {
        for contender in contenders.iter_mut() {
            contender.run(load, shape)?;
        }
    }
    println!("\n{title}");
    println!("{:<18}{:>12}{:>20}{:>12}{:>10}", "program", "us/request", "spread", "requests/s", "RSS MiB");
    for contender in contenders.iter() {
        let worst = contender.legs.iter().map(|leg| leg.cpu_us).fold(0.0, f64::max);
        let memory = cpu::resident_mib(contender.program.id())?;
        let spread = format!("{:.1}-{worst:.1}", contender.best());
        println!(
            "{:<18}{:>12.1}{:>20}{:>12.0}{:>10.1}",
            contender.name,
            contender.best(),
            spread,
            contender.rate(),
            memory
        );
    }
    Ok(())
}

/// Prints how many times the cost of each peer `ours` has.
pub fn ratios(contenders: &[Contender], ours: &str) {
    let Some(own) = contenders.iter().find(|contender| contender.name == ours) else { return };
    for peer in contenders.iter().filter(|contender| contender.name != ours) {
        println!("{ours} / {}: {:.2}", peer.name, own.best() / peer.best());
    }
}
