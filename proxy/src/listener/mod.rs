//! Listening sockets: accept, count, and hand each connection to a task.
//!
//! Promises: at most the policy's number of connections at once, the next is closed and counted; a failing accept
//! (no file descriptors) pauses instead of spinning; a drain ends the accept loop; a connection whose original
//! destination is the listener itself is closed, since it would loop.

pub mod proxy_protocol;
mod set;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use palisade_model::policy::Listener;
use palisade_model::{Connection, Direction};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

pub use set::{BindError, ListenerSet, Prepared};

use crate::deny::{Limit, Refusal, Transport};
use crate::downstream::Listening;
use crate::inbound::connection::{self, Accepted};
use crate::plane::Plane;

/// Connections the kernel keeps while we are busy.
const BACKLOG: i32 = 1024;
/// Pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound listener.
#[derive(Debug)]
pub struct Bound {
    socket: TcpListener,
    listening: Arc<Listening>,
}

impl Bound {
    /// Binds a listener's socket.
    pub fn bind(listener: &Listener, plane: &Plane) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(listener.address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&listener.address.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from_std(socket.into())?;
        let listening = Arc::new(Listening::new(listener, socket.local_addr()?, plane));
        Ok(Self { socket, listening })
    }

    /// Where it is bound.
    pub fn address(&self) -> SocketAddr {
        self.listening.address
    }

    /// Accepts until the drain begins.
    pub async fn run(self, plane: Arc<Plane>) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = plane.drain.begun() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(&plane, stream, peer),
                Err(error) => {
                    tracing::warn!(%error, listener = self.listening.name, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, plane: &Arc<Plane>, stream: TcpStream, peer: SocketAddr) {
        let bound = plane.current.load().limits().connections;
        let Some(slot) = plane.connections.take(1, bound) else {
            self.refuse(plane, peer, &Limit::Connections.into());
            return;
        };
        let Ok(destination) = original_destination(&stream) else { return };
        if destination.captured && destination.address == self.listening.address {
            self.refuse(plane, peer, &Transport::Loop.into());
            return;
        }
        // A socket that cannot be set up is gone already; its first read says so.
        let _ = stream.set_nodelay(true);
        let (plane, listening) = (plane.clone(), self.listening.clone());
        let guest = plane.drain.enter();
        tokio::spawn(async move {
            let _slot = slot;
            plane.telemetry.metrics.connection(&listening.name, 1);
            let accepted = Accepted { stream, peer, client: peer, destination: destination.address };
            connection::serve(plane.clone(), listening.clone(), accepted, guest).await;
            plane.telemetry.metrics.connection(&listening.name, -1);
        });
    }

    fn refuse(&self, plane: &Plane, peer: SocketAddr, refusal: &Refusal) {
        let connection = Connection {
            listener: self.listening.name.clone(),
            direction: self.listening.direction(),
            peer,
            client: peer,
            local: self.listening.address,
            principal: None,
            sni: None,
            tls: false,
        };
        let version = plane.current.load().version().clone();
        plane.telemetry.refused_connection(&plane.workload, &version, &connection, refusal);
    }

    /// Which side it is on.
    pub fn direction(&self) -> Direction {
        self.listening.direction()
    }
}

struct Destination {
    address: SocketAddr,
    captured: bool,
}

/// The address the client meant: what iptables' REDIRECT remembers, else the socket's own.
fn original_destination(stream: &TcpStream) -> io::Result<Destination> {
    let local = stream.local_addr()?;
    let socket = SockRef::from(stream);
    let original = match local {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    match original.ok().and_then(|address| address.as_socket()) {
        Some(original) if original != local => Ok(Destination { address: original, captured: true }),
        _ => Ok(Destination { address: local, captured: false }),
    }
}
