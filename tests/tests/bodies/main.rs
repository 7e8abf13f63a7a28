//! Real traffic with the WAF on, through the real `palisade-proxy` over sockets: what streams, what is long, what is
//! packed, and what the limits make of it. Whatever passes unread is declared in the record.
//!
//! ```text
//!   stage      a proxy with rules; clients and origins that speak bytes      grpc      four kinds of calls, with CRS
//!   streams    event streams, WebSocket                                      packed    gzip, deflate, br, zstd
//!   long       50 MiB both ways, slow ends, the budget of held bytes         limits    whose limit holds, and what it does
//!   early      answers before the end of an upload, silent upstreams         targets   bytes that mean themselves
//!   http2      what is told apart by the protocol: lengths, windows, resets
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs
)]

mod early;
mod grpc;
mod http2;
mod limits;
mod long;
mod packed;
mod stage;
mod streams;
mod targets;
