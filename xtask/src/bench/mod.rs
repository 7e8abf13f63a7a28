//! `cargo xtask bench`: measurements beside real peers.
//!
//! What is compared is the processor time a proxy spends per request, as ratios within one run: all programs run on
//! the same machine, legs alternate, and the best (least disturbed) leg of each program counts, with the spread shown.

mod cpu;
mod engine;
mod leg;
mod peers;
mod proxy;
mod waf;
mod worst;

use std::process::Command;

use anyhow::{Context, Result, bail};

use palisade_tests::process;

/// Runs the bench named `what`.
pub fn run(what: &str, arguments: &[String]) -> Result<bool> {
    match what {
        "engine" => engine::run(arguments),
        "proxy" => proxy::run(arguments),
        "waf" => waf::run(arguments),
        "worst" => worst::run(arguments),
        "memory" => worst::memory(arguments),
        "micro" => {
            let mut command = Command::new("cargo");
            command.args(["bench", "--package", "palisade-benches"]).args(arguments);
            Ok(command.current_dir(process::root()?).status()?.success())
        }
        other => bail!("no bench is called {other:?}; there are: engine, proxy, waf, worst, memory, micro"),
    }
}

/// The value after a name.
fn value<'a>(arguments: &'a [String], name: &str) -> Result<Option<&'a str>> {
    let at = arguments.iter().position(|argument| argument == name);
    let found = at.map(|at| arguments.get(at + 1).with_context(|| format!("{name} wants a value")));
    Ok(found.transpose()?.map(String::as_str))
}
