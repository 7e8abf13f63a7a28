//! The facts of one exchange as a line of the audit log, with what the policy does not show left out.

use std::collections::BTreeMap;

use http::HeaderMap;
use palisade_model::RequestRecord;
use palisade_model::audit::{
    AUDIT_VERSION, AuditHeader, AuditRecord, AuditRequest, AuditResponse, AuditRule, AuditShow, AuditTrail,
    AuditTrailer, REDACTED, is_credential, rfc3339,
};
use palisade_model::record::RequestFacts;

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

/// The line.
pub fn audited(facts: Audited<'_>) -> AuditRecord {
    let Audited { record, trail, cause, headers } = facts;
    let (parts, show) = (trail.parts, trail.settings.show);
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
    let request = record.request.as_ref().filter(|_| parts.contains('B'));
    let response = record.response.as_ref().filter(|_| parts.contains('F'));
    let rules = trail.matches.iter().map(|found| AuditRule { id: found.id, phase: found.phase });
    AuditRecord {
        audit: AUDIT_VERSION,
        parts: parts.letters(),
        header,
        request: request.map(|request| request_section(request, show)),
        response: response.map(|response| AuditResponse {
            status: response.status,
            headers: headers.map(|headers| response_headers(headers, show)).unwrap_or_default(),
            bytes: response.response_bytes,
            truncated: response.truncated,
        }),
        rules: parts.contains('K').then(|| rules.collect()),
        trailer: parts.contains('H').then(|| trailer(record, trail, cause)),
    }
}

fn trailer(record: &RequestRecord, trail: AuditTrail, cause: Option<&str>) -> AuditTrailer {
    let scores: BTreeMap<_, _> =
        trail.scores.into_iter().map(|(name, score)| (name.to_owned(), score)).collect();
    AuditTrailer {
        engine: trail.mode.to_owned(),
        policy_version: record.policy_version.clone(),
        verdict: record.verdict.clone(),
        cause: cause.map(str::to_owned),
        inspection: record.inspection.clone(),
        scores,
        matches: trail.matches,
        duration_us: record.response.as_ref().map_or(0, |response| response.duration_us),
        request_bytes: record.response.as_ref().map_or(0, |response| response.request_bytes),
    }
}

fn request_section(request: &RequestFacts, show: AuditShow) -> AuditRequest {
    let headers = request.headers.iter().map(|(name, value)| {
        let may = show.headers && !is_credential(name.as_bytes());
        (name.clone(), if may { value.clone() } else { REDACTED.to_owned() })
    });
    let query = request.query.as_ref();
    AuditRequest {
        method: request.method.clone(),
        path: if show.uri { request.path.clone() } else { first_segment(&request.path) },
        query: query.map(|query| if show.uri { query.clone() } else { REDACTED.to_owned() }),
        protocol: request.protocol.clone(),
        headers: headers.collect(),
    }
}

fn first_segment(path: &str) -> String {
    match path.get(1..).and_then(|rest| rest.split_once('/')) {
        Some((segment, _)) => format!("/{segment}/{REDACTED}"),
        None => path.to_owned(),
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
