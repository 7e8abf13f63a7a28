//! Messages whose end is told twice, or not at all.

use std::io::Write;
use std::sync::Arc;

use crate::frames::{DATA, END_HEADERS, END_STREAM, Fields, HEADERS, Http2, Outcome, block, frame};
use crate::stage::{Client, GOOD, Origin, Stage, with_waf};

/// What would be a request of its own if the first message ended early.
const SMUGGLED: &str = "GET /admin HTTP/1.1\r\nhost: shop.example\r\n\r\n";

fn post(lines: &str, body: &str) -> String {
    format!("POST /good HTTP/1.1\r\nhost: shop.example\r\n{lines}\r\n\r\n{body}")
}

fn refused(cases: &[(&str, &str)]) {
    let stage = Stage::new(Origin::ok());
    for (lines, body) in cases {
        stage.refuses(lines, post(lines, body), &[400]);
    }
}

#[test]
fn framing_36_a_length_beside_a_transfer_encoding_is_refused() {
    let hidden = format!("0\r\n\r\n{SMUGGLED}");
    refused(&[
        ("content-length: 5\r\ntransfer-encoding: chunked", &hidden),
        ("transfer-encoding: chunked\r\ncontent-length: 5", &hidden),
        ("transfer-encoding: chunked\r\ncontent-length: 0", &hidden),
        ("Content-Length: 60\r\nTRANSFER-ENCODING: Chunked", &hidden),
    ]);
}

#[test]
fn framing_37_a_transfer_encoding_that_is_not_exactly_chunked_is_refused() {
    let hidden = format!("0\r\n\r\n{SMUGGLED}");
    for value in [
        "xchunked",
        "chunked, identity",
        "identity",
        "\"chunked\"",
        "chunked\u{b}",
        "\u{b}chunked",
        "chunked;q=1",
        "gzip, chunked",
        "chunked,chunked",
        "chunked,",
        ",chunked",
        "c hunked",
        "",
    ] {
        refused(&[(&format!("transfer-encoding: {value}"), &hidden)]);
    }
    refused(&[
        ("transfer-encoding: chunked\r\ntransfer-encoding: identity", &hidden),
        ("transfer-encoding: identity\r\ntransfer-encoding: chunked", &hidden),
        ("transfer-encoding:\r\n chunked", &hidden),
        ("transfer-encoding : chunked", &hidden),
        ("transfer_encoding: chunked\r\ncontent-length: 5", &hidden),
    ]);
}

#[test]
fn framing_38_a_length_that_is_not_one_plain_number_is_refused() {
    for value in
        ["+5", "-5", "5,5", "5, 5", "0x5", "5 5", "5;", "1e1", "", "5.0", "18446744073709551621", "٥"]
    {
        refused(&[(&format!("content-length: {value}"), &format!("hello{SMUGGLED}"))]);
    }
    refused(&[
        ("content-length: 5\r\ncontent-length: 5", "hello"),
        ("content-length: 5\r\ncontent-length: 0", "hello"),
        ("content_length: 0\r\ncontent-length: 5", "hello"),
    ]);
}

#[test]
fn framing_38_a_length_with_leading_zeros_is_refused_or_forwarded_as_the_same_number() {
    let stage = Stage::new(Origin::ok());
    let mut client = Client::connect(stage.edge);
    client.send(post("content-length: 0005", "hello"));
    match client.answer().unwrap().status {
        400 => assert_eq!(stage.origin.count(), 0),
        status => {
            assert_eq!((status, stage.origin.requests()[0].body.as_slice()), (200, &b"hello"[..]));
        }
    }
}

#[test]
fn framing_37_chunks_that_can_be_read_in_two_ways_are_refused() {
    let stage = Stage::new(Origin::ok());
    let bodies = [
        format!("10000000000000005\r\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        format!("+5\r\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        format!("0x5\r\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        format!(" 5\r\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        format!("5\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        format!("5;a\nb\r\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        format!("5\r\nhelloX\r\n0\r\n\r\n{SMUGGLED}"),
        format!("5\r\nhelloXX0\r\n\r\n{SMUGGLED}"),
        format!("\r\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        format!("5\r\nhello\r\n0\r\ncontent-length: 5\r\n\r\n{SMUGGLED}"),
        format!("5\r\nhello\r\n0\r\nhost: admin.example\r\n\r\n{SMUGGLED}"),
        format!("5\r\nhello\r\n0\r\nx-role : admin\r\n\r\n{SMUGGLED}"),
        format!("5;{}\r\nhello\r\n0\r\n\r\n{SMUGGLED}", "a".repeat(70_000)),
    ];
    for body in bodies {
        let name = &body[..body.len().min(40)];
        // The head is good and may be on its way; a request that never becomes whole is none.
        let mut client = Client::connect(stage.edge);
        let sent = client.try_send(post("transfer-encoding: chunked", &body));
        let status = client.answer().map(|answer| answer.status);
        assert!(
            matches!(status, Some(400 | 431)) || (status.is_none() && sent.is_err()),
            "{name:?}: {status:?}"
        );
        assert_eq!(client.rest(), "", "{name:?}: closed");
        assert_eq!(stage.origin.count(), 0, "{name:?}: {:?}", stage.origin.requests());
        assert!(!stage.origin.text().contains("admin"), "{name:?}: {}", stage.origin.text());
    }
    stage.serves_others();
}

#[test]
fn framing_40_a_transfer_encoding_on_http_10_is_refused() {
    let stage = Stage::new(Origin::ok());
    for version in ["1.0", "0.9", "1.2", "2.0", "1.1 ", "11", "01.1"] {
        let head = "host: shop.example\r\ntransfer-encoding: chunked";
        let request = format!("POST /good HTTP/{version}\r\n{head}\r\n\r\n0\r\n\r\n{SMUGGLED}");
        stage.refuses(version, request, &[400, 505]);
    }
}

const UPGRADE: &str = "GET /good HTTP/1.1\r\nhost: shop.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";

#[test]
fn framing_41_bytes_behind_an_upgrade_wait_for_its_answer() {
    let stage = Stage::new(Origin::ok());
    let mut client = Client::connect(stage.edge);
    client.send(format!("{UPGRADE}{SMUGGLED}{GOOD}"));
    let statuses: Vec<_> = (0..3).map(|_| client.answer().map(|answer| answer.status)).collect();
    assert_eq!(statuses, [Some(200), Some(403), Some(200)]);
    assert_eq!(stage.origin.count(), 2);
    assert!(!stage.origin.text().contains("admin"), "{}", stage.origin.text());
}

#[test]
fn framing_42_a_200_to_an_upgrade_leaves_the_next_request_to_be_judged() {
    let stage = Stage::new(Origin::ok());
    let mut client = Client::connect(stage.edge);
    client.send(UPGRADE);
    assert_eq!(client.answer().unwrap().status, 200);
    client.send(SMUGGLED);
    assert_eq!(client.answer().unwrap().status, 403);
    assert!(!stage.origin.text().contains("admin"), "{}", stage.origin.text());
    for lines in [
        "connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__",
        "connection: upgrade\r\nupgrade: tls/1.0",
    ] {
        // Another upgrade is not asked for at the origin.
        let seen =
            stage.forwards(lines, format!("GET /good HTTP/1.1\r\nhost: shop.example\r\n{lines}\r\n\r\n"));
        assert!(!seen.head.to_lowercase().contains("upgrade"), "{}", seen.head);
    }
    stage.refuses(
        "connect",
        "CONNECT admin.example:443 HTTP/1.1\r\nhost: admin.example:443\r\n\r\n",
        &[400, 501],
    );
}

#[test]
fn framing_42_a_101_that_was_not_asked_for_is_no_tunnel() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let stage = Stage::new(Origin::answering(switch));
    let mut client = Client::connect(stage.edge);
    client.send(format!("{GOOD}{SMUGGLED}"));
    assert_eq!(client.answer().unwrap().status, 502);
    assert!(!stage.origin.text().contains("admin"), "{}", stage.origin.text());
}

#[test]
fn framing_44_http2_cannot_write_http1_framing() {
    let stage = Stage::new(Origin::ok());
    let good = || Http2::get("/good");
    let mut cases: Vec<(&str, Fields<'_>)> = Vec::new();
    for (name, value) in [
        (&b"transfer-encoding"[..], &b"chunked"[..]),
        (b"connection", b"close"),
        (b"connection", b"x-role"),
        (b"keep-alive", b"1"),
        (b"proxy-connection", b"close"),
        (b"upgrade", b"websocket"),
        (b"te", b"chunked"),
        (b"x-a", b"b\r\n\r\nGET /admin HTTP/1.1"),
        (b"x-a\r\nx-role", b"admin"),
        (b"x-a: b\r\nx-role: admin\r\nx-c", b"d"),
        (b"X-Role", b"admin"),
        (b":path", b"/admin"),
        (b":unknown", b"1"),
        (b"", b"1"),
        (b"content-length", b"5"),
    ] {
        let mut fields = good();
        fields.push((name, value));
        cases.push(("header", fields));
    }
    for (at, value) in [
        (0, &b"GET /admin HTTP/1.1\r\nx: "[..]),
        (0, b"GET\r\n"),
        (0, b"CONNECT"),
        (1, b"http://shop.example/admin?"),
        (2, b"shop.example\r\nx-role: admin"),
        (2, b"shop.example/admin"),
        (2, b"user@shop.example"),
        (3, b"/good HTTP/1.1\r\nx-role: admin\r\n\r\n"),
        (3, b"/good /admin"),
        (3, b"/good\r\n"),
        (3, b"http://admin.example/admin"),
    ] {
        let mut fields = good();
        fields[at].1 = value;
        cases.push(("pseudo-header", fields));
    }
    let mut late = good();
    late.swap(0, 3);
    late.insert(1, (b"x-a", b"b"));
    cases.push(("a pseudo-header behind a header", late));
    cases.push(("no :path", good()[..3].to_vec()));
    for (name, fields) in &cases {
        let name = format!("{name} {:?}", String::from_utf8_lossy(fields.last().unwrap().1));
        Http2::refused(&stage, &name, fields, &[400, 403, 501]);
    }
    // Extended CONNECT (RFC 8441).
    let mut extended = good();
    extended[0].1 = b"CONNECT";
    extended.insert(1, (b":protocol", b"websocket"));
    Http2::refused(&stage, "extended CONNECT", &extended, &[400, 501]);
    stage.serves_others();
}

#[test]
fn framing_45_an_upstream_that_can_be_read_in_two_ways_is_502_and_nothing_of_it_leaves() {
    let cases = [
        (
            "CL and TE",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nEVIL",
        ),
        ("two CL", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 0\r\n\r\nEVIL"),
        ("two equal CL", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\nEVIL"),
        ("CL list", "HTTP/1.1 200 OK\r\ncontent-length: 4, 4\r\n\r\nEVIL"),
        ("CL +", "HTTP/1.1 200 OK\r\ncontent-length: +4\r\n\r\nEVIL"),
        ("204 with CL", "HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nEVIL"),
        (
            "204 with TE",
            "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n",
        ),
        ("TE list", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\nEVIL"),
        ("TE on 1.0", "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nEVIL"),
        ("bare LF", "HTTP/1.1 200 OK\ncontent-length: 4\n\nEVIL"),
        ("bare LF in a head", "HTTP/1.1 200 OK\r\nx-a: b\ncontent-length: 4\r\n\r\nEVIL"),
        ("obs-fold", "HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 4\r\n\r\nEVIL"),
        ("space before colon", "HTTP/1.1 200 OK\r\ncontent-length : 4\r\n\r\nEVIL"),
        ("NUL", "HTTP/1.1 200 OK\r\nx-a: b\0c\r\ncontent-length: 4\r\n\r\nEVIL"),
        ("no version", "200 OK\r\ncontent-length: 4\r\n\r\nEVIL"),
        ("a strange status", "HTTP/1.1 2000 OK\r\ncontent-length: 4\r\n\r\nEVIL"),
        ("a status of 0", "HTTP/1.1 000 OK\r\ncontent-length: 4\r\n\r\nEVIL"),
    ];
    let mut wrong = Vec::new();
    for (name, answer) in cases {
        let stage = Stage::new(Origin::answering(answer));
        let mut client = Client::connect(stage.edge);
        client.send(format!("{GOOD}{GOOD}"));
        let answer = client.answer().unwrap_or_else(|| panic!("{name}: no answer"));
        let next = client.answer();
        if answer.status != 502 || next.is_some_and(|next| next.status != 502) {
            wrong.push(format!("{name}: {}", answer.head));
        }
        assert!(answer.status == 200 || !String::from_utf8_lossy(&answer.body).contains("EVIL"), "{name}");
        stage.alive();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn framing_45_an_answer_whose_chunks_break_is_cut_off_and_its_connection_not_used_again() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0x2\r\nEVIL\r\n0\r\n\r\n";
    let stage = Stage::new(Origin::answering(answer));
    for _ in 0..3 {
        let mut client = Client::connect(stage.edge);
        client.send(GOOD.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"));
        let text = client.rest();
        // Cut off if a part of it had left, 502 if none had.
        assert!(!text.contains("EVIL") && !text.ends_with("0\r\n\r\n"), "{text}");
    }
    stage.alive();
}

#[test]
fn framing_45_bytes_behind_an_answer_are_nobodys_answer() {
    let evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL";
    for answer in [
        format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{evil}"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{evil}"),
        format!("HTTP/1.1 304 Not Modified\r\n\r\n{evil}"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{evil}"),
    ] {
        let stage = Stage::new(Origin::answering(answer.as_str()));
        for _ in 0..3 {
            let mut client = Client::connect(stage.edge);
            for _ in 0..3 {
                client.send(GOOD);
                let Some(got) = client.answer() else { break };
                assert!(!String::from_utf8_lossy(&got.body).contains("EVIL"), "{answer}");
            }
        }
    }
}

#[test]
fn framing_45_a_body_that_answers_head_is_nobodys_answer() {
    let origin = Origin::start(Arc::new(|seen, stream| {
        let body = if seen.head.starts_with("HEAD") { "EVIL" } else { "good" };
        stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{body}").as_bytes()).is_ok()
    }));
    let stage = Stage::new(origin);
    for _ in 0..3 {
        let mut client = Client::connect(stage.edge);
        client.send("HEAD /good HTTP/1.1\r\nhost: shop.example\r\n\r\n");
        let head = client.head().unwrap();
        assert_eq!(head.status, 200, "{}", head.head);
        client.send(GOOD);
        let next = client.answer().expect("the connection stays");
        assert_eq!((next.status, next.body.as_slice()), (200, &b"good"[..]));
    }
}

#[test]
fn framing_45_a_get_with_a_body_is_one_request() {
    let stage = Stage::new(Origin::ok());
    let request = format!(
        "GET /good HTTP/1.1\r\nhost: shop.example\r\ncontent-length: {}\r\n\r\n{SMUGGLED}",
        SMUGGLED.len()
    );
    let seen = stage.forwards("GET with a body", request);
    assert_eq!(seen.body, SMUGGLED.as_bytes());
    assert_eq!(stage.origin.count(), 1);
}

#[test]
fn framing_45_a_get_with_a_body_of_unknown_length_keeps_its_body() {
    // What was judged is what is sent: a body that is dropped on the way was judged for nothing.
    let streamed = Stage::new(Origin::ok());
    let held = Stage::with(Origin::ok(), |policy| {
        with_waf(policy, "SecRuleEngine On\nSecRequestBodyAccess On\n", 100, "reject");
    });
    for stage in [&streamed, &held] {
        let head = "host: shop.example\r\ntransfer-encoding: chunked\r\ncontent-type: text/plain";
        let request = format!("GET /good HTTP/1.1\r\n{head}\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        let seen = stage.forwards("chunked GET", request);
        assert!(seen.body.starts_with(b"abcde"), "{seen:?}");
        let mut client = Http2::connect(stage);
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&Http2::get("/good")));
        bytes.extend(frame(DATA, END_STREAM, 1, b"abcde"));
        client.send(&bytes);
        assert_eq!(client.outcome(1), Outcome::Status(200));
        let seen = stage.origin.requests();
        assert!(seen[1].body.starts_with(b"abcde"), "{:?}", seen[1]);
        assert_eq!(seen.len(), 2);
    }
}

#[test]
fn framing_46_http2_lengths_that_do_not_agree_are_no_request() {
    let stage = Stage::new(Origin::ok());
    for (length, sent) in [("3", "hello"), ("7", "hello"), ("0", "hello")] {
        let mut client = Http2::connect(&stage);
        let mut fields = Http2::get("/good");
        fields[0].1 = b"POST";
        fields.push((b"content-length", length.as_bytes()));
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&fields));
        bytes.extend(frame(DATA, END_STREAM, 1, sent.as_bytes()));
        client.send(&bytes);
        let outcome = client.outcome(1);
        let refused = matches!(outcome, Outcome::Status(400..) | Outcome::Reset(_) | Outcome::GoAway(_));
        assert!(refused, "{length} for {sent}: {outcome:?}");
        assert_eq!(stage.origin.count(), 0, "{length} for {sent}: {:?}", stage.origin.requests());
    }
    stage.serves_others();
}

#[test]
fn framing_48_expectations_are_answered_by_us_and_only_after_the_verdict() {
    let stage = Stage::new(Origin::ok());
    let expect = "content-length: 5\r\nexpect: 100-continue";
    stage.refuses("denied", post(&format!("x-role: admin\r\n{expect}"), ""), &[403]);
    for value in ["200-ok", "100-continue, 100-continue", "100"] {
        stage.refuses(value, post(&format!("content-length: 5\r\nexpect: {value}"), "hello"), &[417, 400]);
    }
    let mut client = Client::connect(stage.edge);
    client.send(post(expect, ""));
    assert_eq!(client.head().unwrap().status, 100);
    client.send(format!("hello{GOOD}"));
    assert_eq!(client.answer().unwrap().status, 200);
    assert_eq!(client.answer().unwrap().status, 200);
    // Whoever does not wait is read all the same.
    let seen = stage.forwards("no wait", post("content-length: 0\r\nexpect: 100-continue", ""));
    assert!(!seen.head.contains("expect"), "{}", seen.head);
    let last = stage.origin.requests();
    assert_eq!(last.iter().filter(|one| one.body == b"hello").count(), 1);
}
