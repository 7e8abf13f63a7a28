//! The WAF engine: a compiled rule set and the transaction that walks its five phases.
//!
//! ```text
//!   Engine::compile(&RuleSet, &WafPolicySpec)            -> Engine | CompileError (file:line:column)
//!   Transaction::begin(engine, connection, head, …)
//!     .request_headers() .request_body_feed(..) .request_body(..)    phases 1, 2 -> None | Interruption
//!     .response_headers(..) .response_body_feed(..) .response_body(..)   phases 3, 4
//!     .logging()                                                     phase 5
//!     .matches()                                                     what is recorded
//! ```
//!
//! The evaluation is straightforward on purpose: every rule, every target, every value, in order. Before it stands a
//! fast path (`prefilter`): each distinct text is transformed and scanned once, and rules and values that cannot match
//! are passed over. Tests hold the two against each other; [`Engine::compile_slow`] makes an engine without it.
//! Promises: no I/O, no clock, no panic; matching in linear time; work and memory of a transaction are bounded by
//! [`limits`]. Does not do: XPath beyond `/*` and `//@*`, Lua.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

mod act;
mod audit;
pub mod bodies;
mod body_limits;
mod budget;
mod calendar;
mod collection;
mod compile;
mod engine;
mod evaluate;
mod explain;
mod facts;
mod held;
pub mod injection;
mod later;
pub mod limits;
pub mod lint;
mod macros;
pub mod operators;
pub mod persistent;
mod prefilter;
mod request_body;
mod response_body;
mod scratch;
mod state;
pub mod trace;
mod transaction;
pub mod transformations;
mod values;

pub use compile::{COMPILE_UNITS, CompileError, POLICY_ENTRIES};
pub use engine::Engine;
pub use transaction::{Interruption, InterruptionKind, Transaction};
