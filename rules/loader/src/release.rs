//! A rule set as its authors ship it (a directory, a `.tar`, a `.tar.gz`, one rule file) → a `RuleSet` document that is
//! complete in itself, with its version and checksums.
//!
//! Files are taken in the order that the Core Rule Set documents: set-up, plugins' configuration and `-before` files,
//! `rules/*.conf`, plugins' `-after` files. Promises that reading a hostile archive or directory is bounded in time and
//! memory, that nothing outside it is read, that nothing is written, and that an error names the entry. Does not
//! compile.

mod archive;
mod directory;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use palisade_model::documents::{Document, Metadata, RuleSet, RuleSetSpec, SourceFile};
use palisade_seclang::{ActionKind, Ast, DirectiveBody, Setting, parse_rule_set};
use sha2::{Digest, Sha256};

use crate::file::read_text;
use crate::limits::MAX_FILE_BYTES;
use crate::{LoadError, default_rules, documents, rule_set};

/// The annotation with the version that the rules name.
pub const VERSION_ANNOTATION: &str = "palisade.dev/rule-set-version";
/// The annotation with the checksum of the sources and data files.
pub const SOURCES_ANNOTATION: &str = "palisade.dev/sources-sha256";
/// The annotation with the checksum of the archive that was imported.
pub const ARCHIVE_ANNOTATION: &str = "palisade.dev/archive-sha256";

/// The files of a release by their names, `/` between folders.
type Files = BTreeMap<String, String>;

/// A rule set that was read, with where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The document; its annotations hold the other fields.
    pub rule_set: RuleSet,
    /// The version that its rules name, e.g. `OWASP_CRS/4.28.0`.
    pub version: Option<String>,
    /// SHA-256 over names and texts of its files, 64 hexadecimal digits.
    pub sources_sha256: String,
    /// SHA-256 of the archive, if it came as one.
    pub archive_sha256: Option<String>,
}

/// Reads a release: a directory, an archive, or one rule file. `setup` takes the place of its own set-up file.
pub fn read(path: &Path, setup: Option<&Path>, metadata: Metadata) -> Result<Release, LoadError> {
    let setup = setup.map(source).transpose()?;
    let mut archive_sha256 = None;
    let rule_set = if path.is_dir() {
        assembled(&path.display().to_string(), directory::read(path)?, setup, metadata)?
    } else if is_archive(path) {
        let (files, checksum) = archive::read(path)?;
        archive_sha256 = Some(checksum);
        assembled(&path.display().to_string(), files, setup, metadata)?
    } else {
        one_file(path, setup, metadata)?
    };
    of(rule_set, archive_sha256)
}

/// What a person names as rules: [`default_rules::NAME`], a file of documents with one RuleSet in it, or what [`read`]
/// takes.
pub fn named(path: &Path, setup: Option<&Path>) -> Result<Release, LoadError> {
    if path == Path::new(default_rules::NAME) && !path.exists() {
        return of(default_rules::rule_set("default"), None);
    }
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    if !ending.is_some_and(|ending| matches!(ending.as_str(), "yaml" | "yml" | "json")) || path.is_dir() {
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        return read(path, setup, Metadata { name, namespace: "default".into(), ..Metadata::default() });
    }
    let mut rule_sets = documents::load(path)?.into_iter().filter_map(|document| match document {
        Document::RuleSet(rule_set) => Some(rule_set),
        _ => None,
    });
    let (Some(mut rule_set), None) = (rule_sets.next(), rule_sets.next()) else {
        return Err(LoadError::file(path.display(), "exactly one RuleSet is expected in this file"));
    };
    let setup = setup.map(source).transpose()?;
    rule_set.spec.sources.splice(..0, setup);
    of(rule_set, None)
}

/// A rule set with its version and checksum.
pub fn of(rule_set: RuleSet, archive_sha256: Option<String>) -> Result<Release, LoadError> {
    let ast = parse_rule_set(&rule_set).map_err(|problems| LoadError::Rules(Box::new(problems)))?;
    Ok(finish(rule_set, &ast, archive_sha256))
}

fn is_archive(path: &Path) -> bool {
    let name = path.to_string_lossy().to_ascii_lowercase();
    [".tar", ".tar.gz", ".tgz"].iter().any(|ending| name.ends_with(ending))
}

fn source(path: &Path) -> Result<SourceFile, LoadError> {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok(SourceFile { name, text: read_text(path, MAX_FILE_BYTES)? })
}

/// One rule file, with what it includes from its directory.
fn one_file(path: &Path, setup: Option<SourceFile>, metadata: Metadata) -> Result<RuleSet, LoadError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    if palisade_seclang::is_glob(&name) {
        return Err(LoadError::file(path.display(), "the name of a rule file cannot hold *, ? or ["));
    }
    // A missing or unreadable file is told in the words of the path that was given.
    read_text(path, MAX_FILE_BYTES)?;
    let mut rule_set = rule_set::read(directory, &[name], metadata)?;
    rule_set.spec.sources.splice(..0, setup);
    Ok(rule_set)
}

/// The files of a release in their order, and of the others those that rules name.
fn assembled(
    shown: &str,
    files: Files,
    setup: Option<SourceFile>,
    metadata: Metadata,
) -> Result<RuleSet, LoadError> {
    let base = base(&files);
    let mut files: Files = files
        .into_iter()
        .filter_map(|(name, text)| Some((name.strip_prefix(base.as_str())?.to_owned(), text)))
        .collect();
    let names = order(&files, setup.is_some());
    if names.is_empty() {
        let problem = "there is no rule file: neither rules/*.conf nor *.conf";
        return Err(LoadError::file(shown, problem));
    }
    let mut sources: Vec<SourceFile> = setup.into_iter().collect();
    for name in names {
        if let Some(text) = files.remove(&name) {
            sources.push(SourceFile { name, text });
        }
    }
    let spec = RuleSetSpec { sources, data: files };
    let mut rule_set =
        RuleSet { api_version: "palisade.dev/v1alpha1".into(), kind: "RuleSet".into(), metadata, spec };
    let ast = parse_rule_set(&rule_set).map_err(|problems| LoadError::Rules(Box::new(problems)))?;
    let used: BTreeSet<&str> = ast
        .data
        .iter()
        .map(|file| file.name.as_str())
        .chain(ast.files.iter().map(|file| &*file.name))
        .collect();
    rule_set.spec.data.retain(|name, _| used.contains(name.as_str()));
    Ok(rule_set)
}

/// The folder of the release, with a slash at its end; archives have one folder around everything.
fn base(files: &Files) -> String {
    let folder_of = |name: &str| {
        let is_setup = |file: &str| matches!(file, "crs-setup.conf" | "crs-setup.conf.example");
        match name.rsplit_once('/') {
            None if is_setup(name) => Some(String::new()),
            Some((folder, file)) if is_setup(file) => Some(format!("{folder}/")),
            Some((folder, file)) if file.ends_with(".conf") => folder
                .strip_suffix("rules")
                .filter(|base| base.is_empty() || base.ends_with('/'))
                .map(str::to_owned),
            _ => None,
        }
    };
    let bases = files.keys().filter_map(|name| folder_of(name));
    bases.min_by_key(String::len).unwrap_or_default()
}

/// Rule files in the order in which they are read.
fn order(files: &Files, has_setup: bool) -> Vec<String> {
    let names = |folder: &str, ending: &str| -> Vec<String> {
        let found = files.keys().filter(|name| {
            let file = name.strip_prefix(folder);
            file.is_some_and(|file| !file.contains('/') && file.ends_with(ending))
        });
        found.cloned().collect()
    };
    let mut order = Vec::new();
    if !has_setup {
        let setups = ["crs-setup.conf", "crs-setup.conf.example"];
        order.extend(setups.iter().find(|name| files.contains_key(**name)).map(|name| (*name).to_owned()));
    }
    let rules = names("rules/", ".conf");
    if rules.is_empty() {
        order.extend(names("", ".conf").into_iter().filter(|name| name != "crs-setup.conf"));
        return order;
    }
    order.extend(names("plugins/", "-config.conf"));
    order.extend(names("plugins/", "-before.conf"));
    order.extend(rules);
    order.extend(names("plugins/", "-after.conf"));
    order
}

fn finish(mut rule_set: RuleSet, ast: &Ast, archive_sha256: Option<String>) -> Release {
    let version = version(ast);
    let sources_sha256 = checksum(&rule_set.spec);
    let annotations = &mut rule_set.metadata.annotations;
    annotations.insert(SOURCES_ANNOTATION.to_owned(), sources_sha256.clone());
    if let Some(version) = &version {
        annotations.insert(VERSION_ANNOTATION.to_owned(), version.clone());
    }
    if let Some(checksum) = &archive_sha256 {
        annotations.insert(ARCHIVE_ANNOTATION.to_owned(), checksum.clone());
    }
    Release { rule_set, version, sources_sha256, archive_sha256 }
}

/// The version that most rules name, else the signature of the component.
fn version(ast: &Ast) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for action in ast.rules().flat_map(|rule| &rule.actions) {
        if let ActionKind::Ver(version) = &action.kind {
            *counts.entry(version).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(version, _)| version.to_owned());
    most.or_else(|| {
        ast.directives.iter().find_map(|directive| match &directive.body {
            DirectiveBody::Setting(Setting::SecComponentSignature(signature)) => Some(signature.clone()),
            _ => None,
        })
    })
}

/// SHA-256 over every file: its name, its length, its text.
fn checksum(spec: &RuleSetSpec) -> String {
    let mut hash = Sha256::new();
    let sources = spec.sources.iter().map(|file| (&file.name, &file.text));
    for (name, text) in sources.chain(&spec.data) {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hexadecimal(&hash.finalize())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a file of a release may be a rule file or one that rules name.
fn is_wanted(name: &str) -> bool {
    [".conf", ".data", ".txt", "crs-setup.conf.example"].iter().any(|ending| name.ends_with(ending))
}
