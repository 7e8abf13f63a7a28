//! What the tests share: demo applications, and the harness that runs the real programs.
//!
//! The tests themselves lie in `tests/tests/`: `house` checks the repository, the others run the programs.

#![forbid(unsafe_code)]

pub mod demo;
