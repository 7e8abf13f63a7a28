//! One connection: what it speaks, whether its policy takes it, and then HTTP or a splice of opaque bytes.
//!
//! Promises: inbound traffic is mTLS or it is closed; opaque bytes flow only under a `TcpPermit`, which is asked for
//! again at every policy swap; every connection that ends before an exchange is counted with its cause.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use palisade_model::policy::ListenerRole;
use palisade_model::record::ResponseFacts;
use palisade_model::{Connection, Direction, Principal, Protocol};
use palisade_rules::TcpPermit;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::deny::{Refusal, Transport, Upstream};
use crate::downstream::{Downstream, Listening};
use crate::drain::Guest;
use crate::http::serve;
use crate::listener::proxy_protocol;
use crate::plane::Plane;
use crate::policy::Active;
use crate::sniff::{self, Sniffed, Spoken};
use crate::upstream::{self, ConnectFault, Pool};
use crate::{telemetry, tls};

/// An accepted socket with its addresses.
#[derive(Debug)]
pub struct Accepted {
    /// The socket.
    pub stream: TcpStream,
    /// The other end.
    pub peer: SocketAddr,
    /// The client, as the PROXY protocol says; the peer otherwise.
    pub client: SocketAddr,
    /// What it was made to: the original destination if it was captured.
    pub destination: SocketAddr,
}

/// Serves one accepted connection to its end.
pub async fn serve(plane: Arc<Plane>, listening: Arc<Listening>, accepted: Accepted, guest: Guest) {
    let mut connection = Connection {
        listener: listening.name.clone(),
        direction: listening.direction(),
        peer: accepted.peer,
        client: accepted.client,
        local: listening.local(accepted.destination),
        principal: None,
        sni: None,
        tls: false,
    };
    let active = plane.current.load();
    let mut stream = accepted.stream;
    if listening.client_address().proxy_protocol {
        let patience = active.duration(|limits| limits.header_timeout_ms);
        match proxy_protocol::accept(&mut stream, patience).await {
            Ok(client) => connection.client = client.unwrap_or(connection.peer),
            Err(proxy_protocol::Refused) => {
                return refused(&plane, &active, &connection, &Transport::ProxyProtocol.into());
            }
        }
    }
    let result = match (&listening.role, connection.direction) {
        (ListenerRole::OutboundTcp { cluster }, _) => {
            let downstream = Downstream::new(plane.clone(), listening.clone(), connection.clone());
            tcp(stream, downstream, Target::Cluster(cluster.clone())).await
        }
        (_, Direction::Inbound) => {
            inbound(&plane, &listening, &active, connection.clone(), stream, guest).await
        }
        (ListenerRole::Gateway { certificates, .. }, _) if !certificates.is_empty() => {
            let edge = connection.clone();
            ordinary_tls(&plane, &listening, &active, edge, stream, guest, certificates).await
        }
        (_, Direction::Outbound | Direction::Gateway) => {
            plain(&plane, &listening, &active, connection.clone(), stream, guest).await
        }
    };
    if let Err(refusal) = result {
        refused(&plane, &active, &connection, &refusal);
    }
}

fn refused(plane: &Plane, active: &Active, connection: &Connection, refusal: &Refusal) {
    plane.telemetry.refused_connection(&plane.workload, active.version(), connection, refusal);
}

/// mTLS, or nothing.
async fn inbound(
    plane: &Arc<Plane>,
    listening: &Arc<Listening>,
    active: &Active,
    mut connection: Connection,
    stream: TcpStream,
    guest: Guest,
) -> Result<(), Refusal> {
    let identity = plane.identity().ok_or(Transport::NoIdentity)?;
    let limit = active.duration(|limits| limits.handshake_timeout_ms);
    let shaken = handshake(stream, identity.server_config().clone(), connection.peer, limit).await?;
    let Some(stream) = shaken else { return Ok(()) };
    let (_, session) = stream.get_ref();
    let principal: Principal = tls::peer_of(session).ok_or(Transport::Handshake)?;
    let spoken = spoken_by_alpn(session.alpn_protocol(), listening.protocol());
    connection.principal = Some(principal);
    connection.tls = true;
    connection.sni = session.server_name().map(str::to_owned);
    let downstream = Downstream::new(plane.clone(), listening.clone(), connection);
    match spoken {
        Spoken::Http1 => serve::http1(stream, downstream, active, guest).await,
        Spoken::Http2 => serve::http2(stream, downstream, active, guest).await,
        Spoken::Tcp => return tcp(stream, downstream, Target::Application).await,
        Spoken::Nothing => return Err(Transport::NotHttp.into()),
    }
    Ok(())
}

/// TLS as the server. Its limit counts from here: silence before the first byte gives the rest no more time. None where
/// the client went without a byte.
async fn handshake(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    peer: SocketAddr,
    limit: Duration,
) -> Result<Option<TlsStream<TcpStream>>, Transport> {
    let end = tokio::time::Instant::now() + limit;
    match sniff::peek(&stream, limit).await {
        Ok(Sniffed::Tls) => {}
        Ok(Sniffed::Closed) | Err(_) => return Ok(None),
        Ok(Sniffed::Silent) => return Err(Transport::HandshakeTimeout),
        Ok(_) => return Err(Transport::Plaintext),
    }
    match tokio::time::timeout_at(end, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => Ok(Some(stream)),
        Ok(Err(error)) => {
            tracing::debug!(%error, %peer, "no TLS");
            Err(Transport::Handshake)
        }
        Err(_) => Err(Transport::HandshakeTimeout),
    }
}

/// Inside mTLS the client says what it speaks; without ALPN the port's declaration stands.
fn spoken_by_alpn(alpn: Option<&[u8]>, declared: Protocol) -> Spoken {
    match (alpn, declared) {
        (Some(tls::TCP), Protocol::Auto | Protocol::Tcp) | (_, Protocol::Tcp) => Spoken::Tcp,
        (Some(tls::H2), _) | (None, Protocol::Http2 | Protocol::Grpc) => Spoken::Http2,
        (Some(tls::HTTP11) | None, Protocol::Auto | Protocol::Http) => Spoken::Http1,
        _ => Spoken::Nothing,
    }
}

/// Plain HTTP from the workload itself, or at the edge.
async fn plain(
    plane: &Arc<Plane>,
    listening: &Arc<Listening>,
    active: &Active,
    connection: Connection,
    stream: TcpStream,
    mut guest: Guest,
) -> Result<(), Refusal> {
    let patience = active.duration(|limits| limits.header_timeout_ms);
    let peeked = tokio::select! {
        biased;
        peeked = sniff::peek(&stream, patience) => peeked,
        // Nothing was asked yet: nothing is owed.
        () = guest.told() => return Ok(()),
    };
    let spoken = match peeked {
        Ok(Sniffed::Closed) | Err(_) => return Ok(()),
        Ok(sniffed) => sniff::decide(listening.protocol(), sniffed),
    };
    let downstream = Downstream::new(plane.clone(), listening.clone(), connection);
    match spoken {
        Spoken::Http1 => serve::http1(stream, downstream, active, guest).await,
        Spoken::Http2 => serve::http2(stream, downstream, active, guest).await,
        Spoken::Tcp | Spoken::Nothing => return Err(Transport::NotHttp.into()),
    }
    Ok(())
}

/// Ordinary TLS at the edge: a certificate by SNI, no client certificate.
async fn ordinary_tls(
    plane: &Arc<Plane>,
    listening: &Arc<Listening>,
    active: &Active,
    mut connection: Connection,
    stream: TcpStream,
    guest: Guest,
    names: &[String],
) -> Result<(), Refusal> {
    let config = plane.certificates.server_config(names).map_err(|error| {
        tracing::error!(%error, listener = listening.name, "no TLS configuration");
        Transport::Handshake
    })?;
    let limit = active.duration(|limits| limits.handshake_timeout_ms);
    let Some(stream) = handshake(stream, config, connection.peer, limit).await? else { return Ok(()) };
    let (_, session) = stream.get_ref();
    let http2 = session.alpn_protocol() == Some(tls::H2);
    connection.tls = true;
    connection.sni = session.server_name().map(str::to_owned);
    let downstream = Downstream::new(plane.clone(), listening.clone(), connection);
    if http2 {
        serve::http2(stream, downstream, active, guest).await;
    } else {
        serve::http1(stream, downstream, active, guest).await;
    }
    Ok(())
}

/// Where opaque bytes go.
enum Target {
    Application,
    Cluster(String),
}

/// Splices opaque bytes under a permit.
async fn tcp<S>(mut stream: S, downstream: Arc<Downstream>, target: Target) -> Result<(), Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let plane = downstream.plane.clone();
    let mut changed = plane.current.changed();
    let active = plane.current.load();
    let mut permit = permit(&downstream)?;
    let pool = destination(&active, &permit, &downstream, &target)?;
    let limit = active.duration(|limits| limits.connect_timeout_ms);
    let mut upstream = upstream::open_tcp(&pool, plane.identity(), tls::TCP, limit).await.map_err(fault)?;
    plane.telemetry.metrics.splicing(&downstream);
    let started = Instant::now();
    let mut copy = std::pin::pin!(tokio::io::copy_bidirectional(&mut stream, &mut upstream));
    let ended: io::Result<(u64, u64)> = loop {
        tokio::select! {
            ended = copy.as_mut() => break ended,
            Ok(()) = changed.changed() => permit = self::permit(&downstream)?,
        }
    };
    let (request_bytes, response_bytes) = *ended.as_ref().unwrap_or(&(0, 0));
    tracing::debug!(listener = permit.connection().listener, "an opaque connection ended");
    let facts = ResponseFacts {
        status: 0,
        cluster: None,
        truncated: ended.is_err(),
        duration_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        request_bytes,
        response_bytes,
    };
    plane.telemetry.spliced(&downstream, active.version(), facts);
    Ok(())
}

/// The layer 4 verdict of the policy in force now.
fn permit(downstream: &Downstream) -> Result<TcpPermit, Refusal> {
    let verdict = downstream.plane.current.load().snapshot.connection(&downstream.connection);
    verdict.map_err(|denial| Refusal::Connection(Box::new(denial)))
}

fn destination(
    active: &Active,
    _permit: &TcpPermit,
    downstream: &Downstream,
    target: &Target,
) -> Result<Arc<Pool>, Refusal> {
    let pool = match target {
        Target::Application => {
            let application = downstream.listener.application.as_ref().ok_or(Upstream::UnknownCluster)?;
            application.pick(telemetry::epoch_ms()).ok_or(Upstream::NoEndpoint)?.pool.clone()
        }
        Target::Cluster(name) => upstream::tcp_pool(active, name)?.1,
    };
    Ok(pool)
}

fn fault(error: ConnectFault) -> Refusal {
    tracing::debug!(%error, "no upstream connection");
    match error {
        ConnectFault::Connect(..) | ConnectFault::Http(..) => Upstream::Connect.into(),
        ConnectFault::Timeout(_) => Upstream::ConnectTimeout.into(),
        ConnectFault::Identity(..) | ConnectFault::NoIdentity => Upstream::Identity.into(),
    }
}

#[cfg(test)]
mod tests {
    use palisade_model::limits::HANDSHAKE_TIMEOUT_MS;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_handshake_ends_at_its_limit_however_late_it_began() {
        let limit = Duration::from_millis(HANDSHAKE_TIMEOUT_MS);
        let config = tls::tests::identity().server_config().clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for begins in [Duration::ZERO, limit / 2, limit - Duration::from_millis(100), limit * 2] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, peer) = listener.accept().await.unwrap();
            let begun = tokio::time::Instant::now();
            let served = tokio::spawn(handshake(stream, config.clone(), peer, limit));
            tokio::time::sleep(begins).await;
            // The beginning of a hello that never ends. Who comes too late finds nobody.
            let _ = client.write_all(b"\x16\x03\x01\x02\x00").await;
            assert!(matches!(served.await.unwrap(), Err(Transport::HandshakeTimeout)), "{begins:?}");
            assert_eq!(begun.elapsed(), begins.max(limit), "{begins:?}");
        }
    }
}
