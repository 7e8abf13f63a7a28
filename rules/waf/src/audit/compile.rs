//! What rule sets say of the audit log: directives, and the actions of each rule.

use std::sync::Arc;

use palisade_model::audit::{AuditEngine, AuditParts, AuditSettings};
use palisade_model::documents::AuditLog;
use palisade_seclang::{Action, ActionKind, AuditEngineMode, Setting};

use super::status;
use crate::compile::CompileError;
use crate::macros::Macro;

/// What the audit log says of a rule that matched.
#[derive(Debug, Default)]
pub(crate) struct RuleAudit {
    /// `logdata`
    pub(crate) data: Macro,
    pub(crate) ver: Option<String>,
    pub(crate) rev: Option<String>,
    pub(crate) accuracy: Option<u8>,
    pub(crate) maturity: Option<u8>,
    /// File and line.
    pub(crate) place: Option<(Arc<str>, u32)>,
}

/// What the audit log says of a rule; none if it is silent about it.
pub(crate) fn of(
    own: &[Action],
    defaults: &[Action],
    place: Option<(Arc<str>, u32)>,
    mut text: impl FnMut(&palisade_seclang::MacroText) -> Macro,
) -> Option<Box<RuleAudit>> {
    let mut audit = RuleAudit { place, ..RuleAudit::default() };
    for action in own {
        match &action.kind {
            ActionKind::LogData(data) => audit.data = text(data),
            ActionKind::Ver(ver) => audit.ver = Some(ver.clone()),
            ActionKind::Rev(rev) => audit.rev = Some(rev.clone()),
            ActionKind::Accuracy(accuracy) => audit.accuracy = Some(*accuracy),
            ActionKind::Maturity(maturity) => audit.maturity = Some(*maturity),
            _ => {}
        }
    }
    audits(own, defaults).then(|| Box::new(audit))
}

/// Whether a match is audited: the last word of the rule, else of its defaults, else yes. `log` and `nolog` speak of
/// both logs, `auditlog` and `noauditlog` of this one alone.
fn audits(own: &[Action], defaults: &[Action]) -> bool {
    let written = own.iter().rev().chain(defaults.iter().rev()).find_map(|action| match action.kind {
        ActionKind::Log | ActionKind::AuditLog => Some(true),
        ActionKind::NoLog | ActionKind::NoAuditLog => Some(false),
        _ => None,
    });
    written.unwrap_or(true)
}

/// Applies a directive; whether it was one of the audit log's.
pub(crate) fn apply(settings: &mut AuditSettings, setting: &Setting) -> Result<bool, String> {
    match setting {
        Setting::SecAuditEngine(mode) => settings.engine = engine(*mode),
        Setting::SecAuditLogRelevantStatus(pattern) => settings.relevant = status::relevant(pattern)?,
        Setting::SecAuditLogParts(parts) => settings.parts = self::parts(&parts.0)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// The WafPolicy wins over the rule set, and it alone says what is shown.
pub(crate) fn decide(settings: &mut AuditSettings, policy: &AuditLog) -> Result<(), CompileError> {
    settings.show = policy.show();
    settings.engine = policy.engine.unwrap_or(settings.engine);
    if let Some(letters) = &policy.parts {
        settings.parts =
            parts(letters).map_err(|problem| CompileError(format!("auditLog.parts: {problem}")))?;
    }
    Ok(())
}

/// The engine's mode in the model's word.
pub(crate) fn engine(mode: AuditEngineMode) -> AuditEngine {
    match mode {
        AuditEngineMode::On => AuditEngine::On,
        AuditEngineMode::Off => AuditEngine::Off,
        AuditEngineMode::RelevantOnly => AuditEngine::RelevantOnly,
    }
}

/// Sections by their letters.
pub(crate) fn parts(letters: &str) -> Result<AuditParts, String> {
    AuditParts::parse(letters).ok_or_else(|| format!("{letters:?} are not letters of audit log parts"))
}
