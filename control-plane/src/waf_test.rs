//! One request through one rule set, told rule by rule: what `palisade waf test` shows.
//!
//! The trace is of the straightforward evaluation; the fast path runs beside it and must come to the same. Nothing here
//! decides: the verdict is the engine's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use palisade_loader::release::Release;
use palisade_model::documents::{BodyLimit, Mode, RuleSet, WafPolicySpec};
use palisade_model::limits::INSPECTED_BODY_BYTES;
use palisade_model::{Connection, Direction, RequestHead};
use palisade_waf::trace::{Admission, Trace, TracedRule, TracedValue, Written, written};
use palisade_waf::{CompileError, Engine, Interruption, Transaction};
use serde::Serialize;

use crate::sample::{Sample, SampleError};

/// How the rules are tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The mode of every rule.
    pub mode: Mode,
    /// The paranoia level; none: what the rule set says.
    pub paranoia: Option<u8>,
    /// A rule of which misses are told too.
    pub watched: Option<u64>,
}

/// Why a request cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// The rules.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The sample.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// A rule that is to be watched is not there.
    #[error("the rule set has no rule {0}")]
    NoSuchRule(u64),
}

/// What came of a request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Its request line.
    pub request: String,
    /// The version that the rules name.
    pub rule_set_version: Option<String>,
    /// How many rules are in force.
    pub rules_in_force: usize,
    /// What became of it.
    pub verdict: Verdict,
    /// Every rule of which a value matched, in the order in which they ran.
    pub rules: Vec<RuleReport>,
    /// Scores and thresholds at the end (`TX`).
    pub scores: BTreeMap<String, String>,
    /// Rules that were tried, and rules in force, phase by phase.
    pub tried: Vec<(usize, usize)>,
    /// What was added to the sample, and what was not looked at.
    pub notes: Vec<String>,
    /// What the rule set asks for and does not get, with its places.
    pub rule_set_notes: Vec<String>,
    /// Whether the fast path came to the same; anything else is a defect of the engine.
    pub fast_path_agrees: bool,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "verdict")]
pub enum Verdict {
    /// The proxy refuses it before any rule.
    Malformed {
        /// The cause's name in `docs/denials.md`.
        cause: String,
        /// Where.
        place: String,
    },
    /// It, or its answer, is denied.
    Denied {
        /// The rule; 0 if the engine itself denied.
        rule: u64,
        /// The phase.
        phase: u8,
        /// The status that the client gets.
        status: u16,
        /// One sentence.
        explanation: String,
    },
    /// It passes.
    Passes {
        /// The rule that would have denied it in block mode.
        would_be_denied_by: Option<u64>,
    },
}

/// A rule of which a value matched.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleReport {
    /// Its id.
    pub id: u64,
    /// `file:line:column`
    pub place: String,
    /// Its phase.
    pub phase: u8,
    /// Whether all of its chain matched.
    pub complete: bool,
    /// The tests of its chain.
    pub links: usize,
    /// Its message with the values in it.
    pub message: String,
    /// Its severity.
    pub severity: Option<&'static str>,
    /// What its match does.
    pub effect: String,
    /// Whether its match is logged; set-up rules and the like are not.
    pub logged: bool,
    /// The values.
    pub values: Vec<ValueReport>,
}

/// A value that a rule was tried on.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueReport {
    /// Which test of the chain; 0 is the rule itself.
    pub link: usize,
    /// The operator as it is written.
    pub operator: String,
    /// The variable.
    pub target: String,
    /// Whether it matched.
    pub matched: bool,
    /// What came, as text.
    pub value: String,
    /// What the operator saw, as text; absent if it is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transformed: Option<String>,
    /// The transformations.
    pub transformations: Vec<&'static str>,
    /// Why the fast path tries it, or passes it over.
    pub prefilter: String,
    /// Changes of `TX`: name, before, after.
    pub changes: Vec<(String, Option<String>, Option<String>)>,
}

/// Tries a sample.
pub fn run(release: &Release, sample: &Sample, options: Options) -> Result<Report, TestError> {
    let policy = policy(options);
    let slow = Arc::new(Engine::compile_slow(&release.rule_set, &policy)?);
    let fast = Arc::new(Engine::compile(&release.rule_set, &policy)?);
    let places = written(&release.rule_set).unwrap_or_default();
    if let Some(id) = options.watched.filter(|id| !places.contains_key(id)) {
        return Err(TestError::NoSuchRule(id));
    }
    let line = sample.head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut report = Report {
        request: shown(line),
        rule_set_version: release.version.clone(),
        rules_in_force: slow.rule_count(),
        verdict: Verdict::Passes { would_be_denied_by: None },
        rules: Vec::new(),
        scores: BTreeMap::new(),
        tried: Vec::new(),
        notes: sample.notes.clone(),
        rule_set_notes: slow.notes().to_vec(),
        fast_path_agrees: true,
    };
    let head = match sample.request_head() {
        Ok(head) => head,
        Err(malformed) => {
            let cause = malformed.cause.as_str().to_owned();
            report.verdict = Verdict::Malformed { cause, place: malformed.place };
            return Ok(report);
        }
    };
    let mut traced = begin(&slow, sample, &head);
    traced.keep_trace(fast.clone(), options.watched);
    let ended = phases(&mut traced, sample, &head, &mut report.notes)?;
    let mut beside = begin(&fast, sample, &head);
    let ended_fast = phases(&mut beside, sample, &head, &mut Vec::new())?;
    report.fast_path_agrees = ended == ended_fast && traced.matches() == beside.matches();
    report.scores = scores(traced.tx());
    let trace = traced.take_trace().unwrap_or_default();
    report.tried = trace.tried.into_iter().zip(slow.phase_counts()).collect();
    if trace.truncated {
        report.notes.push("the trace is too long; its end is left out".to_owned());
    }
    report.verdict = verdict(ended, &trace);
    report.rules = trace.rules.iter().map(|rule| told(rule, places.get(&rule.id))).collect();
    if sample.response.is_none() {
        let text = format!(
            "phases 3 and 4 did not run: there is no response ({})",
            crate::sample::raw::RESPONSE_MARK
        );
        report.notes.push(text);
    }
    Ok(report)
}

fn policy(options: Options) -> WafPolicySpec {
    WafPolicySpec {
        mode: options.mode,
        paranoia_level: options.paranoia,
        response_body: Some(BodyLimit::RESPONSE),
        ..WafPolicySpec::of("tested")
    }
}

/// A time in business hours, so that rules on the time of day answer the same every day.
const TIME_MS: u64 = 1_767_268_800_000;

fn begin(engine: &Arc<Engine>, sample: &Sample, head: &RequestHead) -> Transaction {
    let address = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let connection = Connection {
        listener: "test".to_owned(),
        direction: Direction::Gateway,
        peer: address(40_000),
        client: address(40_000),
        local: address(if sample.tls { 443 } else { 80 }),
        principal: None,
        sni: None,
        tls: sample.tls,
    };
    Transaction::begin(engine.clone(), &connection, head, TIME_MS, "test")
}

/// What ended it, in which phase.
type Ended = Option<(u8, Interruption)>;

fn phases(
    transaction: &mut Transaction,
    sample: &Sample,
    head: &RequestHead,
    notes: &mut Vec<String>,
) -> Result<Ended, SampleError> {
    let mut ended = transaction.request_headers().map(|interruption| (1, interruption));
    if ended.is_none() {
        if sample.body.len() > INSPECTED_BODY_BYTES {
            notes.push(format!(
                "the body has {} bytes; under the default limit of {INSPECTED_BODY_BYTES} the proxy answers 413",
                sample.body.len()
            ));
        }
        if let Some(why) = transaction.request_body_uninspected().filter(|_| !sample.body.is_empty()) {
            notes.push(format!("the body was not looked at: {why}"));
        }
        transaction.request_body_feed(&sample.body);
        ended = transaction.request_body(true).map(|interruption| (2, interruption));
    }
    if ended.is_none()
        && let Some((response, body)) = sample.response_head(head)?
    {
        ended = transaction.response_headers(&response).map(|interruption| (3, interruption));
        if ended.is_none() {
            if !transaction.wants_response_body() && !body.is_empty() {
                notes.push(
                    "the response body was not looked at: its content type is not inspected".to_owned(),
                );
            }
            transaction.response_body_feed(body);
            ended = transaction.response_body(true).map(|interruption| (4, interruption));
        }
    }
    transaction.logging();
    Ok(ended)
}

fn verdict(ended: Ended, trace: &Trace) -> Verdict {
    match ended {
        Some((phase, interruption)) => Verdict::Denied {
            rule: interruption.rule,
            phase,
            status: interruption.status.as_u16(),
            explanation: interruption.explanation,
        },
        None => {
            let denies = |rule: &&TracedRule| {
                rule.complete && ["deny", "redirect", "drop"].iter().any(|word| rule.effect.starts_with(word))
            };
            let denying = trace.rules.iter().find(denies);
            Verdict::Passes { would_be_denied_by: denying.map(|rule| rule.id) }
        }
    }
}

/// Scores that are not zero, and the thresholds they are held against.
fn scores(tx: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_told = |(name, value): &(String, String)| {
        name.ends_with("_threshold") || name.contains("score") && value != "0"
    };
    tx.into_iter().filter(is_told).collect()
}

fn told(rule: &TracedRule, written: Option<&Written>) -> RuleReport {
    RuleReport {
        id: rule.id,
        place: written.map(|written| written.place.clone()).unwrap_or_default(),
        phase: rule.phase,
        complete: rule.complete,
        links: rule.links,
        message: rule.message.clone(),
        severity: rule.severity,
        effect: rule.effect.clone(),
        logged: rule.logged,
        values: rule.values.iter().map(|value| told_value(value, written)).collect(),
    }
}

fn told_value(value: &TracedValue, written: Option<&Written>) -> ValueReport {
    let operator = written.and_then(|written| written.operators.get(value.link));
    let prefilter = match &value.admission {
        Admission::Always(why) => format!("always: {why}"),
        Admission::Holds(found) => found.join(" and "),
        Admission::Lacks(what) => format!("passed over: {what} is missing"),
    };
    ValueReport {
        link: value.link,
        operator: operator.cloned().unwrap_or_default(),
        target: value.target.clone(),
        matched: value.matched,
        value: shown(&value.original),
        transformed: (value.original != value.bytes).then(|| shown(&value.bytes)),
        transformations: value.transformations.clone(),
        prefilter,
        changes: value
            .changes
            .iter()
            .map(|change| (change.name.clone(), change.before.clone(), change.after.clone()))
            .collect(),
    }
}

/// Bytes as text: UTF-8 with control characters escaped, else every byte that is not ASCII escaped.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.chars().fold(String::new(), |mut all, letter| {
            match letter {
                '\\' => all.push_str("\\\\"),
                letter if letter.is_control() => all.extend(letter.escape_default()),
                letter => all.push(letter),
            }
            all
        }),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

impl Report {
    /// Whether it was denied, or refused before any rule.
    pub fn is_denied(&self) -> bool {
        !matches!(self.verdict, Verdict::Passes { .. })
    }

    /// Why no logged rule matched, for the person who expected one.
    pub fn why_nothing(&self, options: Options) -> Vec<String> {
        let mut why = Vec::new();
        let skipped: usize = self.tried.iter().map(|(tried, all)| all - tried.min(all)).sum();
        let phases: BTreeSet<String> = self
            .tried
            .iter()
            .enumerate()
            .filter(|(_, (_, all))| *all > 0)
            .map(|(phase, (tried, all))| format!("phase {}: {tried} of {all}", phase + 1))
            .collect();
        let phases: Vec<String> = phases.into_iter().collect();
        why.push(format!("rules that were tried: {}", phases.join(", ")));
        if self.tried.iter().all(|(tried, _)| *tried == 0) {
            why.push("no rule ran at all: does the rule set say SecRuleEngine Off?".to_owned());
        } else if skipped > 0 {
            let level = options
                .paranoia
                .map_or_else(|| "the rule set's own level".to_owned(), |level| level.to_string());
            why.push(format!(
                "{skipped} rules were skipped: by skipAfter, by ctl, by the paranoia level ({level}; --paranoia 4 tries \
                 all), or their phase did not run"
            ));
        }
        why.push("--rule ID shows what a rule was tried on, and what it lacked".to_owned());
        why
    }
}

/// How many rules of a release are in force, and what it asks for and does not get; the error is why it does not compile.
pub fn compiled(release: &Release) -> Result<(usize, Vec<String>), CompileError> {
    let engine = Engine::compile(&release.rule_set, &policy(Options::default()))?;
    Ok((engine.rule_count(), engine.notes().to_vec()))
}

/// What a rule set asks for and does not get; the error is why it does not compile.
pub fn notes(rule_set: &RuleSet) -> Result<Vec<String>, CompileError> {
    Engine::compile_slow(rule_set, &policy(Options::default())).map(|engine| engine.notes().to_vec())
}
