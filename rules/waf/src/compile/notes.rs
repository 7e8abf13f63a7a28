//! What a rule set asks for and does not get: accepted, since every installation starts from ModSecurity's recommended
//! configuration, but never silently.
//!
//! Promises one note for each directive, action, `ctl` option or variable of this kind that a rule set uses, with the
//! place where it is used first. `docs/seclang-support.md` lists them as `no effect` and `empty` (a test compares).

use palisade_seclang::{ActionKind, ActionName, Control, ControlName, DirectiveName, Span, VariableKind};

use super::Compilation;

impl Compilation<'_> {
    /// Keeps a note, once for each name.
    pub(super) fn note(&mut self, name: &'static str, span: Span, why: &str) {
        if !self.noted.insert(name) {
            return;
        }
        let note = match self.ast.place(span) {
            Some((file, at)) => format!("{file}:{}:{}: note: {name}: {why}", at.line, at.column),
            None => format!("note: {name}: {why}"),
        };
        self.notes.push(note);
    }
}

/// Why a directive changes nothing; none if it does.
pub(super) fn directive(name: DirectiveName) -> Option<&'static str> {
    use DirectiveName as D;
    Some(match name {
        D::SecAuditLog
        | D::SecAuditLog2
        | D::SecAuditLogDirMode
        | D::SecAuditLogFileMode
        | D::SecAuditLogPrefix
        | D::SecAuditLogStorageDir
        | D::SecAuditLogType
        | D::SecGuardianLog => "the proxy's own settings say where the audit log goes",
        D::SecDebugLog | D::SecDebugLogLevel => "the log of the proxy takes its place",
        D::SecCacheTransformations | D::SecRulePerfTime => "a matter of speed, which the engine decides",
        D::SecComponentSignature => "a name, shown nowhere",
        D::SecConnReadStateLimit | D::SecConnWriteStateLimit => "the proxy's limits decide",
        D::SecDataDir => "collections are kept in memory",
        D::SecGeoLookupDb | D::SecGsbLookupDb => "the lookups that would read it are refused",
        D::SecHashKey | D::SecHashMethodPm | D::SecHashMethodRx | D::SecHashParam => "the hash engine is off",
        D::SecInterceptOnError => "a fault of the engine is never a pass",
        D::SecPcreMatchLimit | D::SecPcreMatchLimitRecursion => "expressions are matched in linear time",
        D::SecRemoteRulesFailAction => "SecRemoteRules is refused",
        D::SecRequestBodyInMemoryLimit => "bodies are held in memory up to the limit of the WafPolicy",
        D::SecResponseBodyAccess => "responseBody of the WafPolicy decides",
        D::SecRuleInheritance => "a rule set has one context",
        D::SecSensorId => "events name the workload",
        D::SecStatusEngine => "nothing is sent",
        D::SecTmpDir
        | D::SecTmpSaveUploadedFiles
        | D::SecUploadDir
        | D::SecUploadFileMode
        | D::SecUploadKeepFiles => "bodies are never written to files",
        _ => return None,
    })
}

/// Why an action changes nothing; none if it does.
pub(super) fn action(kind: &ActionKind) -> Option<(&'static str, &'static str)> {
    use ActionName as A;
    if let ActionKind::Ctl(control) = kind {
        return option(control);
    }
    let name = kind.name();
    let why = match name {
        A::Xmlns => "the two paths of XML name no namespace",
        _ => return None,
    };
    Some((name.name(), why))
}

fn option(control: &Control) -> Option<(&'static str, &'static str)> {
    (control.name() == ControlName::DebugLogLevel)
        .then_some((ControlName::DebugLogLevel.name(), "the log of the proxy takes its place"))
}

/// Why a variable holds nothing; none if it does.
pub(super) fn variable(kind: VariableKind) -> Option<&'static str> {
    use VariableKind as V;
    Some(match kind {
        V::Duration => "always 0: the engine reads no clock",
        V::FilesTmpContent | V::FilesTmpNames => "always empty: files are never written anywhere",
        V::MscPcreError | V::MscPcreLimitsExceeded => "always 0: expressions have no such limits",
        _ => return None,
    })
}
