//! `palisade join-token` and `palisade token`: over REST, or offline in the state directory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use palisade_control_plane::clock::now_ms;
use palisade_control_plane::credentials::{JoinRequest, NewToken, make_join_token, make_token};
use palisade_control_plane::explain::workload_of;
use palisade_control_plane::state_dir::{AuthorityKeys, StateDir};
use palisade_identity::CertificateAuthority;
use palisade_model::documents::Document;
use palisade_model::{Principal, WorkloadId};
use palisade_store::{DocumentKey, Role, Store};
use serde_json::json;

use super::rest::Server;

/// Who made a token offline.
const OFFLINE_AUTHOR: &str = "command line";

#[derive(Debug, Args)]
pub(super) struct Join {
    /// The workload: NAMESPACE/NAME.
    #[arg(long)]
    workload: String,
    /// Seconds until the token expires.
    #[arg(long)]
    ttl_seconds: Option<u64>,
    /// How often it may be used.
    #[arg(long)]
    uses: Option<u32>,
    /// Write into this state directory instead of asking a running control plane.
    #[arg(long)]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make an API token. It is printed once.
    Create(Create),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// viewer, editor, approver or admin.
    #[arg(long)]
    role: Role,
    /// The only namespace it is good for.
    #[arg(long)]
    namespace: Option<String>,
    /// What it is for.
    #[arg(long, default_value = "")]
    description: String,
    /// Seconds until it expires; never if absent.
    #[arg(long)]
    ttl_seconds: Option<u64>,
    /// Write into this state directory instead of asking a running control plane.
    #[arg(long)]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn join(arguments: Join) -> Result<ExitCode> {
    let workload = workload_of(&arguments.workload)?;
    let token = match &arguments.state_dir {
        None => {
            let request = json!({
                "namespace": workload.namespace, "workload": workload.name,
                "ttlSeconds": arguments.ttl_seconds, "uses": arguments.uses,
            });
            token_of(&arguments.server.post("/api/v1/join-tokens", &request).await?)?
        }
        Some(path) => {
            let (state, store) = offline(path).await?;
            let (root, key) = state.load()?.context("the state directory has no certificate authority")?;
            let authority = CertificateAuthority::from_pem(root.as_bytes(), &key)?;
            let principal = stored_principal(&store, &authority, &workload).await?;
            let request = JoinRequest {
                workload,
                principal,
                author: OFFLINE_AUTHOR.to_owned(),
                ttl_seconds: arguments.ttl_seconds,
                uses: arguments.uses,
            };
            make_join_token(&store, authority.root(), request, now_ms()).await?.0
        }
    };
    println!("{token}");
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn create(arguments: Create) -> Result<ExitCode> {
    let token = match &arguments.state_dir {
        None => {
            let request = json!({
                "role": arguments.role.as_str(), "namespace": arguments.namespace,
                "description": arguments.description, "ttlSeconds": arguments.ttl_seconds,
            });
            token_of(&arguments.server.post("/api/v1/tokens", &request).await?)?
        }
        Some(path) => {
            let (_, store) = offline(path).await?;
            let new = NewToken {
                role: arguments.role,
                namespace: arguments.namespace,
                description: arguments.description,
                ttl_seconds: arguments.ttl_seconds,
            };
            make_token(&store, new, now_ms()).await?.1
        }
    };
    println!("{token}");
    Ok(ExitCode::SUCCESS)
}

fn token_of(answer: &serde_json::Value) -> Result<String> {
    let token = answer.get("token").and_then(|token| token.as_str());
    token.map(str::to_owned).context("the answer has no token")
}

async fn offline(path: &Path) -> Result<(StateDir, Store)> {
    if !path.is_dir() {
        bail!("{}: there is no such state directory", path.display());
    }
    let state = StateDir::open(path)?;
    let store = Store::open(&state.database()).await?;
    Ok((state, store))
}

/// The principal that the stored inventory gives a workload.
async fn stored_principal(
    store: &Store,
    authority: &CertificateAuthority,
    workload: &WorkloadId,
) -> Result<Principal> {
    let key = DocumentKey::local("WorkloadEntry", &workload.namespace, &workload.name);
    let stored = store.documents().await?.into_iter().find(|document| document.key == key);
    let stored = stored.with_context(|| format!("{key} is not in the store; serve the documents once"))?;
    match palisade_loader::documents::parse(&key.to_string(), &stored.body)?.as_slice() {
        [Document::WorkloadEntry(entry)] => {
            let account = &entry.spec.service_account;
            Ok(Principal::new(authority.trust_domain(), &workload.namespace, account)?)
        }
        _ => bail!("{key}: unreadable in the store"),
    }
}
