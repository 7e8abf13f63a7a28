//! One connection from a client, as every exchange on it sees it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;
use palisade_model::policy::{ClientAddress, Listener, ListenerRole};
use palisade_model::{Connection, Direction, Protocol, Scheme};

use crate::headers;
use crate::plane::Plane;
use crate::telemetry::SeriesCache;
use crate::upstream::Cluster;

/// A listener as its connections see it.
#[derive(Debug)]
pub struct Listening {
    /// Its name; routes and events name it.
    pub name: String,
    /// Where it is bound.
    pub address: SocketAddr,
    /// What it is for.
    pub role: ListenerRole,
    /// The application behind an inbound listener, as a cluster of one endpoint.
    pub application: Option<Arc<Cluster>>,
}

impl Listening {
    /// From configuration; `address` is the bound one.
    pub fn new(listener: &Listener, address: SocketAddr, plane: &Plane) -> Self {
        let application = match &listener.role {
            ListenerRole::Inbound { application, protocol, .. } => {
                Some(Arc::new(Cluster::application(*application, *protocol, &plane.pools)))
            }
            _ => None,
        };
        Self { name: listener.name.clone(), address, role: listener.role.clone(), application }
    }

    /// Which side it is on.
    pub fn direction(&self) -> Direction {
        match self.role {
            ListenerRole::Inbound { .. } => Direction::Inbound,
            ListenerRole::OutboundHttp | ListenerRole::OutboundTcp { .. } => Direction::Outbound,
            ListenerRole::Gateway { .. } => Direction::Gateway,
        }
    }

    /// What it is declared to speak.
    pub fn protocol(&self) -> Protocol {
        match &self.role {
            ListenerRole::Inbound { protocol, .. } => *protocol,
            ListenerRole::OutboundHttp | ListenerRole::Gateway { .. } => Protocol::Http,
            ListenerRole::OutboundTcp { .. } => Protocol::Tcp,
        }
    }

    /// How the client's address is decided.
    pub fn client_address(&self) -> ClientAddress {
        match &self.role {
            ListenerRole::Gateway { client_address, .. } => *client_address,
            _ => ClientAddress::default(),
        }
    }

    /// The address policies see: the original destination with the listener's declared port.
    pub fn local(&self, destination: SocketAddr) -> SocketAddr {
        match &self.role {
            ListenerRole::Inbound { port: Some(port), .. } => SocketAddr::new(destination.ip(), *port),
            _ => destination,
        }
    }
}

/// One connection from a client.
#[derive(Debug)]
pub struct Downstream {
    /// What the process shares.
    pub plane: Arc<Plane>,
    /// The listener that accepted it.
    pub listener: Arc<Listening>,
    /// The facts that decisions know.
    pub connection: Connection,
    /// The value of `x-forwarded-client-cert` for the upstream.
    pub client_certificate: Option<HeaderValue>,
    /// The client's address as `x-forwarded-for` says it.
    pub forwarded_for: Option<HeaderValue>,
    /// Its counters.
    pub series: SeriesCache,
    in_flight: AtomicUsize,
}

impl Downstream {
    /// A connection whose peer is known.
    pub fn new(plane: Arc<Plane>, listener: Arc<Listening>, connection: Connection) -> Arc<Self> {
        let client_certificate = headers::client_certificate(&plane, &connection);
        let forwarded_for = HeaderValue::try_from(connection.client.ip().to_string()).ok();
        let in_flight = AtomicUsize::new(0);
        let series = SeriesCache::default();
        Arc::new(Self { plane, listener, connection, client_certificate, forwarded_for, series, in_flight })
    }

    /// The scheme of its requests.
    pub fn scheme(&self) -> Scheme {
        if self.connection.tls { Scheme::Https } else { Scheme::Http }
    }

    /// Whether an exchange is under way.
    pub fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    /// An exchange began.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    /// An exchange ended.
    pub fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}
