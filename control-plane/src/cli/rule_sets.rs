//! `palisade ruleset import`: a release of a rule set becomes one RuleSet document.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use palisade_loader::release::{self, Release};
use palisade_model::documents::Metadata;

use super::rest::Server;

#[derive(Debug, Subcommand)]
pub(super) enum RuleSets {
    /// Make one RuleSet document of a release, with its version and checksums.
    Import(Box<Import>),
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// A directory, a .tar or .tar.gz, or one rule file.
    path: PathBuf,
    /// The name of the RuleSet.
    #[arg(long, default_value = "crs")]
    name: String,
    /// Its namespace.
    #[arg(long, default_value = "default")]
    namespace: String,
    /// A set-up file that takes the place of the release's own.
    #[arg(long, conflicts_with = "include")]
    setup: Option<PathBuf>,
    /// For a directory of another layout: files to read in this order, relative to it; `*` stands for names.
    #[arg(long)]
    include: Vec<String>,
    /// What the SHA-256 must be: of the archive, or of a directory's sources as an earlier import told it.
    #[arg(long)]
    sha256: Option<String>,
    /// Write the document to this file; otherwise it is printed.
    #[arg(long, conflicts_with = "store")]
    out: Option<PathBuf>,
    /// Put it in force in a running control plane.
    #[arg(long)]
    store: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) fn import(arguments: &Import) -> Result<ExitCode> {
    let metadata = Metadata {
        name: arguments.name.clone(),
        namespace: arguments.namespace.clone(),
        ..Metadata::default()
    };
    let release = if arguments.include.is_empty() {
        release::read(&arguments.path, arguments.setup.as_deref(), metadata)?
    } else {
        let rule_set = palisade_loader::rule_set::read(&arguments.path, &arguments.include, metadata)?;
        release::of(rule_set, None)?
    };
    verify(&release, arguments.sha256.as_deref())?;
    let (rules, notes) = palisade_control_plane::waf_test::compiled(&release)
        .with_context(|| format!("{} does not compile", arguments.path.display()))?;
    let document = serde_json::to_string(&release.rule_set)?;
    let done = match &arguments.out {
        _ if arguments.store => {
            let path = format!("/api/v1/documents/RuleSet/{}/{}", arguments.namespace, arguments.name);
            let answer = super::block_on(arguments.server.put(&path, document))?;
            format!("in force as revision {}", answer.get("revision").unwrap_or_default())
        }
        Some(path) => {
            write(path, &document)?;
            format!("written to {}", path.display())
        }
        None => {
            println!("{document}");
            "printed".to_owned()
        }
    };
    // The summary is no part of the document, which may be piped.
    eprintln!("RuleSet {}/{}: {done}", arguments.namespace, arguments.name);
    eprintln!("  version         {}", release.version.as_deref().unwrap_or("none named"));
    let spec = &release.rule_set.spec;
    eprintln!("  rules           {rules} in {} files, {} data files", spec.sources.len(), spec.data.len());
    eprintln!("  sources sha256  {}", release.sources_sha256);
    if let Some(checksum) = &release.archive_sha256 {
        eprintln!("  archive sha256  {checksum}");
    }
    // What it asks for and does not get.
    for note in notes {
        eprintln!("  {note}");
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(release: &Release, wanted: Option<&str>) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let found = release.archive_sha256.as_ref().unwrap_or(&release.sources_sha256);
    ensure!(found.eq_ignore_ascii_case(wanted.trim()), "the SHA-256 is {found}, and {wanted} was expected");
    Ok(())
}

fn write(path: &Path, document: &str) -> Result<()> {
    std::fs::write(path, format!("{document}\n")).with_context(|| format!("write {}", path.display()))
}
