//! An attacker's set against the real `palisade-proxy`, started as a process in front of an origin that remembers every
//! byte. Numbers in test names are those of `docs/security-tests.md`, which `book` compares with the sources.
//!
//! ```text
//!   stage      the proxy, the origin, a client that speaks bytes       frames   HTTP/2 frames by hand
//!   authority  certificates, good and bad                              the rest: attacks by kind
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

mod authority;
mod book;
mod exhaustion;
mod frames;
mod framing;
mod garden;
mod headers;
mod host;
mod http2;
mod path;
mod protocols;
mod stage;
pub mod tls;
mod waf;
