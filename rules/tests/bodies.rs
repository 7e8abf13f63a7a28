//! Bodies as they are on the wire: packed, in other charsets, of other types, without an end. What the policy's choices
//! come to, in verdict and record.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod exchange;

use std::io::Write;

use exchange::{headers, judge};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{StatusCode, Version};
use palisade_model::record::Inspection;
use palisade_model::{Reason, RequestHead, ResponseHead};
use palisade_rules::{Feed, HEAVY_BYTES, ResponseBody, Snapshot, Step};
use serde_json::{Value, json};

const RULES: &str = "SecRule ARGS|REQUEST_BODY|XML:/* \"@contains attack\" \"id:1,phase:2,deny\"\n\
                     SecRule RESPONSE_BODY \"@contains secret\" \"id:4,phase:4,deny\"\n\
                     SecRule REQUEST_HEADERS:Content-Type \"@contains grpc\" \"id:920420,phase:1,deny\"";
const FORM: &str = "application/x-www-form-urlencoded";

fn snapshot(bodies: Value, limit: usize, over: &str) -> Snapshot {
    let limits = json!({"maxBytes": limit, "over": over});
    exchange::snapshot(RULES, json!({"bodies": bodies, "requestBody": limits, "responseBody": limits}))
}

fn defaults() -> Snapshot {
    snapshot(json!({}), 2000, "reject")
}

/// A POST with these headers.
fn head(pairs: &[(&'static str, &str)], version: Version) -> RequestHead {
    RequestHead { version, ..exchange::head(pairs) }
}

/// The reason and status of a refusal; none if it is permitted.
fn verdict(snapshot: &Snapshot, pairs: &[(&'static str, &str)], body: &[u8]) -> Option<(Reason, u16)> {
    let refused = judge(snapshot, head(pairs, Version::HTTP_11), body).err()?;
    Some((refused.denial.reason, refused.denial.status.as_u16()))
}

fn inspection(snapshot: &Snapshot, pairs: &[(&'static str, &str)], body: &[u8]) -> Inspection {
    judge(snapshot, head(pairs, Version::HTTP_11), body).unwrap().finish().inspection
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

const RULE: Option<(Reason, u16)> = Some((Reason::WafRequest, 403));
const MALFORMED: Option<(Reason, u16)> = Some((Reason::BodyMalformed, 400));
const UNSUPPORTED: Option<(Reason, u16)> = Some((Reason::BodyMalformed, 415));
const TOO_LARGE: Option<(Reason, u16)> = Some((Reason::BodyTooLarge, 413));

#[test]
fn a_packed_body_is_judged_by_what_it_unpacks_to() {
    let snapshot = defaults();
    let packed = |encoding, body: &[u8]| {
        verdict(&snapshot, &[("content-type", FORM), ("content-encoding", encoding)], body)
    };
    assert_eq!(packed("gzip", &gzip(b"a=attack")), RULE);
    assert_eq!(packed("gzip", &gzip(b"a=good")), None);
    assert_eq!(packed("gzip, gzip", &gzip(&gzip(b"a=attack"))), RULE);
    assert_eq!(packed("identity", b"a=attack"), RULE);
    assert_eq!(packed("gzip", b"a=attack"), MALFORMED, "it is not what its head says");
    assert_eq!(packed("gzip", &gzip(b"a=good")[..15]), MALFORMED, "cut off");
    let members = [gzip(b"a=good"), gzip(b"&b=attack")].concat();
    assert_eq!(packed("gzip", &members), MALFORMED, "two members");
    assert_eq!(packed("gzip", &[gzip(b"a=good").as_slice(), b"attack"].concat()), MALFORMED, "a tail");
    assert_eq!(packed("compress", b"a=good"), UNSUPPORTED);
    assert_eq!(packed("gzip, gzip, gzip", &gzip(&gzip(&gzip(b"a=good")))), UNSUPPORTED);
    let twice = [("content-type", FORM), ("content-encoding", "gzip"), ("content-encoding", "gzip")];
    assert_eq!(verdict(&snapshot, &twice, &gzip(&gzip(b"a=attack"))), RULE, "two lines are one list");
}

#[test]
fn what_a_body_unpacks_to_has_the_limit_of_every_body() {
    let headers = [("content-type", FORM), ("content-encoding", "gzip")];
    let form = |length: usize| gzip(format!("a={}", "x".repeat(length - 2)).as_bytes());
    let reject = defaults();
    assert_eq!(verdict(&reject, &headers, &form(1999)), None, "under");
    assert_eq!(verdict(&reject, &headers, &form(2000)), None, "at");
    assert_eq!(verdict(&reject, &headers, &form(2001)), TOO_LARGE, "over");
    assert_eq!(verdict(&reject, &headers, &gzip(&vec![b'x'; 10 << 20])[..1500]), TOO_LARGE, "a bomb");
    let prefix = snapshot(json!({}), 2000, "inspectPrefix");
    assert_eq!(verdict(&prefix, &headers, &form(2001)), None);
    let attack = gzip(format!("b=attack&a={}", "x".repeat(3000)).as_bytes());
    assert_eq!(verdict(&prefix, &headers, &attack), RULE, "in the first part");
    let large = snapshot(json!({}), 10 << 20, "reject");
    assert_eq!(
        verdict(&large, &headers, &gzip(&vec![b'x'; 5 << 20])),
        MALFORMED,
        "too many times its length"
    );
}

#[test]
fn a_body_is_heavy_from_its_size_on_and_a_packed_one_always() {
    let heavy = |encoding: &str, held: usize| {
        let head = head(&[("content-type", FORM), ("content-encoding", encoding)], Version::HTTP_11);
        match exchange::request(&defaults(), head, b"a=1") {
            Step::NeedBody(stage) => stage.is_heavy(held),
            other => panic!("{other:?}"),
        }
    };
    for (held, expected) in [(HEAVY_BYTES - 1, false), (HEAVY_BYTES, true), (HEAVY_BYTES + 1, true)] {
        assert_eq!((heavy("identity", held), heavy("gzip", held)), (expected, true), "{held}");
    }
}

#[test]
fn the_policy_says_what_becomes_of_an_unknown_encoding() {
    let headers = [("content-type", FORM), ("content-encoding", "compress")];
    let raw = snapshot(json!({"unknownEncodings": "inspectRaw"}), 2000, "reject");
    assert_eq!(verdict(&raw, &headers, b"a=attack"), RULE);
    assert_eq!(inspection(&raw, &headers, b"a=1"), Inspection::Full { bytes: 3 });
    let pass = snapshot(json!({"unknownEncodings": "uninspected"}), 2000, "reject");
    let why = "its content encoding is not known".to_owned();
    assert_eq!(inspection(&pass, &headers, b"a=attack"), Inspection::Uninspected { why });
}

#[test]
fn a_body_in_another_charset_is_judged_as_the_text_it_is() {
    let snapshot = defaults();
    let utf16: Vec<u8> = "a=attack".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let json16: Vec<u8> = "{\"a\":\"attack\"}".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let with = |content_type: &str, body: &[u8]| verdict(&snapshot, &[("content-type", content_type)], body);
    assert_eq!(
        with("application/x-www-form-urlencoded; charset=utf-16", &utf16),
        MALFORMED,
        "a form is ASCII"
    );
    assert_eq!(with("application/json; charset=utf-16be", &json16), RULE);
    assert_eq!(with("application/json", &json16), MALFORMED, "JSON is UTF-8 unless something else is said");
    assert_eq!(with("text/plain; charset=utf-16le", &utf16), RULE, "raw text");
    assert_eq!(with("application/x-www-form-urlencoded; charset=utf-16", b"a=attack"), RULE, "seen anyway");
    assert_eq!(
        with("application/x-www-form-urlencoded; charset=utf-16", b"a=goodxx"),
        MALFORMED,
        "not its charset"
    );
    for unknown in ["utf-7", "ibm037", "iso-2022-jp", "utf-8; charset=utf-16"] {
        assert_eq!(with(&format!("{FORM}; charset={unknown}"), b"a=good"), UNSUPPORTED, "{unknown}");
    }
    for known in ["utf-8", "iso-8859-1", "windows-1252", "shift_jis", "\"us-ascii\""] {
        assert_eq!(with(&format!("{FORM}; charset={known}"), b"a=good%e9"), None, "{known}");
        assert_eq!(with(&format!("{FORM}; charset={known}"), b"a=attack"), RULE, "{known}");
    }
    let latin = b"<?xml version='1.0' encoding='iso-8859-1'?><a>caf\xe9 attack</a>";
    assert_eq!(with("text/xml", latin), RULE);
    let fields = b"--b\r\ncontent-disposition: form-data; name=\"_charset_\"\r\n\r\nutf-7\r\n--b--\r\n";
    assert_eq!(with("multipart/form-data; boundary=b", fields), MALFORMED);
}

#[test]
fn the_policy_says_what_becomes_of_an_unknown_charset_or_type() {
    let seven = [("content-type", "application/x-www-form-urlencoded; charset=utf-7")];
    let raw = snapshot(json!({"unknownCharsets": "inspectRaw"}), 2000, "reject");
    assert_eq!(verdict(&raw, &seven, b"a=good"), None);
    assert_eq!(verdict(&raw, &seven, b"a=attack"), RULE);
    let pass = snapshot(json!({"unknownCharsets": "uninspected"}), 2000, "reject");
    assert!(matches!(inspection(&pass, &seven, b"a=attack"), Inspection::Uninspected { .. }));

    for kind in [&[("content-type", "application/octet-stream")][..], &[]] {
        assert_eq!(verdict(&defaults(), kind, b"attack"), RULE);
        let pass = snapshot(json!({"unknownTypes": "uninspected"}), 2000, "reject");
        let why = "no body processor takes its content type".to_owned();
        assert_eq!(inspection(&pass, kind, b"attack"), Inspection::Uninspected { why });
        let refuse = snapshot(json!({"unknownTypes": "reject"}), 2000, "reject");
        assert_eq!(verdict(&refuse, kind, b"good"), UNSUPPORTED);
        assert_eq!(verdict(&refuse, kind, b""), None, "no body has no type");
        assert_eq!(verdict(&refuse, &[("content-type", FORM)], b"a=good"), None);
    }
}

#[test]
fn grpc_and_upgrades_pass_unread_where_the_policy_permits_it_and_the_record_says_so() {
    let grpc = || head(&[("content-type", "application/grpc")], Version::HTTP_2);
    let snapshot_default = defaults();
    let stage = judge(&snapshot_default, grpc(), b"\0\0\0\0\x06attack").unwrap();
    assert_eq!(
        stage.finish().inspection,
        Inspection::Uninspected { why: "grpc".into() },
        "not even by 920420"
    );
    let refuse = snapshot(json!({"grpc": "reject", "webSockets": "reject"}), 2000, "reject");
    let refused = judge(&refuse, grpc(), b"\0\0\0\0\x01x").unwrap_err();
    assert_eq!(
        refused.denial.rule.map(|rule| rule.to_string()),
        Some("RuleSet shop/rules rule 920420".into())
    );
    // Over HTTP/1.1 the name is just an unknown type, and the rule set's list holds.
    let old = judge(&snapshot_default, head(&[("content-type", "application/grpc")], Version::HTTP_11), b"x");
    assert!(old.is_err());
    let mut upgrade = head(&[], Version::HTTP_11);
    upgrade.upgrade = Some("websocket".into());
    assert!(judge(&snapshot_default, upgrade.clone(), b"").is_ok());
    let refused = judge(&refuse, upgrade, b"").unwrap_err();
    assert_eq!((refused.denial.reason, refused.denial.status.as_u16()), (Reason::WafRequest, 403));
}

fn answer(snapshot: &Snapshot, pairs: &[(&'static str, &str)], body: &[u8]) -> Result<Inspection, u16> {
    let mut stage = judge(snapshot, exchange::head(&[]), b"").unwrap();
    let head = ResponseHead { status: StatusCode::OK, headers: headers(pairs), version: Version::HTTP_11 };
    let held = stage.head(&head).map_err(|refused| refused.denial.status.as_u16())?;
    if matches!(held, ResponseBody::Hold(_)) {
        let complete = stage.feed(body) == Feed::More;
        stage.body(complete).map_err(|refused| refused.denial.status.as_u16())?;
    }
    Ok(stage.finish().response_inspection)
}

#[test]
fn a_packed_response_is_judged_by_what_it_unpacks_to() {
    let snapshot_default = defaults();
    let packed = |encoding, body: &[u8]| {
        answer(&snapshot_default, &[("content-type", "text/html"), ("content-encoding", encoding)], body)
    };
    let good = gzip(b"public");
    assert_eq!(packed("gzip", &good), Ok(Inspection::Full { bytes: good.len() as u64 }));
    assert_eq!(packed("gzip", &gzip(b"secret")), Err(403));
    assert_eq!(packed("gzip", b"public"), Err(502), "it is not what its head says");
    assert_eq!(packed("compress", b"public"), Err(502));
    assert_eq!(packed("gzip", &gzip(&vec![b'x'; 5000])), Err(502), "more than the policy inspects");
    let prefix = snapshot(json!({}), 2000, "inspectPrefix");
    let headers = [("content-type", "text/html"), ("content-encoding", "gzip")];
    let long = gzip(&vec![b'x'; 5000]);
    let seen = Inspection::Prefix { bytes: long.len() as u64 };
    assert_eq!(answer(&prefix, &headers, &long), Ok(seen), "it came whole and was not seen whole");
    assert_eq!(
        answer(&prefix, &headers, &gzip(&[b"secret ".as_slice(), &vec![b'x'; 5000]].concat())),
        Err(403)
    );
}

#[test]
fn event_streams_pass_unread_where_the_policy_permits_it_and_the_record_says_so() {
    let headers = [("content-type", "text/event-stream; charset=utf-8")];
    let why = "event-stream".to_owned();
    assert_eq!(answer(&defaults(), &headers, b""), Ok(Inspection::Uninspected { why }));
    let refuse = snapshot(json!({"eventStreams": "reject"}), 2000, "reject");
    assert_eq!(answer(&refuse, &headers, b""), Err(502));
    assert_eq!(
        answer(&refuse, &[("content-type", "image/png")], b"x"),
        Ok(Inspection::Uninspected { why: "its content type is not inspected".to_owned() }),
        "not inspected at all"
    );
}
