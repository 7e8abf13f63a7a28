//! What one transaction did, rule by rule and value by value, for the person who writes rules.
//!
//! Promises that keeping a trace changes no verdict, and that a trace is bounded. It shows what came in, in full, so it
//! belongs on the screen of the person who made the request and nowhere else: the data path keeps none. Only the
//! straightforward evaluation ([`Engine::compile_slow`]) fills it; what the fast path would do, it asks the fast path of
//! the same rule set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use palisade_model::documents::RuleSet;
use palisade_seclang::{Diagnostics, VariableKind, parse_rule_set};

use crate::Engine;
use crate::engine::{Disruption, Link, Rule};
use crate::prefilter::{Needs, Told};
use crate::transaction::Transaction;
use crate::values::{Selector, Target, Value};

/// Values of a trace. A rule set's own machinery takes some 500; the rest is room for a watched rule's misses.
pub const TRACED_VALUES: usize = 20_000;

/// What a transaction did.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The rules of which a value matched, and the watched one, in the order in which they ran.
    pub rules: Vec<TracedRule>,
    /// How many rules were tried in each phase; the others were skipped, removed, or never reached.
    pub tried: [usize; 5],
    /// Whether there was more than [`TRACED_VALUES`].
    pub truncated: bool,
    /// The same rule set with the fast path.
    fast: Option<Arc<Engine>>,
    watched: Option<u64>,
    values: usize,
    /// Whether the last rule of `rules` is the one that runs.
    open: bool,
    running: Option<TracedRule>,
    /// `TX` before the actions that run.
    before: BTreeMap<Bytes, Bytes>,
}

/// A rule that was tried, and matched at least one value or is the watched one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TracedRule {
    /// The `id` action.
    pub id: u64,
    /// The phase, 1 to 5.
    pub phase: u8,
    /// Whether every test of its chain matched.
    pub complete: bool,
    /// How many tests its chain has; 1 for a rule alone.
    pub links: usize,
    /// The expanded message, with the values in it.
    pub message: String,
    /// The severity's name.
    pub severity: Option<&'static str>,
    /// What a complete match does: `pass`, `deny 403`, …
    pub effect: String,
    /// Whether a match is written to the log.
    pub logged: bool,
    /// The values that matched, and of the watched rule those that did not.
    pub values: Vec<TracedValue>,
}

/// A value on which a rule was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedValue {
    /// Which test of the chain; 0 is the rule itself.
    pub link: usize,
    /// The name of the variable, e.g. `ARGS:q`; empty for a `SecAction`.
    pub target: String,
    /// Whether it matched.
    pub matched: bool,
    /// The value as it came.
    pub original: Bytes,
    /// The value as the operator saw it.
    pub bytes: Bytes,
    /// What it went through.
    pub transformations: Vec<&'static str>,
    /// How the fast path comes to try it.
    pub admission: Admission,
    /// What the match changed in `TX`.
    pub changes: Vec<TxChange>,
}

/// How the fast path treats a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is tried whatever it holds, for this reason.
    Always(&'static str),
    /// It holds what a match needs: for each need, what was found.
    Holds(Vec<String>),
    /// It lacks this, and is passed over.
    Lacks(String),
}

/// A change of one member of `TX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxChange {
    /// Its name.
    pub name: String,
    /// What it was.
    pub before: Option<String>,
    /// What it is.
    pub after: Option<String>,
}

/// Where a rule is written, and what it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// `file:line:column`.
    pub place: String,
    /// The operator of each link as it is written; a `SecAction` has `SecAction`.
    pub operators: Vec<String>,
}

/// Every rule of a rule set by its id.
pub fn written(rule_set: &RuleSet) -> Result<BTreeMap<u64, Written>, Diagnostics> {
    let ast = parse_rule_set(rule_set)?;
    let place = |rule: &palisade_seclang::Rule| {
        let found = ast.place(rule.span);
        found.map_or_else(String::new, |(file, at)| format!("{file}:{}:{}", at.line, at.column))
    };
    let operator = |rule: &palisade_seclang::Rule| match &rule.operator {
        None => "SecAction".to_owned(),
        Some(operator) => {
            let not = if operator.negated { "!" } else { "" };
            format!("{not}@{} {}", operator.kind, operator.argument).trim_end().to_owned()
        }
    };
    let rules = ast.rules().map(|rule| {
        let operators = std::iter::once(rule).chain(&rule.links).map(operator).collect();
        (rule.id().unwrap_or_default(), Written { place: place(rule), operators })
    });
    Ok(rules.collect())
}

impl Engine {
    /// How many rules are in force in each phase.
    pub fn phase_counts(&self) -> [usize; 5] {
        self.phases.each_ref().map(Vec::len)
    }
}

impl Transaction {
    /// Keeps a trace from now on. `fast`: the same rule set and policy with the fast path, which is asked what it would
    /// do. `watched`: a rule of which misses are kept too.
    pub fn keep_trace(&mut self, fast: Arc<Engine>, watched: Option<u64>) {
        self.trace = Some(Box::new(Trace { fast: Some(fast), watched, ..Trace::default() }));
    }

    /// The trace, complete after [`Transaction::logging()`].
    pub fn take_trace(&mut self) -> Option<Trace> {
        let mut trace = *self.trace.take()?;
        trace.close();
        Some(trace)
    }

    /// Every member of `TX`, by name.
    pub fn tx(&self) -> BTreeMap<String, String> {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        self.tx_members().iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    /// A rule begins.
    pub(crate) fn trace_rule(&mut self, rule: &Rule) {
        let Some(trace) = &mut self.trace else { return };
        trace.close();
        if let Some(tried) = trace.tried.get_mut(rule.phase as usize - 1) {
            *tried += 1;
        }
        let running = TracedRule {
            id: rule.id,
            phase: rule.phase as u8,
            links: rule.links.len(),
            severity: rule.severity.map(palisade_seclang::Severity::name),
            effect: effect(rule),
            logged: rule.log,
            ..TracedRule::default()
        };
        trace.open = trace.watched == Some(rule.id);
        trace.running = Some(running);
    }

    /// A link was tried on a value. Before its actions run.
    pub(crate) fn trace_value(&mut self, link: &Link, value: &Value, candidate: &Bytes, matched: bool) {
        let Some(trace) = &self.trace else { return };
        let is_watched = trace.running.as_ref().is_some_and(|rule| trace.watched == Some(rule.id));
        if !matched && !is_watched {
            return;
        }
        let number = self.link_number(link);
        let traced = TracedValue {
            link: number,
            target: String::from_utf8_lossy(&value.name()).into_owned(),
            matched,
            original: value.bytes.clone(),
            bytes: candidate.clone(),
            transformations: link.transformations.iter().map(|step| step.name()).collect(),
            admission: self.admission(link, number, candidate),
            changes: Vec::new(),
        };
        self.push_traced(traced, matched && !link.actions.is_empty());
    }

    /// The actions of a link without a test ran.
    pub(crate) fn trace_action(&mut self, link: &Link) {
        if self.trace.is_none() {
            return;
        }
        let traced = TracedValue {
            link: self.link_number(link),
            target: String::new(),
            matched: true,
            original: Bytes::new(),
            bytes: Bytes::new(),
            transformations: Vec::new(),
            admission: Admission::Always("an action without a test"),
            changes: Vec::new(),
        };
        // `before` is what the last traced match left; only actions change it.
        self.push_traced(traced, false);
        self.trace_changes();
    }

    /// The actions of the value that was traced last ran.
    pub(crate) fn trace_changes(&mut self) {
        if self.trace.is_none() {
            return;
        }
        let after = self.tx_members();
        let Some(trace) = &mut self.trace else { return };
        let changes = changes(&trace.before, &after);
        trace.before = after;
        if let Some(value) = trace.running.as_mut().and_then(|rule| rule.values.last_mut()) {
            value.changes = changes;
        }
    }

    /// Every link matched.
    pub(crate) fn trace_complete(&mut self, rule: &Rule) {
        if self.trace.is_none() {
            return;
        }
        let message = rule.message.expand(|variable, key| self.state.first(variable, key));
        let message = String::from_utf8_lossy(&message.unwrap_or_default()).into_owned();
        if let Some(running) = self.trace.as_mut().and_then(|trace| trace.running.as_mut()) {
            running.complete = true;
            running.message = message;
        }
    }

    fn push_traced(&mut self, traced: TracedValue, acts: bool) {
        let before = acts.then(|| self.tx_members());
        let Some(trace) = &mut self.trace else { return };
        if let Some(before) = before {
            trace.before = before;
        }
        if trace.values >= TRACED_VALUES {
            trace.truncated = true;
            return;
        }
        trace.values += 1;
        trace.open |= traced.matched;
        if let Some(running) = &mut trace.running {
            running.values.push(traced);
        }
    }

    /// The running rule.
    fn running(&self) -> Option<(usize, &Rule)> {
        let id = self.trace.as_ref()?.running.as_ref()?.id;
        self.engine.rules.iter().enumerate().find(|(_, rule)| rule.id == id)
    }

    /// Which link of the running rule this is.
    fn link_number(&self, link: &Link) -> usize {
        let links = self.running().map(|(_, rule)| rule.links.as_slice()).unwrap_or_default();
        links.iter().position(|other| std::ptr::eq(other, link)).unwrap_or_default()
    }

    /// How the fast path treats a text that a link of the running rule is tried on.
    fn admission(&self, link: &Link, number: usize, text: &[u8]) -> Admission {
        if number > 0 {
            return Admission::Always("the link before it matched");
        }
        let fast = self.trace.as_ref().and_then(|trace| trace.fast.as_deref());
        let program = fast.and_then(|fast| Some((fast, fast.program.as_ref()?)));
        let (Some((fast, program)), Some((rule, _))) = (program, self.running()) else {
            return Admission::Always("there is no fast path");
        };
        let needs = link.operator.as_ref().and_then(|operator| operator.needs());
        let held = |needs| held(needs, text);
        match (program.told(fast, rule, text), needs.map(held)) {
            (Told::Decided, _) => Admission::Always("its outcome is known when the rule set is loaded"),
            (Told::Straightforward, _) => Admission::Always("the rule is not prefiltered"),
            (Told::Member, _) => Admission::Always("rules set this variable"),
            (Told::Count, _) => Admission::Always("the number of values is compared"),
            (Told::Negated, _) => Admission::Always("the operator is negated"),
            (Told::Anything, _) => Admission::Always("nothing is known of what a match must hold"),
            (Told::Admitted, Some(Held::All(found))) => Admission::Holds(found),
            (Told::Admitted, _) => Admission::Always("not all that a match must hold is looked for"),
            (Told::PassedOver, Some(Held::Not(what))) => Admission::Lacks(what),
            (Told::PassedOver, _) => Admission::Lacks("what a match must hold".to_owned()),
        }
    }

    fn tx_members(&self) -> BTreeMap<Bytes, Bytes> {
        let mut values = Vec::new();
        let all = Target { variable: VariableKind::Tx, selector: Selector::All, count: false };
        self.state.collect(&all, &mut values);
        values.into_iter().filter_map(|value| Some((value.key?, value.bytes))).collect()
    }
}

impl Trace {
    /// The running rule ends; it is kept if there is something to tell of it.
    fn close(&mut self) {
        let running = self.running.take();
        if std::mem::take(&mut self.open) {
            self.rules.extend(running);
        }
    }
}

fn effect(rule: &Rule) -> String {
    let effect = match &rule.disruption {
        Disruption::Pass => "pass".to_owned(),
        Disruption::Deny(status) => format!("deny {}", status.as_u16()),
        Disruption::Drop(_) => "drop".to_owned(),
        Disruption::Redirect(status, _) => format!("redirect {}", status.as_u16()),
        Disruption::Allow(scope) => format!("allow {scope:?}").to_ascii_lowercase(),
    };
    if rule.detect_only { format!("{effect} (discarded: this rule only detects)") } else { effect }
}

fn changes(before: &BTreeMap<Bytes, Bytes>, after: &BTreeMap<Bytes, Bytes>) -> Vec<TxChange> {
    let text = |bytes: Option<&Bytes>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let changed = names.filter(|name| before.get(*name) != after.get(*name));
    changed
        .map(|name| TxChange {
            name: String::from_utf8_lossy(name).into_owned(),
            before: text(before.get(name)),
            after: text(after.get(name)),
        })
        .collect()
}

/// What of an operator's needs a text holds.
enum Held {
    /// All of them, with what was found.
    All(Vec<String>),
    /// Not this one.
    Not(String),
}

fn held(needs: &Needs, value: &[u8]) -> Held {
    if value.len() < needs.bytes {
        return Held::Not(format!("at least {} bytes", needs.bytes));
    }
    let folded = value.to_ascii_lowercase();
    let mut found = Vec::new();
    for clause in &needs.clauses {
        let holds = |literal: &&Vec<u8>| memchr::memmem::find(&folded, literal).is_some();
        let byte = clause.bytes.iter().find(|byte| memchr::memchr(*byte, value).is_some());
        match (clause.literals.iter().find(holds), byte) {
            (Some(literal), _) => found.push(format!("literal \"{}\"", literal.escape_ascii())),
            (None, Some(byte)) => found.push(format!("byte \"{}\"", byte.escape_ascii())),
            (None, None) => return Held::Not(described(&clause.literals, clause.bytes.iter())),
        }
    }
    if found.is_empty() {
        found.push(format!("at least {} bytes", needs.bytes));
    }
    Held::All(found)
}

/// A clause in words; a few of its alternatives.
fn described(literals: &BTreeSet<Vec<u8>>, bytes: impl Iterator<Item = u8>) -> String {
    const SHOWN: usize = 4;
    let literals = literals.iter().map(|literal| format!("\"{}\"", literal.escape_ascii()));
    let all: Vec<String> = literals.chain(bytes.map(|byte| format!("\"{}\"", byte.escape_ascii()))).collect();
    let more = all.len().saturating_sub(SHOWN);
    let mut text = all.into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" or one of {more} more"));
    }
    format!("one of {text}")
}
