//! `cargo xtask demo` (to be filled when the programs land).

use anyhow::{Result, bail};

/// Runs the demo.
pub fn run(_once: bool, _release: bool) -> Result<bool> {
    bail!("the programs have not landed yet")
}
