//! One line of the audit log: an object with a member for each of ModSecurity's sections.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::{Inspection, VerdictFacts};
use crate::{Direction, WorkloadId};

/// The version of the form below; it rises when a field changes its meaning or goes.
pub const AUDIT_VERSION: u32 = 1;

/// One exchange. A section that is not wanted, or has nothing to say, is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// [`AUDIT_VERSION`].
    pub audit: u32,
    /// The letters of the sections that were wanted.
    pub parts: String,
    /// A: who, when, where.
    #[serde(rename = "A")]
    pub header: AuditHeader,
    /// B: the request's head.
    #[serde(rename = "B", default, skip_serializing_if = "Option::is_none")]
    pub request: Option<AuditRequest>,
    /// C: the request body, if the policy shows bodies.
    #[serde(rename = "C", default, skip_serializing_if = "Option::is_none")]
    pub request_body: Option<AuditBody>,
    /// E: the response body, if the policy inspects and shows it.
    #[serde(rename = "E", default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<AuditBody>,
    /// F: the response's head.
    #[serde(rename = "F", default, skip_serializing_if = "Option::is_none")]
    pub response: Option<AuditResponse>,
    /// H: the verdict, and what led to it.
    #[serde(rename = "H", default, skip_serializing_if = "Option::is_none")]
    pub trailer: Option<AuditTrailer>,
    /// I: the request body without its files, if the policy shows bodies.
    #[serde(rename = "I", default, skip_serializing_if = "Option::is_none")]
    pub form: Option<AuditBody>,
    /// J: the files of a form.
    #[serde(rename = "J", default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<AuditFile>>,
    /// K: every rule that matched and is audited, in order.
    #[serde(rename = "K", default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<AuditRule>>,
}

/// A: who, when, where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditHeader {
    /// When the head was read, in UTC (RFC 3339, milliseconds).
    pub time: String,
    /// The same in milliseconds since the epoch.
    pub time_ms: u64,
    /// The reference id a refused client was given, and `UNIQUE_ID` of the rules.
    pub reference: String,
    /// The workload that judged.
    pub workload: WorkloadId,
    /// The listener's name.
    pub listener: String,
    /// Its side.
    pub direction: Direction,
    /// The client's address as decided at the edge.
    pub client: String,
    /// The peer's address.
    pub peer: String,
    /// The address the connection was made to.
    pub local: String,
    /// The caller's SPIFFE identity, proven by mutual TLS.
    pub principal: Option<String>,
    /// The server name asked for in TLS.
    pub sni: Option<String>,
    /// The canonical authority of the request.
    pub host: Option<String>,
}

/// B: the request's head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRequest {
    /// The method.
    pub method: String,
    /// The canonical path; beyond its first segment only if the policy shows it.
    pub path: String,
    /// The query, if there is one; its text only if the policy shows it.
    pub query: Option<String>,
    /// `HTTP/1.1`, `HTTP/2.0`.
    pub protocol: String,
    /// Header names and values in order; values only if the policy shows them, and of credentials never.
    pub headers: Vec<(String, String)>,
}

/// C, E, I: a body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditBody {
    /// Bytes that were read of it.
    pub bytes: u64,
    /// Whether there was more than is shown.
    pub truncated: bool,
    /// Its first part; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// J: a file of a form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditFile {
    /// The field's name, if the policy shows bodies.
    pub field: String,
    /// The file's name, if the policy shows bodies.
    pub name: String,
    /// Its bytes.
    pub size: u64,
}

/// F: the response's head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditResponse {
    /// The status sent to the client.
    pub status: u16,
    /// Header names and values in order, as for the request.
    pub headers: Vec<(String, String)>,
    /// Body bytes to the client.
    pub bytes: u64,
    /// Whether the response ended before its end.
    pub truncated: bool,
}

/// H: the verdict, and what led to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditTrailer {
    /// What the rule engine did: `On`, `DetectionOnly`, `Off`.
    pub engine: String,
    /// The version of the policy that judged.
    pub policy_version: String,
    /// What was decided.
    #[serde(flatten)]
    pub verdict: VerdictFacts,
    /// The cause of a refusal, as in `docs/denials.md`.
    pub cause: Option<String>,
    /// How much of the request body was seen.
    pub inspection: Inspection,
    /// How much of the response body was seen.
    #[serde(default)]
    pub response_inspection: Inspection,
    /// Scores at the end of the transaction, by the names of their `TX` variables.
    pub scores: BTreeMap<String, i64>,
    /// The rules that matched, in order.
    pub matches: Vec<AuditMatch>,
    /// Microseconds from head to end.
    pub duration_us: u64,
    /// Body bytes from the client.
    pub request_bytes: u64,
}

/// A rule that matched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditMatch {
    /// The `id` action.
    pub id: u64,
    /// The phase, 1 to 5.
    pub phase: u8,
    /// The expanded `msg`.
    pub msg: String,
    /// The expanded `logdata`; matched bytes in it only if the policy shows them.
    pub data: String,
    /// The severity's name.
    pub severity: Option<String>,
    /// The tags.
    pub tags: Vec<String>,
    /// The name of the variable that matched, e.g. `ARGS:q`.
    pub target: String,
    /// Its value after the rule's transformations; its length and kinds of bytes unless the policy shows it.
    pub value: String,
    /// The `ver` action.
    pub ver: Option<String>,
    /// The `rev` action.
    pub rev: Option<String>,
    /// The `accuracy` action.
    pub accuracy: Option<u8>,
    /// The `maturity` action.
    pub maturity: Option<u8>,
    /// The file the rule is in.
    pub file: Option<String>,
    /// The line it begins at.
    pub line: Option<u32>,
    /// Whether its effects were discarded.
    pub detect_only: bool,
    /// All of it as one line in ModSecurity's bracketed form.
    pub message: String,
}

/// K: a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRule {
    /// The `id` action.
    pub id: u64,
    /// The phase, 1 to 5.
    pub phase: u8,
}
