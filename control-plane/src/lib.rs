//! The control plane: takes documents, decides which come into force, and tells every sidecar what to enforce.
//!
//! ```text
//!   directory, REST ─▶ admission ─▶ store (revision, author) ─▶ index ─▶ one policy per workload ─▶ ADS ═▶ sidecars
//!   join token, CSR ─▶ attestation ─▶ certificate authority ─▶ SVID         OTLP logs ─▶ events ─▶ REST
//! ```
//! Promises: a bad document changes nothing and its place is named; everything that is in force has an author; a peer
//! gets what its own proven identity entitles it to. It judges no traffic and knows nothing of the proxy.

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

pub mod admission;
pub mod attestation;
pub mod clock;
pub mod credentials;
pub mod directory;
pub mod events;
pub mod explain;
pub mod grpc;
pub mod rest;
pub mod sample;
pub mod secret;
pub mod serve;
pub mod sidecars;
pub mod state_dir;
pub mod waf_test;
