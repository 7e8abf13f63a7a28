//! A new connection to an upstream: TCP, mTLS if the cluster asks, and HTTP on top.
//!
//! Promises: connecting, handshake included, ends by its limit; a server that does not prove an expected principal is
//! a fault of its own; every limit of the HTTP client is set here. Each connection has a task that ends with it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use palisade_http::HeadLimits;
use palisade_model::limits::{HEADER_BYTES, HEADER_COUNT, STREAMS_PER_CONNECTION};
use palisade_model::policy::UpstreamTls;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Pool;
use super::guarded::{Answers, GuardedStream};
use crate::http::InBody;
use crate::tls::{self, Identity};

/// HTTP/2 receive window of one upstream stream: what one slow client may make us hold.
const STREAM_WINDOW: u32 = 256 * 1024;
/// HTTP/2 receive window of one upstream connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams the upstream may have reset on us before we give its connection up.
const RESET_STREAMS: usize = 100;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectFault {
    /// Nobody there.
    #[error("cannot connect to {0}: {1}")]
    Connect(std::net::SocketAddr, io::Error),
    /// Not in time.
    #[error("cannot connect to {0} in time")]
    Timeout(std::net::SocketAddr),
    /// Not who we expect, or we are not who they expect.
    #[error("no mutual TLS with {0}: {1}")]
    Identity(std::net::SocketAddr, io::Error),
    /// The cluster is in the mesh and we have no identity.
    #[error("the cluster asks for mutual TLS and this process has no identity")]
    NoIdentity,
    /// HTTP could not be begun.
    #[error("cannot begin HTTP with {0}: {1}")]
    Http(std::net::SocketAddr, hyper::Error),
}

/// A connected byte stream.
#[derive(Debug)]
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Under mTLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects and shakes hands; no HTTP.
pub async fn open_tcp(
    pool: &Pool,
    identity: Option<&Identity>,
    protocol: &[u8],
    limit: Duration,
) -> Result<Stream, ConnectFault> {
    let address = pool.address();
    match tokio::time::timeout(limit, dial(pool, identity, protocol)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectFault::Timeout(address)),
    }
}

async fn dial(pool: &Pool, identity: Option<&Identity>, protocol: &[u8]) -> Result<Stream, ConnectFault> {
    let address = pool.address();
    let tcp = TcpStream::connect(address).await.map_err(|error| ConnectFault::Connect(address, error))?;
    tcp.set_nodelay(true).map_err(|error| ConnectFault::Connect(address, error))?;
    let UpstreamTls::Mesh(expected) = pool.tls() else { return Ok(Stream::Plain(tcp)) };
    let identity = identity.ok_or(ConnectFault::NoIdentity)?;
    let config = identity
        .client_config(expected, protocol)
        .map_err(|error| ConnectFault::Identity(address, io::Error::other(error)))?;
    let name = ServerName::IpAddress(address.ip().into());
    let stream = TlsConnector::from(config)
        .connect(name, tcp)
        .await
        .map_err(|error| ConnectFault::Identity(address, error))?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// A new HTTP/1.1 connection.
pub(super) async fn http1(
    pool: &Pool,
    identity: Option<&Identity>,
    limit: Duration,
) -> Result<(http1::SendRequest<InBody>, Arc<Answers>), ConnectFault> {
    let stream = open_tcp(pool, identity, tls::HTTP11, limit).await?;
    let (stream, answers) = GuardedStream::new(stream, HeadLimits::default());
    let (sender, connection) = http1::Builder::new()
        // The guard's limits are narrower, so that it refuses first.
        .max_headers(HEADER_COUNT + 8)
        .max_buf_size(HEADER_BYTES * 2)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| ConnectFault::Http(pool.address(), error))?;
    tokio::spawn(async move {
        // The exchange that is under way learns of an error by itself.
        let _ = connection.with_upgrades().await;
    });
    Ok((sender, answers))
}

/// A new HTTP/2 connection.
pub(super) async fn http2(
    pool: &Pool,
    identity: Option<&Identity>,
    limit: Duration,
) -> Result<http2::SendRequest<InBody>, ConnectFault> {
    let stream = open_tcp(pool, identity, tls::H2, limit).await?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES as u32)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        // Until the peer has said how many streams it takes: what is refused for that would be lost.
        .initial_max_send_streams(1)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(RESET_STREAMS)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| ConnectFault::Http(pool.address(), error))?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use palisade_model::limits::CONNECT_TIMEOUT_MS;
    use tokio::net::TcpListener;

    use super::*;
    use crate::upstream::Pools;

    #[tokio::test]
    async fn a_connection_is_there_in_time_or_given_up_at_the_limit_handshake_included() {
        let limit = Duration::from_millis(CONNECT_TIMEOUT_MS);
        let identity = tls::tests::identity();
        // The system accepts for it, and nobody answers.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let pools = Pools::default();
        assert!(open_tcp(&pools.pool(address, &UpstreamTls::None), None, tls::HTTP11, limit).await.is_ok());
        // From here on nothing comes any more, and the time passes at once.
        tokio::time::pause();
        let mesh = pools.pool(address, &UpstreamTls::Mesh(vec![identity.principal()]));
        let begun = tokio::time::Instant::now();
        let late = open_tcp(&mesh, Some(&identity), tls::HTTP11, limit).await;
        assert!(matches!(late, Err(ConnectFault::Timeout(_))));
        // The clock stood between two of its ticks.
        assert!(
            (limit..=limit + Duration::from_millis(1)).contains(&begun.elapsed()),
            "{:?}",
            begun.elapsed()
        );
    }
}
