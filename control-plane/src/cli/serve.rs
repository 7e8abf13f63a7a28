//! `palisade serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use palisade_control_plane::serve::{Options, start};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The private state directory: database, root certificate and its key.
    #[arg(long)]
    state_dir: PathBuf,
    /// A directory of documents to watch.
    #[arg(long)]
    documents: Option<PathBuf>,
    /// Where sidecars connect: policies, certificates, events (mTLS).
    #[arg(long, default_value = "127.0.0.1:15010")]
    listen_grpc: SocketAddr,
    /// Where the REST API is, in plain HTTP.
    #[arg(long, default_value = "127.0.0.1:15080")]
    listen_rest: SocketAddr,
    /// Allow REST on an address that is not loopback: tokens then cross the network in plain text.
    #[arg(long)]
    allow_plain_rest: bool,
    /// The trust domain of every identity.
    #[arg(long, default_value = "cluster.local")]
    trust_domain: String,
    /// Policies in this namespace select workloads of every namespace.
    #[arg(long, default_value = "istio-system")]
    root_namespace: String,
    /// Hours that a workload's certificate is valid.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8760))]
    svid_hours: u64,
    /// Write the first admin token to this file instead of printing it.
    #[arg(long)]
    admin_token_file: Option<PathBuf>,
    /// Log lines as JSON.
    #[arg(long)]
    log_json: bool,
}

pub(super) async fn serve(arguments: Arguments) -> Result<ExitCode> {
    log_to_stderr(arguments.log_json);
    ensure!(
        arguments.listen_rest.ip().is_loopback() || arguments.allow_plain_rest,
        "{} is not a loopback address; say --allow-plain-rest if something else protects it",
        arguments.listen_rest
    );
    let token_file = arguments.admin_token_file.clone();
    let running = start(Options {
        state_dir: arguments.state_dir,
        documents: arguments.documents,
        listen_grpc: arguments.listen_grpc,
        listen_rest: arguments.listen_rest,
        trust_domain: arguments.trust_domain,
        root_namespace: arguments.root_namespace,
        svid_ttl: Duration::from_secs(arguments.svid_hours * 3600),
        admin_token_file: arguments.admin_token_file,
    })
    .await?;
    println!("gRPC (sidecars)  {}", running.grpc);
    println!("REST             http://{}/api/v1", running.rest);
    match (&running.first_token, token_file) {
        (Some(_), Some(path)) => println!("admin token      in {}", path.display()),
        (Some(token), None) => println!("admin token      {token}   (shown this once)"),
        (None, _) => {}
    }
    let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.context("wait for Ctrl-C")?,
    }
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn log_to_stderr(json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json { lines.json().init() } else { lines.init() }
}
