//! One reading of HTTP: what is ambiguous is refused, what is left has one canonical form.
//!
//! ```text
//!   bytes ─guard─▶ hyper ─▶ head::canonical ─▶ RequestHead ─▶ routes::RouteTable::find
//!   upstream response ─▶ response::check
//! ```
//! Pure and sans-I/O. It does not own sockets, does not know hyper, and judges nothing but form.

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

pub mod authority;
mod framing;
pub mod guard;
pub mod head;
mod headers;
pub mod http2;
pub mod malformed;
pub mod path;
pub mod response;
pub mod routes;
mod target;

pub use head::HeadLimits;
pub use malformed::{Cause, Malformed};
pub use path::EncodedSlash;
