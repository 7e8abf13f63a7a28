//! The facts of one exchange as a line of the audit log, with what the policy does not show left out.

use std::collections::BTreeMap;

use http::HeaderMap;
use palisade_model::RequestRecord;
use palisade_model::audit::{
    AUDIT_VERSION, AuditHeader, AuditRecord, AuditRequest, AuditResponse, AuditRule, AuditShow, AuditTrail,
    AuditTrailer, REDACTED, is_credential, rfc3339,
};
use palisade_model::record::{RequestFacts, first_segment};

/// What the audit log knows beside the record.
#[derive(Debug)]
pub struct Audited<'a> {
    /// The exchange's record.
    pub record: &'a RequestRecord,
    /// What the WAF leaves.
    pub trail: AuditTrail,
    /// The cause of a refusal.
    pub cause: Option<&'static str>,
    /// The headers of the response.
    pub headers: Option<&'a HeaderMap>,
}

/// Variables that hold the path.
const PATHS: [&str; 7] = [
    "REQUEST_URI",
    "REQUEST_FILENAME",
    "REQUEST_BASENAME",
    "REQUEST_LINE",
    "FULL_REQUEST",
    "PATH_INFO",
    "SCRIPT_",
];

/// The line.
pub fn audited(facts: Audited<'_>) -> AuditRecord {
    let Audited { record, mut trail, cause, headers } = facts;
    let (parts, show) = (trail.parts, trail.show);
    let connection = &record.connection;
    let header = AuditHeader {
        time: rfc3339(record.time_ms),
        time_ms: record.time_ms,
        reference: record.reference.clone(),
        workload: record.workload.clone(),
        listener: connection.listener.clone(),
        direction: connection.direction,
        client: connection.client.clone(),
        peer: connection.peer.clone(),
        local: connection.local.clone(),
        principal: connection.principal.clone(),
        sni: connection.sni.clone(),
        host: record.request.as_ref().map(|request| request.host.clone()),
    };
    let path = shown_path(record, &trail);
    let request = record.request.as_ref().filter(|_| parts.contains('B'));
    let response = record.response.as_ref().filter(|_| parts.contains('F'));
    let rules = trail.matches.iter().map(|found| AuditRule { id: found.id, phase: found.phase }).collect();
    AuditRecord {
        audit: AUDIT_VERSION,
        parts: parts.letters(),
        header,
        request: request.map(|request| request_section(request, show, path)),
        response: response.map(|response| AuditResponse {
            status: response.status,
            headers: headers.map(|headers| response_headers(headers, show)).unwrap_or_default(),
            bytes: response.response_bytes,
            truncated: response.truncated,
        }),
        request_body: trail.request_body.take(),
        response_body: trail.response_body.take(),
        form: trail.form.take(),
        files: parts.contains('J').then(|| std::mem::take(&mut trail.files)),
        rules: parts.contains('K').then_some(rules),
        trailer: parts.contains('H').then(|| trailer(record, trail, show, cause)),
    }
}

fn trailer(record: &RequestRecord, trail: AuditTrail, show: AuditShow, cause: Option<&str>) -> AuditTrailer {
    let scores: BTreeMap<_, _> =
        trail.scores.into_iter().map(|(name, score)| (name.to_owned(), score)).collect();
    let mut verdict = record.verdict.clone();
    if let Some(request) = record.request.as_ref().filter(|_| !show.uri) {
        verdict.hide_path(&request.path);
    }
    AuditTrailer {
        engine: trail.mode.to_owned(),
        policy_version: record.policy_version.clone(),
        verdict,
        cause: cause.map(str::to_owned),
        inspection: record.inspection.clone(),
        response_inspection: record.response_inspection.clone(),
        scores,
        matches: trail.matches,
        duration_us: record.response.as_ref().map_or(0, |response| response.duration_us),
        request_bytes: record.response.as_ref().map_or(0, |response| response.request_bytes),
    }
}

/// The path: whole, its first segment, or nothing of it if a rule matched in it.
fn shown_path(record: &RequestRecord, trail: &AuditTrail) -> String {
    let Some(request) = &record.request else { return String::new() };
    if trail.show.uri {
        return request.path.clone();
    }
    let matched = |target: &str| PATHS.iter().any(|name| target.starts_with(name));
    match trail.matches.iter().any(|found| matched(&found.target)) {
        true => format!("/{REDACTED}"),
        false => first_segment(&request.path),
    }
}

fn request_section(request: &RequestFacts, show: AuditShow, path: String) -> AuditRequest {
    let headers = request.headers.iter().map(|(name, value)| {
        let may = show.headers && !is_credential(name.as_bytes());
        (name.clone(), if may { value.clone() } else { REDACTED.to_owned() })
    });
    let query = request.query.as_ref();
    AuditRequest {
        method: request.method.clone(),
        path,
        query: query.map(|query| if show.uri { query.clone() } else { REDACTED.to_owned() }),
        protocol: request.protocol.clone(),
        headers: headers.collect(),
    }
}

fn response_headers(headers: &HeaderMap, show: AuditShow) -> Vec<(String, String)> {
    let shown = headers.iter().map(|(name, value)| {
        let may = show.headers && !is_credential(name.as_str().as_bytes());
        let value =
            if may { String::from_utf8_lossy(value.as_bytes()).into_owned() } else { REDACTED.to_owned() };
        (name.as_str().to_owned(), value)
    });
    shown.collect()
}
