//! The way to an upstream: cluster, endpoint, pool, connection. [`send()`] is the only user of the HTTP client, and it
//! takes a `Permit`.
//!
//! Promises: what is sent is built from the head that was judged; a request is sent again only if the upstream cannot
//! have seen it, or if it is idempotent, without a body, and the connection was an old one; a connection is used only
//! for the identity, principals and protocol it was made for; an HTTP/1 response that can be read in two ways is refused,
//! and its connection with it.

mod cluster;
mod connect;
mod guarded;
mod pool;
mod send;

pub use cluster::{Cluster, Endpoint, Wire};
pub use connect::{ConnectFault, Stream, open_tcp};
pub use pool::{Lease, Pool, Pools};
pub use send::{Answer, Failed, Stamp, send, tcp_pool};
