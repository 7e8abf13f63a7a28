//! `palisade serve`: the whole control plane, started step by step.
//!
//! Promises: when [`start`] returns, both addresses answer and everything that was in force before is in force again;
//! [`Running::stop`] ends everything. A bad directory at the start is logged and shown, and does not keep the control
//! plane from serving what it has.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use palisade_identity::bootstrap::control_plane_principal;
use palisade_identity::rotation::renew_at;
use palisade_identity::service::certificates;
use palisade_identity::{CertificateAuthority, ClientAuth, IdentityError, IdentityStore, Svid, WorkloadKey};
use palisade_index::Settings;
use palisade_store::{Role, Store, StoreError};
use palisade_xds::SnapshotCache;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admission::{Admission, Problem, Refused};
use crate::attestation::{JoinTokens, OwnWorkload};
use crate::clock::now_ms;
use crate::credentials::{self, CredentialError, NewToken};
use crate::events::{EventSink, ProvenSender};
use crate::rest::{self, Api};
use crate::sidecars::Sidecars;
use crate::state_dir::{self, StateDir, StateError};
use crate::{directory, grpc};

/// How long open calls may take to end after a stop was asked for. Sidecars' streams never end by themselves, so this
/// is how long every stop takes while sidecars are connected.
const DRAIN: Duration = Duration::from_secs(2);

/// What to serve, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The private state directory.
    pub state_dir: PathBuf,
    /// A directory of documents to watch.
    pub documents: Option<PathBuf>,
    /// Where ADS, certificates and OTLP are served.
    pub listen_grpc: SocketAddr,
    /// Where REST is served, in plain HTTP.
    pub listen_rest: SocketAddr,
    /// The trust domain.
    pub trust_domain: String,
    /// Policies in it select workloads of every namespace.
    pub root_namespace: String,
    /// How long a workload's certificate is valid.
    pub svid_ttl: Duration,
    /// Where the first admin token is written.
    pub admin_token_file: Option<PathBuf>,
}

/// Why the control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store holds.
    #[error("the documents in the store: {0}")]
    Documents(#[from] Refused),
    /// The control plane's own identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The first token.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// An address.
    #[error("{address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
}

/// A control plane that runs.
#[derive(Debug)]
pub struct Running {
    /// Where gRPC is served.
    pub grpc: SocketAddr,
    /// Where REST is served.
    pub rest: SocketAddr,
    /// The first admin token, if this was the first start.
    pub first_token: Option<String>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Ends everything; open calls get a few seconds.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, ended).await.is_err() {
            self.tasks.abort_all();
        }
    }
}

/// Starts the control plane.
pub async fn start(options: Options) -> Result<Running, ServeError> {
    palisade_identity::install_crypto();
    // 1. The private state: certificate authority and database.
    let state = StateDir::open(&options.state_dir)?;
    let now = SystemTime::now();
    let place = state.root_certificate();
    let authority = Arc::new(state_dir::certificate_authority(&state, &options.trust_domain, &place, now)?);
    let store = Store::open(&state.database()).await?;
    // 2. The first token, once.
    let first_token = first_token(&store, &options).await?;
    // 3. Everything that was in force, published.
    let settings = Settings {
        trust_domain: options.trust_domain.clone(),
        root_namespace: options.root_namespace.clone(),
        ..Settings::default()
    };
    let cache = SnapshotCache::new();
    let admission = Admission::open(store.clone(), cache.clone(), settings).await?;
    // 4. The directory as it is now, before anybody is served.
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    if let Some(path) = options.documents.clone() {
        let mut watcher = Watcher { path, admission: admission.clone(), seen: None };
        watcher.look().await;
        tasks.spawn(watcher.watch(stopped.clone()));
    }
    // 5. Our own identity, and its renewal.
    let identity = IdentityStore::new(own_svid(&authority, options.svid_ttl)?);
    let renewal = renew(identity.clone(), authority.clone(), options.svid_ttl, stopped.clone());
    tasks.spawn(renewal);
    // 6. gRPC: certificates, ADS, OTLP.
    let (listener, grpc) = bind(options.listen_grpc).await?;
    let sidecars = Sidecars::open(store.clone()).await?;
    let events = EventSink::new(store.clone());
    let tls = identity.server_config(ClientAuth::Optional, &[b"h2"])?;
    let bundle = Arc::new(ArcSwap::from_pointee(vec![authority.root().clone()]));
    let attestor = JoinTokens { store: store.clone(), admission: admission.clone() };
    let authorize = Arc::new(OwnWorkload { admission: admission.clone() });
    let sender = Arc::new(ProvenSender { admission: admission.clone() });
    let (logs, traces, metrics) = palisade_telemetry::receiver::services(Arc::new(events.clone()), sender);
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .add_service(certificates(authority.clone(), bundle, options.svid_ttl, attestor))
        .add_service(palisade_xds::server::service(cache, authorize, Arc::new(sidecars.clone())))
        .add_service(logs)
        .add_service(traces)
        .add_service(metrics);
    let incoming = grpc::incoming(listener, tls);
    let ended = until_stopped(stopped.clone());
    tasks.spawn(async move {
        if let Err(error) = server.serve_with_incoming_shutdown(incoming, ended).await {
            tracing::error!(%error, "gRPC ended");
        }
    });
    // 7. REST.
    let (listener, rest) = bind(options.listen_rest).await?;
    let api = Api { admission, store, sidecars, events, authority };
    let ended = until_stopped(stopped);
    tasks.spawn(async move {
        let served = axum::serve(listener, rest::router(api)).with_graceful_shutdown(ended).await;
        if let Err(error) = served {
            tracing::error!(%error, "REST ended");
        }
    });
    tracing::info!(%grpc, %rest, trust_domain = options.trust_domain, "control plane started");
    Ok(Running { grpc, rest, first_token, stop, tasks })
}

async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    // An error means that nobody can stop us any more, which is a stop.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let at = |error| ServeError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(at)?;
    let bound = listener.local_addr().map_err(at)?;
    Ok((listener, bound))
}

/// Makes an admin token if there is no token at all.
async fn first_token(store: &Store, options: &Options) -> Result<Option<String>, ServeError> {
    if !store.tokens().await?.is_empty() {
        return Ok(None);
    }
    let new = NewToken {
        role: Role::Admin,
        namespace: None,
        description: "made at the first start".to_owned(),
        ttl_seconds: None,
    };
    let (_, token) = credentials::make_token(store, new, now_ms()).await?;
    if let Some(path) = &options.admin_token_file {
        state_dir::write_private(path, &format!("{token}\n"))?;
    }
    Ok(Some(token))
}

/// An SVID of our own. The root is sent along, for workloads that know it by its hash only.
fn own_svid(authority: &CertificateAuthority, ttl: Duration) -> Result<Svid, IdentityError> {
    let key = WorkloadKey::generate()?;
    let principal = control_plane_principal(authority.trust_domain())?;
    let mut issued = authority.sign(&key.signing_request()?, &principal, ttl, SystemTime::now())?;
    issued.chain.push(authority.root().clone());
    Svid::from_issued(issued.chain, &key, vec![authority.root().clone()])
}

async fn renew(
    identity: Arc<IdentityStore>,
    authority: Arc<CertificateAuthority>,
    ttl: Duration,
    stopped: watch::Receiver<bool>,
) {
    let ended = until_stopped(stopped);
    tokio::pin!(ended);
    loop {
        let svid = identity.current();
        let due = renew_at(svid.facts().not_before, svid.facts().not_after, 0.5);
        let wait = u64::try_from(due.saturating_sub(now_ms() / 1000)).unwrap_or_default().max(1);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(wait)) => {}
            () = &mut ended => return,
        }
        let renewed = own_svid(&authority, ttl).and_then(|svid| identity.rotate(svid));
        if let Err(error) = renewed {
            tracing::error!(%error, "the control plane's own certificate could not be renewed");
        }
    }
}

struct Watcher {
    path: PathBuf,
    admission: Admission,
    /// The digest of what was last judged, good or bad; none after an unreadable directory.
    seen: Option<[u8; 32]>,
}

impl Watcher {
    async fn watch(mut self, stopped: watch::Receiver<bool>) {
        let ended = until_stopped(stopped);
        tokio::pin!(ended);
        loop {
            tokio::select! {
                () = tokio::time::sleep(directory::POLL) => self.look().await,
                () = &mut ended => return,
            }
        }
    }

    async fn look(&mut self) {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || {
            directory::read(&path).map(|texts| (directory::digest(&texts), texts))
        });
        let result = match read.await {
            Ok(Ok((digest, _))) if self.seen == Some(digest) => return,
            Ok(Ok((digest, texts))) => {
                self.seen = Some(digest);
                self.admission.directory(texts).await
            }
            Ok(Err(error)) => {
                self.seen = None;
                let problem = Problem { place: error.path, error: error.problem };
                if self.admission.accepted().directory_problems.contains(&problem) {
                    return;
                }
                self.admission.directory_unreadable(problem).await
            }
            Err(error) => return tracing::error!(%error, "the directory could not be read"),
        };
        match result {
            Ok(revision) => tracing::info!(revision, "the directory is in force"),
            Err(Refused::Busy | Refused::Store(_) | Refused::Internal(_)) => self.seen = None,
            Err(refused) => {
                tracing::error!(%refused, "the directory is refused; the last good one stays in force");
            }
        }
    }
}
