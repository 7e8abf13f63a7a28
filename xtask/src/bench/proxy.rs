//! `cargo xtask bench proxy` (its policy file follows the standalone file's schema).

use anyhow::{Result, bail};

/// Runs the bench.
pub fn run(_arguments: &[String]) -> Result<bool> {
    bail!("palisade-proxy has not landed yet")
}
