//! Why something cannot be loaded, and where.

use std::fmt;

use palisade_seclang::Diagnostics;

/// Why something cannot be loaded. All of it is the fault of whoever wrote it, or of the file system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read: it is missing, no regular file, too long, not UTF-8, outside its root.
    #[error("{file}: {problem}")]
    File {
        /// The file.
        file: String,
        /// One sentence.
        problem: String,
    },
    /// A document is malformed.
    #[error("{0}")]
    Document(Box<Place>),
    /// Rule files are malformed: every problem with file, line, column and caret.
    #[error("{0}")]
    Rules(Box<Diagnostics>),
}

/// The place of a problem in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The line; 0 if the problem is the document's as a whole.
    pub line: usize,
    /// The column; 0 if the line is.
    pub column: usize,
    /// The field, e.g. `spec.rules[0].from`; may be empty.
    pub path: String,
    /// One sentence.
    pub problem: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl LoadError {
    /// A problem with a file as a whole.
    pub(crate) fn file(file: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self::File { file: file.to_string(), problem: problem.to_string() }
    }

    /// A problem with a field whose line is not known.
    pub(crate) fn field(file: &str, path: impl Into<String>, problem: impl Into<String>) -> Self {
        let (path, problem) = (path.into(), problem.into());
        Self::Document(Box::new(Place { file: file.to_owned(), line: 0, column: 0, path, problem }))
    }
}
