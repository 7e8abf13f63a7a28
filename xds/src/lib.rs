//! Policy on the wire: delta ADS (Envoy v3) with the resource types of `palisade.v1`, both ends.
//!
//! ```text
//!   Policy ──split──▶ manifest + fragments ──SnapshotCache──▶ server ═══ gRPC ═══ client ──▶ PolicyUpdate
//!                                                                ◀── ACK / NACK ──           accept / reject
//! ```
//! Promises: a policy arrives whole or not at all; every fragment's hash is checked; what one version cannot express
//! in its own types is refused, never dropped; the last good policy stays until a better one was accepted. Sizes and
//! counts of every message are bounded. It does not judge policies (the caller of [`client`] compiles them), does not
//! do TLS (callers hand in a channel, and a closure that knows the peer) and keeps nothing on disk.
//!
//! **Unknown fields.** prost drops fields it does not know without a word. So every resource is encoded again after it
//! was read, and other bytes than those received mean that something was not understood: the resource is refused. New
//! optional fields therefore reach an old sidecar only in policies that use them, and there they are a NACK. What
//! changes a meaning without a field is named in `Policy::required_features`.

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

pub mod client;
mod convert;
mod error;
mod fragment;
mod kind;
pub mod limits;
pub mod server;
#[cfg(test)]
mod simulation;
mod snapshot;

#[allow(missing_docs, clippy::all, rustdoc::all)]
mod generated {
    include!("generated/palisade.v1.rs");
}

pub use error::WireError;
pub use kind::{Kind, parse_workload};
pub use snapshot::{SnapshotCache, SnapshotError};
