//! Whose limit holds, the policy's or the rule set's, and what becomes of a longer body; both ways, and however the body
//! is framed. `100 Continue`, and trailers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::packed::gzip;
use crate::stage::{FORM, Stage, get, inspection, length, limits, origin, post, reason, status};

type Bodies = Arc<Mutex<Vec<String>>>;

/// An origin that remembers bodies, with their trailers, and answers 200.
fn remembering() -> (SocketAddr, Bodies) {
    let bodies = Bodies::default();
    let seen = bodies.clone();
    let address = origin(move |mut client| {
        while let Some(head) = client.head() {
            let body = if head.contains("transfer-encoding: chunked") {
                match client.until("\r\n0\r\n") {
                    Some(chunks) => chunks + &client.until("\r\n").unwrap_or_default(),
                    None => return,
                }
            } else {
                String::from_utf8_lossy(&client.bytes(length(&head))).into_owned()
            };
            seen.lock().unwrap().push(body);
            client.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    (address, bodies)
}

fn rules(request: (usize, &str), response: (usize, &str)) -> String {
    format!(
        "SecRequestBodyAccess On\nSecResponseBodyAccess On\nSecResponseBodyMimeType text/plain\n\
         SecRequestBodyLimit {}\nSecRequestBodyLimitAction {}\n\
         SecResponseBodyLimit {}\nSecResponseBodyLimitAction {}\n\
         SecRule ARGS \"@contains attack\" \"id:1,phase:2,deny,status:403\"\n\
         SecRule RESPONSE_BODY \"@contains secret\" \"id:4,phase:4,deny,status:403\"\n",
        request.0, request.1, response.0, response.1
    )
}

fn form(bytes: usize) -> String {
    format!("a={}", "x".repeat(bytes - 2))
}

fn chunked(body: &str, trailers: &str) -> String {
    let chunks: String = body.as_bytes().chunks(333).fold(String::new(), |text, piece| {
        format!("{text}{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece))
    });
    format!(
        "POST /good HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\ncontent-type: {FORM}\r\n\
         transfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n{chunks}0\r\n{trailers}\r\n"
    )
}

type Limit = (usize, &'static str);

/// Who says how long, and what is done with more: policy, rule set, the limit that holds, whether more is refused.
const WHOSE: [(Limit, Limit, usize, bool); 6] = [
    ((1_000, "reject"), (2_000, "ProcessPartial"), 1_000, true),
    ((2_000, "reject"), (1_000, "ProcessPartial"), 1_000, false),
    ((1_000, "inspectPrefix"), (2_000, "Reject"), 1_000, false),
    ((2_000, "inspectPrefix"), (1_000, "Reject"), 1_000, true),
    ((1_000, "inspectPrefix"), (1_000, "Reject"), 1_000, true),
    ((2_000, "reject"), (2_000, "ProcessPartial"), 2_000, true),
];

#[test]
fn the_smaller_limit_holds_for_requests_with_what_its_author_says_of_more() {
    let (address, bodies) = remembering();
    for (policy, set, limit, refused) in WHOSE {
        let stage = Stage::new(address, &rules(set, (100_000, "Reject")), limits(policy.0, policy.1));
        for bytes in [limit - 1, limit, limit + 1, 3 * limit] {
            let over = bytes > limit;
            let body = form(bytes);
            let plain = post(FORM, "", body.as_bytes());
            let packed = post(FORM, "content-encoding: gzip\r\n", &gzip(body.as_bytes()));
            for (framing, request) in
                [("length", plain), ("chunks", chunked(&body, "").into_bytes()), ("gzip", packed)]
            {
                let place = format!("{policy:?} {set:?} {bytes} {framing}");
                let (answer, record) = stage.send(&request);
                let expected = if over && refused { 413 } else { 200 };
                assert_eq!(answer.status, expected, "{place}: {record}");
                if expected == 413 {
                    assert_eq!(reason(&record), "body_too_large", "{place}");
                    assert!(bodies.lock().unwrap().is_empty(), "{place}: the origin saw it");
                    continue;
                }
                let seen = bodies.lock().unwrap().pop().unwrap();
                if framing == "length" {
                    assert_eq!(seen, body, "{place}: all of it is sent on");
                }
                let kind = inspection(&record, "request");
                assert!(kind.starts_with(if over { "prefix" } else { "full" }), "{place}: {kind}");
            }
        }
        let behind = post(FORM, "", format!("{}&b=attack", form(limit + 1)).as_bytes());
        assert_eq!(stage.status(behind), if refused { 413 } else { 200 }, "{policy:?} {set:?}");
        let before = post(FORM, "", format!("b=attack&{}", form(limit + 1)).as_bytes());
        assert_eq!(stage.status(before), if refused { 413 } else { 403 }, "{policy:?} {set:?}");
        bodies.lock().unwrap().clear();
    }
}

#[test]
fn the_smaller_limit_holds_for_answers_with_what_its_author_says_of_more() {
    let address = origin(|mut client| {
        while let Some(head) = client.head() {
            // /BYTES/FRAMING/WORD-AT-THE-END
            let mut words = head.split(' ').nth(1).unwrap_or_default().split('/').skip(1);
            let bytes: usize = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            let framing = words.next().unwrap_or_default().to_owned();
            let word = words.next().unwrap_or_default().to_owned();
            let body = format!("{}{word}", "y".repeat(bytes - word.len()));
            let kind = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";
            match framing.as_str() {
                "chunks" => {
                    let (first, last) = body.split_at(body.len() / 2);
                    client.send(format!(
                        "{kind}transfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{last}\r\n0\r\n\r\n",
                        first.len(),
                        last.len()
                    ));
                }
                "gzip" => {
                    let packed = gzip(body.as_bytes());
                    let length = packed.len();
                    client.send(format!("{kind}content-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"));
                    client.send(packed);
                }
                _ => client.send(format!("{kind}content-length: {bytes}\r\n\r\n{body}")),
            }
        }
    });
    for (policy, set, limit, refused) in WHOSE {
        let stage = Stage::new(address, &rules((100_000, "Reject"), set), limits(policy.0, policy.1));
        for bytes in [limit - 1, limit, limit + 1, 3 * limit] {
            for framing in ["length", "chunks", "gzip"] {
                let place = format!("{policy:?} {set:?} {bytes} {framing}");
                let over = bytes > limit;
                let (answer, record) = stage.send(get(&format!("/{bytes}/{framing}/")));
                if over && refused {
                    assert_eq!((answer.status, reason(&record)), (502, "waf_response"), "{place}: {record}");
                    assert!(!String::from_utf8_lossy(&answer.raw).contains("yyy"), "{place}");
                    continue;
                }
                assert_eq!(answer.status, 200, "{place}: {record}");
                assert!(framing == "gzip" || answer.body.len() == bytes, "{place}: all of it is sent on");
                let kind = inspection(&record, "response");
                assert!(kind.starts_with(if over { "prefix" } else { "full" }), "{place}: {kind}");
                // A leak at the end is found as far as the answer is looked at.
                let leak = stage.status(get(&format!("/{bytes}/{framing}/secret")));
                assert_eq!(leak, if over { 200 } else { 403 }, "{place}");
            }
        }
    }
}

#[test]
fn continue_comes_only_where_a_body_is_wanted() {
    let (address, bodies) = remembering();
    let stage =
        Stage::new(address, &rules((100_000, "Reject"), (100_000, "Reject")), limits(1_000, "reject"));
    let ask = |target: &str, length: usize, more: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nhost: shop.example\r\ncontent-type: {FORM}\r\ncontent-length: {length}\r\n\
             expect: 100-continue\r\n{more}\r\n"
        )
    };
    // Refused by the head, by its length, by its encoding: no 100, and nothing is waited for.
    for (target, length, more, refused) in [
        ("/?q=attack", 6, "", None),
        ("/", 1_001, "", Some(413)),
        ("/", 6, "content-encoding: compress\r\n", Some(415)),
    ] {
        let mut client = stage.connect();
        client.send(ask(target, length, more));
        let head = client.head().unwrap();
        match refused {
            Some(refused) => assert_eq!(status(&head), refused, "{target} {length} {more}"),
            // The rule is of phase 2, which is after the body.
            None => assert_eq!(status(&head), 100),
        }
    }
    // Refused by the body: after the 100, and the origin sees nothing.
    for (body, expected) in [("a=attack", 403), ("a=b&c=de", 200)] {
        let mut client = stage.connect();
        client.send(ask("/", body.len(), ""));
        assert_eq!(status(&client.head().unwrap()), 100);
        client.send(body);
        assert_eq!(status(&client.head().unwrap()), expected);
    }
    assert_eq!(bodies.lock().unwrap().as_slice(), ["a=b&c=de"]);
}

#[test]
fn a_chunked_body_with_trailers_is_judged_whole_and_keeps_them() {
    let (address, bodies) = remembering();
    let stage =
        Stage::new(address, &rules((100_000, "Reject"), (100_000, "Reject")), limits(1_000, "reject"));
    let (answer, record) = stage.send(chunked(&form(900), "x-sum: 5\r\n"));
    assert_eq!(answer.status, 200, "{record}");
    assert_eq!(inspection(&record, "request"), "full: 900");
    let seen = bodies.lock().unwrap().pop().unwrap();
    assert!(seen.ends_with("0\r\nx-sum: 5\r\n"), "{seen}");
    let split = chunked(&format!("{}&b=attack", form(330)), "x-sum: 5\r\n");
    assert_eq!(stage.status(split), 403, "over two chunks");
    assert_eq!(stage.status(chunked(&form(1_001), "x-sum: 5\r\n")), 413);
    assert!(bodies.lock().unwrap().is_empty());
    // What is streamed behind its first part keeps them too.
    let prefix: Value = json!({"mode": "block", "requestBody": {"maxBytes": 500, "over": "inspectPrefix"}});
    let prefix = Stage::new(address, &rules((100_000, "Reject"), (100_000, "Reject")), prefix);
    assert_eq!(prefix.status(chunked(&form(900), "x-sum: 7\r\n")), 200);
    let seen = bodies.lock().unwrap().pop().unwrap();
    assert!(seen.ends_with("0\r\nx-sum: 7\r\n"), "{seen}");
}
