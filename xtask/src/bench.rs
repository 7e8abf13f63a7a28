//! `cargo xtask bench`: measurements beside real peers, each in a program of its own.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Runs the bench named `what`.
pub fn run(what: &str, arguments: &[String]) -> Result<bool> {
    let status = match what {
        "micro" => Command::new("cargo")
            .args(["bench", "--package", "palisade-benches"])
            .args(arguments)
            .current_dir(process::root()?)
            .status()?,
        other => bail!("no bench is called {other:?}; there is: micro"),
    };
    Ok(status.success())
}
