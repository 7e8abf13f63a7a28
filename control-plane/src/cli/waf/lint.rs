//! `palisade waf lint RULES`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;
use palisade_loader::release;
use palisade_waf::lint::{CODES, Finding};
use serde_json::json;

#[derive(Debug, Args)]
pub(in crate::cli) struct Lint {
    /// A rule file, a release (directory or archive), a RuleSet document, or `palisade-default`.
    rules: PathBuf,
    /// A set-up file that takes the place of the release's own.
    #[arg(long)]
    setup: Option<PathBuf>,
    /// Codes that are not told, e.g. W030; repeat for more.
    #[arg(long, value_parser = code)]
    allow: Vec<String>,
    /// Exit code 1 if anything is told.
    #[arg(long)]
    deny_warnings: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn code(text: &str) -> Result<String, String> {
    let known = CODES.iter().any(|(code, _)| *code == text);
    known
        .then(|| text.to_owned())
        .ok_or_else(|| format!("{text:?} is no code; docs/writing-rules.md has them"))
}

pub(in crate::cli) fn lint(arguments: &Lint) -> Result<ExitCode> {
    let release = release::named(&arguments.rules, arguments.setup.as_deref())?;
    // What does not compile is an error, and its places are told first.
    let (rules, notes) =
        palisade_control_plane::waf_test::compiled(&release).map_err(|error| anyhow!("{error}"))?;
    let findings = palisade_waf::lint::lint(&release.rule_set).map_err(|error| anyhow!("{error}"))?;
    let told: Vec<&Finding> =
        findings.iter().filter(|finding| !arguments.allow.iter().any(|code| code == finding.code)).collect();
    if arguments.json {
        let list: Vec<_> = told
            .iter()
            .map(|finding| {
                json!({
                    "code": finding.code, "file": finding.file, "line": finding.line, "column": finding.column,
                    "rule": finding.rule, "message": finding.message,
                })
            })
            .collect();
        println!(
            "{}",
            serde_json::to_string_pretty(&json!({"rules": rules, "findings": list, "notes": notes}))?
        );
    } else {
        for finding in &told {
            println!("{finding}");
        }
        // What has no effect here is no fault of the rule set: it is told, and counts as no warning.
        for note in &notes {
            println!("{note}");
        }
        let notes = if notes.is_empty() { String::new() } else { format!(", {} notes", notes.len()) };
        println!("{rules} rules, {} warnings{notes}", told.len());
    }
    Ok(ExitCode::from(u8::from(arguments.deny_warnings && !told.is_empty())))
}
