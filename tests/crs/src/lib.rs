//! The Core Rule Set's own regression suite, run against a real `palisade-proxy` over sockets, or against the engine
//! alone.
//!
//! ```text
//!   suite       the YAML files as they are            request     a stage's input as bytes, completed as go-ftw does
//!   template    `{{ "1" | repeat 64200 }}`            expect      a stage's output against an answer and log lines
//!   backend     what stands behind: /reflect          log         matched rules as log lines
//!   settings    the rules and policy the suite wants  overrides   the reviewed list of tests a strict proxy refuses
//!   over_sockets, in_process   two ways to run a stage            run   every test, in parallel, and the tally
//! ```
//! Promises: every test of every file is run or is in the list; what a test asks for and is not understood here fails
//! it. It looks at logged ids, as the suite does; whether Palisade blocks is the subject of `tests/tests/waf_blocking`.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod backend;
pub mod expect;
pub mod in_process;
pub mod log;
pub mod over_sockets;
pub mod overrides;
pub mod request;
pub mod run;
pub mod settings;
pub mod suite;
pub mod template;
