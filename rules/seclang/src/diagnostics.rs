//! What is wrong with a rule file, and where: `file:line:column: error: …` with the source line and a caret.
//!
//! Promises a rendering of bounded width whatever the source line holds. Does not stop at the first problem, but at
//! `MAX_DIAGNOSTICS`.

use std::fmt;

use crate::limits::MAX_DIAGNOSTICS;
use crate::span::{File, Location, Span};

/// Columns of a source line that are shown around the caret: rules have lines of 12,000 characters.
const SHOWN_COLUMNS: usize = 120;
/// Columns that are shown before the caret.
const SHOWN_BEFORE: usize = 60;

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file's name.
    pub file: String,
    /// The line; 1 is the first.
    pub line: u32,
    /// The column in characters; 1 is the first.
    pub column: u32,
    /// One sentence.
    pub message: String,
    /// What to write instead, if it is known.
    pub help: Option<String>,
    /// The part of the source line that is shown.
    shown: String,
    /// Columns before the caret in `shown`.
    caret: usize,
    /// Columns that are underlined.
    width: usize,
}

impl Diagnostic {
    /// A problem at a span of a file.
    pub(crate) fn new(file: &File, span: Span, message: String, help: Option<String>) -> Self {
        let place = file.location(span.start);
        let characters: Vec<char> = file.line(place.line).chars().collect();
        let column = place.column as usize - 1;
        let from = column.saturating_sub(SHOWN_BEFORE);
        let to = characters.len().min(from + SHOWN_COLUMNS);
        let clipped = characters.get(from..to).unwrap_or_default();
        let mut shown: String = if from > 0 { "…".into() } else { String::new() };
        shown.extend(clipped.iter().map(|letter| if letter.is_control() { ' ' } else { *letter }));
        if to < characters.len() {
            shown.push('…');
        }
        let caret = column - from + usize::from(from > 0);
        let marked = file.text.get(span.start as usize..span.end as usize).unwrap_or_default();
        let marked = marked.split('\n').next().unwrap_or_default().trim_end().chars().count();
        let width = marked.min(to.saturating_sub(column)).max(1);
        let Location { line, column } = place;
        Self { file: file.name.to_string(), line, column, message, help, shown, caret, width }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}:{}: error: {}", self.file, self.line, self.column, self.message)?;
        writeln!(f, "    {}", self.shown)?;
        write!(f, "    {}{}", " ".repeat(self.caret), "^".repeat(self.width))?;
        if let Some(help) = &self.help {
            write!(f, "\n    help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// Every problem that was found, at least one; at most [`MAX_DIAGNOSTICS`] are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// The problems in the order of the text.
    pub list: Vec<Diagnostic>,
    /// How many more there were.
    pub more: usize,
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            diagnostic.fmt(f)?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// A problem before its file is known by name.
#[derive(Clone, Debug)]
struct Problem {
    span: Span,
    message: String,
    help: Option<String>,
}

/// Finds the known name that is nearest to a text.
type Nearest = fn(&str) -> Option<&'static str>;

/// Collects problems while a rule set is read.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: Vec<Problem>,
    more: usize,
}

impl Report {
    /// Notes a problem.
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) {
        self.push(span, message.into(), None);
    }

    /// Notes a problem and what to write instead.
    pub(crate) fn error_with_help(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(span, message.into(), Some(help.into()));
    }

    /// Notes an unknown name with the nearest known one.
    pub(crate) fn unknown(&mut self, span: Span, what: &str, name: &str, nearest: Nearest) {
        // Suggestions cost; nobody sees those past the limit.
        let is_seen = self.problems.len() < MAX_DIAGNOSTICS;
        let help =
            if is_seen { nearest(name) } else { None }.map(|nearest| format!("did you mean {nearest:?}?"));
        self.push(span, format!("unknown {what} {:?}", clip(name)), help);
    }

    fn push(&mut self, span: Span, message: String, help: Option<String>) {
        if self.problems.len() < MAX_DIAGNOSTICS {
            self.problems.push(Problem { span, message, help });
        } else {
            self.more += 1;
        }
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems with their places, in the order of the text.
    pub(crate) fn finish(mut self, files: &[File]) -> Diagnostics {
        self.problems.sort_by_key(|problem| (problem.span.file, problem.span.start));
        let list = self.problems.into_iter().filter_map(|problem| {
            let file = files.get(problem.span.file as usize)?;
            Some(Diagnostic::new(file, problem.span, problem.message, problem.help))
        });
        Diagnostics { list: list.collect(), more: self.more }
    }
}

/// At most 40 characters of a name that is quoted in a message.
pub(crate) fn clip(name: &str) -> String {
    const SHOWN: usize = 40;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}
