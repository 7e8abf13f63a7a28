//! What has no end to wait for: event streams and WebSocket. Judged by their heads, passed as they come, declared.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use serde_json::{Value, json};

use crate::stage::{PATIENCE, RULES, Stage, get, inspection, limits, origin, reason, status};

const EVENT: &str = "data: secret\n\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                      sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn with_bodies(choice: Value) -> Value {
    let mut spec = limits(10_000, "reject");
    spec["bodies"] = choice;
    spec
}

#[test]
fn events_arrive_while_the_answer_is_open_though_response_bodies_are_inspected() {
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let events = origin(move |mut client| {
        while client.head().is_some() {
            client.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n");
            client.send("transfer-encoding: chunked\r\n\r\n");
            for _ in 0..3 {
                client.send(format!("{:x}\r\n{EVENT}\r\n", EVENT.len()));
                // The next event is not written before the client has this one.
                if gone.lock().unwrap().recv_timeout(PATIENCE).is_err() {
                    return;
                }
            }
            client.send("0\r\n\r\n");
        }
    });
    let stage = Stage::new(events, RULES, limits(10_000, "reject"));
    let mut client = stage.connect();
    client.send(get("/events"));
    let head = client.head().unwrap();
    assert_eq!(status(&head), 200, "{head}");
    for event in 0..3 {
        assert!(client.until(EVENT).is_some(), "event {event}");
        go.send(()).unwrap();
    }
    client.rest();
    let record = stage.proxy.record(client.stream.local_addr().unwrap()).unwrap();
    assert_eq!(inspection(&record, "response"), "uninspected: event-stream", "{record}");
    assert_eq!(record["response"]["truncated"], false);

    let strict = Stage::new(events, RULES, with_bodies(json!({"eventStreams": "reject"})));
    let (answer, record) = strict.send(get("/events"));
    assert_eq!((answer.status, reason(&record)), (502, "waf_response"));
    assert!(!String::from_utf8_lossy(&answer.raw).contains("secret"));
}

#[test]
fn a_websocket_is_judged_by_its_handshake_and_its_frames_pass_both_ways_and_are_declared() {
    let (saw, seen) = channel::<String>();
    let sockets = origin(move |mut client| {
        let Some(head) = client.head() else { return };
        saw.send(head).unwrap();
        client.send(SWITCH);
        loop {
            let frame = client.bytes(12);
            if frame.len() < 12 {
                return;
            }
            client.send(frame);
        }
    });
    let ask = |target: &str| {
        format!(
            "GET {target} HTTP/1.1\r\nhost: shop.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
        )
    };
    let stage = Stage::new(sockets, RULES, limits(10_000, "reject"));
    // The handshake is a request like any other.
    let (answer, record) = stage.send(ask("/chat?q=attack"));
    assert_eq!((answer.status, reason(&record)), (403, "waf_request"));
    assert!(seen.try_recv().is_err(), "the origin was not asked");

    let mut client = stage.connect();
    client.send(ask("/chat?q=hello"));
    assert_eq!(status(&client.head().unwrap()), 101);
    // A masked text frame with what a rule would refuse, more often than any limit of a body is long.
    let frame = b"\x81\x86\x00\x00\x00\x00attack";
    for _ in 0..2_000 {
        client.send(frame);
        assert_eq!(client.bytes(frame.len()), frame);
    }
    let record = stage.proxy.record(client.stream.local_addr().unwrap()).unwrap();
    assert_eq!(inspection(&record, "request"), "uninspected: upgrade", "{record}");
    assert_eq!(record["response"]["status"], 101);

    seen.try_iter().for_each(drop);
    let strict = Stage::new(sockets, RULES, with_bodies(json!({"webSockets": "reject"})));
    let (answer, record) = strict.send(ask("/chat?q=hello"));
    assert_eq!((answer.status, reason(&record)), (403, "waf_request"));
    assert!(seen.try_recv().is_err(), "the origin was not asked");
}
