//! The process: what is asked for on the command line, until it drained.
//!
//! ```text
//!   --policy FILE                      standalone: the file, hot-reloaded
//!   --control-plane ADDR --workload …  identity and policy from the control plane, or from the state directory
//! ```
//! Promises: it fails at the start rather than run with less than was asked; once it runs, only a signal ends it, and
//! then every accepted request is finished within the drain's limit.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use palisade_identity::{IdentityError, IdentityStore};
use palisade_loader::{Bootstrap, LoadError, bootstrap};
use palisade_model::WorkloadId;
use palisade_rules::Engine;
use palisade_telemetry::exporter::exporter;
use palisade_telemetry::{Exporter, ExporterOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin;
use crate::listener::BindError;
use crate::plane::Plane;
use crate::policy::file::{self, FileError};
use crate::policy::state_dir::{StateDir, StateError};
use crate::policy::update::Updater;
use crate::policy::{Active, control_plane};
use crate::telemetry::export::{self, METRICS_INTERVAL};
use crate::telemetry::{AuditFile, AuditFileError, OtlpSink, Sink, Telemetry};
use crate::tls::Identity;

/// How long the end of the audit log may take to be written, and the end of telemetry to be sent, after the drain: a
/// collector that is there takes milliseconds, and a supervisor that waits ten seconds has them left.
const FLUSH_TIME: Duration = Duration::from_secs(2);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the policy comes from.
    pub source: Source,
    /// Where the admin pages are served, beside what a file says.
    pub admin: Option<SocketAddr>,
    /// A UNIX socket for the admin pages.
    pub admin_socket: Option<PathBuf>,
    /// A second policy file, beside one that is enforced: what it would have refused is recorded. Read once.
    pub staged: Option<PathBuf>,
    /// A collector on this machine that telemetry of a policy file's traffic is exported to, in plaintext.
    pub otlp: Option<SocketAddr>,
    /// Whether permitted exchanges are exported too, beside refusals and detections.
    pub export_flows: bool,
    /// Where the audit log is written.
    pub audit_log: Option<PathBuf>,
    /// Whether every exchange is logged.
    pub access_log: bool,
}

/// Where the policy comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A policy file.
    File(PathBuf),
    /// The control plane.
    ControlPlane(Box<Joined>),
}

/// How a control plane is joined.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Its `host:port`.
    pub address: String,
    /// The join token, for the first identity.
    pub join_token_file: Option<PathBuf>,
    /// Whose policy is asked for.
    pub workload: WorkloadId,
    /// What survives a restart.
    pub state_dir: PathBuf,
    /// The process's own listeners.
    pub bootstrap: Option<PathBuf>,
}

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The policy file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The state directory.
    #[error("state directory: {0}")]
    State(#[from] StateError),
    /// The identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A listener.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The admin pages.
    #[error("admin: {0}")]
    Admin(std::io::Error),
    /// The collector.
    #[error("otlp: {0} is not on loopback, and telemetry would leave in plaintext")]
    Otlp(SocketAddr),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditFileError),
    /// Signals.
    #[error("signals: {0}")]
    Signals(std::io::Error),
    /// A file that must be readable.
    #[error("{0}: {1}")]
    Read(PathBuf, std::io::Error),
}

/// Runs until a signal, then drains.
pub async fn run(options: Options) -> Result<(), ProcessError> {
    // First, so that a signal during the start is not lost.
    let mut signals = Signals::new(options.audit_log.is_some()).map_err(ProcessError::Signals)?;
    let audit = options.audit_log.as_deref().map(AuditFile::open).transpose()?.map(Arc::new);
    let (updater, exporter) = match &options.source {
        Source::File(path) => standalone(path.clone(), &options, audit.clone()).await?,
        Source::ControlPlane(joined) => joined_mesh(joined, &options, audit.clone()).await?,
    };
    if let Some(path) = &options.admin_socket {
        admin::listen_unix(path, updater.clone()).map_err(ProcessError::Admin)?;
    }
    signals.wait(audit.as_deref()).await;
    drain(updater.plane()).await;
    tokio::join!(flush(audit), flush_export(exporter));
    Ok(())
}

/// What serves, and what exports if anything does.
type Started = (Arc<Updater>, Option<Exporter>);

async fn standalone(
    path: PathBuf,
    options: &Options,
    audit: Option<Arc<AuditFile>>,
) -> Result<Started, ProcessError> {
    let watched = file::load(&path).await?;
    let file = &watched.file;
    let identity = match &file.identity {
        Some(files) => Some(Identity::new(IdentityStore::new(file::svid(files)?))?),
        None => None,
    };
    let workload = file.policy.workload.clone();
    let (exporter, export) = exporter(ExporterOptions::default());
    let collector = match options.otlp {
        Some(address) => Some(export::collector(address).ok_or(ProcessError::Otlp(address))?),
        None => None,
    };
    let sink = collector
        .is_some()
        .then(|| OtlpSink::with_audit(exporter.clone(), options.export_flows) as Arc<dyn Sink>);
    let telemetry = Telemetry::new(&workload, sink, options.access_log).with_audit(audit);
    let plane = Plane::new(workload.clone(), identity, telemetry);
    let certificates = file.certificates.as_deref();
    if let Some(directory) = certificates {
        plane.certificates.watch(directory.to_owned());
    }
    let updater = Updater::new(plane, Vec::new(), None, file.identity.is_some());
    if let Some(staged) = &options.staged {
        let staged = file::load(staged).await?.file;
        updater.stage(&staged.policy, &staged.version).map_err(FileError::Update)?;
    }
    updater.put(Arc::new(file.policy.clone()), &file.version).await.map_err(FileError::Update)?;
    serve_admin(options.admin.or(file.admin), &updater).await?;
    tokio::spawn(file::watch(path, watched, updater.clone()));
    let Some(collector) = collector else { return Ok((updater, None)) };
    tokio::spawn(export.run(workload, collector));
    tokio::spawn(export::metrics(updater.plane().clone(), exporter.clone(), METRICS_INTERVAL));
    Ok((updater, Some(exporter)))
}

async fn joined_mesh(
    joined: &Joined,
    options: &Options,
    audit: Option<Arc<AuditFile>>,
) -> Result<Started, ProcessError> {
    let bootstrap = match &joined.bootstrap {
        Some(path) => bootstrap::load(path)?,
        None => Bootstrap::default(),
    };
    let state_dir = StateDir::open(&joined.state_dir)?;
    let token = match &joined.join_token_file {
        Some(path) => {
            Some(std::fs::read_to_string(path).map_err(|error| ProcessError::Read(path.clone(), error))?)
        }
        None => None,
    };
    let (exporter, export) = exporter(ExporterOptions::default());
    let sink = OtlpSink::new(exporter.clone(), options.export_flows);
    let telemetry = Telemetry::new(&joined.workload, Some(sink), options.access_log).with_audit(audit);
    let plane = Plane::new(joined.workload.clone(), None, telemetry);
    if bootstrap.fail_open {
        tracing::warn!("failOpen is set: traffic passes unjudged until there is a policy");
        plane.current.store_before_policy(Active::bare(Engine::fail_open(joined.workload.clone())));
    }
    if let Some(directory) = &bootstrap.certificates {
        plane.certificates.watch(directory.clone());
    }
    let updater = Updater::new(plane, bootstrap.listeners.clone(), Some(state_dir.clone()), true);
    let mesh = control_plane::Mesh::new(&joined.address, token.as_deref(), state_dir, updater.clone())?;
    mesh.recall().await;
    updater.open_own().await?;
    serve_admin(options.admin.or(bootstrap.admin), &updater).await?;
    tokio::spawn(export.run(joined.workload.clone(), mesh.channels()));
    tokio::spawn(export::metrics(updater.plane().clone(), exporter.clone(), METRICS_INTERVAL));
    tokio::spawn(mesh.run());
    Ok((updater, Some(exporter)))
}

async fn serve_admin(address: Option<SocketAddr>, updater: &Arc<Updater>) -> Result<(), ProcessError> {
    let Some(address) = address else { return Ok(()) };
    let bound = admin::listen(address, updater.clone()).await.map_err(ProcessError::Admin)?;
    tracing::info!(address = %bound, "admin pages");
    Ok(())
}

/// Stops accepting and waits for what was accepted.
async fn drain(plane: &Plane) {
    let deadline = plane.current.load().duration(|limits| limits.drain_timeout_ms);
    tracing::info!(open = plane.drain.open(), "draining");
    plane.drain.start();
    let left = plane.drain.finished(deadline).await;
    if left > 0 {
        tracing::warn!(left, "the drain's time is over; connections are closed");
    }
}

/// Waits until the audit log is written, at most [`FLUSH_TIME`].
async fn flush(audit: Option<Arc<AuditFile>>) {
    let Some(audit) = audit else { return };
    let flushed = tokio::task::spawn_blocking(move || audit.flush(FLUSH_TIME)).await;
    if !flushed.unwrap_or(false) {
        tracing::warn!("the end of the audit log was not written in time");
    }
}

/// Waits until telemetry is sent, at most [`FLUSH_TIME`].
async fn flush_export(exporter: Option<Exporter>) {
    let Some(exporter) = exporter else { return };
    if !exporter.flush(FLUSH_TIME).await {
        tracing::warn!("the end of telemetry was not sent in time");
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Only with an audit log: else a hang-up ends the process, as everywhere.
    hang_up: Option<Signal>,
}

impl Signals {
    fn new(hang_up: bool) -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: hang_up.then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// Waits for a signal to end. A hang-up opens the audit log again.
    async fn wait(&mut self, audit: Option<&AuditFile>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = hung_up(self.hang_up.as_mut()) => {
                    if let Some(audit) = audit {
                        audit.reopen();
                    }
                }
            }
        }
    }
}

async fn hung_up(signal: Option<&mut Signal>) {
    let Some(signal) = signal else { return std::future::pending().await };
    if signal.recv().await.is_none() {
        // There are no more signals.
        std::future::pending().await
    }
}
