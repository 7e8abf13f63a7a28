//! `palisade-proxy`: reads the command line and runs [`palisade_proxy::process`].

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{ArgGroup, Parser};
use palisade_model::WorkloadId;
use palisade_proxy::process::{self, Joined, Options, Source};
use tracing_subscriber::EnvFilter;

/// The data plane of Palisade: judges the traffic of one workload, or of an edge.
#[derive(Debug, Parser)]
#[command(name = "palisade-proxy", version)]
#[command(group(ArgGroup::new("source").required(true).args(["policy", "control_plane"])))]
struct Arguments {
    /// Enforce this policy file; it is read again when it changes.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Take identity and policy from this control plane (host:port).
    #[arg(long, value_name = "HOST:PORT", requires = "workload", requires = "state_dir")]
    control_plane: Option<String>,

    /// The join token for the first identity.
    #[arg(long, value_name = "FILE", requires = "control_plane")]
    join_token_file: Option<PathBuf>,

    /// Whose policy it is: NAMESPACE/NAME, or CLUSTER/TENANT/NAMESPACE/NAME.
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "control_plane")]
    workload: Option<String>,

    /// A private directory for identity and policy, so that a restart needs no control plane.
    #[arg(long, value_name = "DIRECTORY", requires = "control_plane")]
    state_dir: Option<PathBuf>,

    /// Listeners and admin address of this process.
    #[arg(long, value_name = "FILE", requires = "control_plane")]
    config: Option<PathBuf>,

    /// Where /metrics, /healthz, /readyz and the admin pages are; loopback only.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,

    /// A UNIX socket for the admin pages.
    #[arg(long, value_name = "PATH")]
    admin_socket: Option<PathBuf>,

    /// Threads that serve traffic.
    #[arg(long, value_name = "N", default_value_t = default_workers())]
    workers: usize,

    /// Record what this policy file would have refused; it refuses nothing. Read once, at the start.
    #[arg(long, value_name = "FILE", requires = "policy")]
    staged: Option<PathBuf>,

    /// Export telemetry over OTLP/gRPC, in plaintext, to a collector on loopback. With a control plane it goes there.
    #[arg(long, value_name = "ADDRESS", requires = "policy")]
    otlp: Option<SocketAddr>,

    /// Export permitted exchanges too, beside refusals and detections; with --control-plane or --otlp.
    #[arg(long)]
    export_flows: bool,

    /// Append the audit log to this file, one JSON object a line; SIGHUP opens it again after it was moved.
    #[arg(long, value_name = "FILE")]
    audit_log: Option<PathBuf>,

    /// Log every exchange.
    #[arg(long)]
    access_log: bool,

    /// Log as JSON lines.
    #[arg(long)]
    log_json: bool,
}

/// A sidecar shares its machine with the workload: two threads at most, unless it is told otherwise.
fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2))
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    log(arguments.log_json);
    palisade_identity::install_crypto();
    let runtime = runtime(arguments.workers)?;
    let options = options(arguments)?;
    let result = runtime.block_on(process::run(options));
    // Tasks that are still blocked (a compile, say) do not hold the exit.
    runtime.shutdown_background();
    Ok(result?)
}

fn log(json: bool) {
    let filter = EnvFilter::try_from_env("PALISADE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        logs.json().init();
    } else {
        logs.with_ansi(false).init();
    }
}

fn runtime(workers: usize) -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = match workers {
        0 => bail!("--workers: at least 1"),
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(workers).enable_all().build().context("the runtime cannot start")
}

fn options(arguments: Arguments) -> anyhow::Result<Options> {
    let source = match (arguments.policy, arguments.control_plane, arguments.workload, arguments.state_dir) {
        (Some(file), None, ..) => Source::File(file),
        (None, Some(address), Some(workload), Some(state_dir)) => Source::ControlPlane(Box::new(Joined {
            address,
            join_token_file: arguments.join_token_file,
            workload: workload_id(&workload)?,
            state_dir,
            bootstrap: arguments.config,
        })),
        _ => bail!("give --policy FILE, or --control-plane with --workload and --state-dir"),
    };
    if arguments.export_flows && arguments.otlp.is_none() && matches!(source, Source::File(_)) {
        bail!("--export-flows: there is nobody to export to; give --otlp ADDRESS");
    }
    Ok(Options {
        source,
        staged: arguments.staged,
        otlp: arguments.otlp,
        admin: arguments.admin,
        admin_socket: arguments.admin_socket,
        export_flows: arguments.export_flows,
        audit_log: arguments.audit_log,
        access_log: arguments.access_log,
    })
}

fn workload_id(text: &str) -> anyhow::Result<WorkloadId> {
    let parts: Vec<&str> = text.split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        bail!("--workload {text:?}: an empty part");
    }
    match parts.as_slice() {
        [namespace, name] => Ok(WorkloadId::local(namespace, name)),
        [cluster, tenant, namespace, name] => Ok(WorkloadId {
            cluster: (*cluster).to_owned(),
            tenant: (*tenant).to_owned(),
            namespace: (*namespace).to_owned(),
            name: (*name).to_owned(),
        }),
        _ => bail!("--workload {text:?}: NAMESPACE/NAME or CLUSTER/TENANT/NAMESPACE/NAME"),
    }
}
