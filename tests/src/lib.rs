//! What the tests and `cargo xtask demo` share: the demo application, and the harness that runs the real programs.
//!
//! ```text
//!   demo      one small service that can play every part
//!   process   child programs that end with us      http   a minimal client
//!   load      traffic while policies change
//!   proxy     one palisade-proxy and its records   wire   a client that speaks bytes
//!   origin    answers and remembers                rule_set   the Core Rule Set on disk
//!   house     control plane, services, sidecars and gateway, started and ended in order; the demo's steps
//! ```
//! The tests themselves lie in `tests/tests/`: `house` checks the repository, the others run the programs.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout)]

pub mod demo;
pub mod house;
pub mod http;
pub mod load;
pub mod origin;
pub mod process;
pub mod proxy;
pub mod rule_set;
pub mod wire;
