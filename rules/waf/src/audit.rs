//! What a transaction leaves for the audit log: which rules matched, on what, with which scores.
//!
//! Promises: which exchanges and sections are wanted follows `SecAuditEngine`, `SecAuditLogParts`, `log`, `auditlog`
//! and their `ctl:`; matched bytes are described, not shown, unless the policy shows them; what is shown is bounded.
//! It writes nothing: the proxy has the sink.

mod compile;
mod shown;

pub(crate) use compile::{RuleAudit, apply, engine, of, parts};
pub(crate) use shown::text as shown;

use std::sync::Arc;

use palisade_model::audit::{AuditEngine, AuditMatch, AuditParts, AuditSettings, AuditTrail};
use palisade_seclang::{EngineMode, PartsChange, VariableKind};

use crate::act::number;
use crate::engine::Rule;
use crate::limits::{MATCHES, MESSAGE_BYTES, TARGET_NAME_BYTES};
use crate::transaction::Transaction;

/// `TX` variables that CRS keeps scores in.
const SCORES: [&str; 22] = [
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
}

impl Audit {
    /// Before the first rule.
    pub(crate) fn begin(settings: &Arc<AuditSettings>) -> Self {
        let (engine, parts) = (settings.engine, settings.parts);
        Self { settings: settings.clone(), engine, parts, matches: Vec::new() }
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
        let show = self.audit.settings.show.matched_bytes;
        let matched = self.state.last_matched.as_ref().filter(|_| !self.state.matched.is_empty());
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
        let matches = std::mem::take(&mut self.audit.matches);
        let tells = !matches.is_empty() || self.audit.engine == AuditEngine::On;
        AuditTrail {
            settings: self.audit.settings.clone(),
            engine: self.audit.engine,
            parts: self.audit.parts,
            mode: match self.mode {
                EngineMode::On => "On",
                EngineMode::Off => "Off",
                EngineMode::DetectionOnly => "DetectionOnly",
            },
            matches,
            scores: if tells { self.scores() } else { Vec::new() },
        }
    }

    fn scores(&self) -> Vec<(&'static str, i64)> {
        let score = |name: &&'static str| {
            let value = self.state.first(VariableKind::Tx, Some(name.as_bytes()))?;
            Some((*name, number(&value)))
        };
        SCORES.iter().filter_map(score).collect()
    }

    fn text(&self, text: &crate::macros::Macro, show: bool) -> String {
        shown::text(&self.expand_for_show(text, show), MESSAGE_BYTES)
    }
}
