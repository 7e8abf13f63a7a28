//! Two sidecars and an application: outbound listener → mTLS → inbound listener → application.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use palisade_identity::{CertificateAuthority, IdentityStore, Svid, WorkloadKey};
use palisade_model::policy::{ListenerRole, UpstreamTls};
use palisade_model::{Policy, Principal, Protocol};
use palisade_proxy::tls::Identity;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{
    OK, PATIENCE, RawClient, RawOrigin, World, authorization, cluster_to, local, route_to, workload,
};

const HOUR: Duration = Duration::from_secs(3600);

pub struct Mesh {
    pub authority: CertificateAuthority,
}

impl Mesh {
    pub fn new() -> Self {
        palisade_identity::install_crypto();
        Self {
            authority: CertificateAuthority::create("cluster.local", SystemTime::now(), HOUR * 24).unwrap(),
        }
    }

    pub fn svid(&self, account: &str) -> Svid {
        let key = WorkloadKey::generate().unwrap();
        let csr = key.signing_request().unwrap();
        let issued = self.authority.sign(&csr, &principal(account), HOUR, SystemTime::now()).unwrap();
        Svid::from_issued(issued.chain, &key, vec![self.authority.root().clone()]).unwrap()
    }

    pub fn identity(&self, account: &str) -> Identity {
        Identity::new(IdentityStore::new(self.svid(account))).unwrap()
    }
}

pub fn principal(account: &str) -> Principal {
    Principal::new("cluster.local", "shop", account).unwrap()
}

fn inbound(application: SocketAddr, protocol: Protocol) -> ListenerRole {
    ListenerRole::Inbound { application, port: None, protocol }
}

/// A server's sidecar that allows `allowed` only.
fn server(mesh: &Mesh, application: SocketAddr, protocol: Protocol, allowed: &str) -> (World, SocketAddr) {
    let world = World::new(Some(mesh.identity("server")));
    world.enforce(allows(allowed), "1");
    let address = world.listen("inbound", inbound(application, protocol));
    (world, address)
}

fn allows(account: &str) -> Policy {
    let mut policy = Policy::empty(workload());
    let from = json!([{"source": {"principals": [principal(account).to_string()]}}]);
    policy.authorization =
        vec![authorization("callers", json!({"action": "ALLOW", "rules": [{"from": from}]}))];
    policy
}

/// A client's sidecar with an outbound HTTP listener to `server`.
fn client(
    mesh: &Mesh,
    account: &str,
    to: SocketAddr,
    protocol: Protocol,
    expected: &str,
) -> (World, SocketAddr) {
    let world = World::new(Some(mesh.identity(account)));
    let mut policy = Policy::empty(workload());
    let tls = UpstreamTls::Mesh(vec![principal(expected)]);
    policy.clusters = vec![cluster_to("server", to, protocol, tls)];
    policy.routes = vec![route_to("server", &[])];
    world.enforce(policy, "1");
    let address = world.listen("outbound", ListenerRole::OutboundHttp);
    (world, address)
}

const GET: &str = "GET /a HTTP/1.1\r\nhost: server.shop\r\n\r\n";

async fn get(address: SocketAddr) -> u16 {
    let mut client = RawClient::connect(address).await;
    client.send(GET).await;
    client.response().await.expect("an answer").0
}

#[tokio::test]
async fn an_allowed_principal_reaches_the_application_and_another_does_not() {
    let mesh = Mesh::new();
    let origin = RawOrigin::start(OK).await;
    let (server_world, server) = server(&mesh, origin.address, Protocol::Http, "web");
    let (_web, web) = client(&mesh, "web", server, Protocol::Http, "server");
    let (_intruder, intruder) = client(&mesh, "intruder", server, Protocol::Http, "server");
    assert_eq!(get(web).await, 200);
    assert_eq!(get(intruder).await, 403);
    let seen = origin.text();
    assert_eq!(seen.matches("GET /a").count(), 1, "{seen}");
    assert!(
        seen.contains("URI=spiffe://cluster.local/ns/shop/sa/web")
            && seen.contains("By=spiffe://cluster.local"),
        "{seen}"
    );
    let records = server_world.records.wait(2).await;
    let principals: Vec<_> =
        records.iter().map(|record| record.connection.principal.clone().unwrap()).collect();
    assert_eq!(principals, [principal("web").to_string(), principal("intruder").to_string()]);
}

#[tokio::test]
async fn a_server_that_is_not_the_expected_one_gets_no_request() {
    let mesh = Mesh::new();
    let origin = RawOrigin::start(OK).await;
    let (_server, server) = server(&mesh, origin.address, Protocol::Http, "web");
    let (world, web) = client(&mesh, "web", server, Protocol::Http, "somebody-else");
    assert_eq!(get(web).await, 503);
    world.records.wait(1).await;
    assert_eq!(world.plane.telemetry.metrics.refusals("outbound", "upstream_identity"), 1);
    assert_eq!(origin.text(), "");
}

#[tokio::test]
async fn an_identity_of_another_authority_is_refused_in_the_handshake() {
    let (ours, theirs) = (Mesh::new(), Mesh::new());
    let origin = RawOrigin::start(OK).await;
    let (world, server) = server(&ours, origin.address, Protocol::Http, "web");
    let (_client, web) = client(&theirs, "web", server, Protocol::Http, "server");
    assert_eq!(get(web).await, 503);
    world.records.wait(1).await;
    assert_eq!(world.plane.telemetry.metrics.refusals("inbound", "tls_handshake"), 1);
    assert_eq!(origin.text(), "");
}

#[tokio::test]
async fn tls_65_plaintext_to_an_inbound_port_is_closed_and_counted() {
    let mesh = Mesh::new();
    let origin = RawOrigin::start(OK).await;
    let (world, server) = server(&mesh, origin.address, Protocol::Http, "web");
    let mut client = RawClient::connect(server).await;
    client.send(GET).await;
    assert_eq!(client.rest().await, "", "not a byte comes back");
    world.records.wait(1).await;
    assert_eq!(world.plane.telemetry.metrics.refusals("inbound", "plaintext"), 1);
    assert_eq!(origin.text(), "");
}

/// Echoes every connection's bytes.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind(local()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

/// A client's sidecar with an outbound TCP listener to `server`.
fn tcp_client(mesh: &Mesh, account: &str, to: SocketAddr) -> (World, SocketAddr) {
    let world = World::new(Some(mesh.identity(account)));
    let mut policy = Policy::empty(workload());
    let tls = UpstreamTls::Mesh(vec![principal("server")]);
    policy.clusters = vec![cluster_to("server", to, Protocol::Tcp, tls)];
    world.enforce(policy, "1");
    let address = world.listen("tcp", ListenerRole::OutboundTcp { cluster: "server".into() });
    (world, address)
}

async fn echoes(stream: &mut TcpStream, text: &[u8]) -> bool {
    let exchanged = async {
        stream.write_all(text).await?;
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).await?;
        std::io::Result::Ok(back == text)
    };
    tokio::time::timeout(PATIENCE, exchanged).await.expect("the echo hangs").unwrap_or(false)
}

#[tokio::test]
async fn opaque_bytes_flow_until_a_new_policy_refuses_the_open_connection() {
    let mesh = Mesh::new();
    let (server_world, server) = server(&mesh, echo().await, Protocol::Tcp, "web");
    let (_web, web) = tcp_client(&mesh, "web", server);
    let (_intruder, intruder) = tcp_client(&mesh, "intruder", server);
    let mut allowed = TcpStream::connect(web).await.unwrap();
    assert!(echoes(&mut allowed, b"hello").await);
    let mut refused = TcpStream::connect(intruder).await.unwrap();
    assert!(!echoes(&mut refused, b"hello").await, "the intruder is closed");

    server_world.enforce(allows("web"), "2");
    assert!(echoes(&mut allowed, b"still").await, "a policy that allows it again leaves it open");
    server_world.enforce(allows("intruder"), "3");
    let mut end = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, allowed.read_to_end(&mut end)).await;
    assert!(ended.is_ok() && end.is_empty(), "the open connection ends at the swap");
    assert_eq!(server_world.plane.telemetry.metrics.refusals("inbound", "authorization_not_allowed"), 2);
}

#[tokio::test]
async fn certificates_rotate_under_load_without_a_failed_request() {
    const ROTATIONS: u64 = 20;
    let mesh = Mesh::new();
    let origin = RawOrigin::start(OK).await;
    let (server_world, server) = server(&mesh, origin.address, Protocol::Http, "web");
    let (client_world, web) = client(&mesh, "web", server, Protocol::Http, "server");
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let stop = stop.clone();
            tokio::spawn(async move {
                let mut client = RawClient::connect(web).await;
                let mut count = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    client.send(GET).await;
                    assert_eq!(client.response().await.expect("an answer").0, 200);
                    count += 1;
                }
                count
            })
        })
        .collect();
    for round in 0..ROTATIONS {
        let before = origin.text().len();
        for (world, account) in [(&server_world, "server"), (&client_world, "web")] {
            let store = world.plane.identity().unwrap().store().clone();
            assert_eq!(store.rotate(mesh.svid(account)).unwrap(), round + 2);
        }
        // The next rotation waits until requests went through under this one.
        while origin.text().len() == before {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut sum = 0;
    for task in load {
        sum += task.await.unwrap();
    }
    assert!(sum >= ROTATIONS, "{sum} requests over {ROTATIONS} rotations");
}
