//! The data plane: one small process beside a workload, or at the edge, through which its traffic passes.
//!
//! ```text
//!  accept ─▶ sniff, TLS ─▶ layer 4 verdict ─▶ guarded bytes ─▶ hyper ─▶ inbound::request::exchange
//!  listener   sniff, tls   inbound::connection  http::guarded_io          │ canonical, judge, body, send, judge
//!                                                                         ▼
//!                              deny (every way out)  ◀── refusal    upstream::send(Permit, body)
//! ```
//! Promises: nothing reaches an upstream without a `Permit`; every exchange leaves exactly one record; every refusal
//! is one value of [`deny::Refusal`]; new policy is seen by the next request of an open connection. It decides
//! nothing itself (that is `palisade-rules`) and knows nothing of the control plane but the wire.

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

pub mod admin;
pub mod certificates;
pub mod deny;
pub mod downstream;
pub mod drain;
pub mod headers;
pub mod http;
pub mod inbound;
pub mod judging;
pub mod limits;
pub mod listener;
pub mod plane;
pub mod policy;
pub mod process;
pub mod reference;
pub mod sniff;
pub mod telemetry;
pub mod tls;
pub mod upgrade;
pub mod upstream;
