//! Upstreams that answer before they were asked to the end, and upstreams that fall silent in the middle of an answer.

use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::{Client, PATIENCE, RULES, Stage, get, limits, origin, reason, status};

const MIB: usize = 1 << 20;
const NO: &str =
    "HTTP/1.1 507 Insufficient Storage\r\ncontent-length: 8\r\nconnection: close\r\n\r\nno room\n";

/// How an upstream goes after its early answer.
#[derive(Clone, Copy, Debug)]
pub enum Goes {
    /// It closes with bytes unread, which the kernel makes a reset of.
    Reset,
    /// It closes its sending side and reads nothing.
    HalfClosed,
    /// It reads on.
    Reads,
}

/// An upstream that answers after a few bytes of the body.
pub fn impatient(goes: Goes) -> SocketAddr {
    origin(move |mut client| {
        let Some(_) = client.head() else { return };
        client.bytes(1_000);
        client.send(NO);
        match goes {
            Goes::Reset => {}
            Goes::HalfClosed => {
                client.stream.shutdown(Shutdown::Write).unwrap();
                std::thread::sleep(Duration::from_secs(3));
            }
            Goes::Reads => drop(client.rest()),
        }
    })
}

/// Uploads until somebody stops it, as clients do that read only afterwards; gives the answer.
fn upload(mut client: Client, head: &str, piece: &[u8], pieces: usize) -> Option<String> {
    client.send(head);
    for _ in 0..pieces {
        if client.stream.write_all(piece).is_err() {
            break;
        }
    }
    let head = client.head()?;
    let body = client.bytes(8);
    Some(format!("{head}{}", String::from_utf8_lossy(&body)))
}

#[test]
fn an_early_answer_reaches_the_client_though_its_upload_does_not_end() {
    let piece = vec![b'x'; MIB];
    for goes in [Goes::Reset, Goes::HalfClosed, Goes::Reads] {
        let address = impatient(goes);
        let stage = Stage::new(address, RULES, limits(10_000, "inspectPrefix"));
        for (framing, head) in [
            ("length", format!("content-length: {}\r\n\r\n", 20 * MIB)),
            ("chunks", "transfer-encoding: chunked\r\n\r\n".to_owned()),
        ] {
            for round in 0..5 {
                let chunk = [b"100000\r\n".as_slice(), &piece, b"\r\n"].concat();
                let piece = if framing == "chunks" { &chunk } else { &piece };
                let head =
                    format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/octet-stream\r\n{head}");
                let answer = upload(stage.connect(), &head, piece, 20);
                let answer = answer.unwrap_or_else(|| panic!("{goes:?} {framing} {round}: no answer"));
                assert_eq!(status(&answer), 507, "{goes:?} {framing} {round}: {answer}");
                assert!(answer.ends_with("no room\n"), "{goes:?} {framing} {round}: {answer}");
            }
        }
    }
}

#[test]
fn an_early_answer_to_a_long_form_reaches_the_client_and_what_is_refused_later_is_recorded() {
    let (tell, took) = channel();
    let address = origin(move |mut client| {
        let Some(_) = client.head() else { return };
        client.bytes(1_000);
        client.send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nthanks");
        tell.send(client.rest()).unwrap();
    });
    let stage = Stage::new(address, RULES, limits(50_000, "reject"));
    let part = |name: &str| format!("--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n");
    let body = format!("{}{}\r\n{}", part("f; filename=a"), "x".repeat(300_000), part("n"));
    let mut client = stage.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=b\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len() + "attack\r\n--b--\r\n".len()
    ));
    assert_eq!(status(&client.head().unwrap()), 200);
    assert_eq!(client.bytes(6), b"thanks");
    // The attack comes after the answer: it does not reach the upstream.
    let _ = client.stream.write_all(b"attack\r\n--b--\r\n");
    let record = stage.proxy.record(client.stream.local_addr().unwrap()).unwrap();
    assert_eq!(record["response"]["status"], 200, "{record}");
    assert_eq!(reason(&record), "waf_request", "{record}");
    let received = String::from_utf8(took.recv_timeout(PATIENCE).unwrap()).unwrap();
    assert!(received.ends_with('x') && !received.contains("attack"), "{}", received.len());
    // Without an attack it is an exchange like any other.
    let mut client = stage.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=b\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len() + "fine\r\n--b--\r\n".len()
    ));
    assert_eq!(status(&client.head().unwrap()), 200);
    let _ = client.stream.write_all(b"fine\r\n--b--\r\n");
    let record = stage.proxy.record(client.stream.local_addr().unwrap()).unwrap();
    assert_eq!((record["response"]["status"].as_u64(), reason(&record)), (Some(200), ""), "{record}");
}

#[test]
fn an_upstream_that_closes_without_an_answer_is_still_a_reset() {
    let address = origin(|mut client| {
        let Some(_) = client.head() else { return };
        client.bytes(1_000);
    });
    let stage = Stage::new(address, RULES, limits(10_000, "inspectPrefix"));
    let head = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
        20 * MIB
    );
    let answer = upload(stage.connect(), &head, &vec![b'x'; MIB], 20).expect("an answer");
    assert_eq!(status(&answer), 502, "{answer}");
}

/// Answers `/KIND` with a first piece, and then nothing for a long time.
fn silent() -> SocketAddr {
    origin(|mut client| {
        while let Some(head) = client.head() {
            let kind = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').replace('_', "/");
            client.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
            ));
            for _ in 0..3 {
                client.send("5\r\nhello\r\n");
                std::thread::sleep(Duration::from_millis(500));
            }
            std::thread::sleep(PATIENCE);
        }
    })
}

#[test]
fn an_answer_that_falls_silent_is_broken_off_unless_it_may_be_silent() {
    let limits_of = |idle: u64| move |policy: &mut Value| policy["limits"] = json!({"idleTimeoutMs": idle});
    let spec = || json!({"mode": "block"});
    let stage = Stage::with(silent(), RULES, spec(), limits_of(1_500));
    let mut client = stage.connect();
    let begun = Instant::now();
    client.send(get("/application_zip"));
    assert_eq!(status(&client.head().unwrap()), 200);
    let text = String::from_utf8(client.rest()).unwrap();
    let took = begun.elapsed();
    assert_eq!(text.matches("hello").count(), 3, "pieces that come in time are good: {text}");
    assert!(!text.ends_with("0\r\n\r\n"), "it is no whole answer");
    assert!((Duration::from_millis(2_000)..PATIENCE / 2).contains(&took), "{took:?}");
    let record = stage.proxy.record(client.stream.local_addr().unwrap()).unwrap();
    assert_eq!(record["response"]["truncated"], true, "{record}");
    let metrics = stage.proxy.metrics().unwrap();
    assert!(
        metrics.lines().any(|line| line.contains("upstream_stalled") && line.ends_with(" 1")),
        "{metrics}"
    );
    // Events may be rare.
    let mut events = stage.connect();
    events.send(get("/text_event-stream"));
    assert_eq!(status(&events.head().unwrap()), 200);
    events.stream.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    for _ in 0..3 {
        assert!(events.until("hello").is_some());
    }
    let mut byte = [0; 16];
    let quiet = std::io::Read::read(&mut events.stream, &mut byte);
    // The end of the last chunk's line may still come; an end of the stream may not.
    let quiet = match quiet {
        Ok(read) if read > 0 => std::io::Read::read(&mut events.stream, &mut byte),
        other => other,
    };
    let kind = quiet.expect_err("it is open").kind();
    assert_eq!(kind, std::io::ErrorKind::WouldBlock, "longer than the limit");
}
