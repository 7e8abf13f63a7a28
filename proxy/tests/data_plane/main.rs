//! The data plane over real sockets on loopback, everything in one process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod answers;
mod bodies;
mod edge;
mod fairness;
mod framing;
mod http2;
mod mesh;
mod persistence;
mod plain;
mod swap;
mod telemetry;
mod upgrades;
mod upstream;
mod world;
