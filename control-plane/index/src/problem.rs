//! What is wrong with documents: errors that refuse a change, and warnings that only several documents together show.

use std::fmt;

use palisade_model::documents::{Document, FieldError};

/// The name of a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentRef {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl DocumentRef {
    /// The name of this document.
    pub fn of(document: &Document) -> Self {
        let metadata = document.metadata();
        Self { kind: document.kind(), namespace: metadata.namespace.clone(), name: metadata.name.clone() }
    }
}

impl fmt::Display for DocumentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The documents are refused.
    Error,
    /// They are taken; `palisade check --strict` refuses them.
    Warning,
}

/// One problem with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The document it is in.
    pub document: DocumentRef,
    /// The field and what is wrong with it.
    pub error: FieldError,
}

impl Problem {
    pub(crate) fn error(document: DocumentRef, path: impl Into<String>, problem: impl Into<String>) -> Self {
        let error = FieldError { path: path.into(), problem: problem.into() };
        Self { severity: Severity::Error, document, error }
    }

    pub(crate) fn warning(
        document: DocumentRef,
        path: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(document, path, problem) }
    }

    /// Whether it refuses the documents.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.is_error() { "error" } else { "warning" };
        write!(f, "{severity}: {}: {}", self.document, self.error)
    }
}
