//! What the tests are played on: an origin that remembers, a data plane, and a client that speaks bytes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use palisade_model::documents::AuthorizationPolicy;
use palisade_model::policy::{
    ClientAddress, Cluster, Endpoint, Listener, ListenerRole, Route, UpstreamTls, WeightedCluster,
};
use palisade_model::{Policy, Protocol, RequestRecord, WorkloadId};
use palisade_proxy::listener::Bound;
use palisade_proxy::plane::Plane;
use palisade_proxy::policy::Active;
use palisade_proxy::telemetry::{Sink, Telemetry};
use palisade_proxy::tls::Identity;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Nothing in these tests takes this long; whoever waits longer waits for something that does not come.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn local() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

pub fn workload() -> WorkloadId {
    WorkloadId::local("shop", "web")
}

/// Keeps every record.
#[derive(Debug, Default)]
pub struct Records(pub Mutex<Vec<RequestRecord>>);

impl Sink for Records {
    fn record(&self, record: RequestRecord) {
        self.0.lock().unwrap().push(record);
    }

    fn wants_flows(&self) -> bool {
        true
    }
}

impl Records {
    pub fn all(&self) -> Vec<RequestRecord> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until there are so many: a record is written when the last byte of its exchange left.
    pub async fn wait(&self, count: usize) -> Vec<RequestRecord> {
        let waited = async {
            while self.0.lock().unwrap().len() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.expect("a record is missing");
        self.all()
    }
}

pub struct World {
    pub plane: Arc<Plane>,
    pub records: Arc<Records>,
}

impl World {
    pub fn new(identity: Option<Identity>) -> Self {
        let records = Arc::new(Records::default());
        let telemetry = Telemetry::new(&workload(), Some(records.clone()), false);
        Self { plane: Plane::new(workload(), identity, telemetry), records }
    }

    /// A world with a gateway listener in front of one origin.
    pub async fn gateway(origin: SocketAddr, change: impl FnOnce(&mut Policy)) -> (Self, SocketAddr) {
        let world = Self::new(None);
        let mut policy = policy_to(origin, Protocol::Http);
        change(&mut policy);
        world.enforce(policy, "1");
        let role =
            ListenerRole::Gateway { certificates: Vec::new(), client_address: ClientAddress::default() };
        let address = world.listen("edge", role);
        (world, address)
    }

    pub fn enforce(&self, policy: Policy, version: &str) {
        let before = self.plane.current.load();
        let active = Active::compile(Arc::new(policy), version, Some(&before), &self.plane.pools).unwrap();
        self.plane.current.store(active);
    }

    pub fn listen(&self, name: &str, role: ListenerRole) -> SocketAddr {
        let listener = Listener { name: name.into(), address: local(), role };
        let bound = Bound::bind(&listener, &self.plane).unwrap();
        let address = bound.address();
        tokio::spawn(bound.run(self.plane.clone()));
        address
    }
}

pub fn cluster_to(name: &str, origin: SocketAddr, protocol: Protocol, tls: UpstreamTls) -> Cluster {
    Cluster { name: name.into(), endpoints: vec![Endpoint { address: origin, weight: 1 }], protocol, tls }
}

pub fn route_to(cluster: &str, listeners: &[&str]) -> Route {
    Route {
        name: format!("to-{cluster}"),
        listeners: listeners.iter().map(|name| (*name).to_owned()).collect(),
        hosts: Vec::new(),
        ports: Vec::new(),
        matches: Vec::new(),
        backends: vec![WeightedCluster { cluster: cluster.into(), weight: 1 }],
        timeout_ms: None,
    }
}

pub fn policy_to(origin: SocketAddr, protocol: Protocol) -> Policy {
    let mut policy = Policy::empty(workload());
    policy.clusters = vec![cluster_to("origin", origin, protocol, UpstreamTls::None)];
    policy.routes = vec![route_to("origin", &["edge"])];
    policy
}

/// An AuthorizationPolicy from YAML-shaped JSON.
pub fn authorization(name: &str, spec: serde_json::Value) -> AuthorizationPolicy {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    }))
    .unwrap()
}

/// Puts rules before the origin: a WafPolicy that blocks, with the default limits.
pub fn waf(policy: &mut Policy, rules: &str) {
    let metadata = |name: &str| serde_json::json!({"name": name, "namespace": "shop"});
    let document = |kind: &str, name: &str, spec: serde_json::Value| {
        serde_json::json!({
            "apiVersion": "palisade.dev/v1alpha1", "kind": kind, "metadata": metadata(name), "spec": spec,
        })
    };
    let sources = serde_json::json!({"sources": [{"name": "rules.conf", "text": rules}]});
    policy.rule_sets = vec![serde_json::from_value(document("RuleSet", "rules", sources)).unwrap()];
    let spec = serde_json::json!({"ruleSet": "rules", "mode": "block"});
    policy.waf = vec![serde_json::from_value(document("WafPolicy", "waf", spec)).unwrap()];
}

/// Answers every connection with a fixed text per request head and remembers all bytes it saw.
pub struct RawOrigin {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<u8>>>,
}

impl RawOrigin {
    /// `answer` is sent each time a head (`\r\n\r\n`) is complete.
    pub async fn start(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind(local()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (seen.clone(), answer.into());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (log, answer) = (log.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut buffer = vec![0; 65536];
                    let mut pending: Vec<u8> = Vec::new();
                    loop {
                        let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
                        log.lock().unwrap().extend_from_slice(&buffer[..read]);
                        pending.extend_from_slice(&buffer[..read]);
                        while let Some(end) = find(&pending, b"\r\n\r\n") {
                            let part: Vec<u8> = pending.drain(..end + 4).collect();
                            // The end of a chunked body looks like the end of a head.
                            if part.ends_with(b"0\r\n\r\n") && find(&part, b" HTTP/1.").is_none() {
                                continue;
                            }
                            if stream.write_all(&answer).await.is_err() {
                                return;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }
}

pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A client that speaks bytes.
pub struct RawClient {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl RawClient {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    async fn more(&mut self) -> usize {
        let mut piece = vec![0; 16384];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut piece)).await.expect("no answer");
        let read = read.unwrap_or(0);
        self.buffer.extend_from_slice(&piece[..read]);
        read
    }

    /// One response with a Content-Length: status, head in lower case, body.
    pub async fn response(&mut self) -> Option<(u16, String, Vec<u8>)> {
        let head_end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if self.more().await == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).to_lowercase();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.trim().parse().unwrap());
        while self.buffer.len() < head_end + length {
            if self.more().await == 0 {
                return None;
            }
        }
        let body = self.buffer[head_end..head_end + length].to_vec();
        self.buffer.drain(..head_end + length);
        Some((status, head, body))
    }

    /// The head of a response, in lower case; its body stays to be read.
    pub async fn head(&mut self) -> String {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let rest = self.buffer.split_off(end + 4);
                return String::from_utf8_lossy(&std::mem::replace(&mut self.buffer, rest)).to_lowercase();
            }
            assert!(self.more().await > 0, "the connection ended before a head");
        }
    }

    /// Everything until the other side closes.
    pub async fn rest(&mut self) -> String {
        while self.more().await > 0 {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }
}

pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
