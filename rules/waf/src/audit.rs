//! What a transaction leaves for the audit log: which rules matched, on what, with which scores.
//!
//! Promises: which exchanges and sections are wanted follows `SecAuditEngine`, `SecAuditLogParts`, `log`, `auditlog`
//! and their `ctl:`; matched bytes are described, not shown, unless the policy shows them; what is shown is bounded.
//! It writes nothing: the proxy has the sink.

mod compile;
mod shown;
mod status;

pub(crate) use compile::{RuleAudit, apply, decide, engine, of, parts};
pub(crate) use shown::text as shown;

use std::sync::Arc;

use palisade_model::audit::{
    AuditBody, AuditEngine, AuditFile, AuditMatch, AuditParts, AuditSettings, AuditShow, AuditTrail, REDACTED,
};
use palisade_seclang::{EngineMode, PartsChange, VariableKind};

use crate::act::number;
use crate::engine::Rule;
use crate::limits::{MATCHES, MESSAGE_BYTES, TARGET_NAME_BYTES};
use crate::transaction::Transaction;
use crate::values::{Selector, Target, Value};

/// `TX` variables that CRS keeps scores in.
pub(crate) const SCORES: [&str; 22] = [
    "blocking_inbound_anomaly_score",
    "blocking_outbound_anomaly_score",
    "detection_inbound_anomaly_score",
    "detection_outbound_anomaly_score",
    "inbound_anomaly_score_threshold",
    "outbound_anomaly_score_threshold",
    "inbound_anomaly_score_pl1",
    "inbound_anomaly_score_pl2",
    "inbound_anomaly_score_pl3",
    "inbound_anomaly_score_pl4",
    "outbound_anomaly_score_pl1",
    "outbound_anomaly_score_pl2",
    "outbound_anomaly_score_pl3",
    "outbound_anomaly_score_pl4",
    "sql_injection_score",
    "xss_score",
    "rfi_score",
    "lfi_score",
    "rce_score",
    "php_injection_score",
    "http_violation_score",
    "session_fixation_score",
];

/// The audit log's part of a transaction.
#[derive(Debug)]
pub(crate) struct Audit {
    settings: Arc<AuditSettings>,
    engine: AuditEngine,
    parts: AuditParts,
    matches: Vec<AuditMatch>,
    request_body: Option<AuditBody>,
    response_body: Option<AuditBody>,
    /// Whether a rule asked to hide something; then nothing is shown.
    sanitised: bool,
}

impl Audit {
    /// Before the first rule.
    pub(crate) fn begin(settings: &Arc<AuditSettings>) -> Self {
        let (engine, parts) = (settings.engine, settings.parts);
        Self {
            settings: settings.clone(),
            engine,
            parts,
            matches: Vec::new(),
            request_body: None,
            response_body: None,
            sanitised: false,
        }
    }

    /// A request body that was read.
    pub(crate) fn keep_request_body(&mut self, body: &[u8], complete: bool) {
        self.request_body = self.kept(body, complete);
    }

    /// A response body that was read.
    pub(crate) fn keep_response_body(&mut self, body: &[u8], complete: bool) {
        self.response_body = self.kept(body, complete);
    }

    fn kept(&self, body: &[u8], complete: bool) -> Option<AuditBody> {
        let wanted = self.settings.show.bodies && self.engine != AuditEngine::Off && !body.is_empty();
        wanted.then(|| shown::body(body, complete))
    }

    /// `sanitiseArg`, `sanitiseMatched` and the like: one value may be in many places, so none is shown.
    pub(crate) fn sanitise(&mut self) {
        self.sanitised = true;
    }

    fn show(&self) -> AuditShow {
        if self.sanitised { AuditShow::default() } else { self.settings.show }
    }

    /// `ctl:auditEngine`
    pub(crate) fn set_engine(&mut self, engine: AuditEngine) {
        self.engine = engine;
    }

    /// `ctl:auditLogParts`
    pub(crate) fn change_parts(&mut self, change: PartsChange, parts: AuditParts) {
        self.parts = match change {
            PartsChange::Set => parts,
            PartsChange::Add => self.parts.with(parts),
            PartsChange::Remove => self.parts.without(parts),
        };
    }
}

impl Transaction {
    /// Notes a complete match, if the rule is audited.
    pub(crate) fn audit_match(&mut self, rule: &Rule) {
        let Some(audited) = &rule.audit else { return };
        if self.audit.engine == AuditEngine::Off || self.audit.matches.len() >= MATCHES {
            return;
        }
        let show = self.audit.show().matched_bytes;
        let matched = self.state.matched.last();
        let mut found = AuditMatch {
            id: rule.id,
            phase: rule.phase as u8,
            msg: self.text(&rule.message, false),
            data: self.text(&audited.data, show),
            severity: rule.severity.map(|severity| severity.name().to_owned()),
            tags: rule.tags.iter().map(|tag| self.text(tag, false)).collect(),
            target: matched.map(|value| shown::text(&value.name(), TARGET_NAME_BYTES)).unwrap_or_default(),
            value: matched.map(|value| shown::value(&value.bytes, show)).unwrap_or_default(),
            ver: audited.ver.clone(),
            rev: audited.rev.clone(),
            accuracy: audited.accuracy,
            maturity: audited.maturity,
            file: audited.place.as_ref().map(|(file, _)| file.to_string()),
            line: audited.place.as_ref().map(|(_, line)| *line),
            detect_only: rule.detect_only || self.mode != EngineMode::On,
            message: String::new(),
        };
        found.message = shown::bracketed(&found);
        self.audit.matches.push(found);
    }

    /// What the audit log is told; called once, after phase 5.
    pub fn audit_trail(&mut self) -> AuditTrail {
        let (show, parts) = (self.audit.show(), self.audit.parts);
        let mut matches = std::mem::take(&mut self.audit.matches);
        if self.audit.sanitised && self.audit.settings.show.matched_bytes {
            matches.iter_mut().for_each(shown::hide);
        }
        let tells = !matches.is_empty() || self.audit.engine == AuditEngine::On;
        let body = |body: Option<AuditBody>, letter| body.filter(|_| show.bodies && parts.contains(letter));
        AuditTrail {
            settings: self.audit.settings.clone(),
            engine: self.audit.engine,
            parts,
            show,
            mode: match self.mode {
                EngineMode::On => "On",
                EngineMode::Off => "Off",
                EngineMode::DetectionOnly => "DetectionOnly",
            },
            scores: if tells { self.scores() } else { Vec::new() },
            files: if tells && parts.contains('J') { self.files(show) } else { Vec::new() },
            form: if show.bodies && parts.contains('I') { self.form() } else { None },
            request_body: body(self.audit.request_body.take(), 'C'),
            response_body: body(self.audit.response_body.take(), 'E'),
            matches,
        }
    }

    /// J: the files of a form. Their names come from the client.
    fn files(&self, show: AuditShow) -> Vec<AuditFile> {
        let (names, sizes) = (self.all(VariableKind::Files), self.all(VariableKind::FilesSizes));
        let text = |bytes: &[u8]| {
            if show.bodies { shown::text(bytes, TARGET_NAME_BYTES) } else { REDACTED.to_owned() }
        };
        let file = |(name, size): (&Value, &Value)| AuditFile {
            field: text(name.key.as_deref().unwrap_or_default()),
            name: text(&name.bytes),
            size: number(&size.bytes).unsigned_abs(),
        };
        names.iter().zip(&sizes).map(file).collect()
    }

    /// I: the fields of a form with files, as a form without them.
    fn form(&mut self) -> Option<AuditBody> {
        let whole = self.audit.request_body.clone()?;
        let fields = self.all(VariableKind::ArgsPost);
        if self.all(VariableKind::Files).is_empty() {
            return Some(whole);
        }
        let fields =
            fields.iter().map(|field| (field.key.as_deref().unwrap_or_default(), field.bytes.as_ref()));
        Some(shown::form(fields, whole.bytes))
    }

    fn all(&self, variable: VariableKind) -> Vec<Value> {
        let mut values = Vec::new();
        self.state.collect(&Target { variable, selector: Selector::All, count: false }, &mut values);
        values
    }

    fn scores(&self) -> Vec<(&'static str, i64)> {
        let score = |name: &&'static str| {
            let value = self.state.tx.get(name.as_bytes())?;
            Some((*name, number(value)))
        };
        SCORES.iter().filter_map(score).collect()
    }

    fn text(&self, text: &crate::macros::Macro, show: bool) -> String {
        shown::text(&self.expand_for_show(text, show), MESSAGE_BYTES)
    }
}
