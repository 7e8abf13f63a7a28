//! What is probably not meant in a rule set that compiles: rules that never run, exclusions without effect, tests that
//! are never true, expressions that the fast path cannot help.
//!
//! A pure analysis of the syntax tree. Promises stable codes ([`CODES`]), a place for every finding, and to be silent
//! where it is not sure: a finding on a good rule costs more than one that is missing. Does not judge what a rule
//! looks for.

mod chains;
mod conventions;
mod dead;
mod exclusions;
mod expressions;
mod variables;

use std::fmt;

use palisade_model::documents::RuleSet;
use palisade_seclang::{
    Action, ActionKind, Ast, Diagnostics, DirectiveBody, Phase, Rule, Selector, Span, Transformation,
    Variable, parse_rule_set,
};

/// Every code with what it says.
pub const CODES: [(&str, &str); 16] = [
    ("W001", "a rule never runs: an action without a test before it skips or ends the phase"),
    ("W002", "a rule never runs: its own file removes it"),
    ("W003", "a rule never matches: all its variables are empty in its phase"),
    ("W004", "a variable is always empty in this phase"),
    ("W010", "a removal or update names no rule that stands before it"),
    ("W011", "an exclusion takes away what no rule it names looks at"),
    ("W012", "a ctl exclusion runs after every rule it names"),
    ("W013", "a ctl exclusion names no rule"),
    ("W020", "a chain is never true: its tests contradict one another"),
    ("W021", "a test is never true: the text it looks for cannot come out of its transformations"),
    ("W022", "a number is compared with something that is none"),
    ("W030", "an expression says nothing of what a match must hold: it is tried on every value"),
    ("W031", "a rule is written twice"),
    ("W032", "an expression has a range that takes in signs: A-z"),
    ("W040", "a rule that denies has no message"),
    ("W043", "a member of TX is read, and nothing sets it"),
];

/// Something that is probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// One of [`CODES`].
    pub code: &'static str,
    /// The file.
    pub file: String,
    /// The line; 1 is the first.
    pub line: u32,
    /// The column; 1 is the first.
    pub column: u32,
    /// The rule it is about.
    pub rule: Option<u64>,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: ", self.file, self.line, self.column, self.code)?;
        if let Some(rule) = self.rule {
            write!(f, "rule {rule}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Looks through a rule set. The findings are in the order of the text.
pub fn lint(rule_set: &RuleSet) -> Result<Vec<Finding>, Diagnostics> {
    let ast = parse_rule_set(rule_set)?;
    let mut report = Report { ast: &ast, findings: Vec::new() };
    let rules = entries(&ast);
    dead::check(&ast, &rules, &mut report);
    exclusions::check(&ast, &rules, &mut report);
    for entry in &rules {
        chains::check(entry, &mut report);
        expressions::check(entry, &mut report);
        conventions::check(entry, &mut report);
    }
    conventions::twice(&rules, &mut report);
    variables::check(&ast, &rules, &mut report);
    let mut findings = report.findings;
    findings.sort_by_key(|(span, finding)| (span.file, span.start, finding.code));
    Ok(findings.into_iter().map(|(_, finding)| finding).collect())
}

/// Collects findings.
struct Report<'a> {
    ast: &'a Ast,
    findings: Vec<(Span, Finding)>,
}

impl Report<'_> {
    fn add(&mut self, code: &'static str, span: Span, rule: Option<u64>, message: impl Into<String>) {
        let Some((file, at)) = self.ast.place(span) else { return };
        let finding = Finding {
            code,
            file: file.to_owned(),
            line: at.line,
            column: at.column,
            rule,
            message: message.into(),
        };
        self.findings.push((span, finding));
    }
}

/// A rule with what is asked of it most.
struct Entry<'a> {
    rule: &'a Rule,
    id: u64,
    phase: Phase,
    /// Its place among the directives.
    position: usize,
    tags: Vec<String>,
    message: Option<String>,
    /// `SecDefaultAction` of its phase where it stands.
    defaults: &'a [Action],
}

impl<'a> Entry<'a> {
    /// The rule and its links.
    fn links(&self) -> impl Iterator<Item = &'a Rule> {
        std::iter::once(self.rule).chain(&self.rule.links)
    }

    /// The actions of the rule and of its links.
    fn actions(&self) -> impl Iterator<Item = &'a Action> {
        self.links().flat_map(|link| &link.actions)
    }

    /// What a link's values go through.
    fn transformations(&self, link: &Rule) -> Vec<Transformation> {
        let mut steps = Vec::new();
        for action in self.defaults.iter().chain(&link.actions) {
            match action.kind {
                ActionKind::Transformation(Transformation::None) => steps.clear(),
                ActionKind::Transformation(step) => steps.push(step),
                _ => {}
            }
        }
        steps
    }
}

fn entries(ast: &Ast) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let mut defaults: [&[Action]; 6] = [&[]; 6];
    for (position, directive) in ast.directives.iter().enumerate() {
        match &directive.body {
            DirectiveBody::DefaultAction { phase, actions } => {
                if let Some(place) = defaults.get_mut(*phase as usize) {
                    *place = actions;
                }
            }
            DirectiveBody::Rule(rule) => {
                let tags = rule.actions.iter().filter_map(|action| match &action.kind {
                    ActionKind::Tag(tag) => Some(tag.to_string()),
                    _ => None,
                });
                let message = rule.actions.iter().rev().find_map(|action| match &action.kind {
                    ActionKind::Msg(message) => Some(message.to_string()),
                    _ => None,
                });
                let phase = rule.phase();
                entries.push(Entry {
                    rule,
                    id: rule.id().unwrap_or_default(),
                    phase,
                    position,
                    tags: tags.collect(),
                    message,
                    defaults: defaults.get(phase as usize).copied().unwrap_or_default(),
                });
            }
            _ => {}
        }
    }
    entries
}

/// A variable as it is written, without `!`.
fn shown(variable: &Variable) -> String {
    let count = if variable.count { "&" } else { "" };
    let selector = match &variable.selector {
        Selector::All => String::new(),
        Selector::Exact(key) => format!(":{key}"),
        Selector::Regex(pattern) => format!(":/{pattern}/"),
        Selector::XPath(path) => format!(":{path}"),
    };
    format!("{count}{}{selector}", variable.kind)
}
