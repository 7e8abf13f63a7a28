//! `palisade waf test RULES (--request FILE | --curl 'curl …')`.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use palisade_control_plane::sample::{SAMPLE_BYTES, Sample, curl, raw};
use palisade_control_plane::waf_test::{Options, run};
use palisade_loader::release;
use palisade_model::documents::Mode;

use super::print;

#[derive(Debug, Args)]
pub(in crate::cli) struct Test {
    /// A rule file, a release (directory or archive), a RuleSet document, or `palisade-default`.
    rules: PathBuf,
    /// A set-up file that takes the place of the release's own.
    #[arg(long)]
    setup: Option<PathBuf>,
    /// The paranoia level, 1 to 4; otherwise what the rules say.
    #[arg(long)]
    paranoia: Option<u8>,
    /// Whether rules act.
    #[arg(long, value_enum, default_value = "block")]
    mode: TestMode,
    /// A file with a request as HTTP/1.1 text, and perhaps `### response` and a response; `-` is the standard input.
    #[arg(long, conflicts_with = "curl")]
    request: Option<PathBuf>,
    /// A curl command line, as browsers copy it.
    #[arg(long, required_unless_present = "request")]
    curl: Option<String>,
    /// Show what this rule was tried on, whether it matched or not.
    #[arg(long)]
    rule: Option<u64>,
    /// Show rules without a log entry (set-up, scores), and chains that did not complete.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Whether rules act.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum TestMode {
    /// They tell.
    Detect,
    /// They act.
    Block,
}

pub(in crate::cli) fn test(arguments: &Test) -> Result<ExitCode> {
    let sample = sample(arguments)?;
    let release = release::named(&arguments.rules, arguments.setup.as_deref())?;
    let mode = match arguments.mode {
        TestMode::Detect => Mode::Detect,
        TestMode::Block => Mode::Block,
    };
    let options = Options { mode, paranoia: arguments.paranoia, watched: arguments.rule };
    let report = run(&release, &sample, options)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        print!("{}", print::report(&report, options, arguments.all, colour));
    }
    Ok(ExitCode::from(u8::from(report.is_denied())))
}

fn sample(arguments: &Test) -> Result<Sample> {
    match (&arguments.curl, &arguments.request) {
        (Some(line), _) => {
            let mut files = curl::Files::below(Path::new("."));
            curl::parse(line, &mut files).context("--curl")
        }
        (None, Some(path)) => {
            let mut text = Vec::new();
            let limit = SAMPLE_BYTES as u64 + 1;
            let read = if path == Path::new("-") {
                std::io::stdin().lock().take(limit).read_to_end(&mut text)
            } else {
                std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut text))
            };
            read.with_context(|| format!("read {}", path.display()))?;
            raw::parse(&text).with_context(|| path.display().to_string())
        }
        (None, None) => bail!("--request or --curl is needed"),
    }
}
