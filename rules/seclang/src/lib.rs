//! SecLang text → AST with spans and diagnostics.

#![forbid(unsafe_code)]

/// Where files come from: bounded and rooted. The parser itself does no I/O.
pub trait Sources {
    /// The text of a file that `Include` or a data operator names, relative to the file that names it.
    fn read(&self, from: &str, name: &str) -> Result<Source, SourceError>;
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name for diagnostics and for relative includes.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);
