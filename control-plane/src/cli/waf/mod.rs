//! `palisade waf`: tools for the person who writes rules.

mod lint;
mod print;
mod test;

use clap::Subcommand;

pub(super) use lint::lint;
pub(super) use test::test;

#[derive(Debug, Subcommand)]
pub(super) enum Waf {
    /// Try a request on rules, and show what matched and why. Exit code 1: it is denied.
    Test(Box<test::Test>),
    /// Tell what is probably not meant in rules that compile.
    Lint(lint::Lint),
}
