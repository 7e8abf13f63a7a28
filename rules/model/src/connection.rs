//! One transport connection, as far as decisions may know it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::Principal;

/// Which side of the workload a connection is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Somebody calls the workload (mTLS, authorization, WAF).
    Inbound,
    /// The workload calls somebody (routing and mTLS only).
    Outbound,
    /// The edge: somebody without a mesh identity may call (WAF and authorization by what is known).
    Gateway,
}

/// What a port speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Sniffed with a bounded, timed peek: HTTP/1.1, HTTP/2 with prior knowledge, else TCP.
    #[default]
    Auto,
    /// HTTP/1.1 or HTTP/2 by what the client speaks, never TCP.
    Http,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// HTTP/2 carrying gRPC.
    Grpc,
    /// Opaque bytes, authorized at layer 4.
    Tcp,
}

impl Protocol {
    /// Whether HTTP fields of a policy can be evaluated on this port.
    pub fn is_tcp(self) -> bool {
        self == Self::Tcp
    }
}

/// The facts of one connection. `principal` is set only after the peer proved it in a TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The name of the listener that accepted it.
    pub listener: String,
    /// Which side it is on.
    pub direction: Direction,
    /// The address at the other end of the socket (source.ip).
    pub peer: SocketAddr,
    /// The client's address as decided by trusted hops or PROXY protocol (remote.ip); the peer's otherwise.
    pub client: SocketAddr,
    /// The address it was made to: the original destination if it was captured (destination.ip, destination.port).
    pub local: SocketAddr,
    /// The peer's attested identity.
    pub principal: Option<Principal>,
    /// The server name the client asked for.
    pub sni: Option<String>,
    /// Whether the transport is encrypted.
    pub tls: bool,
}
