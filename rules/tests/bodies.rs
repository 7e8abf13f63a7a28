//! Bodies as they are on the wire: packed, in other charsets, of other types, without an end. What the policy's choices
//! come to, in verdict and record.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod exchange;

use std::io::Write;

use exchange::{fed, headers, judge, request, request_of};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{StatusCode, Version};
use palisade_model::record::Inspection;
use palisade_model::{BodyKind, Reason, RequestHead, ResponseHead};
use palisade_rules::upload::{Passage, ROUNDS};
use palisade_rules::{Feed, LOOKS, ResponseBody, Snapshot, Step};
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
    assert_eq!(with("application/x-www-form-urlencoded; charset=utf-16", &utf16), RULE);
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

/// A form with two files of these lengths, a file name and a field at the end.
fn form(lengths: [usize; 2], filename: &str, last: &str) -> Vec<u8> {
    let part = |name: &str| format!("\r\n--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n");
    let file =
        |name: &str, length: usize| format!("{}{}", part(&format!("f; filename={name}")), "x".repeat(length));
    let text =
        format!("{}{}{}{last}\r\n--b--\r\n", file("a", lengths[0]), file(filename, lengths[1]), part("last"));
    text.as_bytes()[2..].to_vec()
}

/// What reached the upstream of a form, and the refusal.
fn upload(snapshot: &Snapshot, body: &[u8], piece: usize) -> (usize, Option<u16>) {
    let head = exchange::head(&[("content-type", "multipart/form-data; boundary=b")]);
    let mut stage = match request(snapshot, head, body) {
        Step::NeedBody(stage) => stage,
        Step::Deny(refused) => return (0, Some(refused.denial.status.as_u16())),
        Step::Forward(_) => panic!("forwarded unread"),
    };
    let mut pieces = body.chunks(piece);
    let mut sent = 0;
    for piece in pieces.by_ref() {
        sent += piece.len();
        if fed(&mut stage, piece) != Feed::More {
            break;
        }
    }
    let mut permit = match stage.finish() {
        Ok(permit) => permit,
        Err(refused) => return (0, Some(refused.denial.status.as_u16())),
    };
    let Some(mut upload) = permit.take_upload() else { return (sent, None) };
    let mut held = 0;
    for piece in pieces {
        match upload.feed(piece) {
            Passage::Pass => sent += piece.len(),
            Passage::Hold => held += piece.len(),
            Passage::Judge => {
                held += piece.len();
                match upload.judge(false) {
                    Ok(true) => sent += std::mem::take(&mut held),
                    Ok(false) => {}
                    Err(refused) => return (sent, Some(refused.denial.status.as_u16())),
                }
            }
            Passage::TooLong => return (sent, Some(upload.refuse().denial.status.as_u16())),
        }
    }
    match upload.judge(true) {
        Ok(_) => (sent + held, None),
        Err(refused) => (sent, Some(refused.denial.status.as_u16())),
    }
}

#[test]
fn a_form_with_long_files_passes_and_an_attack_anywhere_but_in_a_file_does_not() {
    let snapshot_default = defaults();
    for piece in [1, 7, 100, 900] {
        for lengths in [[10, 10], [5000, 10], [10, 5000], [5000, 5000], [1900, 100], [20_000, 30_000]] {
            let good = form(lengths, "b", "fine");
            assert_eq!(upload(&snapshot_default, &good, piece), (good.len(), None), "{lengths:?} {piece}");
            let bad = form(lengths, "b", "attack");
            let (sent, status) = upload(&snapshot_default, &bad, piece);
            assert_eq!(status, Some(403), "{lengths:?} {piece}");
            assert!(sent < bad.len() && !bad[..sent].ends_with(b"attack"), "{lengths:?} {piece}");
        }
    }
    let cut = form([5000, 10], "b", "fine");
    assert_eq!(upload(&snapshot_default, &cut[..cut.len() - 6], 100).1, Some(400), "no last boundary");
    let field = form([5000, 10], "b", &"x".repeat(5000));
    assert_eq!(upload(&snapshot_default, &field, 100).1, Some(413), "a field is no file");
}

#[test]
fn a_boundary_at_the_end_of_what_is_held_is_seen() {
    // The limit falls on each byte of what stands between the file and the field behind it.
    let snapshot_default = defaults();
    for length in 1800..2010 {
        let good = form([10, length], "b", "fine");
        assert_eq!(upload(&snapshot_default, &good, 1), (good.len(), None), "{length}");
        let bad = form([10, length], "b", "attack");
        let (sent, status) = upload(&snapshot_default, &bad, 1);
        assert_eq!(status, Some(403), "{length}");
        assert!(!bad[..sent].ends_with(b"attack"), "{length}");
    }
}

#[test]
fn an_upload_is_limited_under_at_and_over_its_bytes() {
    let body = form([5000, 5000], "b", "fine");
    for (limit, status) in [(body.len() + 1, None), (body.len(), None), (body.len() - 1, Some(413))] {
        let snapshot = snapshot(json!({"uploadBytes": limit}), 2000, "reject");
        assert_eq!(upload(&snapshot, &body, 100).1, status, "{limit}");
    }
    let counted = snapshot(json!({"uploadBytes": 0}), 2000, "reject");
    assert_eq!(upload(&counted, &body, 100).1, Some(413), "files count like everything else");
}

#[test]
fn a_form_is_judged_so_many_times_and_no_more() {
    // Each file after a window's worth of other things takes a round.
    let part = |name: &str| format!("\r\n--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n");
    let text: String = (0..40).map(|_| format!("{}{}", part("f; filename=a"), "x".repeat(3000))).collect();
    let body = format!("{text}\r\n--b--\r\n").as_bytes()[2..].to_vec();
    assert_eq!(upload(&defaults(), &body, 100).1, Some(413));
    let few: String = (0..ROUNDS).map(|_| format!("{}{}", part("f; filename=a"), "x".repeat(3000))).collect();
    let body = format!("{few}\r\n--b--\r\n").as_bytes()[2..].to_vec();
    assert_eq!(upload(&defaults(), &body, 100).1, None);
}

#[test]
fn a_form_over_its_limit_is_read_again_only_so_often_though_it_comes_byte_by_byte() {
    let part = |name: &str| format!("\r\n--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n");
    let head = || exchange::head(&[("content-type", "multipart/form-data; boundary=b")]);
    let snapshot = defaults();
    let step = request_of(&snapshot, head(), BodyKind::Unknown);
    let Step::NeedBody(mut stage) = step else { panic!("{step:?}") };
    // A small file, then a field that is longer than all that may be held.
    let body = format!("{}x{}{}", &part("f; filename=a")[2..], part("a"), "y".repeat(5000));
    let mut looks = 0;
    let last = body.as_bytes().chunks(1).find_map(|byte| match stage.feed(byte) {
        Feed::Look => {
            looks += 1;
            Some(stage.look()).filter(|feed| *feed != Feed::More)
        }
        _ => None,
    });
    assert_eq!(last, Some(Feed::TooLong));
    assert!(looks <= LOOKS + 1, "{looks}");
    // The same behind a file that passed.
    let long = form([5000, 10], "b", "").len() - "\r\n--b--\r\n".len();
    let form = form([5000, 10], "b", &"y".repeat(5000));
    let Step::NeedBody(mut stage) = request_of(&snapshot, head(), BodyKind::Unknown) else {
        panic!("not held")
    };
    assert_eq!(fed(&mut stage, &form[..3000]), Feed::Enough);
    let mut upload = stage.finish().unwrap().take_upload().unwrap();
    let mut judged = 0;
    for (at, byte) in form[3000..].chunks(1).enumerate() {
        match upload.feed(byte) {
            Passage::Judge => {
                judged += 1;
                assert!(!upload.judge(false).unwrap(), "no file comes");
            }
            Passage::TooLong => {
                assert!(at + 3000 > long + 2000, "not before it is too long: {at}");
                break;
            }
            Passage::Pass | Passage::Hold => {}
        }
    }
    assert!((1..=LOOKS + 2).contains(&judged), "{judged}");
}

#[test]
fn the_size_of_a_file_that_passed_is_its_whole_size() {
    let judged = |sizes: [usize; 2], tail: &str, piece: usize| {
        let rules = format!(
            // What is judged while a file is still coming knows less; the field says that the form is whole.
            "SecRule &ARGS:last \"@eq 0\" \"id:9,phase:2,pass,nolog,skipAfter:END\"\n\
             SecRule FILES_COMBINED_SIZE \"!@eq {}\" \"id:1,phase:2,deny,status:418\"\n\
             SecRule &FILES_SIZES \"!@eq 2\" \"id:2,phase:2,deny,status:419\"\n\
             SecRule FILES_SIZES:a \"!@eq {}\" \"id:3,phase:2,deny,status:420\"\n\
             SecRule ARGS:last \"@streq fine\" \"id:4,phase:2,deny,status:421\"\nSecMarker END",
            sizes[0] + sizes[1],
            sizes[0]
        );
        let snapshot = exchange::snapshot(&rules, json!({"requestBody": {"maxBytes": 2000}}));
        let part = |name: &str, data: &str| {
            format!("--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n{data}\r\n")
        };
        let file = |name: &str, size: usize| {
            let data = format!("{}{tail}", "x".repeat(size - tail.len()));
            part(&format!("{name}; filename=f"), &data)
        };
        let body = format!("{}{}{}--b--\r\n", file("a", sizes[0]), file("b", sizes[1]), part("last", "fine"));
        upload(&snapshot, body.as_bytes(), piece).1
    };
    for piece in [1, 7, 100, 900] {
        for sizes in [[10, 10], [5000, 10], [10, 5000], [5000, 5000], [1999, 2001], [20_000, 30_000]] {
            for tail in ["", "\r", "\r\n", "\n", "\r\r", "\r\n-"] {
                assert_eq!(judged(sizes, tail, piece), Some(421), "{sizes:?} {tail:?} {piece}");
            }
        }
    }
}
