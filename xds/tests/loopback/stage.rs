//! A server that records what it is told, and clients whose updates the test answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use palisade_model::documents::{Action, AuthorizationPolicy, AuthorizationPolicySpec, Metadata};
use palisade_model::{Policy, WorkloadId};
use palisade_xds::SnapshotCache;
use palisade_xds::client::{Client, ClientOptions, ClientStatus, PolicyUpdate};
use palisade_xds::server::{StatusSink, service};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Connected(Vec<String>),
    Acked(String),
    Nacked(String, String),
    Refused(String),
    Disconnected,
}

struct Recorder(mpsc::UnboundedSender<(WorkloadId, Seen)>);

impl Recorder {
    fn note(&self, workload: &WorkloadId, seen: Seen) {
        let _ = self.0.send((workload.clone(), seen));
    }
}

impl StatusSink for Recorder {
    fn connected(&self, workload: &WorkloadId, features: &[String]) {
        self.note(workload, Seen::Connected(features.to_vec()));
    }
    fn acked(&self, workload: &WorkloadId, version: &str) {
        self.note(workload, Seen::Acked(version.to_owned()));
    }
    fn nacked(&self, workload: &WorkloadId, version: &str, error: &str) {
        self.note(workload, Seen::Nacked(version.to_owned(), error.to_owned()));
    }
    fn refused(&self, workload: &WorkloadId, resource: &str) {
        self.note(workload, Seen::Refused(resource.to_owned()));
    }
    fn disconnected(&self, workload: &WorkloadId) {
        self.note(workload, Seen::Disconnected);
    }
}

/// A control plane on a runtime of its own, so that ending it cuts every connection.
pub struct Stage {
    pub cache: SnapshotCache,
    pub address: SocketAddr,
    pub seen: mpsc::UnboundedReceiver<(WorkloadId, Seen)>,
    sink: Arc<Recorder>,
    runtime: Option<Runtime>,
}

impl Stage {
    pub async fn new() -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let sink = Arc::new(Recorder(sender));
        let cache = SnapshotCache::new();
        let (address, runtime) = listen(cache.clone(), sink.clone(), "127.0.0.1:0".parse().unwrap()).await;
        Self { cache, address, seen, sink, runtime: Some(runtime) }
    }

    /// Cuts all connections and listens again on the same address.
    pub async fn restart(&mut self) {
        let runtime = self.runtime.take().unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(10))).await.unwrap();
        let (_, runtime) = listen(self.cache.clone(), self.sink.clone(), self.address).await;
        self.runtime = Some(runtime);
    }

    pub async fn next(&mut self) -> Seen {
        within(self.seen.recv()).await.expect("the server is there").1
    }

    /// The next event that is not a connection's beginning or end.
    pub async fn next_status(&mut self) -> Seen {
        loop {
            match self.next().await {
                Seen::Connected(_) | Seen::Disconnected => {}
                other => return other,
            }
        }
    }

    pub async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn listen(cache: SnapshotCache, sink: Arc<Recorder>, address: SocketAddr) -> (SocketAddr, Runtime) {
    // As the control plane would by certificate: nobody may speak for the workload called `stranger`.
    let authorize = Arc::new(|_: &tonic::Extensions, claimed: &WorkloadId| match claimed.name.as_str() {
        "stranger" => Err(tonic::Status::permission_denied("not your workload")),
        _ => Ok(()),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (bound, address_of) = tokio::sync::oneshot::channel();
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        bound.send(listener.local_addr().unwrap()).unwrap();
        let server = Server::builder().add_service(service(cache, authorize, sink));
        let _ = server.serve_with_incoming(TcpListenerStream::new(listener)).await;
    });
    (within(address_of).await.unwrap(), runtime)
}

/// A sidecar under test.
pub struct Sidecar {
    pub updates: mpsc::Receiver<PolicyUpdate>,
    pub status: watch::Receiver<ClientStatus>,
    task: JoinHandle<()>,
}

impl Sidecar {
    pub fn new(address: SocketAddr, workload: &WorkloadId, last_good: Option<Arc<Policy>>) -> Self {
        let client = Client::new(workload.clone(), last_good, quick()).unwrap();
        Self::start(address, client)
    }

    pub fn start(address: SocketAddr, client: Client) -> Self {
        let status = client.status();
        let (sender, updates) = mpsc::channel(1);
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let task = tokio::spawn(client.run(move || endpoint.clone().connect_owned(), sender));
        Self { updates, status, task }
    }

    pub async fn update(&mut self) -> PolicyUpdate {
        within(self.updates.recv()).await.expect("the client runs")
    }

    pub async fn until(&mut self, holds: impl Fn(&ClientStatus) -> bool) -> ClientStatus {
        within(self.status.wait_for(|status| holds(status))).await.expect("the client runs").clone()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `connect` as a future that owns its endpoint.
trait ConnectOwned {
    fn connect_owned(self) -> impl Future<Output = Result<Channel, tonic::transport::Error>> + Send;
}

impl ConnectOwned for Endpoint {
    async fn connect_owned(self) -> Result<Channel, tonic::transport::Error> {
        self.connect().await
    }
}

pub fn quick() -> ClientOptions {
    ClientOptions {
        backoff_min: Duration::from_millis(5),
        backoff_max: Duration::from_millis(50),
        completion: Duration::from_millis(50),
    }
}

/// A test that hangs fails instead.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("nothing happened for a minute")
}

pub fn web() -> WorkloadId {
    WorkloadId::local("shop", "web")
}

/// An authorization policy called `name`; `revision` changes its content.
pub fn authorization(name: &str, revision: usize) -> AuthorizationPolicy {
    AuthorizationPolicy {
        api_version: "security.istio.io/v1".into(),
        kind: "AuthorizationPolicy".into(),
        metadata: Metadata {
            name: name.into(),
            namespace: "shop".into(),
            annotations: [("revision".to_owned(), revision.to_string())].into(),
            ..Metadata::default()
        },
        spec: AuthorizationPolicySpec { action: Action::Deny, ..Default::default() },
    }
}

/// `count` authorization policies at revision 0, the first at `revision`.
pub fn policy(count: usize, revision: usize) -> Policy {
    let revision_of = |index| if index == 0 { revision } else { 0 };
    Policy {
        authorization: (0..count)
            .map(|index| authorization(&format!("policy-{index}"), revision_of(index)))
            .collect(),
        ..Policy::empty(web())
    }
}
