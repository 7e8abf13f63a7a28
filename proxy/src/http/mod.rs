//! HTTP on our sockets: hyper set up with every limit, the guarded bytes it reads, and the bodies it writes.
//!
//! It does not judge requests; `inbound::request` does.

pub mod body;
pub mod escaped_io;
pub mod guarded_io;
pub mod serve;
pub mod stall;
pub mod upload;

pub use body::{BodyFault, InBody, OutBody};
