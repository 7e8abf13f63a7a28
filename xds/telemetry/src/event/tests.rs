//! Tests of the module above.

use palisade_model::record::RuleMatch;
use palisade_model::{Direction, Reason, RuleId};
use proptest::prelude::*;

use super::*;
use crate::limits::TEXT_BYTES;

/// A denial with every field set.
pub(crate) fn denied(reference: &str) -> RequestRecord {
    let rule = RuleId::Authorization { namespace: "shop".into(), name: "only-web".into(), rule: Some(2) };
    RequestRecord {
        version: RECORD_VERSION,
        reference: reference.to_owned(),
        time_ms: 1_700_000_000_123,
        workload: WorkloadId::local("shop", "payments"),
        policy_version: "abc".into(),
        connection: ConnectionFacts {
            listener: "inbound".into(),
            direction: Direction::Inbound,
            peer: "10.0.0.7:4711".into(),
            client: "[2001:db8::1]:80".into(),
            local: "unix".into(),
            principal: Some("cluster.local/ns/shop/sa/web".into()),
            sni: Some("payments.shop".into()),
        },
        request: Some(RequestFacts {
            method: "POST".into(),
            host: "payments.shop:8080".into(),
            path: "/orders/4711/pay".into(),
            query: Some("card=1".into()),
            headers: vec![("x-a".into(), "1".into()), ("x-b".into(), "2".into()), ("x-a".into(), "3".into())],
            protocol: "HTTP/2.0".into(),
        }),
        verdict: VerdictFacts::Deny(Denial::new(Reason::AuthorizationDenied, Some(rule), "a rule matched")),
        staged: Some(VerdictFacts::Permit),
        matches: vec![RuleMatch {
            id: 942_100,
            phase: 2,
            message: "SQL injection".into(),
            severity: Some("CRITICAL".into()),
            tags: vec!["attack-sqli".into()],
            target: "ARGS:q".into(),
            detect_only: true,
        }],
        inspection: Inspection::Prefix { bytes: 17 },
        response_inspection: Inspection::Uninspected { why: "event-stream".into() },
        response: Some(ResponseFacts {
            status: 403,
            cluster: Some("app".into()),
            truncated: true,
            duration_us: 42,
            request_bytes: 1,
            response_bytes: 2,
        }),
    }
}

fn bare() -> RequestRecord {
    RequestRecord {
        request: None,
        verdict: VerdictFacts::Permit,
        staged: None,
        matches: Vec::new(),
        inspection: Inspection::None,
        response_inspection: Inspection::None,
        response: None,
        ..denied("bare")
    }
}

fn round_trip(event: &Event) -> Result<Event, EventError> {
    Event::from_log(&event.to_log(), &event.record.workload)
}

#[test]
fn events_survive_a_round_trip() {
    let trace = TraceContext::root([9; 24], true);
    let full = Event { record: denied("r"), represents: 100, trace };
    assert_eq!(round_trip(&full), Ok(full.clone()));
    assert_eq!(round_trip(&Event::new(bare())), Ok(Event::new(bare())));
    for inspection in
        [Inspection::Full { bytes: 3 }, Inspection::Uninspected { why: "grpc".into() }, Inspection::None]
    {
        for rule in [None, Some(RuleId::Waf { rule_set: "shop/crs".into(), id: 1 })] {
            let denial = Denial::new(Reason::WafRequest, rule, "x");
            let record = RequestRecord {
                inspection: inspection.clone(),
                staged: Some(VerdictFacts::Deny(denial.clone())),
                verdict: VerdictFacts::Deny(denial),
                ..bare()
            };
            assert_eq!(round_trip(&Event::new(record.clone())), Ok(Event::new(record)));
        }
    }
}

#[test]
fn semantic_names_are_used_and_the_kind_of_event_is_named() {
    let log = Event::new(denied("r")).to_log();
    let names: Vec<_> = log.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    for name in [
        "http.request.method",
        "url.path",
        "client.address",
        "network.peer.port",
        "http.response.status_code",
        "palisade.denial.reason",
        "palisade.denial.rule",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert_eq!(log.event_name, SECURITY_EVENT);
    assert_eq!(Event::new(bare()).to_log().event_name, FLOW);
}

#[test]
fn a_log_record_is_filed_under_the_proven_workload() {
    let other = WorkloadId::local("shop", "intruder");
    let event = Event::from_log(&Event::new(denied("r")).to_log(), &other).unwrap();
    assert_eq!(event.record.workload, other);
    let claim = resource(&WorkloadId::local("shop", "payments"));
    assert_eq!(claimed_workload(&claim), Some(WorkloadId::local("shop", "payments")));
    assert_eq!(claimed_workload(&Resource::default()), None);
    let odd = Resource { attributes: vec![text("palisade.workload", "a/b/c")], ..Resource::default() };
    assert_eq!(claimed_workload(&odd), None);
}

#[test]
fn malformed_log_records_are_errors_that_name_the_attribute() {
    let good = Event::new(denied("r")).to_log();
    let replace = |key: &str, value: Option<Otlp>| {
        let mut log = good.clone();
        let attribute = log.attributes.iter_mut().find(|attribute| attribute.key == key).expect(key);
        attribute.value = value.map(|value| AnyValue { value: Some(value) });
        log
    };
    let mut twice = good.clone();
    twice.attributes.push(good.attributes[0].clone());
    let mut foreign = good.clone();
    foreign.event_name = "other".into();
    for (log, name) in [
        (foreign, "event_name"),
        (twice, "palisade.record.version"),
        (replace("palisade.record.version", Some(Otlp::IntValue(99))), "palisade.record.version"),
        (replace("palisade.represents", Some(Otlp::IntValue(0))), "palisade.represents"),
        (replace("palisade.represents", Some(Otlp::IntValue(-1))), "palisade.represents"),
        (replace("palisade.reference", None), "palisade.reference"),
        (replace("palisade.reference", Some(Otlp::IntValue(1))), "palisade.reference"),
        (replace("palisade.verdict", Some(Otlp::StringValue("maybe".into()))), "palisade.verdict"),
        (replace("palisade.denial.reason", Some(Otlp::StringValue("mood".into()))), "palisade.denial"),
        (replace("palisade.denial.status", Some(Otlp::IntValue(7))), "palisade.denial"),
        (replace("network.peer.address", Some(Otlp::StringValue("x".into()))), "network.peer.port"),
        (replace("http.response.status_code", Some(Otlp::IntValue(70_000))), "http.response.status_code"),
        (replace("palisade.waf.matches", Some(Otlp::BytesValue(vec![1]))), "palisade.waf.matches"),
        (replace("url.path", Some(Otlp::StringValue("x".repeat(TEXT_BYTES + 1)))), "url.path"),
    ] {
        let error = Event::from_log(&log, &WorkloadId::local("shop", "payments")).unwrap_err();
        assert_eq!(error.attribute, name, "{error}");
    }
}

#[test]
fn an_event_under_and_at_the_limit_is_read_and_a_longer_one_refused() {
    let log = |padding: usize| {
        let mut log = Event::new(denied("r")).to_log();
        log.attributes.extend((0..32).map(|number| text(&format!("extra.{number}"), &"x".repeat(8000))));
        log.attributes.push(text("extra", &"x".repeat(padding)));
        log
    };
    let at = EVENT_BYTES - log(300).encoded_len() + 300;
    assert!(at > 300 && at < TEXT_BYTES, "{at}");
    for (padding, good) in [(at - 1, true), (at, true), (at + 1, false)] {
        let read = Event::from_log(&log(padding), &WorkloadId::local("shop", "payments"));
        assert_eq!(read.is_ok(), good, "{:?}", read.err());
    }
}

#[test]
fn lists_are_cut_at_export_and_bounded_on_receipt() {
    let mut record = denied("r");
    let header = ("a".to_owned(), "b".to_owned());
    let wafs = record.matches[0].clone();
    for (extra, wanted) in [(-1isize, -1), (0, 0), (1, 0)] {
        let count = |limit: usize, extra: isize| limit.checked_add_signed(extra).unwrap();
        record.matches = vec![wafs.clone(); count(EVENT_MATCHES, extra)];
        record.request.as_mut().unwrap().headers = vec![header.clone(); count(EVENT_HEADERS, extra)];
        let event = round_trip(&Event::new(record.clone())).unwrap();
        assert_eq!(event.record.matches.len(), count(EVENT_MATCHES, wanted));
        assert_eq!(event.record.request.unwrap().headers.len(), count(EVENT_HEADERS, wanted));
    }
    let mut log = Event::new(denied("r")).to_log();
    let workload = WorkloadId::local("shop", "payments");
    let list = vec![as_json(&wafs); EVENT_MATCHES + 1];
    let at = log.attributes.iter().position(|a| a.key == "palisade.waf.matches").unwrap();
    log.attributes[at] = json("palisade.waf.matches", Value::Array(list));
    assert_eq!(Event::from_log(&log, &workload).unwrap_err().attribute, "palisade.waf.matches");

    let mut log = Event::new(denied("r")).to_log();
    for (total, ok) in [(EVENT_ATTRIBUTES - 1, true), (EVENT_ATTRIBUTES, true), (EVENT_ATTRIBUTES + 1, false)]
    {
        while log.attributes.len() < total {
            log.attributes.push(text(&format!("extra.{}", log.attributes.len()), "x"));
        }
        assert_eq!(Event::from_log(&log, &workload).is_ok(), ok, "{total}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_texts_survive_and_any_bytes_do_not_panic(
        a in ".{0,40}", b in ".{0,40}", number in any::<u32>(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
    ) {
        use prost::Message;
        let mut record = denied(&a);
        record.connection.peer = b.clone();
        record.response.as_mut().unwrap().duration_us = number.into();
        let request = record.request.as_mut().unwrap();
        request.path = a.clone();
        request.headers = vec![(a, b)];
        let event = Event::new(record);
        prop_assert_eq!(round_trip(&event).unwrap(), event.clone());

        let workload = WorkloadId::local("shop", "payments");
        if let Ok(log) = LogRecord::decode(bytes.as_slice()) {
            let _ = Event::from_log(&log, &workload);
        }
        let mut damaged = event.to_log().encode_to_vec();
        let at = at.index(damaged.len());
        damaged[at] ^= bytes.first().copied().unwrap_or(1);
        if let Ok(log) = LogRecord::decode(damaged.as_slice()) {
            let _ = Event::from_log(&log, &workload);
        }
    }
}
