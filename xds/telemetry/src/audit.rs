//! A line of the audit log as an OTLP log record.
//!
//! Promises: the body is the line as it would be in the file, and the attributes say nothing that the line does not, so
//! that what the policy hides is in neither. A line over [`AUDIT_BYTES`] leaves without its bodies, then without its
//! files, headers and matches. Nothing here reads one back: they are for collectors.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Otlp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use palisade_model::audit::AuditRecord;
use palisade_model::record::VerdictFacts;

use crate::attribute::{attribute, number, text};
use crate::limits::{AUDIT_BYTES, EVENT_MATCHES};
use crate::trace::TraceContext;

/// `event_name` of a line of the audit log.
pub const AUDIT: &str = "palisade.audit";

/// The line within [`AUDIT_BYTES`], and in `dropped_attributes_count` how many times something was left out for it.
/// None if even what is left is too much.
pub(crate) fn fit(mut record: AuditRecord, trace: Option<TraceContext>) -> Option<LogRecord> {
    let steps: [fn(&mut AuditRecord); 2] = [without_bodies, without_lists];
    let mut steps = steps.into_iter();
    let mut left_out = 0;
    loop {
        let line = serde_json::to_string(&record).ok()?;
        if line.len() <= AUDIT_BYTES {
            return Some(log(&record, line, left_out, trace));
        }
        steps.next()?(&mut record);
        left_out += 1;
    }
}

fn without_bodies(record: &mut AuditRecord) {
    (record.request_body, record.response_body, record.form) = (None, None, None);
}

fn without_lists(record: &mut AuditRecord) {
    record.files = None;
    record.request.iter_mut().for_each(|request| request.headers.clear());
    record.response.iter_mut().for_each(|response| response.headers.clear());
    record.trailer.iter_mut().for_each(|trailer| trailer.matches.clear());
}

fn log(record: &AuditRecord, line: String, left_out: u32, trace: Option<TraceContext>) -> LogRecord {
    let header = &record.header;
    let mut attributes = vec![
        number("palisade.audit.version", record.audit.into()),
        text("palisade.reference", &header.reference),
    ];
    attributes.extend(header.principal.iter().map(|principal| text("palisade.source.principal", principal)));
    let mut denied = false;
    if let Some(trailer) = &record.trailer {
        denied = matches!(trailer.verdict, VerdictFacts::Deny(_));
        attributes.push(text("palisade.verdict", if denied { "deny" } else { "permit" }));
        attributes.push(text("palisade.policy.version", &trailer.policy_version));
    }
    if let Some(rules) = rules(record) {
        attributes.push(attribute("palisade.waf.rules", rules));
    }
    let time = header.time_ms.saturating_mul(1_000_000);
    let severity = if denied { SeverityNumber::Warn } else { SeverityNumber::Info };
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: severity.into(),
        severity_text: if denied { "WARN" } else { "INFO" }.to_owned(),
        body: Some(AnyValue { value: Some(Otlp::StringValue(line)) }),
        attributes,
        dropped_attributes_count: left_out,
        flags: trace.map_or(0, |trace| u32::from(trace.sampled())),
        trace_id: trace.map(|trace| trace.trace_id().to_vec()).unwrap_or_default(),
        span_id: trace.map(|trace| trace.span_id().to_vec()).unwrap_or_default(),
        event_name: AUDIT.to_owned(),
    }
}

/// The ids of the rules that matched, in order: of K, else of H; none if the line has neither section.
fn rules(record: &AuditRecord) -> Option<Otlp> {
    let ids: Vec<u64> = match (&record.rules, &record.trailer) {
        (Some(rules), _) => rules.iter().map(|rule| rule.id).collect(),
        (None, Some(trailer)) => trailer.matches.iter().map(|found| found.id).collect(),
        (None, None) => return None,
    };
    let id = |id: u64| Otlp::IntValue(i64::try_from(id).unwrap_or(i64::MAX));
    let values = ids.into_iter().take(EVENT_MATCHES).map(|one| AnyValue { value: Some(id(one)) });
    Some(Otlp::ArrayValue(ArrayValue { values: values.collect() }))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use palisade_model::audit::{AuditBody, AuditHeader, AuditMatch, AuditRule, AuditTrailer};
    use palisade_model::record::Inspection;
    use palisade_model::{Denial, Direction, Reason, WorkloadId};

    /// A line of a refusal with a request body of so many bytes.
    pub(crate) fn line(body: usize) -> AuditRecord {
        AuditRecord {
            audit: 1,
            parts: "ACHKZ".into(),
            header: AuditHeader {
                time: String::new(),
                time_ms: 7,
                reference: "4b1c".into(),
                workload: WorkloadId::local("shop", "web"),
                listener: "inbound".into(),
                direction: Direction::Inbound,
                client: String::new(),
                peer: String::new(),
                local: String::new(),
                principal: Some("spiffe://cluster.local/ns/shop/sa/cart".into()),
                sni: None,
                host: None,
            },
            request: None,
            request_body: Some(AuditBody { bytes: 1, truncated: false, text: "x".repeat(body) }),
            response_body: None,
            response: None,
            trailer: Some(AuditTrailer {
                engine: "On".into(),
                policy_version: "9".into(),
                verdict: VerdictFacts::Deny(Denial::new(Reason::WafRequest, None, "score 5")),
                cause: None,
                inspection: Inspection::None,
                response_inspection: Inspection::None,
                scores: Default::default(),
                matches: vec![AuditMatch { id: 942100, ..AuditMatch::default() }],
                duration_us: 1,
                request_bytes: 1,
            }),
            form: None,
            files: None,
            rules: Some(vec![AuditRule { id: 942100, phase: 2 }, AuditRule { id: 949110, phase: 2 }]),
        }
    }

    fn read(log: &LogRecord) -> AuditRecord {
        let Some(Otlp::StringValue(line)) = log.body.clone().unwrap().value else { panic!("a text") };
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn the_body_is_the_line_and_the_attributes_find_it() {
        let trace = TraceContext::root([5; 24], true);
        let log = fit(line(10), trace).unwrap();
        assert_eq!(read(&log), line(10));
        assert_eq!((log.event_name.as_str(), log.severity_text.as_str()), (AUDIT, "WARN"));
        assert_eq!((log.time_unix_nano, log.trace_id.len(), log.flags), (7_000_000, 16, 1));
        let value = |key: &str| {
            let found = log.attributes.iter().find(|attribute| attribute.key == key)?;
            found.value.as_ref()?.value.clone()
        };
        let is = |key: &str, wanted: &str| assert_eq!(value(key), Some(Otlp::StringValue(wanted.into())));
        is("palisade.reference", "4b1c");
        is("palisade.verdict", "deny");
        is("palisade.policy.version", "9");
        is("palisade.source.principal", "spiffe://cluster.local/ns/shop/sa/cart");
        let Some(Otlp::ArrayValue(rules)) = value("palisade.waf.rules") else { panic!("rules") };
        let ids: Vec<_> = rules.values.into_iter().filter_map(|id| id.value).collect();
        assert_eq!(ids, [Otlp::IntValue(942100), Otlp::IntValue(949110)]);
    }

    #[test]
    fn sections_that_are_not_wanted_are_not_in_the_attributes() {
        let log = fit(AuditRecord { trailer: None, rules: None, ..line(0) }, None).unwrap();
        let keys: Vec<_> = log.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert_eq!(keys, ["palisade.audit.version", "palisade.reference", "palisade.source.principal"]);
        let log = fit(AuditRecord { rules: None, ..line(0) }, None).unwrap();
        assert!(log.attributes.iter().any(|attribute| attribute.key == "palisade.waf.rules"));
    }

    #[test]
    fn a_line_over_the_limit_loses_its_bodies_first_then_its_lists_and_says_so() {
        let room = AUDIT_BYTES - serde_json::to_string(&line(0)).unwrap().len();
        for (body, left_out) in [(room - 1, 0), (room, 0), (room + 1, 1)] {
            let log = fit(line(body), None).unwrap();
            assert_eq!(log.dropped_attributes_count, left_out);
            assert_eq!(read(&log).request_body.is_some(), left_out == 0);
        }
        let mut long = line(0);
        long.trailer.as_mut().unwrap().matches =
            vec![AuditMatch { message: "x".repeat(AUDIT_BYTES), ..AuditMatch::default() }];
        let log = fit(long.clone(), None).unwrap();
        assert_eq!(log.dropped_attributes_count, 2);
        assert_eq!(read(&log).trailer.unwrap().matches, []);
        long.header.listener = "x".repeat(AUDIT_BYTES);
        assert_eq!(fit(long, None), None);
    }
}
