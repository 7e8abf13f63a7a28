//! The actions of a rule, with typed parameters.

mod ctl;
mod parse;
mod setvar;

pub use ctl::{AuditEngineMode, AuditLogParts, BodyProcessor, Control, ControlName, EngineMode, PartsChange};
pub(crate) use ctl::{audit_parts, number, switch, word};
pub(crate) use parse::parse;
pub use setvar::{Collection, SetEnv, SetVar, SetVarOperation};

use crate::expansion::MacroText;
use crate::names::names;
use crate::span::Span;
use crate::transformations::Transformation;

names! {
    /// The actions of ModSecurity 3.
    ActionName {
        Accuracy = "accuracy",
        Allow = "allow",
        Append = "append",
        AuditLog = "auditlog",
        Block = "block",
        Capture = "capture",
        Chain = "chain",
        Ctl = "ctl",
        Deny = "deny",
        DeprecateVar = "deprecatevar",
        Drop = "drop",
        Exec = "exec",
        ExpireVar = "expirevar",
        Id = "id",
        InitCol = "initcol",
        Log = "log",
        LogData = "logdata",
        Maturity = "maturity",
        Msg = "msg",
        MultiMatch = "multiMatch",
        NoAuditLog = "noauditlog",
        NoLog = "nolog",
        Pass = "pass",
        Pause = "pause",
        Phase = "phase",
        Prepend = "prepend",
        Proxy = "proxy",
        Redirect = "redirect",
        Rev = "rev",
        SanitiseArg = "sanitiseArg" | "sanitizeArg",
        SanitiseMatched = "sanitiseMatched" | "sanitizeMatched",
        SanitiseMatchedBytes = "sanitiseMatchedBytes" | "sanitizeMatchedBytes",
        SanitiseRequestHeader = "sanitiseRequestHeader" | "sanitizeRequestHeader",
        SanitiseResponseHeader = "sanitiseResponseHeader" | "sanitizeResponseHeader",
        SetEnv = "setenv",
        SetRsc = "setrsc",
        SetSid = "setsid",
        SetUid = "setuid",
        SetVar = "setvar",
        Severity = "severity",
        Skip = "skip",
        SkipAfter = "skipAfter",
        Status = "status",
        T = "t",
        Tag = "tag",
        Ver = "ver",
        Xmlns = "xmlns",
    }
}

names! {
    /// Severities, most severe first; their numbers are 0 to 7.
    Severity {
        Emergency = "EMERGENCY",
        Alert = "ALERT",
        Critical = "CRITICAL",
        Error = "ERROR",
        Warning = "WARNING",
        Notice = "NOTICE",
        Info = "INFO",
        Debug = "DEBUG",
    }
}

impl Severity {
    /// 0 (emergency) to 7 (debug).
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// When a rule runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// 1
    RequestHeaders = 1,
    /// 2, `request`; the default
    RequestBody = 2,
    /// 3
    ResponseHeaders = 3,
    /// 4, `response`
    ResponseBody = 4,
    /// 5, `logging`
    Logging = 5,
}

/// What `allow` skips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allow {
    /// `allow`: all further phases but logging.
    Transaction,
    /// `allow:phase`: the rest of this phase.
    Phase,
    /// `allow:request`: phases up to the response's.
    Request,
}

/// One action with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What it does.
    pub kind: ActionKind,
    /// Where it stands.
    pub span: Span,
}

/// What an action does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// `accuracy:1` to `9`
    Accuracy(u8),
    /// `allow`, `allow:phase`, `allow:request`
    Allow(Allow),
    /// `append:'text'`
    Append(MacroText),
    /// `auditlog`
    AuditLog,
    /// `block`: what `SecDefaultAction` says.
    Block,
    /// `capture`
    Capture,
    /// `chain`: the next rule is a link. The links are in `Rule::links`.
    Chain,
    /// `ctl:…`
    Ctl(Control),
    /// `deny`
    Deny,
    /// `deprecatevar:collection.key=number/seconds`
    DeprecateVar(String),
    /// `drop`
    Drop,
    /// `exec:path`
    Exec(String),
    /// `expirevar:collection.key=seconds`
    ExpireVar {
        /// The collection.
        collection: Collection,
        /// The key.
        key: MacroText,
        /// The lifetime in seconds.
        seconds: MacroText,
    },
    /// `id:1` and up
    Id(u64),
    /// `initcol:collection=key`
    InitCol {
        /// The collection.
        collection: Collection,
        /// The key of the record.
        key: MacroText,
    },
    /// `log`
    Log,
    /// `logdata:'…'`
    LogData(MacroText),
    /// `maturity:1` to `9`
    Maturity(u8),
    /// `msg:'…'`
    Msg(MacroText),
    /// `multiMatch`
    MultiMatch,
    /// `noauditlog`
    NoAuditLog,
    /// `nolog`
    NoLog,
    /// `pass`
    Pass,
    /// `pause:milliseconds`
    Pause(MacroText),
    /// `phase:…`
    Phase(Phase),
    /// `prepend:'text'`
    Prepend(MacroText),
    /// `proxy:URL`
    Proxy(MacroText),
    /// `redirect:URL`
    Redirect(MacroText),
    /// `rev:'…'`
    Rev(String),
    /// `sanitiseArg:name`
    SanitiseArg(String),
    /// `sanitiseMatched`
    SanitiseMatched,
    /// `sanitiseMatchedBytes`, perhaps with `:first/last` bytes that stay
    SanitiseMatchedBytes(Option<String>),
    /// `sanitiseRequestHeader:name`
    SanitiseRequestHeader(String),
    /// `sanitiseResponseHeader:name`
    SanitiseResponseHeader(String),
    /// `setenv:name=value`
    SetEnv(SetEnv),
    /// `setrsc:key`
    SetRsc(MacroText),
    /// `setsid:key`
    SetSid(MacroText),
    /// `setuid:key`
    SetUid(MacroText),
    /// `setvar:…`
    SetVar(SetVar),
    /// `severity:…` by number or name
    Severity(Severity),
    /// `skip:n` rules
    Skip(u32),
    /// `skipAfter:marker`
    SkipAfter(String),
    /// `status:100` to `599`
    Status(u16),
    /// `t:…`
    Transformation(Transformation),
    /// `tag:'…'`
    Tag(MacroText),
    /// `ver:'…'`
    Ver(String),
    /// `xmlns:prefix=URI`
    Xmlns {
        /// The prefix.
        prefix: String,
        /// The namespace.
        uri: String,
    },
}

impl ActionKind {
    /// The text with expansions that it carries, if it carries one that may be long.
    pub fn text(&self) -> Option<&MacroText> {
        match self {
            Self::Append(text)
            | Self::LogData(text)
            | Self::Msg(text)
            | Self::Pause(text)
            | Self::Prepend(text)
            | Self::Proxy(text)
            | Self::Redirect(text)
            | Self::SetRsc(text)
            | Self::SetSid(text)
            | Self::SetUid(text)
            | Self::Tag(text) => Some(text),
            Self::ExpireVar { key, .. } | Self::InitCol { key, .. } => Some(key),
            Self::SetEnv(set) => Some(set.value.as_ref().unwrap_or(&set.name)),
            Self::SetVar(set) => match &set.operation {
                SetVarOperation::Set(text)
                | SetVarOperation::Increment(text)
                | SetVarOperation::Decrement(text) => Some(text),
                SetVarOperation::Unset => Some(&set.key),
            },
            _ => None,
        }
    }

    /// The action's name.
    pub fn name(&self) -> ActionName {
        use ActionName as N;
        match self {
            Self::Accuracy(_) => N::Accuracy,
            Self::Allow(_) => N::Allow,
            Self::Append(_) => N::Append,
            Self::AuditLog => N::AuditLog,
            Self::Block => N::Block,
            Self::Capture => N::Capture,
            Self::Chain => N::Chain,
            Self::Ctl(_) => N::Ctl,
            Self::Deny => N::Deny,
            Self::DeprecateVar(_) => N::DeprecateVar,
            Self::Drop => N::Drop,
            Self::Exec(_) => N::Exec,
            Self::ExpireVar { .. } => N::ExpireVar,
            Self::Id(_) => N::Id,
            Self::InitCol { .. } => N::InitCol,
            Self::Log => N::Log,
            Self::LogData(_) => N::LogData,
            Self::Maturity(_) => N::Maturity,
            Self::Msg(_) => N::Msg,
            Self::MultiMatch => N::MultiMatch,
            Self::NoAuditLog => N::NoAuditLog,
            Self::NoLog => N::NoLog,
            Self::Pass => N::Pass,
            Self::Pause(_) => N::Pause,
            Self::Phase(_) => N::Phase,
            Self::Prepend(_) => N::Prepend,
            Self::Proxy(_) => N::Proxy,
            Self::Redirect(_) => N::Redirect,
            Self::Rev(_) => N::Rev,
            Self::SanitiseArg(_) => N::SanitiseArg,
            Self::SanitiseMatched => N::SanitiseMatched,
            Self::SanitiseMatchedBytes(_) => N::SanitiseMatchedBytes,
            Self::SanitiseRequestHeader(_) => N::SanitiseRequestHeader,
            Self::SanitiseResponseHeader(_) => N::SanitiseResponseHeader,
            Self::SetEnv(_) => N::SetEnv,
            Self::SetRsc(_) => N::SetRsc,
            Self::SetSid(_) => N::SetSid,
            Self::SetUid(_) => N::SetUid,
            Self::SetVar(_) => N::SetVar,
            Self::Severity(_) => N::Severity,
            Self::Skip(_) => N::Skip,
            Self::SkipAfter(_) => N::SkipAfter,
            Self::Status(_) => N::Status,
            Self::Transformation(_) => N::T,
            Self::Tag(_) => N::Tag,
            Self::Ver(_) => N::Ver,
            Self::Xmlns { .. } => N::Xmlns,
        }
    }
}

impl ActionName {
    /// Whether it decides what happens to the transaction. One rule may have one of these; `status` is no such action.
    pub fn is_disruptive(self) -> bool {
        use ActionName as N;
        matches!(self, N::Allow | N::Block | N::Deny | N::Drop | N::Pass | N::Pause | N::Proxy | N::Redirect)
    }

    /// Whether it describes a rule.
    pub fn is_metadata(self) -> bool {
        use ActionName as N;
        matches!(
            self,
            N::Accuracy | N::Id | N::LogData | N::Maturity | N::Msg | N::Rev | N::Severity | N::Tag | N::Ver
        )
    }
}
