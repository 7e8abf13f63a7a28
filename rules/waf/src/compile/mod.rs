//! Rule set and WafPolicy → engine, in one pass over the syntax tree and one over the rules that stay.
//!
//! Promises: what the engine cannot do is refused with its place, never left out; the WafPolicy wins over the rule
//! set where both speak. Removals and updates take the rules before them, as in ModSecurity 2.

mod actions;
mod catalogue;
mod costs;
mod draft;
mod modes;
mod notes;
mod rules;
mod settings;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use costs::COMPILE_UNITS;
pub use modes::POLICY_ENTRIES;
use palisade_model::documents::{RuleSet, WafPolicySpec};
use palisade_seclang::{Ast, Diagnostic, Span, parse_rule_set};

use crate::audit;
use crate::engine::Engine;
use crate::later::Later;
use crate::operators::Interner;
use crate::prefilter::Program;

/// Problems that are reported at once.
const PROBLEMS: usize = 64;

/// Why a rule set cannot be compiled: every problem with file, line, column and caret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct CompileError(pub String);

/// What one compilation shares: the tree, equal patterns, and what is wrong.
pub(crate) struct Compilation<'a> {
    ast: &'a Ast,
    interner: Interner,
    problems: Vec<Diagnostic>,
    notes: Vec<String>,
    /// Names that have a note.
    noted: BTreeSet<&'static str>,
    more_problems: usize,
    regex_bytes: usize,
    /// Work that was done; see [`costs`].
    units: usize,
}

impl<'a> Compilation<'a> {
    fn new(ast: &'a Ast) -> Self {
        Self {
            ast,
            interner: Interner::default(),
            problems: Vec::new(),
            notes: Vec::new(),
            noted: BTreeSet::new(),
            more_problems: 0,
            regex_bytes: 0,
            units: 0,
        }
    }

    /// Reports a problem at a place.
    fn refuse(&mut self, span: Span, problem: &str) {
        if self.problems.len() < PROBLEMS {
            self.problems.push(self.ast.diagnostic(span, problem));
        } else {
            self.more_problems += 1;
        }
    }

    /// The file and line of a span.
    fn place(&self, span: Span) -> Option<(Arc<str>, u32)> {
        let file = self.ast.files.get(span.file as usize)?;
        Some((file.name.clone(), file.location(span.start).line))
    }

    fn finish(self) -> Result<(), CompileError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let mut text: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
        if self.more_problems > 0 {
            text.push(format!("and {} more problems", self.more_problems));
        }
        Err(CompileError(text.join("\n")))
    }
}

impl Engine {
    /// Parses and compiles a complete rule set under a WafPolicy.
    pub fn compile(rules: &RuleSet, policy: &WafPolicySpec) -> Result<Self, CompileError> {
        let mut engine = Self::compile_slow(rules, policy)?;
        engine.program = Program::of(&engine);
        Ok(engine)
    }

    /// The same engine without the fast path: the truth that tests and benches hold it against.
    #[doc(hidden)]
    pub fn compile_slow(rules: &RuleSet, policy: &WafPolicySpec) -> Result<Self, CompileError> {
        let ast = parse_rule_set(rules).map_err(|problems| CompileError(problems.to_string()))?;
        let modes = modes::Modes::of(policy)?;
        let mut compilation = Compilation::new(&ast);
        let mut settings = settings::of(policy, &modes);
        let mut drafts = draft::read(&mut compilation, &mut settings);
        audit::decide(Arc::make_mut(&mut settings.audit), &policy.audit_log)?;
        modes.apply(&mut drafts.rules);
        let catalogue = catalogue::Catalogue::of(&drafts.rules);
        let mut engine = Self {
            rules: Vec::new(),
            phases: Default::default(),
            later: Default::default(),
            settings,
            program: None,
            notes: Vec::new(),
        };
        for draft in &drafts.rules {
            let rule = rules::build(&mut compilation, draft, &drafts, &catalogue);
            if let Some(phase) = engine.phases.get_mut(rule.phase as usize - 1) {
                phase.push(engine.rules.len());
            }
            engine.rules.push(rule);
        }
        engine.later = Later::of(&engine);
        engine.settings.keeps_records = rules::keep_records(&engine.rules);
        engine.settings.judges_body_errors = rules::judge_body_errors(&engine.rules);
        engine.settings.judges_forms = rules::judge_forms(&engine.rules);
        engine.notes = std::mem::take(&mut compilation.notes);
        compilation.finish()?;
        Ok(engine)
    }
}
