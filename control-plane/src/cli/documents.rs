//! `palisade check`, `render`, `explain`: documents offline, through the same crates as in the server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use palisade_control_plane::admission::{Problem, check_all, parse_all};
use palisade_control_plane::directory;
use palisade_control_plane::explain::{Answer, Question, workload_of};
use palisade_index::{Index, Settings};

/// What documents are read with.
#[derive(Debug, Args)]
struct Mesh {
    /// The trust domain.
    #[arg(long, default_value = "cluster.local")]
    trust_domain: String,
    /// The namespace whose policies select workloads of every namespace.
    #[arg(long, default_value = "istio-system")]
    root_namespace: String,
}

impl Mesh {
    fn settings(&self) -> Settings {
        Settings {
            trust_domain: self.trust_domain.clone(),
            root_namespace: self.root_namespace.clone(),
            ..Settings::default()
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Files and directories of documents; all of them together are one set.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Refuse warnings too (what only several documents together show).
    #[arg(long)]
    strict: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    mesh: Mesh,
}

#[derive(Debug, Args)]
pub(super) struct Render {
    /// A file or directory of documents.
    #[arg(long)]
    documents: PathBuf,
    /// The workload: NAMESPACE/NAME.
    #[arg(long)]
    workload: String,
    #[command(flatten)]
    mesh: Mesh,
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A file or directory of documents.
    #[arg(long)]
    documents: PathBuf,
    /// The workload that is called: NAMESPACE/NAME.
    #[arg(long)]
    workload: String,
    /// The caller's principal, e.g. cluster.local/ns/shop/sa/web; absent: none.
    #[arg(long)]
    principal: Option<String>,
    /// The method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// The host that is asked for, perhaps with a port.
    #[arg(long)]
    host: String,
    /// Path and query as sent.
    #[arg(long, default_value = "/")]
    path: String,
    /// A header, `name: value`; repeat for more.
    #[arg(long)]
    header: Vec<String>,
    /// The body.
    #[arg(long)]
    body: Option<String>,
    /// The port policies see; the host's, or 80.
    #[arg(long)]
    port: Option<u16>,
    /// The caller's address.
    #[arg(long)]
    source_ip: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    mesh: Mesh,
}

pub(super) fn check(arguments: &Check) -> Result<ExitCode> {
    let paths: Vec<&Path> = arguments.paths.iter().map(PathBuf::as_path).collect();
    let (count, workloads, errors, warnings) = match load(&paths, &arguments.mesh)? {
        Ok(loaded) => (loaded.count, loaded.index.workloads().count(), loaded.errors, loaded.warnings),
        Err(errors) => (0, 0, errors, Vec::new()),
    };
    let good = errors.is_empty() && (warnings.is_empty() || !arguments.strict);
    if arguments.json {
        let report = serde_json::json!({
            "valid": good, "documents": count, "workloads": workloads, "errors": errors, "warnings": warnings,
        });
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        for (kind, list) in [("error", &errors), ("warning", &warnings)] {
            for problem in list {
                println!("{kind}: {problem}");
            }
        }
        match good {
            true => println!("ok: {count} documents, {workloads} workloads, {} warnings", warnings.len()),
            false => println!("refused: {} errors, {} warnings", errors.len(), warnings.len()),
        }
    }
    Ok(ExitCode::from(u8::from(!good)))
}

pub(super) fn render(arguments: &Render) -> Result<ExitCode> {
    let index = load_good(&arguments.documents, &arguments.mesh)?;
    let workload = workload_of(&arguments.workload)?;
    let policy =
        index.policy(&workload).with_context(|| format!("{} is not in the inventory", arguments.workload))?;
    print!("{}", palisade_loader::policy_file::render(&policy)?);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn explain(arguments: &Explain) -> Result<ExitCode> {
    let index = load_good(&arguments.documents, &arguments.mesh)?;
    let question = Question {
        workload: arguments.workload.clone(),
        principal: arguments.principal.clone(),
        method: Some(arguments.method.clone()),
        host: arguments.host.clone(),
        path: arguments.path.clone(),
        headers: arguments.header.clone(),
        body: arguments.body.clone(),
        port: arguments.port,
        source_ip: arguments.source_ip.clone(),
    };
    let answer = palisade_control_plane::explain::explain(&index, &question)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    }
    let allowed = match &answer {
        Answer::Malformed { cause, place } => {
            if !arguments.json {
                println!("refused before any rule: {cause} in {place}");
            }
            false
        }
        Answer::Judged(explanation) => {
            if !arguments.json {
                println!("{explanation}");
            }
            explanation.is_permit()
        }
    };
    Ok(ExitCode::from(u8::from(!allowed)))
}

struct Loaded {
    count: usize,
    index: Index,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// Reads and judges documents; the inner error is what cannot even be parsed.
fn load(paths: &[&Path], mesh: &Mesh) -> Result<Result<Loaded, Vec<Problem>>> {
    let mut texts = Vec::new();
    for path in paths {
        texts.extend(directory::read(path)?);
    }
    Ok(parse_all(&texts).map(|documents| {
        let count = documents.len();
        let (index, errors, warnings) = check_all(documents, &mesh.settings());
        Loaded { count, index, errors, warnings }
    }))
}

/// The index of documents without errors.
fn load_good(path: &Path, mesh: &Mesh) -> Result<Index> {
    let errors = match load(&[path], mesh)? {
        Ok(loaded) if loaded.errors.is_empty() => return Ok(loaded.index),
        Ok(loaded) => loaded.errors,
        Err(errors) => errors,
    };
    let lines: Vec<String> = errors.iter().map(Problem::to_string).collect();
    bail!("the documents are not valid:\n{}", lines.join("\n"))
}
