//! What a rule set is compiled to: immutable, shared, in the order in which rules run.
//!
//! Rules and markers have positions in one order over all files; a phase is the list of its rules' indices. Nothing
//! here knows a request.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use palisade_model::audit::{AuditEngine, AuditParts, AuditSettings};
use palisade_model::documents::{BodyLimit, BodyReading};
use palisade_seclang::{
    Allow, BodyProcessor, EngineMode, PartsChange, Phase, Severity, Transformation, VariableKind,
};

use crate::audit::RuleAudit;
use crate::bodies::urlencoded::Reading;
use crate::body_limits::BodyLimits;
use crate::collection::Collection;
use crate::later::Later;
use crate::macros::Macro;
use crate::operators::Operator;
use crate::prefilter::Program;
use crate::transformations::UnicodeMap;
use crate::values::Target;

/// A compiled rule set, immutable and shared.
#[derive(Debug)]
pub struct Engine {
    /// Every rule, in order.
    pub(crate) rules: Vec<Rule>,
    /// The rules of each phase, as indices into `rules`.
    pub(crate) phases: [Vec<usize>; 5],
    /// What rules read after each phase.
    pub(crate) later: [Later; 5],
    /// What does not belong to one rule.
    pub(crate) settings: Settings,
    /// The fast path; without it everything is evaluated straightforwardly.
    pub(crate) program: Option<Program>,
    /// See [`Engine::notes`].
    pub(crate) notes: Vec<String>,
}

impl Engine {
    /// The rules of a phase.
    pub(crate) fn phase(&self, phase: Phase) -> &[usize] {
        self.phases.get(phase as usize - 1).map(Vec::as_slice).unwrap_or_default()
    }

    /// What rules read after a phase.
    pub(crate) fn later(&self, phase: Phase) -> Option<&Later> {
        self.later.get(phase as usize - 1)
    }

    /// What the rule set asks for and does not get, each with its place: `file:line:column: note: …`.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How many rules are in force; chains count once.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }
}

/// What does not belong to one rule.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The most that `ctl:ruleEngine` may turn on.
    pub(crate) mode: EngineMode,
    pub(crate) request_body_access: bool,
    pub(crate) response_body_access: bool,
    pub(crate) request_limit: BodyLimit,
    pub(crate) response_limit: Option<BodyLimit>,
    pub(crate) bodies: BodyReading,
    /// Media types of response bodies that are inspected, in lower case.
    pub(crate) response_types: Vec<String>,
    pub(crate) arguments_limit: usize,
    /// What stands between them in queries and forms.
    pub(crate) argument_separator: u8,
    /// How many files a form may have before `MULTIPART_FILE_LIMIT_EXCEEDED` says so; none: any number.
    pub(crate) upload_file_limit: Option<u64>,
    pub(crate) body_limits: BodyLimits,
    /// What `urlDecodeUni` makes of `%uHHHH` (`SecUnicodeMapFile`).
    pub(crate) unicode_map: Option<Arc<UnicodeMap>>,
    /// `WEBAPPID`
    pub(crate) web_app_id: Bytes,
    /// `SecCollectionTimeout` in seconds.
    pub(crate) collection_timeout: u64,
    /// Whether a rule opens a record of a persistent collection.
    pub(crate) keeps_records: bool,
    pub(crate) json_depth: usize,
    /// `TX` variables that the WafPolicy decides: set before the first rule, and no rule may change them.
    pub(crate) pinned: Vec<(Bytes, Bytes)>,
    /// Whether a rule judges `REQBODY_ERROR`; if none does, the engine refuses malformed bodies itself.
    pub(crate) judges_body_errors: bool,
    /// Whether a rule judges forms that servers read in different ways; if none does, the engine refuses them itself.
    pub(crate) judges_forms: bool,
    /// See [`crate::limits::WORK_UNITS`]; smaller in tests.
    pub(crate) work_units: u64,
    pub(crate) audit: Arc<AuditSettings>,
}

impl Settings {
    /// How arguments are read.
    pub(crate) fn arguments(&self) -> Reading {
        Reading { limit: self.arguments_limit, separator: self.argument_separator }
    }
}

/// A rule with its chain.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: u64,
    pub(crate) phase: Phase,
    /// Its place among rules and markers.
    pub(crate) position: usize,
    /// Whether its disruptive action is discarded and its matches say so.
    pub(crate) detect_only: bool,
    /// Its tests; the first is the rule itself. Never empty.
    pub(crate) links: Vec<Link>,
    pub(crate) disruption: Disruption,
    pub(crate) flow: Option<Flow>,
    /// Whether a match is recorded.
    pub(crate) log: bool,
    pub(crate) message: Macro,
    pub(crate) severity: Option<Severity>,
    pub(crate) tags: Vec<Macro>,
    /// `RULE`
    pub(crate) facts: Arc<Collection>,
    /// What the audit log says of a match; none if it is silent.
    pub(crate) audit: Option<Box<RuleAudit>>,
}

impl Rule {
    /// The texts that may hold variables, those of its links' actions last.
    pub(crate) fn macros(&self) -> impl Iterator<Item = &Macro> {
        let location = match &self.disruption {
            Disruption::Redirect(_, location) => Some(location),
            _ => None,
        };
        let actions = self.links.iter().flat_map(|link| &link.actions).flat_map(|action| match action {
            Action::Set { key, change: Change::To(text) | Change::By(text, _), .. } => {
                [Some(key), Some(text)]
            }
            Action::Set { key, change: Change::Unset, .. } => [Some(key), None],
            Action::SetUser(text) | Action::SetSession(text) => [Some(text), None],
            Action::Open { key, .. } => [Some(key), None],
            Action::Expire { key, seconds, .. } => [Some(key), Some(seconds)],
            Action::Control(_) => [None, None],
        });
        let arguments = self.links.iter().map(|link| &link.argument);
        let audited = self.audit.iter().map(|audit| &audit.data);
        let told = audited.chain([&self.message]).chain(&self.tags).chain(location);
        arguments.chain(told).chain(actions.flatten())
    }
}

/// One test of a chain.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) targets: Vec<Target>,
    pub(crate) exclusions: Vec<Target>,
    pub(crate) transformations: Vec<Transformation>,
    /// None: an action that always runs.
    pub(crate) operator: Option<Operator>,
    /// The operator's argument; operators that are compiled with it do not look at it.
    pub(crate) argument: Macro,
    pub(crate) negated: bool,
    pub(crate) capture: bool,
    pub(crate) multi_match: bool,
    /// Carried out for each value that matches, before the chain is known to complete.
    pub(crate) actions: Vec<Action>,
}

/// What a complete match does to the exchange.
#[derive(Clone, Debug)]
pub(crate) enum Disruption {
    /// Nothing.
    Pass,
    /// `deny`
    Deny(StatusCode),
    /// `drop`; the status is what records show
    Drop(StatusCode),
    /// `redirect`
    Redirect(StatusCode, Macro),
    /// `allow`
    Allow(Allow),
}

/// Where a complete match goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// So many rules are skipped.
    Skip(u32),
    /// Rules before this position are skipped.
    SkipTo(usize),
}

/// What a link does for each value that matches.
#[derive(Debug)]
pub(crate) enum Action {
    /// `setvar`, `setenv`
    Set { collection: VariableKind, key: Macro, change: Change },
    /// `setuid`
    SetUser(Macro),
    /// `setsid`
    SetSession(Macro),
    /// `initcol`, and what `setsid`, `setuid` and `setrsc` do besides
    Open { collection: VariableKind, key: Macro },
    /// `expirevar`
    Expire { collection: VariableKind, key: Macro, seconds: Macro },
    /// `ctl`
    Control(Control),
}

/// What `setvar` does.
#[derive(Debug)]
pub(crate) enum Change {
    /// Sets it.
    To(Macro),
    /// Adds a number, or takes it away.
    By(Macro, Sign),
    /// Removes it.
    Unset,
}

/// The sign of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// `=+`
    Plus,
    /// `=-`
    Minus,
}

/// What `ctl` changes for the rest of the transaction.
#[derive(Debug)]
pub(crate) enum Control {
    RuleEngine(EngineMode),
    AuditEngine(AuditEngine),
    AuditParts(PartsChange, AuditParts),
    /// Nothing that came in is shown in the audit log.
    Sanitise,
    RequestBodyAccess(bool),
    ResponseBodyAccess(bool),
    ForceRequestBody(bool),
    BodyProcessor(BodyProcessor),
    RequestBodyLimit(u64),
    ResponseBodyLimit(u64),
    /// These rules, as indices, do not run any more.
    RemoveRules(Arc<[usize]>),
    /// These rules, as sorted indices, do not look at these values any more.
    RemoveTargets(Arc<[usize]>, Arc<[Target]>),
}
