//! Bytes of a target that can mean only themselves are escaped alike on HTTP/1 and HTTP/2; what can be read in two ways
//! is refused on both.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::stage::{Stage, origin, post};

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const GOAWAY: u8 = 7;
const RULES: &str = "SecRule ARGS \"@contains <script>\" \"id:1,phase:2,deny,status:403\"\n";

type Targets = Arc<Mutex<Vec<String>>>;

fn remembering() -> (SocketAddr, Targets) {
    let targets = Targets::default();
    let seen = targets.clone();
    let address = origin(move |mut client| {
        while let Some(head) = client.until("\r\n\r\n") {
            seen.lock().unwrap().push(head.split(' ').nth(1).unwrap_or_default().to_owned());
            client.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    (address, targets)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A GET of this target. The authority and the target are literals that the table remembers.
fn get(stream: u32, target: &[u8]) -> Vec<u8> {
    let literal = |name: u8, value: &[u8]| [&[name, u8::try_from(value.len()).unwrap()][..], value].concat();
    let block = [&[0x82, 0x86][..], &literal(0x41, b"shop.example"), &literal(0x44, target)].concat();
    // END_STREAM and END_HEADERS.
    frame(HEADERS, 5, stream, &block)
}

/// The kinds of frames that answer each of these requests, which share a connection: HEADERS, RESET or GOAWAY.
fn over_http2(stage: &Stage, requests: &[Vec<u8>]) -> (Vec<u8>, SocketAddr) {
    let mut client = stage.connect();
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.send(frame(4, 0, 0, &[]));
    let mut answers = Vec::new();
    for request in requests {
        client.send(request);
        loop {
            let head = client.bytes(9);
            assert_eq!(head.len(), 9, "closed without a word");
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            client.bytes(length);
            // The end of an answer, or of the connection.
            let ends = matches!(head[3], 0 | HEADERS) && head[4] & 1 != 0;
            if ends || matches!(head[3], RESET | GOAWAY) {
                answers.push(if ends { HEADERS } else { head[3] });
                break;
            }
        }
    }
    (answers, client.stream.local_addr().unwrap())
}

#[test]
fn bytes_that_mean_themselves_reach_the_upstream_alike_over_http1_and_http2() {
    let (address, targets) = remembering();
    let stage = Stage::new(address, RULES, json!({"mode": "block"}));
    for (target, expected) in [
        ("/plain?q=a", Some("/plain?q=a")),
        ("/a<b>`c", Some("/a%3Cb%3E%60c")),
        ("/?q=<b>\"x\"`y`", Some("/?q=%3Cb%3E%22x%22`y`")),
        ("/?filter={\"a\":[1,\"b\"]}", Some("/?filter={%22a%22:[1,%22b%22]}")),
        ("/?q=\u{e9}", Some("/?q=%C3%A9")),
        ("/?q=%3Cb%3E", Some("/?q=%3Cb%3E")),
        // Judged as what it says.
        ("/?q=<script>", None),
        ("/?q=%3cscript%3e", None),
        // Refused: it is no path, or could be read in two ways.
        ("/\u{e9}", None),
        ("/a b", None),
        ("/?a b", None),
        ("/?a\u{7f}", None),
    ] {
        let first = {
            let request = String::from_utf8(post("text/plain", "", b"")).unwrap();
            let request = request.replacen("POST /good", &format!("GET {target}"), 1);
            stage
                .send(
                    request.replace("content-length: 0\r\n", "").replace("content-type: text/plain\r\n", ""),
                )
                .0
                .status
        };
        let over_http1 = targets.lock().unwrap().drain(..).next();
        let (answers, client) = over_http2(&stage, &[get(1, target.as_bytes())]);
        let over_http2 = targets.lock().unwrap().drain(..).next();
        assert_eq!(over_http1.as_deref(), expected, "{target} over HTTP/1: {first}");
        assert_eq!(over_http2.as_deref(), expected, "{target} over HTTP/2: {answers:?}");
        if target.contains("script") {
            let record = stage.proxy.record(client).unwrap();
            assert_eq!((first, &record["response"]["status"]), (403, &json!(403)), "{target}: {record}");
        }
    }
}

#[test]
fn an_http2_connection_goes_on_after_a_target_was_escaped_whatever_its_table_holds() {
    let (address, targets) = remembering();
    let stage = Stage::new(address, RULES, json!({"mode": "block"}));
    let (answers, client) = over_http2(
        &stage,
        &[
            get(1, b"/first"),
            get(3, b"/?q=<b>"),
            // What the table holds by now: 62 the last target, 63 the authority, 64 the first target, 65 the authority.
            frame(HEADERS, 5, 5, &[0x82, 0x86, 0x80 | 63, 0x80 | 62]),
            frame(HEADERS, 5, 7, &[0x82, 0x86, 0x80 | 65, 0x80 | 64]),
            get(9, b"/?q=<script>"),
            get(11, b"/last"),
        ],
    );
    assert_eq!(answers, [HEADERS; 6]);
    let seen = targets.lock().unwrap().clone();
    assert_eq!(seen, ["/first", "/?q=%3Cb%3E", "/?q=%3Cb%3E", "/first", "/last"]);
    let mut statuses = Vec::new();
    while statuses.len() < 6 {
        let records = stage.proxy.records(client, Duration::from_secs(10)).unwrap();
        assert!(!records.is_empty(), "{statuses:?}");
        statuses.extend(records.iter().map(|record| record["response"]["status"].as_u64().unwrap()));
    }
    assert_eq!(statuses, [200, 200, 200, 200, 403, 200]);
}
