//! What only a gateway takes: ordinary TLS with certificates by SNI, the PROXY protocol, proxies in front.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use palisade_model::Protocol;
use palisade_model::policy::{ClientAddress, ListenerRole};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::world::{OK, RawClient, RawOrigin, World, policy_to};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Writes a self-signed certificate for these names and gives its DER.
fn certificate(directory: &Path, file: &str, names: &[&str]) -> CertificateDer<'static> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(directory.join(format!("{file}.key")), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(directory.join(format!("{file}.crt")), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

/// Shakes hands for a name; gives the certificate that was shown, and the answer to one request.
async fn shown(
    edge: SocketAddr,
    name: &str,
    roots: &[CertificateDer<'static>],
) -> (CertificateDer<'static>, String) {
    let mut store = rustls::RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).unwrap();
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(store).with_no_client_auth();
    let tcp = TcpStream::connect(edge).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text).await;
    let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
    (leaf, text)
}

#[tokio::test]
async fn a_gateway_shows_the_certificate_of_the_name_and_a_new_one_without_a_restart() {
    palisade_identity::install_crypto();
    let directory = tempfile::tempdir().unwrap();
    let shop = certificate(directory.path(), "shop", &["shop.example"]);
    let wild = certificate(directory.path(), "wild", &["*.other.example"]);
    certificate(directory.path(), "unnamed", &["secret.example"]);
    let origin = RawOrigin::start(OK).await;
    let world = World::new(None);
    world.enforce(policy_to(origin.address, Protocol::Http), "1");
    world.plane.certificates.load(directory.path());
    let certificates = vec!["shop".to_owned(), "wild".to_owned()];
    let edge = world
        .listen("edge", ListenerRole::Gateway { certificates, client_address: ClientAddress::default() });
    let roots = [shop.clone(), wild.clone()];
    let (leaf, answer) = shown(edge, "shop.example", &roots).await;
    assert!(leaf == shop && answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(origin.text().contains("x-forwarded-proto: https"), "{}", origin.text());
    assert!(shown(edge, "a.other.example", &roots).await.0 == wild, "a wildcard");

    let renewed = certificate(directory.path(), "shop", &["shop.example"]);
    std::fs::write(directory.path().join("wild.crt"), "not a certificate").unwrap();
    world.plane.certificates.load(directory.path());
    let roots = [renewed.clone(), wild.clone()];
    assert!(shown(edge, "shop.example", &roots).await.0 == renewed, "the new one is in use");
    assert!(shown(edge, "a.other.example", &roots).await.0 == wild, "a broken one keeps the one before");

    let mut plain = RawClient::connect(edge).await;
    plain.send(GET).await;
    assert_eq!(plain.rest().await, "", "plain HTTP to a TLS port is closed");
}

async fn edge_with(client_address: ClientAddress) -> (RawOrigin, World, SocketAddr) {
    let origin = RawOrigin::start(OK).await;
    let world = World::new(None);
    world.enforce(policy_to(origin.address, Protocol::Http), "1");
    let edge = world.listen("edge", ListenerRole::Gateway { certificates: Vec::new(), client_address });
    (origin, world, edge)
}

#[tokio::test]
async fn the_proxy_protocol_names_the_client_or_the_connection_is_closed() {
    let (origin, world, edge) = edge_with(ClientAddress { trusted_hops: 0, proxy_protocol: true }).await;
    let mut first = RawClient::connect(edge).await;
    first.send(format!("PROXY TCP4 192.0.2.7 10.0.0.1 5000 80\r\n{GET}")).await;
    assert!(first.rest().await.starts_with("HTTP/1.1 200"));
    let mut second = RawClient::connect(edge).await;
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x09\x0a\0\0\x01\x10\0\0\x50".to_vec();
    bytes.extend_from_slice(GET.as_bytes());
    second.send(bytes).await;
    assert!(second.rest().await.starts_with("HTTP/1.1 200"));
    for client in ["192.0.2.7", "198.51.100.9"] {
        assert!(origin.text().contains(&format!("x-forwarded-for: {client}\r\n")), "{}", origin.text());
    }
    let mut without = RawClient::connect(edge).await;
    without.send(GET).await;
    assert_eq!(without.rest().await, "");
    let records = world.records.wait(3).await;
    assert!(records[0].connection.client.starts_with("192.0.2.7:"), "{:?}", records[0].connection);
    assert_eq!(world.plane.telemetry.metrics.refusals("edge", "proxy_protocol"), 1);
}

#[tokio::test]
async fn trusted_hops_decide_the_client_and_the_rest_of_the_list_is_only_passed_on() {
    let (origin, world, edge) = edge_with(ClientAddress { trusted_hops: 1, proxy_protocol: false }).await;
    let mut client = RawClient::connect(edge).await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 6.6.6.6, 192.0.2.7\r\nconnection: close\r\n\r\n")
        .await;
    assert!(client.rest().await.starts_with("HTTP/1.1 200"));
    assert!(
        origin.text().contains("x-forwarded-for: 6.6.6.6, 192.0.2.7, 127.0.0.1\r\n"),
        "{}",
        origin.text()
    );
    world.records.wait(1).await;
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_counted() {
    let origin = RawOrigin::start(OK).await;
    let (world, edge) = World::gateway(origin.address, |policy| policy.limits.connections = 2).await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut client = RawClient::connect(edge).await;
        client.send(request).await;
        assert_eq!(client.response().await.unwrap().0, 200);
        kept.push(client);
    }
    let mut third = RawClient::connect(edge).await;
    let _ = third.try_send(request).await;
    assert!(third.response().await.is_none(), "over the limit");
    assert_eq!(world.plane.telemetry.metrics.refusals("edge", "limit_connections"), 1);
    drop(kept);
    // A place is free again as soon as the proxy has seen the end of one.
    while world.plane.connections.used() > 1 {
        tokio::task::yield_now().await;
    }
    let mut fourth = RawClient::connect(edge).await;
    fourth.send(request).await;
    assert_eq!(fourth.response().await.unwrap().0, 200);
}
