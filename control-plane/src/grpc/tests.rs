//! Handshakes: how many at a time, and for how long.

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use palisade_identity::authority::{ROOT_VALIDITY, SVID_VALIDITY};
use palisade_identity::{CertificateAuthority, ClientAuth, IdentityStore, Svid, WorkloadKey};
use palisade_model::Principal;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt;

use super::*;

/// No handshake of these tests takes so long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    palisade_identity::install_crypto();
    let authority = CertificateAuthority::create("mesh.example", SystemTime::now(), ROOT_VALIDITY).unwrap();
    let principal = Principal::new("mesh.example", "system", "control").unwrap();
    let key = WorkloadKey::generate().unwrap();
    let request = key.signing_request().unwrap();
    let issued = authority.sign(&request, &principal, SVID_VALIDITY, SystemTime::now()).unwrap();
    let svid = Svid::from_issued(issued.chain, &key, vec![authority.root().clone()]).unwrap();
    let store = IdentityStore::new(svid);
    let server = store.server_config(ClientAuth::Optional, &[b"h2"]).unwrap();
    (server, store.client_config(vec![principal], &[b"h2"]).unwrap())
}

/// A server with these limits, and how to reach it.
async fn server(handshakes: usize, time: Duration) -> (Incoming, SocketAddr, TlsConnector) {
    let (server, client) = configs();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (bounded(listener, server, handshakes, time), address, TlsConnector::from(client))
}

/// Connections that say nothing.
async fn silent(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        sockets.push(TcpStream::connect(address).await.unwrap());
    }
    sockets
}

/// How long an honest client waits for its handshake.
async fn honest(incoming: &mut Incoming, address: SocketAddr, tls: &TlsConnector) -> Duration {
    let begun = Instant::now();
    let client = async {
        let socket = TcpStream::connect(address).await.unwrap();
        tls.connect(ServerName::IpAddress(address.ip().into()), socket).await.unwrap()
    };
    let both = async { tokio::join!(client, incoming.next()) };
    let (_client, accepted) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    assert!(accepted.unwrap().is_ok());
    begun.elapsed()
}

#[tokio::test]
async fn silent_handshakes_hold_up_others_only_where_there_are_as_many_as_are_allowed() {
    const PLACES: usize = 8;
    // Long enough that it cannot be mistaken for a slow machine, and a wait for it is seen.
    let time = Duration::from_secs(5);
    for (count, waits) in [(PLACES - 2, false), (PLACES - 1, false), (PLACES, true), (PLACES + 1, true)] {
        let (mut incoming, address, tls) = server(PLACES, time).await;
        let sockets = silent(address, count).await;
        let took = honest(&mut incoming, address, &tls).await;
        assert_eq!(took > time / 2, waits, "{count} are silent: {took:?}");
        drop(sockets);
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_end_gives_its_place_back_in_time() {
    let (mut incoming, address, tls) = server(1, Duration::from_millis(50)).await;
    let sockets = silent(address, 20).await;
    honest(&mut incoming, address, &tls).await;
    drop(sockets);
    // The same after a client that breaks off at once.
    drop(silent(address, 20).await);
    honest(&mut incoming, address, &tls).await;
}

#[test]
fn the_limits_in_force_leave_room_for_a_mesh_that_comes_back_at_once() {
    assert_eq!(
        (HANDSHAKES, HANDSHAKE_TIMEOUT),
        (1024, Duration::from_secs(10)),
        "other limits are another decision"
    );
}
