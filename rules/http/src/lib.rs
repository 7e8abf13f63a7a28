//! One reading of HTTP: what is ambiguous is refused, what is left has one canonical form.
//!
//! ```text
//!   bytes ─guard─▶ hyper ─▶ head::canonical ─▶ RequestHead ─▶ routes::RouteTable::find
//!   upstream response ─▶ response::check
//! ```
//! Pure and sans-I/O. It does not own sockets, does not know hyper, and judges nothing but form.

#![forbid(unsafe_code)]

pub mod guard;
pub mod head;
pub mod malformed;
pub mod response;
pub mod routes;

pub use malformed::{Cause, Malformed};
