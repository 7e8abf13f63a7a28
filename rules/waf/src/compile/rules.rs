//! One rule with its chain: targets, operators, flow.

use std::sync::Arc;

use bytes::Bytes;
use palisade_seclang::{
    ActionKind, Operator as Written, Rule as WrittenRule, Selector, Variable, VariableKind,
};

use super::actions::{logs, member};
use super::catalogue::Catalogue;
use super::draft::{Draft, Drafts};
use super::{Compilation, notes};
use crate::audit;
use crate::bodies::xml;
use crate::collection::Collection;
use crate::engine::{Action, Flow, Link, Rule};
use crate::limits::REGEX_BYTES;
use crate::macros::Macro;
use crate::operators::Operator;
use crate::state::is_settable;
use crate::values::{self, Target, is_supported};

/// Compiles a rule. What is wrong with it is reported; the result is then not used.
pub(super) fn build(
    compilation: &mut Compilation<'_>,
    draft: &Draft,
    drafts: &Drafts,
    catalogue: &Catalogue,
) -> Rule {
    let (written, defaults) = (&draft.rule, draft.defaults.as_slice());
    let mut links = Vec::new();
    for link in std::iter::once(written).chain(&written.links) {
        links.push(build_link(compilation, link, draft, catalogue));
    }
    let mut flow = None;
    let (mut message, mut severity, mut tags) = (Macro::default(), None, Vec::new());
    for action in &written.actions {
        match &action.kind {
            ActionKind::Msg(text) => message = compilation.text(text, action.span),
            ActionKind::Tag(text) => tags.push(compilation.text(text, action.span)),
            ActionKind::Severity(level) => severity = Some(*level),
            ActionKind::Skip(rules) => flow = Some(Flow::Skip(*rules)),
            ActionKind::SkipAfter(name) => match drafts.after(name, draft.position) {
                Some(position) => flow = Some(Flow::SkipTo(position)),
                None => compilation.refuse(action.span, &format!("no marker {name:?} follows this rule")),
            },
            _ => {}
        }
    }
    Rule {
        id: draft.id(),
        phase: written.phase(),
        position: draft.position,
        detect_only: draft.detect_only,
        links,
        disruption: compilation.disruption(&written.actions, defaults),
        flow,
        log: logs(&written.actions, defaults),
        message,
        severity,
        tags,
        facts: Arc::new(facts(draft)),
        audit: audit::of(&written.actions, defaults, compilation.place(written.span), |text| {
            compilation.text(text, written.span)
        }),
    }
}

/// `RULE`
fn facts(draft: &Draft) -> Collection {
    let mut facts = Collection::default();
    facts.push("id", member(&draft.id()));
    facts.push("phase", member(&(draft.rule.phase() as u8)));
    for action in &draft.rule.actions {
        match &action.kind {
            ActionKind::Msg(text) => facts.push("msg", member(text)),
            ActionKind::LogData(text) => facts.push("logdata", member(text)),
            ActionKind::Severity(severity) => facts.push("severity", member(&severity.number())),
            ActionKind::Rev(text) => facts.push("rev", member(text)),
            ActionKind::Ver(text) => facts.push("ver", member(text)),
            _ => {}
        }
    }
    facts
}

fn build_link(
    compilation: &mut Compilation<'_>,
    written: &WrittenRule,
    draft: &Draft,
    catalogue: &Catalogue,
) -> Link {
    let defaults = draft.defaults.as_slice();
    let (mut targets, mut exclusions) = (Vec::new(), Vec::new());
    for variable in &written.variables {
        let target = compilation.target(variable);
        if variable.exclude { exclusions.extend(target) } else { targets.extend(target) }
    }
    let operator = written.operator.as_ref().and_then(|operator| compilation.operator(operator));
    let says = |kind: &ActionKind| written.actions.iter().any(|action| action.kind == *kind);
    Link {
        targets,
        exclusions,
        transformations: Compilation::transformations(&written.actions, defaults),
        argument: match &written.operator {
            Some(operator) => compilation.text(&operator.argument, operator.argument_span),
            None => Macro::default(),
        },
        operator,
        negated: written.operator.as_ref().is_some_and(|operator| operator.negated),
        capture: says(&ActionKind::Capture),
        multi_match: says(&ActionKind::MultiMatch),
        actions: compilation.actions(&written.actions, catalogue, draft.detect_only),
    }
}

impl Compilation<'_> {
    /// A target, or none if it is refused.
    pub(super) fn target(&mut self, written: &Variable) -> Option<Target> {
        if !is_supported(written.kind) {
            self.refuse(written.span, &format!("the variable {} is not supported", written.kind));
            return None;
        }
        if let Some(why) = notes::variable(written.kind) {
            self.note(written.kind.name(), written.span, why);
        }
        let selector = match &written.selector {
            Selector::All => values::Selector::All,
            Selector::Exact(key) => values::Selector::Exact(Bytes::copy_from_slice(key.as_bytes())),
            Selector::XPath(path) if [xml::TEXT_PATH, xml::ATTRIBUTES_PATH].contains(&path.as_str()) => {
                values::Selector::Exact(Bytes::copy_from_slice(path.as_bytes()))
            }
            Selector::XPath(_) => {
                // A path that selects nothing would be a rule that never matches.
                self.refuse(written.span, "of XPath only /* and //@* are supported");
                return None;
            }
            Selector::Regex(pattern) => {
                // The names of what rules set are kept in lower case.
                let fold = if is_settable(written.kind) { "(?i)" } else { "" };
                self.count_regex(pattern, written.span);
                match self.interner.pattern(&format!("{fold}{pattern}")) {
                    Ok(_) if let Some(start) = beginning(written.kind, pattern) => {
                        values::Selector::Beginning(start)
                    }
                    Ok(regex) => values::Selector::Regex(regex),
                    Err(problem) => {
                        self.refuse(written.span, &problem);
                        return None;
                    }
                }
            }
        };
        Some(Target { variable: written.kind, selector, count: written.count })
    }

    fn operator(&mut self, written: &Written) -> Option<Operator> {
        if written.kind.takes_regex() {
            self.count_regex(&written.argument.to_string(), written.argument_span);
        }
        let data: Vec<&str> = written.data_texts(self.ast).collect();
        if !self.spend(data.iter().map(|text| text.len()).sum(), written.argument_span) {
            return None;
        }
        match Operator::compile(written.kind, written.argument.as_literal(), &data, &mut self.interner) {
            Ok(operator) => Some(operator),
            Err(problem) => {
                self.refuse(written.argument_span, &problem);
                None
            }
        }
    }

    /// Keeps the sum of all expressions under its limit.
    fn count_regex(&mut self, pattern: &str, span: palisade_seclang::Span) {
        let before = self.regex_bytes;
        self.regex_bytes = before.saturating_add(pattern.len());
        if before <= REGEX_BYTES && self.regex_bytes > REGEX_BYTES {
            self.refuse(
                span,
                &format!("the regular expressions of a rule set have at most {REGEX_BYTES} bytes"),
            );
        }
    }
}

/// What the expression asks names of a collection that rules set to begin with, if it asks nothing else.
fn beginning(variable: VariableKind, pattern: &str) -> Option<Bytes> {
    let start = pattern.strip_prefix('^').filter(|_| is_settable(variable))?;
    let is_literal = start.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    is_literal.then(|| start.to_ascii_lowercase().into())
}

/// Whether a rule looks at `REQBODY_ERROR`.
pub(super) fn judge_body_errors(rules: &[Rule]) -> bool {
    look_at(rules, |variable| {
        matches!(variable, VariableKind::ReqbodyError | VariableKind::ReqbodyProcessorError)
    })
}

/// Whether a rule looks at one of the flags of `Flags::disagreement`, or at the one that sums them up.
pub(super) fn judge_forms(rules: &[Rule]) -> bool {
    use VariableKind as V;
    look_at(rules, |variable| {
        matches!(
            variable,
            V::MultipartStrictError | V::MultipartLfLine | V::MultipartDataBefore | V::MultipartDataAfter
        )
    })
}

fn look_at(rules: &[Rule], wanted: impl Fn(VariableKind) -> bool) -> bool {
    let links = rules.iter().flat_map(|rule| &rule.links);
    links.flat_map(|link| &link.targets).any(|target| wanted(target.variable))
}

/// Whether a rule opens a record of a persistent collection.
pub(super) fn keep_records(rules: &[Rule]) -> bool {
    let actions = rules.iter().flat_map(|rule| &rule.links).flat_map(|link| &link.actions);
    actions.into_iter().any(|action| matches!(action, Action::Open { .. }))
}
