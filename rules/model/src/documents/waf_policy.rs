//! `WafPolicy` (`palisade.dev/v1alpha1`): which rule set protects which workloads, and how strictly.

use serde::{Deserialize, Serialize};

use super::{Metadata, Selector};
use crate::audit::{AuditEngine, AuditShow};
use crate::limits::{INSPECTED_BODY_BYTES, INSPECTED_RESPONSE_BYTES, UPLOAD_BYTES};

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WafPolicy {
    /// `palisade.dev/v1alpha1`
    pub api_version: String,
    /// `WafPolicy`
    pub kind: String,
    /// Name and namespace.
    pub metadata: Metadata,
    /// What it says.
    pub spec: WafPolicySpec,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WafPolicySpec {
    /// The workloads of its namespace it applies to; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// The name of a RuleSet in the same namespace, or `namespace/name`.
    pub rule_set: String,
    /// The mode of every rule that no group names.
    #[serde(default)]
    pub mode: Mode,
    /// Modes of groups of rules; the last group that takes a rule decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupMode>,
    /// CRS paranoia level, 1 to 4; absent: what the rule set says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paranoia_level: Option<u8>,
    /// CRS anomaly score thresholds; absent: what the rule set says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Thresholds>,
    /// Rules or targets to leave out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclusions: Vec<Exclusion>,
    /// How much of a request body is held and judged.
    #[serde(default = "BodyLimit::request")]
    pub request_body: BodyLimit,
    /// How much of a response body is held and judged. Absent: response bodies are not inspected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<BodyLimit>,
    /// How bodies are read, and what becomes of those that are not.
    #[serde(default, skip_serializing_if = "BodyReading::is_default")]
    pub bodies: BodyReading,
    /// What the audit log has of the exchanges that it judged.
    #[serde(default, skip_serializing_if = "AuditLog::is_default")]
    pub audit_log: AuditLog,
}

impl WafPolicySpec {
    /// What a document says that names a rule set and leaves everything else to the defaults.
    pub fn of(rule_set: impl Into<String>) -> Self {
        Self {
            selector: None,
            rule_set: rule_set.into(),
            mode: Mode::default(),
            groups: Vec::new(),
            paranoia_level: None,
            thresholds: None,
            exclusions: Vec::new(),
            request_body: BodyLimit::REQUEST,
            response_body: None,
            bodies: BodyReading::default(),
            audit_log: AuditLog::default(),
        }
    }
}

/// What the audit log has. It shows nothing that came from a client unless it is switched on here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AuditLog {
    /// Which exchanges; absent: what the rule set says (`SecAuditEngine`), else those that are relevant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<AuditEngine>,
    /// Letters of its sections; absent: what the rule set says (`SecAuditLogParts`), else `ABFHKZ`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<String>,
    /// Whether it shows the values of headers that are no credentials.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub headers: bool,
    /// Whether it shows the path beyond its first segment, and the query.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub uri: bool,
    /// Whether it shows what rules matched.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub matched_bytes: bool,
    /// Whether it shows bodies, if their sections are among its parts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bodies: bool,
}

impl AuditLog {
    /// Whether it says nothing that is not the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What it shows.
    pub fn show(&self) -> AuditShow {
        let Self { headers, uri, matched_bytes, bodies, .. } = *self;
        AuditShow { headers, uri, matched_bytes, bodies }
    }
}

/// What matching rules do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They are not evaluated.
    Off,
    /// They are evaluated and logged; their score and disruptive action are discarded.
    Detect,
    /// They act.
    #[default]
    Block,
}

/// The mode of a group of rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupMode {
    /// Rules with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Rules with an id in this range: `942100` or `942000-942999`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<String>,
    /// Their mode.
    pub mode: Mode,
}

/// CRS anomaly score thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Thresholds {
    /// `tx.inbound_anomaly_score_threshold`
    pub inbound: u32,
    /// `tx.outbound_anomaly_score_threshold`
    pub outbound: u32,
}

/// A rule, or a target of it, to leave out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exclusion {
    /// Rules with an id in this range: `942100` or `942000-942999`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<String>,
    /// Rules with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Only this target, e.g. `ARGS:comment`; absent: the whole rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// How much of a body is held and judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BodyLimit {
    /// Bytes that are held and judged.
    pub max_bytes: usize,
    /// What happens to a longer body.
    #[serde(default)]
    pub over: OverLimit,
}

/// What happens to a body over the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OverLimit {
    /// It is refused with 413.
    #[default]
    Reject,
    /// The first part is judged, the rest is streamed.
    InspectPrefix,
}

impl BodyLimit {
    /// The default for requests: a longer body is refused, since the part that nobody judged may be the attack.
    pub const REQUEST: Self = Self { max_bytes: INSPECTED_BODY_BYTES, over: OverLimit::Reject };
    /// The default for responses: the first part is judged, since a long download is not an attack.
    pub const RESPONSE: Self = Self { max_bytes: INSPECTED_RESPONSE_BYTES, over: OverLimit::InspectPrefix };

    fn request() -> Self {
        Self::REQUEST
    }
}

/// How bodies are read, and what becomes of those that are not. The defaults are safe: what is not understood is
/// judged as the bytes it is, or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BodyReading {
    /// Bodies without a content type, or with one that no body processor takes.
    pub unknown_types: Unknown,
    /// Bodies with a content encoding other than gzip, deflate, br and zstd.
    pub unknown_encodings: Unknown,
    /// Bodies in a charset that cannot be decoded.
    pub unknown_charsets: Unknown,
    /// gRPC calls, whose messages are not read.
    pub grpc: Streams,
    /// Responses of type `text/event-stream`, whose events are not read.
    pub event_streams: Streams,
    /// Upgrades to WebSocket, whose messages are not read.
    pub web_sockets: Streams,
    /// Bytes of the longest form with files. The bytes of its files pass without being held, all else of it counts
    /// toward `requestBody`. 0: its files count like everything else.
    pub upload_bytes: u64,
}

/// What becomes of a body that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unknown {
    /// It is refused.
    Reject,
    /// It is judged as the bytes it is (`REQUEST_BODY`).
    InspectRaw,
    /// It is streamed, and the record says so.
    Uninspected,
}

/// What becomes of messages that have no end to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Streams {
    /// Their head is judged, they are streamed, and the record says so.
    #[default]
    Uninspected,
    /// They are refused.
    Reject,
}

impl Default for BodyReading {
    fn default() -> Self {
        Self {
            unknown_types: Unknown::InspectRaw,
            unknown_encodings: Unknown::Reject,
            unknown_charsets: Unknown::Reject,
            grpc: Streams::Uninspected,
            event_streams: Streams::Uninspected,
            web_sockets: Streams::Uninspected,
            upload_bytes: UPLOAD_BYTES,
        }
    }
}

impl BodyReading {
    /// Whether it says nothing that is not the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_of_a_rule_set_is_what_a_document_says_that_names_nothing_else() {
        let read: WafPolicySpec = serde_json::from_str(r#"{"ruleSet": "crs"}"#).unwrap();
        assert_eq!(WafPolicySpec::of("crs"), read);
    }
}
