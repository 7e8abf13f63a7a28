//! The audit log's words: what a WAF transaction leaves for it, and one line of it in ModSecurity's sections.
//!
//! Promises: the form of [`AuditRecord`] is stable within one [`AUDIT_VERSION`]; `docs/audit-log.md` names every field
//! (a test compares). What may be shown is decided by [`AuditShow`] before a value gets here.

mod line;
mod settings;
mod time;

pub use line::{
    AUDIT_VERSION, AuditBody, AuditFile, AuditHeader, AuditMatch, AuditRecord, AuditRequest, AuditResponse,
    AuditRule, AuditTrailer,
};
pub use settings::{AuditEngine, AuditParts, AuditSettings, AuditShow, StatusSet};
pub use time::rfc3339;

use std::sync::Arc;

/// What a WAF transaction leaves for the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditTrail {
    /// What rule set and policy say.
    pub settings: Arc<AuditSettings>,
    /// Which exchanges are written, after `ctl:auditEngine`.
    pub engine: AuditEngine,
    /// Which sections, after `ctl:auditLogParts`.
    pub parts: AuditParts,
    /// What may be shown: what the policy says, or nothing if a rule sanitises.
    pub show: AuditShow,
    /// `On`, `DetectionOnly`, `Off`: what the rule engine did, after `ctl:ruleEngine`.
    pub mode: &'static str,
    /// The rules that matched, those with `noauditlog` left out.
    pub matches: Vec<AuditMatch>,
    /// Scores at the end of the transaction, by the names of their `TX` variables.
    pub scores: Vec<(&'static str, i64)>,
    /// The request body (C), if it is shown.
    pub request_body: Option<AuditBody>,
    /// The same without files (I), if it is shown.
    pub form: Option<AuditBody>,
    /// The response body (E), if it was held and is shown.
    pub response_body: Option<AuditBody>,
    /// The files of a form (J), if wanted.
    pub files: Vec<AuditFile>,
}

impl AuditTrail {
    /// The trail of an exchange that no WAF judged.
    pub fn without_rules() -> Self {
        let settings = AuditSettings::default();
        Self {
            engine: settings.engine,
            parts: settings.parts,
            show: settings.show,
            settings: Arc::new(settings),
            mode: "Off",
            matches: Vec::new(),
            scores: Vec::new(),
            request_body: None,
            form: None,
            response_body: None,
            files: Vec::new(),
        }
    }

    /// Whether the exchange is written. A refusal is always relevant, whoever refused.
    pub fn is_wanted(&self, status: u16, refused: bool) -> bool {
        match self.engine {
            AuditEngine::Off => false,
            AuditEngine::On => true,
            AuditEngine::RelevantOnly => {
                refused || !self.matches.is_empty() || self.settings.relevant.contains(status)
            }
        }
    }
}

/// Names of headers, or pieces of them, whose values prove who somebody is. Their values are never shown.
const CREDENTIALS: [&str; 14] = [
    "auth",
    "cookie",
    "token",
    "secret",
    "api-key",
    "apikey",
    "password",
    "passwd",
    "session",
    "credential",
    "signature",
    "jwt",
    "assertion",
    "client-cert",
];

/// Whether the values of a header are credentials, by its name: `Authorization`, `Set-Cookie`, `X-Api-Key` and the like.
pub fn is_credential(name: &[u8]) -> bool {
    CREDENTIALS
        .iter()
        .any(|piece| name.windows(piece.len()).any(|window| window.eq_ignore_ascii_case(piece.as_bytes())))
}

/// What stands for bytes that are not shown.
pub const REDACTED: &str = "…";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_carry_credentials_are_known_by_their_names() {
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "Cookie",
            "Set-Cookie",
            "X-Api-Key",
            "X-CSRF-Token",
            "X-Forwarded-Client-Cert",
            "X-Amz-Security-Token",
            "X-Hub-Signature-256",
            "apikey",
        ] {
            assert!(is_credential(name.as_bytes()), "{name}");
        }
        for name in ["Host", "User-Agent", "Content-Type", "Accept", "Referer", "X-Forwarded-For"] {
            assert!(!is_credential(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn an_exchange_is_written_if_the_engine_says_so() {
        let mut trail = AuditTrail::without_rules();
        assert!(!trail.is_wanted(200, false), "nothing happened");
        assert!(trail.is_wanted(403, true), "a refusal");
        let settings =
            AuditSettings { relevant: StatusSet::of(|status| status == 500), ..AuditSettings::default() };
        trail.settings = Arc::new(settings);
        assert!(trail.is_wanted(500, false) && !trail.is_wanted(501, false), "a relevant status");
        trail.engine = AuditEngine::On;
        assert!(trail.is_wanted(200, false));
        trail.engine = AuditEngine::Off;
        assert!(!trail.is_wanted(403, true));
    }
}
