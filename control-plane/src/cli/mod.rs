//! The commands. Each is a thin layer over the library: it reads arguments, calls, and prints.

mod documents;
mod rest;
mod rule_sets;
mod serve;
mod tokens;
mod waf;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// A security proxy for every workload, and the control plane that tells it what to enforce.
#[derive(Debug, Parser)]
#[command(name = "palisade", version, about)]
pub struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the control plane.
    Serve(Box<serve::Arguments>),
    /// Validate documents offline.
    Check(documents::Check),
    /// Print the policy that a workload would get, as `palisade-proxy --policy` reads it.
    Render(documents::Render),
    /// Say what would happen to a request, and why.
    Explain(Box<documents::Explain>),
    /// Rule sets as documents.
    #[command(subcommand)]
    Ruleset(rule_sets::RuleSets),
    /// For the person who writes rules.
    #[command(subcommand)]
    Waf(waf::Waf),
    /// Make a join token for a workload.
    JoinToken(tokens::Join),
    /// API tokens.
    #[command(subcommand)]
    Token(tokens::Token),
}

/// Runs a command.
pub fn run(command: Command) -> Result<ExitCode> {
    match command.action {
        Action::Serve(arguments) => block_on(serve::serve(*arguments)),
        Action::Check(arguments) => documents::check(&arguments),
        Action::Render(arguments) => documents::render(&arguments),
        Action::Explain(arguments) => documents::explain(&arguments),
        Action::Ruleset(rule_sets::RuleSets::Import(arguments)) => rule_sets::import(&arguments),
        Action::Waf(waf::Waf::Test(arguments)) => waf::test(&arguments),
        Action::Waf(waf::Waf::Lint(arguments)) => waf::lint(&arguments),
        Action::JoinToken(arguments) => block_on(tokens::join(arguments)),
        Action::Token(tokens::Token::Create(arguments)) => block_on(tokens::create(arguments)),
    }
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(work)
}
