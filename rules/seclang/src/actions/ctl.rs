//! `ctl:option=value`: changes to the engine for one transaction.

use crate::diagnostics::Report;
use crate::directives::{IdRange, id_ranges};
use crate::names::names;
use crate::text::Slice;
use crate::variables::{self, Variable};

use super::ActionKind;

names! {
    /// The options of `ctl`.
    ControlName {
        AuditEngine = "auditEngine",
        AuditLogParts = "auditLogParts",
        DebugLogLevel = "debugLogLevel",
        ForceRequestBodyVariable = "forceRequestBodyVariable",
        HashEnforcement = "hashEnforcement",
        HashEngine = "hashEngine",
        RequestBodyAccess = "requestBodyAccess",
        RequestBodyLimit = "requestBodyLimit",
        RequestBodyProcessor = "requestBodyProcessor",
        ResponseBodyAccess = "responseBodyAccess",
        ResponseBodyLimit = "responseBodyLimit",
        RuleEngine = "ruleEngine",
        RuleRemoveById = "ruleRemoveById",
        RuleRemoveByMsg = "ruleRemoveByMsg",
        RuleRemoveByTag = "ruleRemoveByTag",
        RuleRemoveTargetById = "ruleRemoveTargetById",
        RuleRemoveTargetByMsg = "ruleRemoveTargetByMsg",
        RuleRemoveTargetByTag = "ruleRemoveTargetByTag",
    }
}

names! {
    /// `SecRuleEngine` and `ctl:ruleEngine`.
    EngineMode {
        On = "On",
        Off = "Off",
        DetectionOnly = "DetectionOnly",
    }
}

names! {
    /// `SecAuditEngine` and `ctl:auditEngine`.
    AuditEngineMode {
        On = "On",
        Off = "Off",
        RelevantOnly = "RelevantOnly",
    }
}

names! {
    /// How a request body is read.
    BodyProcessor {
        UrlEncoded = "URLENCODED",
        Multipart = "MULTIPART",
        Xml = "XML",
        Json = "JSON",
    }
}

/// Letters of `SecAuditLogParts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLogParts(pub String);

/// What `ctl:auditLogParts` does with its letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartsChange {
    /// `=ABC`
    Set,
    /// `=+E`
    Add,
    /// `=-E`
    Remove,
}

/// A `ctl` action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// `auditEngine`
    AuditEngine(AuditEngineMode),
    /// `auditLogParts`
    AuditLogParts(PartsChange, AuditLogParts),
    /// `debugLogLevel`, 0 to 9
    DebugLogLevel(u8),
    /// `forceRequestBodyVariable`
    ForceRequestBodyVariable(bool),
    /// `hashEnforcement`
    HashEnforcement(bool),
    /// `hashEngine`
    HashEngine(bool),
    /// `requestBodyAccess`
    RequestBodyAccess(bool),
    /// `requestBodyLimit` in bytes
    RequestBodyLimit(u64),
    /// `requestBodyProcessor`
    RequestBodyProcessor(BodyProcessor),
    /// `responseBodyAccess`
    ResponseBodyAccess(bool),
    /// `responseBodyLimit` in bytes
    ResponseBodyLimit(u64),
    /// `ruleEngine`
    RuleEngine(EngineMode),
    /// `ruleRemoveById`
    RuleRemoveById(Vec<IdRange>),
    /// `ruleRemoveByMsg`: an expression
    RuleRemoveByMsg(String),
    /// `ruleRemoveByTag`: an expression
    RuleRemoveByTag(String),
    /// `ruleRemoveTargetById=ids;variables`
    RuleRemoveTargetById(Vec<IdRange>, Vec<Variable>),
    /// `ruleRemoveTargetByMsg=expression;variables`
    RuleRemoveTargetByMsg(String, Vec<Variable>),
    /// `ruleRemoveTargetByTag=expression;variables`
    RuleRemoveTargetByTag(String, Vec<Variable>),
}

impl Control {
    /// The option's name.
    pub fn name(&self) -> ControlName {
        use ControlName as N;
        match self {
            Self::AuditEngine(_) => N::AuditEngine,
            Self::AuditLogParts(..) => N::AuditLogParts,
            Self::DebugLogLevel(_) => N::DebugLogLevel,
            Self::ForceRequestBodyVariable(_) => N::ForceRequestBodyVariable,
            Self::HashEnforcement(_) => N::HashEnforcement,
            Self::HashEngine(_) => N::HashEngine,
            Self::RequestBodyAccess(_) => N::RequestBodyAccess,
            Self::RequestBodyLimit(_) => N::RequestBodyLimit,
            Self::RequestBodyProcessor(_) => N::RequestBodyProcessor,
            Self::ResponseBodyAccess(_) => N::ResponseBodyAccess,
            Self::ResponseBodyLimit(_) => N::ResponseBodyLimit,
            Self::RuleEngine(_) => N::RuleEngine,
            Self::RuleRemoveById(_) => N::RuleRemoveById,
            Self::RuleRemoveByMsg(_) => N::RuleRemoveByMsg,
            Self::RuleRemoveByTag(_) => N::RuleRemoveByTag,
            Self::RuleRemoveTargetById(..) => N::RuleRemoveTargetById,
            Self::RuleRemoveTargetByMsg(..) => N::RuleRemoveTargetByMsg,
            Self::RuleRemoveTargetByTag(..) => N::RuleRemoveTargetByTag,
        }
    }
}

pub(super) fn parse(text: Slice<'_>, report: &mut Report) -> Option<ActionKind> {
    let Some((name, value)) = text.split_once(&['=']) else {
        report.error(text.span(), "ctl is written ctl:option=value");
        return None;
    };
    let (name, value) = (name.trim(), value.trim());
    let Some(option) = ControlName::find(name.text()) else {
        report.unknown(name.span(), "ctl option", name.text(), ControlName::nearest);
        return None;
    };
    if value.is_empty() {
        report.error(text.span(), format!("ctl:{option} needs a value"));
        return None;
    }
    control(option, value, report).map(ActionKind::Ctl)
}

fn control(option: ControlName, value: Slice<'_>, report: &mut Report) -> Option<Control> {
    use ControlName as N;
    Some(match option {
        N::AuditEngine => Control::AuditEngine(word(value, AuditEngineMode::SPELLINGS, report)?),
        N::AuditLogParts => audit_log_parts(value, report)?,
        N::DebugLogLevel => Control::DebugLogLevel(number(value, 9, report)? as u8),
        N::ForceRequestBodyVariable => Control::ForceRequestBodyVariable(switch(value, report)?),
        N::HashEnforcement => Control::HashEnforcement(switch(value, report)?),
        N::HashEngine => Control::HashEngine(switch(value, report)?),
        N::RequestBodyAccess => Control::RequestBodyAccess(switch(value, report)?),
        N::RequestBodyLimit => Control::RequestBodyLimit(number(value, u64::MAX, report)?),
        N::RequestBodyProcessor => {
            Control::RequestBodyProcessor(word(value, BodyProcessor::SPELLINGS, report)?)
        }
        N::ResponseBodyAccess => Control::ResponseBodyAccess(switch(value, report)?),
        N::ResponseBodyLimit => Control::ResponseBodyLimit(number(value, u64::MAX, report)?),
        N::RuleEngine => Control::RuleEngine(word(value, EngineMode::SPELLINGS, report)?),
        N::RuleRemoveById => Control::RuleRemoveById(id_ranges(value, report)?),
        N::RuleRemoveByMsg => Control::RuleRemoveByMsg(value.text().to_owned()),
        N::RuleRemoveByTag => Control::RuleRemoveByTag(value.text().to_owned()),
        N::RuleRemoveTargetById => {
            let (ids, targets) = targets(value, report)?;
            Control::RuleRemoveTargetById(id_ranges(ids, report)?, targets)
        }
        N::RuleRemoveTargetByMsg => {
            let (msg, targets) = targets(value, report)?;
            Control::RuleRemoveTargetByMsg(msg.text().to_owned(), targets)
        }
        N::RuleRemoveTargetByTag => {
            let (tag, targets) = targets(value, report)?;
            Control::RuleRemoveTargetByTag(tag.text().to_owned(), targets)
        }
    })
}

fn audit_log_parts(value: Slice<'_>, report: &mut Report) -> Option<Control> {
    let (change, letters) = match value.text().as_bytes().first() {
        Some(b'+') => (PartsChange::Add, value.from(1)),
        Some(b'-') => (PartsChange::Remove, value.from(1)),
        _ => (PartsChange::Set, value),
    };
    Some(Control::AuditLogParts(change, audit_parts(letters, report)?))
}

/// Letters A to K and Z.
pub(crate) fn audit_parts(letters: Slice<'_>, report: &mut Report) -> Option<AuditLogParts> {
    let text = letters.text();
    if text.is_empty() || !text.bytes().all(|byte| b"ABCDEFGHIJKZ".contains(&byte.to_ascii_uppercase())) {
        report.error(letters.span(), "letters of audit log parts are expected: A to K and Z");
        return None;
    }
    Some(AuditLogParts(text.to_ascii_uppercase()))
}

fn targets<'t>(value: Slice<'t>, report: &mut Report) -> Option<(Slice<'t>, Vec<Variable>)> {
    let Some((rules, targets)) = value.split_once(&[';']) else {
        report.error(value.span(), "this option is written rules;VARIABLE");
        return None;
    };
    if rules.trim().is_empty() {
        report.error(value.span(), "the rules are missing before the semicolon");
    }
    Some((rules.trim(), variables::parse(targets, report)))
}

/// One of a few words.
pub(crate) fn word<T: Copy>(
    value: Slice<'_>,
    words: &'static [(&'static str, T)],
    report: &mut Report,
) -> Option<T> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value.text()));
    if found.is_none() {
        let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        report.error(value.span(), format!("one of {} is expected", list.join(", ")));
    }
    found.map(|(_, value)| *value)
}

/// `On` or `Off`.
pub(crate) fn switch(value: Slice<'_>, report: &mut Report) -> Option<bool> {
    word(value, &[("On", true), ("Off", false)], report)
}

/// A decimal number up to `most`.
pub(crate) fn number(value: Slice<'_>, most: u64, report: &mut Report) -> Option<u64> {
    let digits = value.text();
    let read = if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None };
    let read = read.filter(|number| *number <= most);
    if read.is_none() {
        let bound = if most == u64::MAX { String::new() } else { format!(" up to {most}") };
        report.error(value.span(), format!("a number{bound} is expected"));
    }
    read
}
