//! A directory of rule files → a `RuleSet` document that is complete in itself.
//!
//! Promises that no file outside the root is read, neither by `..` nor through a link, and that the result parses.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use palisade_model::documents::{Metadata, RuleSet, RuleSetSpec, SourceFile};
use palisade_seclang::{
    MAX_FILES, MAX_TOTAL_BYTES, Source, SourceError, Sources, is_glob, matches_glob, parse, resolve,
};

use crate::LoadError;
use crate::file::read_text;
use crate::limits::MAX_DIRECTORY_ENTRIES;

/// Reads the rule files below `root` that `include` names, in its order (a pattern stands for its files in the order
/// of the alphabet), with every file they include and every data file they use.
pub fn read(root: &Path, include: &[String], metadata: Metadata) -> Result<RuleSet, LoadError> {
    let directory = DirectorySources::open(root)?;
    let fail = |error: SourceError| LoadError::file(root.display(), error);
    let mut sources: Vec<SourceFile> = Vec::new();
    for pattern in include {
        let names = if is_glob(pattern) {
            directory.expand("", pattern).map_err(fail)?
        } else {
            vec![resolve("", pattern).map_err(fail)?]
        };
        if names.is_empty() {
            return Err(LoadError::file(root.display(), format!("no file matches {pattern:?}")));
        }
        for name in names {
            if sources.iter().any(|source| source.name == name) {
                return Err(LoadError::file(root.display(), format!("{name:?} is included twice")));
            }
            if sources.len() >= MAX_FILES {
                return Err(LoadError::file(root.display(), format!("more than {MAX_FILES} rule files")));
            }
            let source = directory.file(&name).map_err(fail)?;
            sources.push(SourceFile { name: source.name, text: source.text });
        }
    }
    let roots: Vec<Source> =
        sources.iter().map(|file| Source { name: file.name.clone(), text: file.text.clone() }).collect();
    parse(&roots, &directory).map_err(|diagnostics| LoadError::Rules(Box::new(diagnostics)))?;
    let data = directory.read.into_inner();
    Ok(RuleSet {
        api_version: "palisade.dev/v1alpha1".into(),
        kind: "RuleSet".into(),
        metadata,
        spec: RuleSetSpec { sources, data },
    })
}

/// The files below a directory.
#[derive(Debug)]
pub struct DirectorySources {
    /// Without links.
    root: PathBuf,
    /// What rules asked for.
    read: RefCell<BTreeMap<String, String>>,
    /// Bytes that were read.
    bytes: RefCell<usize>,
}

impl DirectorySources {
    /// The files below this directory.
    pub fn open(root: &Path) -> Result<Self, LoadError> {
        let fail = |problem: String| LoadError::file(root.display(), problem);
        let canonical = root.canonicalize().map_err(|error| fail(error.to_string()))?;
        if !canonical.is_dir() {
            return Err(fail("not a directory".into()));
        }
        Ok(Self { root: canonical, read: RefCell::default(), bytes: RefCell::default() })
    }

    /// A file by its name from the root.
    fn file(&self, name: &str) -> Result<Source, SourceError> {
        let path = self.inside(name)?;
        let left = MAX_TOTAL_BYTES.saturating_sub(*self.bytes.borrow());
        let text = read_text(&path, left).map_err(|error| match error {
            LoadError::File { problem, .. } => SourceError(format!("{name}: {problem}")),
            other => SourceError(other.to_string()),
        })?;
        *self.bytes.borrow_mut() += text.len();
        Ok(Source { name: name.to_owned(), text })
    }

    /// The path of a name, links resolved, if it is below the root.
    fn inside(&self, name: &str) -> Result<PathBuf, SourceError> {
        let path = self.root.join(name);
        let canonical = path.canonicalize().map_err(|error| SourceError(format!("{name}: {error}")))?;
        if !canonical.starts_with(&self.root) {
            return Err(SourceError(format!("{name}: a link leads outside the root of the rule set")));
        }
        Ok(canonical)
    }

    /// Names below `folder` that the rest of a pattern takes.
    fn walk(
        &self,
        folder: &str,
        pattern: &[&str],
        left: &mut usize,
        found: &mut Vec<String>,
    ) -> Result<(), SourceError> {
        let Some((part, rest)) = pattern.split_first() else { return Ok(()) };
        let path = self.inside(if folder.is_empty() { "." } else { folder })?;
        let entries = std::fs::read_dir(&path).map_err(|error| SourceError(format!("{folder}: {error}")))?;
        let mut names = Vec::new();
        for entry in entries {
            *left = left.checked_sub(1).ok_or_else(|| {
                SourceError(format!("more than {MAX_DIRECTORY_ENTRIES} directory entries to look at"))
            })?;
            let name = entry.map_err(|error| SourceError(error.to_string()))?.file_name();
            if let Some(name) = name.to_str().filter(|name| matches_glob(part, name)) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        for name in names {
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if rest.is_empty() {
                found.push(name);
            } else if self.inside(&name)?.is_dir() {
                self.walk(&name, rest, left, found)?;
            }
        }
        Ok(())
    }
}

impl Sources for DirectorySources {
    fn read(&self, from: &str, name: &str) -> Result<Source, SourceError> {
        let beside = resolve(from, name)?;
        let from_root =
            resolve("", name).ok().filter(|name| *name != beside && self.root.join(name).exists());
        let chosen = if self.root.join(&beside).exists() { beside } else { from_root.unwrap_or(beside) };
        if let Some(text) = self.read.borrow().get(&chosen) {
            return Ok(Source { name: chosen.clone(), text: text.clone() });
        }
        let source = self.file(&chosen)?;
        self.read.borrow_mut().insert(source.name.clone(), source.text.clone());
        Ok(source)
    }

    fn expand(&self, from: &str, pattern: &str) -> Result<Vec<String>, SourceError> {
        let resolved = resolve(from, pattern)?;
        let parts: Vec<&str> = resolved.split('/').collect();
        let mut found = Vec::new();
        self.walk("", &parts, &mut { MAX_DIRECTORY_ENTRIES }, &mut found)?;
        let up = "../".repeat(from.matches('/').count());
        Ok(found.into_iter().map(|name| format!("{up}{name}")).collect())
    }
}
