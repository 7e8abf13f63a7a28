//! SQL and scripts in values: our own `@detectSQLi` and `@detectXSS`, with the meaning of libinjection 3.10.
//!
//! ```text
//!   sqli:  value -> tokenizer (strings, words) -> fold -> five letters -> a table of attacks     Fingerprint
//!   xss:   value -> markup (five contexts) -> tags, attributes and URLs of a table               bool
//! ```
//!
//! Promises: the verdicts and fingerprints of libinjection as ModSecurity 3.0.15 carries it, on every byte string; total;
//! linear in the value; no allocation. The code is our own; the words, fingerprints and names in `generated` are
//! libinjection's, made by `cargo xtask tables`. Does not decode: that is the transformations' business.

mod fold;
mod generated;
mod markup;
mod sqli;
mod strings;
#[cfg(test)]
mod tests;
mod token;
mod tokenizer;
mod words;
mod xss;

pub(crate) use sqli::may_part;
pub use sqli::{Fingerprint, sqli};
pub(crate) use xss::may_script;
pub use xss::xss;
