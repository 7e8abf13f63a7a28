//! SecLang text → AST with spans and diagnostics.
//!
//! Reads the grammar of ModSecurity 3 and of the OWASP Core Rule Set: every directive, operator, transformation,
//! variable, action and `ctl` option by closed enums, so that nothing unknown passes. Promises never to panic, to read
//! nothing but what [`Sources`] gives, to keep its limits, and to name file, line and column of what is wrong.
//! Does not match, does no I/O, does not compile regular expressions.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

mod actions;
mod diagnostics;
mod directives;
mod expansion;
mod limits;
mod lines;
mod names;
mod operators;
mod parser;
mod sources;
mod span;
mod structure;
mod text;
mod transformations;
mod variables;

use std::sync::Arc;

use palisade_model::documents::RuleSet;

pub use actions::{
    Action, ActionKind, ActionName, Allow, AuditEngineMode, AuditLogParts, BodyProcessor, Collection,
    Control, ControlName, EngineMode, PartsChange, Phase, SetEnv, SetVar, SetVarOperation, Severity,
};
pub use diagnostics::{Diagnostic, Diagnostics};
pub use directives::{
    ArgumentSeparator, AuditLogFormat, AuditLogType, Directive, DirectiveBody, DirectiveName, FailAction,
    IdRange, LimitAction, Rule, RuleSelection, Setting, TemporaryFiles, UnicodeMap, UpdateTarget,
    UploadKeepFiles, parse_ids,
};
pub use expansion::{MacroPart, MacroText};
pub use limits::{
    Limits, MAX_ACTIONS, MAX_DIAGNOSTICS, MAX_DIRECTIVE_BYTES, MAX_DIRECTIVES, MAX_FILES, MAX_INCLUDE_DEPTH,
    MAX_NAME_BYTES, MAX_OPERATOR_FILES, MAX_PARTS, MAX_RULES, MAX_TARGETS, MAX_TOTAL_BYTES,
};
pub use operators::{Operator, OperatorKind};
pub use sources::{NoSources, RuleSetSources, Source, SourceError, Sources, is_glob, matches_glob, resolve};
pub use span::{File, Location, Span};
pub use transformations::Transformation;
pub use variables::{Selector, Variable, VariableKind, parse_target};

/// A rule set that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ast {
    /// The directives in the order of the text, included files in the place of their `Include`.
    pub directives: Vec<Directive>,
    /// The rule files in the order of reading; spans count them from 0.
    pub files: Vec<File>,
    /// The data files that operators name (see [`Operator::data`]).
    pub data: Vec<DataFile>,
}

/// A data file (`@pmFromFile`, `@ipMatchFromFile`), as it stands: comments and blank lines are the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Its name from the root.
    pub name: String,
    /// Its text.
    pub text: Arc<str>,
}

impl Ast {
    /// The rules in order, without those of links (they are in [`Rule::links`]).
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        parser::rules(&self.directives)
    }

    /// File name, line and column of a span.
    pub fn place(&self, span: Span) -> Option<(&str, Location)> {
        let file = self.files.get(span.file as usize)?;
        Some((&file.name, file.location(span.start)))
    }

    /// A diagnostic at a span, for what only the compiler can know (a regular expression that does not compile).
    pub fn diagnostic(&self, span: Span, message: &str) -> Diagnostic {
        let nowhere = File::new("", "");
        let file = self.files.get(span.file as usize).unwrap_or(&nowhere);
        Diagnostic::new(file, span, message.to_owned(), None)
    }
}

/// Reads root files in their order, all in one namespace. Either nothing is wrong, or everything that is wrong is told.
pub fn parse(roots: &[Source], sources: &dyn Sources) -> Result<Ast, Diagnostics> {
    parse_with(roots, sources, Limits::default())
}

/// [`parse`] with limits of one's own.
pub fn parse_with(roots: &[Source], sources: &dyn Sources, limits: Limits) -> Result<Ast, Diagnostics> {
    parser::parse(roots, sources, limits)
}

/// Reads a `RuleSet` document: its sources in their order, its data files.
pub fn parse_rule_set(rule_set: &RuleSet) -> Result<Ast, Diagnostics> {
    let sources = RuleSetSources::new(rule_set);
    parse(&sources.roots(), &sources)
}
