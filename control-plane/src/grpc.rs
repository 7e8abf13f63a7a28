//! The gRPC side: TLS with our own SVID, and the services on it.
//!
//! Promises: a handshake is bounded in time, connections in number; a client may come without a certificate, and what
//! it may then do is the services' business (only to ask for a first certificate).

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

/// How long a handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes at a time. A handshake costs about a millisecond of work, so this is a second's worth on two cores.
pub const HANDSHAKES: usize = 1024;
/// Connections that wait for the server to take them.
const READY: usize = 64;

/// The connections whose handshakes are done.
pub type Incoming = ReceiverStream<std::io::Result<TlsStream<TcpStream>>>;

/// Accepts connections and does their handshakes side by side, so that a slow one holds up nobody.
pub fn incoming(listener: TcpListener, config: Arc<ServerConfig>) -> Incoming {
    bounded(listener, config, HANDSHAKES, HANDSHAKE_TIMEOUT)
}

/// The same with other limits.
fn bounded(listener: TcpListener, config: Arc<ServerConfig>, handshakes: usize, time: Duration) -> Incoming {
    let (ready, incoming) = mpsc::channel(READY);
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(config);
        let places = Arc::new(Semaphore::new(handshakes));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = ready.closed() => return,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, mostly: going round at once would only burn the processor.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let (acceptor, ready) = (acceptor.clone(), ready.clone());
            tokio::spawn(async move {
                let _place = place;
                let _ = socket.set_nodelay(true);
                match tokio::time::timeout(time, acceptor.accept(socket)).await {
                    // The server may have gone down meanwhile.
                    Ok(Ok(stream)) => drop(ready.send(Ok(stream)).await),
                    Ok(Err(error)) => tracing::info!(%peer, %error, "handshake failed"),
                    Err(_) => tracing::info!(%peer, "handshake took too long"),
                }
            });
        }
    });
    ReceiverStream::new(incoming)
}

#[cfg(test)]
mod tests;
