//! `palisade`: the control plane's server, and the operator's command line.
//!
//! Exit codes: 0 done (or allowed), 1 found wanting (documents refused, request denied), 2 could not be done.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program speaks on its outputs")]

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    palisade_identity::install_crypto();
    match cli::run(cli::Command::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("palisade: {error:#}");
            ExitCode::from(2)
        }
    }
}
