//! The form of a line, and the document that describes it.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderValue};
use palisade_model::audit::{AuditBody, AuditFile, AuditMatch, AuditParts, AuditTrail, StatusSet};
use palisade_model::record::{
    ConnectionFacts, Inspection, RECORD_VERSION, RequestFacts, ResponseFacts, VerdictFacts,
};
use palisade_model::{Denial, Direction, Reason, RequestRecord, RuleId, WorkloadId};
use serde_json::Value;

use super::record::{Audited, audited};

const DOCUMENT: &str = include_str!("../../../../docs/audit-log.md");

/// A record in which no field is absent.
fn record() -> RequestRecord {
    let rule = RuleId::Waf { rule_set: "shop/crs".into(), id: 949110 };
    RequestRecord {
        version: RECORD_VERSION,
        reference: "4b1c".into(),
        time_ms: 1_709_210_096_007,
        workload: WorkloadId::local("shop", "web"),
        policy_version: "7".into(),
        connection: ConnectionFacts {
            listener: "inbound".into(),
            direction: Direction::Inbound,
            peer: "192.0.2.7:4711".into(),
            client: "192.0.2.7:4711".into(),
            local: "192.0.2.1:8443".into(),
            principal: Some("spiffe://cluster.local/ns/shop/sa/cart".into()),
            sni: Some("web.shop".into()),
        },
        request: Some(RequestFacts {
            method: "POST".into(),
            host: "shop.example".into(),
            path: "/accounts/canary".into(),
            query: Some("q=canary".into()),
            headers: vec![("User-Agent".into(), "canary".into()), ("Authorization".into(), "canary".into())],
            protocol: "HTTP/1.1".into(),
        }),
        verdict: VerdictFacts::Deny(Denial::new(
            Reason::WafRequest,
            Some(rule),
            "score 5 at /accounts/canary",
        )),
        staged: None,
        matches: Vec::new(),
        inspection: Inspection::Full { bytes: 12 },
        response_inspection: Inspection::Full { bytes: 64 },
        response: Some(ResponseFacts {
            status: 403,
            cluster: None,
            truncated: false,
            duration_us: 420,
            request_bytes: 12,
            response_bytes: 64,
        }),
    }
}

fn trail() -> AuditTrail {
    let body = || Some(AuditBody { bytes: 3, truncated: false, text: "a=1".into() });
    AuditTrail {
        parts: AuditParts::parse("ABCEFHIJKZ").unwrap(),
        mode: "On",
        matches: vec![AuditMatch {
            id: 942100,
            phase: 2,
            msg: "SQL Injection".into(),
            data: "Found … in ARGS:q".into(),
            severity: Some("CRITICAL".into()),
            tags: vec!["attack-sqli".into()],
            target: "ARGS:q".into(),
            value: "8 bytes: letters, digits, space, punctuation".into(),
            ver: Some("OWASP_CRS/4.0".into()),
            rev: Some("2".into()),
            accuracy: Some(9),
            maturity: Some(8),
            file: Some("REQUEST-942.conf".into()),
            line: Some(46),
            detect_only: false,
            message: "Matched at ARGS:q. [id \"942100\"]".into(),
        }],
        scores: vec![("blocking_inbound_anomaly_score", 5)],
        request_body: body(),
        form: body(),
        response_body: body(),
        files: vec![AuditFile { field: "…".into(), name: "…".into(), size: 9 }],
        ..AuditTrail::without_rules()
    }
}

fn line(trail: AuditTrail) -> Value {
    let mut headers = HeaderMap::new();
    headers.insert("set-cookie", HeaderValue::from_static("canary"));
    let facts = Audited { record: &record(), trail, cause: Some("waf_request"), headers: Some(&headers) };
    serde_json::to_value(audited(facts)).unwrap()
}

/// The paths of all members: `A.time`, `H.matches[].id`.
fn paths(value: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                paths(value, &path, found);
            }
        }
        Value::Array(values) if values.iter().any(Value::is_object) => {
            values.iter().for_each(|value| paths(value, &format!("{prefix}[]"), found));
        }
        _ => drop(found.insert(prefix.to_owned())),
    }
}

#[test]
fn the_document_has_one_row_for_each_field_of_a_line() {
    let rows = DOCUMENT.split("\n## A line\n").nth(1).unwrap().lines();
    let rows = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next());
    let documented: Vec<_> = rows.map(str::to_owned).collect();
    let mut fields = BTreeSet::new();
    paths(&line(trail()), "", &mut fields);
    let missing: Vec<_> = fields.iter().filter(|field| !documented.contains(field)).collect();
    let extra: Vec<_> = documented.iter().filter(|row| !fields.contains(*row)).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing: {missing:#?}\nextra: {extra:#?}");
    assert_eq!(documented.len(), fields.len(), "a field has two rows");
}

#[test]
fn the_form_of_a_line_is_the_one_that_the_document_shows() {
    let example = DOCUMENT.split("```json\n").nth(1).unwrap().split("\n```").next().unwrap();
    assert_eq!(line(trail()), serde_json::from_str::<Value>(example).unwrap(), "{:#}", line(trail()));
}

#[test]
fn a_path_that_a_rule_matched_in_is_not_shown_at_all() {
    assert_eq!(line(trail())["B"]["path"], "/accounts/…");
    for target in ["REQUEST_URI", "REQUEST_FILENAME", "REQUEST_BASENAME", "REQUEST_LINE", "REQUEST_URI_RAW"] {
        let mut trail = trail();
        trail.matches[0].target = target.into();
        let line = line(trail);
        assert_eq!(line["B"]["path"], "/…", "{target}");
        assert!(!line.to_string().contains("canary"), "{line:#}");
    }
}

#[test]
fn an_exchange_without_a_waf_is_written_if_it_was_refused() {
    let trail = AuditTrail::without_rules();
    assert!(trail.is_wanted(404, true) && !trail.is_wanted(404, false));
    assert_eq!(trail.settings.relevant, StatusSet::default());
    let line = line(trail);
    assert_eq!((&line["parts"], &line["H"]["engine"]), (&"ABFHKZ".into(), &"Off".into()));
    assert!(line["C"].is_null() && line["J"].is_null());
}
