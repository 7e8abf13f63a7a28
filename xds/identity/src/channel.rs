//! A gRPC channel over TLS that we configure ourselves.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::Service;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::IdentityError;

/// How long a connection to the control plane may take, handshake included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often an idle connection to the control plane is probed, so that a dead one is noticed.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Connects to `address` (`host:port`) with this TLS configuration, which decides whom to trust; the host is only
/// where to connect.
pub async fn connect(address: &str, config: Arc<ClientConfig>) -> Result<Channel, IdentityError> {
    endpoint(address)?
        .connect_with_connector(Connector::new(address, config))
        .await
        .map_err(|error| IdentityError::Service(chain_of(&error)))
}

/// Like [`connect`], but connects at the first call and again after every loss.
pub fn connect_lazily(address: &str, config: Arc<ClientConfig>) -> Result<Channel, IdentityError> {
    Ok(endpoint(address)?.connect_with_connector_lazy(Connector::new(address, config)))
}

/// An error with its causes, since the outermost sentence of a transport error says nothing.
pub(crate) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let sentence = inner.to_string();
        if !text.contains(&sentence) {
            text.push_str(": ");
            text.push_str(&sentence);
        }
        cause = inner.source();
    }
    text
}

fn endpoint(address: &str) -> Result<Endpoint, IdentityError> {
    let invalid = |_| IdentityError::Service(format!("{address:?} is not host:port"));
    // TLS is ours, below: tonic must not start its own.
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(invalid)?;
    if endpoint.uri().port_u16().is_none() || endpoint.uri().path() != "/" {
        return Err(IdentityError::Service(format!("{address:?} is not host:port")));
    }
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_while_idle(true))
}

#[derive(Clone)]
struct Connector {
    address: Arc<str>,
    tls: TlsConnector,
}

impl Connector {
    fn new(address: &str, config: Arc<ClientConfig>) -> Self {
        Self { address: address.into(), tls: TlsConnector::from(config) }
    }
}

type Connecting = Pin<Box<dyn Future<Output = std::io::Result<TokioIo<TlsStream<TcpStream>>>> + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = std::io::Error;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { address, tls } = self.clone();
        Box::pin(async move {
            let socket = TcpStream::connect(&*address).await?;
            socket.set_nodelay(true)?;
            // The verifier looks at the SPIFFE ID and never at this name; SNI is not sent.
            let name = ServerName::try_from("control-plane.palisade-system.invalid")
                .map_err(std::io::Error::other)?;
            Ok(TokioIo::new(tls.connect(name, socket).await?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_host_and_port_and_nothing_else() {
        for good in ["127.0.0.1:15010", "[::1]:15010", "control-plane.example:443"] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in ["", "127.0.0.1", ":", "http://a:1", "a:1/path", "a b:1", "a:99999"] {
            assert!(endpoint(bad).is_err(), "{bad:?}");
        }
    }
}
