//! `WafPolicy` (`palisade.dev/v1alpha1`): which rule set protects which workloads, and how strictly.

use serde::{Deserialize, Serialize};

use super::{Metadata, Selector};
use crate::limits::{INSPECTED_BODY_BYTES, INSPECTED_RESPONSE_BYTES};

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
    #[serde(default = "request_limit")]
    pub request_body: BodyLimit,
    /// How much of a response body is held and judged. Absent: response bodies are not inspected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<BodyLimit>,
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

fn request_limit() -> BodyLimit {
    BodyLimit { max_bytes: INSPECTED_BODY_BYTES, over: OverLimit::Reject }
}

impl BodyLimit {
    /// The default for responses: the first part is judged, since a long download is not an attack.
    pub const RESPONSE: Self = Self { max_bytes: INSPECTED_RESPONSE_BYTES, over: OverLimit::InspectPrefix };
}
