//! Directives that set an option, with typed values.
//!
//! One table says of each directive what its arguments are read as; the enum, the names and the reading come from it.

use crate::actions::{AuditEngineMode, AuditLogParts, EngineMode};
use crate::actions::{audit_parts, number, switch, word};
use crate::diagnostics::Report;
use crate::lines::Argument;
use crate::names::names;
use crate::span::Span;

names! {
    /// What happens to a body over its limit.
    LimitAction { Reject = "Reject", ProcessPartial = "ProcessPartial" }
}
names! {
    /// How audit logs are written.
    AuditLogType { Serial = "Serial", Concurrent = "Concurrent" | "Parallel", Https = "HTTPS" }
}
names! {
    /// The format of audit logs.
    AuditLogFormat { Native = "Native", Json = "JSON" }
}
names! {
    /// What happens when rules cannot be fetched.
    FailAction { Abort = "Abort", Warn = "Warn" }
}
names! {
    /// `SecUploadKeepFiles`
    UploadKeepFiles { On = "On", Off = "Off", RelevantOnly = "RelevantOnly" }
}

/// `SecTmpSaveUploadedFiles`: whether parts are written to files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemporaryFiles(pub bool);

/// `SecArgumentSeparator`: the byte between the arguments of a query or a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgumentSeparator(pub u8);

/// `SecUnicodeMapFile FILE CODEPAGE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnicodeMap {
    /// The file.
    pub path: String,
    /// The code page.
    pub code_page: u32,
    /// Where its text is in [`Ast::data`](crate::Ast::data); none: the rule set has no such file.
    pub data: Option<usize>,
}

/// What arguments can be read as.
trait Value: Sized {
    /// Reads all arguments. `None` if they are wrong (it is reported).
    fn read(arguments: &[Argument], place: Span, report: &mut Report) -> Option<Self>;
}

fn only<'a>(arguments: &'a [Argument], place: Span, report: &mut Report) -> Option<&'a Argument> {
    match arguments {
        [one] => Some(one),
        [] => {
            report.error(place, "this directive needs a value");
            None
        }
        [_, more, ..] => {
            report.error(more.span, "this directive takes one value");
            None
        }
    }
}

impl Value for bool {
    fn read(arguments: &[Argument], place: Span, report: &mut Report) -> Option<Self> {
        switch(only(arguments, place, report)?.text.all(), report)
    }
}

impl Value for u64 {
    fn read(arguments: &[Argument], place: Span, report: &mut Report) -> Option<Self> {
        number(only(arguments, place, report)?.text.all(), u64::MAX, report)
    }
}

impl Value for String {
    fn read(arguments: &[Argument], place: Span, report: &mut Report) -> Option<Self> {
        Some(only(arguments, place, report)?.text.all().text().to_owned())
    }
}

impl Value for Vec<String> {
    fn read(arguments: &[Argument], place: Span, report: &mut Report) -> Option<Self> {
        if arguments.is_empty() {
            report.error(place, "this directive needs at least one value");
            return None;
        }
        Some(arguments.iter().map(|argument| argument.text.all().text().to_owned()).collect())
    }
}

impl Value for () {
    fn read(arguments: &[Argument], _place: Span, report: &mut Report) -> Option<Self> {
        if let Some(argument) = arguments.first() {
            report.error(argument.span, "this directive takes no value");
        }
        Some(())
    }
}

impl Value for AuditLogParts {
    fn read(arguments: &[Argument], place: Span, report: &mut Report) -> Option<Self> {
        audit_parts(only(arguments, place, report)?.text.all(), report)
    }
}

impl Value for TemporaryFiles {
    fn read(arguments: &[Argument], place: Span, report: &mut Report) -> Option<Self> {
        bool::read(arguments, place, report).map(Self)
    }
}

impl Value for ArgumentSeparator {
    fn read(arguments: &[Argument], place: Span, report: &mut Report) -> Option<Self> {
        let argument = only(arguments, place, report)?;
        let &[byte] = argument.text.all().text().as_bytes() else {
            report.error(argument.span, "an argument separator is one byte");
            return None;
        };
        Some(Self(byte))
    }
}

impl Value for UnicodeMap {
    fn read(arguments: &[Argument], place: Span, report: &mut Report) -> Option<Self> {
        let [path, page] = arguments else {
            report.error(place, "a file and a code page are expected");
            return None;
        };
        let code_page = number(page.text.all(), u64::from(u32::MAX), report)? as u32;
        Some(Self { path: path.text.all().text().to_owned(), code_page, data: None })
    }
}

/// Values that are one of a few words.
macro_rules! words {
    ($($list:ty),+) => {
        $(impl Value for $list {
            fn read(arguments: &[Argument], place: Span, report: &mut Report) -> Option<Self> {
                word(only(arguments, place, report)?.text.all(), <$list>::SPELLINGS, report)
            }
        })+
    };
}
words!(EngineMode, AuditEngineMode, LimitAction, AuditLogType, AuditLogFormat, FailAction, UploadKeepFiles);

macro_rules! settings {
    (
        acting { $($acting:ident),+ $(,)? }
        setting { $($setting:ident($value:ty)),+ $(,)? }
    ) => {
        names! {
            /// The directives of ModSecurity 3.
            DirectiveName { $($acting,)+ $($setting),+ }
        }

        /// A directive that sets an option, by its name, with its value.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Setting {
            $(
                #[doc = concat!("`", stringify!($setting), "`")]
                $setting($value),
            )+
        }

        impl Setting {
            /// The directive's name.
            pub fn name(&self) -> DirectiveName {
                match self {
                    $(Self::$setting(_) => DirectiveName::$setting,)+
                }
            }

            /// Reads a setting. `None` if its value is wrong (it is reported).
            pub(crate) fn read(
                name: DirectiveName,
                arguments: &[Argument],
                place: Span,
                report: &mut Report,
            ) -> Option<Self> {
                match name {
                    $(DirectiveName::$setting => {
                        <$value as Value>::read(arguments, place, report).map(Self::$setting)
                    })+
                    $(DirectiveName::$acting)|+ => None,
                }
            }
        }
    };
}

settings! {
    acting {
        Include, SecAction, SecDefaultAction, SecMarker, SecRule, SecRuleRemoveById, SecRuleRemoveByMsg,
        SecRuleRemoveByTag, SecRuleScript, SecRuleUpdateActionById, SecRuleUpdateTargetById,
        SecRuleUpdateTargetByMsg, SecRuleUpdateTargetByTag,
    }
    setting {
        SecArgumentSeparator(ArgumentSeparator),
        SecArgumentsLimit(u64),
        SecAuditEngine(AuditEngineMode),
        SecAuditLog(String),
        SecAuditLog2(String),
        SecAuditLogDirMode(String),
        SecAuditLogFileMode(String),
        SecAuditLogFormat(AuditLogFormat),
        SecAuditLogParts(AuditLogParts),
        SecAuditLogPrefix(String),
        SecAuditLogRelevantStatus(String),
        SecAuditLogStorageDir(String),
        SecAuditLogType(AuditLogType),
        SecCacheTransformations(Vec<String>),
        SecChrootDir(String),
        SecCollectionTimeout(u64),
        SecComponentSignature(String),
        SecConnEngine(EngineMode),
        SecConnReadStateLimit(Vec<String>),
        SecConnWriteStateLimit(Vec<String>),
        SecContentInjection(bool),
        SecCookieFormat(u64),
        SecCookieV0Separator(String),
        SecDataDir(String),
        SecDebugLog(String),
        SecDebugLogLevel(u64),
        SecDisableBackendCompression(bool),
        SecGeoLookupDb(String),
        SecGsbLookupDb(String),
        SecGuardianLog(String),
        SecHashEngine(bool),
        SecHashKey(Vec<String>),
        SecHashMethodPm(Vec<String>),
        SecHashMethodRx(Vec<String>),
        SecHashParam(String),
        SecHttpBlKey(String),
        SecInterceptOnError(bool),
        SecPcreMatchLimit(u64),
        SecPcreMatchLimitRecursion(u64),
        SecRemoteRules(Vec<String>),
        SecRemoteRulesFailAction(FailAction),
        SecRequestBodyAccess(bool),
        SecRequestBodyInMemoryLimit(u64),
        SecRequestBodyJsonDepthLimit(u64),
        SecRequestBodyLimit(u64),
        SecRequestBodyLimitAction(LimitAction),
        SecRequestBodyNoFilesLimit(u64),
        SecResponseBodyAccess(bool),
        SecResponseBodyLimit(u64),
        SecResponseBodyLimitAction(LimitAction),
        SecResponseBodyMimeType(Vec<String>),
        SecResponseBodyMimeTypesClear(()),
        SecRuleEngine(EngineMode),
        SecRuleInheritance(bool),
        SecRulePerfTime(u64),
        SecSensorId(String),
        SecServerSignature(String),
        SecStatusEngine(bool),
        SecStreamInBodyInspection(bool),
        SecStreamOutBodyInspection(bool),
        SecTmpDir(String),
        SecTmpSaveUploadedFiles(TemporaryFiles),
        SecUnicodeMapFile(UnicodeMap),
        SecUploadDir(String),
        SecUploadFileLimit(u64),
        SecUploadFileMode(String),
        SecUploadKeepFiles(UploadKeepFiles),
        SecWebAppId(String),
        SecXmlExternalEntity(bool),
    }
}
