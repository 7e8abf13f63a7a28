//! Whatever the response guard lets through, hyper's client reads as the guard did: whole, cut, or refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use palisade_http::response::{Asked, ResponseGuard, check};
use palisade_http::{Cause, HeadLimits};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What the guard made of an upstream's bytes.
struct Guarded {
    passed: Vec<u8>,
    /// Whether the response ended by its own framing.
    whole: bool,
}

fn guard(method: &Method, input: &[u8]) -> Guarded {
    let mut guard = ResponseGuard::new(HeadLimits::default());
    guard.ask(Asked::new(method.clone(), false));
    let mut guarded = Guarded { passed: Vec::new(), whole: false };
    let mut held = Vec::new();
    for &byte in input {
        held.push(byte);
        let progress = guard.feed(&held);
        guarded.passed.extend(held.drain(..progress.pass));
        guarded.whole = guard.is_idle();
        // One answer to one request: what comes after it is not this exchange's.
        if progress.refused.is_some() || guarded.whole {
            break;
        }
    }
    guarded
}

/// What hyper's client made of the bytes: head and body, no body if it was cut, nothing if there was no head.
fn client(method: &Method, bytes: &[u8]) -> Option<(http::response::Parts, Option<Bytes>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (ours, mut upstream) = tokio::io::duplex(bytes.len() + 64 * 1024);
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_headers(HeadLimits::default().header_count)
            .handshake(TokioIo::new(ours))
            .await
            .unwrap();
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri("/")
            .header("host", "a")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let exchange = async move {
            let read = match sender.send_request(request).await {
                Ok(response) => {
                    let (parts, body) = response.into_parts();
                    Some((parts, body.collect().await.ok().map(|body| body.to_bytes())))
                }
                Err(_) => None,
            };
            drop(sender);
            let _ = driver.await;
            read
        };
        let server = async {
            // The answer may not come before the question.
            let mut start = [0; 1];
            upstream.read_exact(&mut start).await.unwrap();
            upstream.write_all(bytes).await.unwrap();
            upstream.shutdown().await.unwrap();
            let _ = tokio::io::copy(&mut upstream, &mut tokio::io::sink()).await;
        };
        let both = async { tokio::join!(exchange, server) };
        let (read, ()) =
            tokio::time::timeout(Duration::from_secs(20), both).await.expect("both come to an end");
        read
    })
}

/// The body in the passed bytes, by the plainest reading: after the first head that is not informational.
fn body_of(method: &Method, mut passed: &[u8]) -> Vec<u8> {
    loop {
        let end = passed.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
        let (head, rest) = passed.split_at(end);
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let head = head.trim_start();
        passed = rest;
        if head[9..].starts_with('1') {
            continue;
        }
        if *method == Method::HEAD || !head.contains("\r\ntransfer-encoding:") {
            return passed.to_vec();
        }
        let mut body = Vec::new();
        loop {
            let end = passed.windows(2).position(|bytes| bytes == b"\r\n").unwrap();
            let digits = std::str::from_utf8(&passed[..end]).unwrap().split(';').next().unwrap();
            let size = usize::from_str_radix(digits, 16).unwrap();
            passed = &passed[end + 2..];
            if size == 0 {
                return body;
            }
            body.extend_from_slice(&passed[..size]);
            passed = &passed[size + 2..];
        }
    }
}

/// Gives whether the response came whole.
fn compare(method: &Method, input: &[u8]) -> bool {
    let guarded = guard(method, input);
    let read = client(method, &guarded.passed);
    if guarded.whole {
        let (parts, body) = read.expect("hyper reads a response that the guard found whole");
        let body = body.expect("and its body");
        assert_eq!(&body[..], body_of(method, &guarded.passed));
        if let Err(malformed) = check(&Asked::new(method.clone(), false), parts, false) {
            assert_eq!(malformed.cause, Cause::Nomination, "the guard knows no other reason to pass it");
        }
    } else if let Some((parts, Some(_))) = read {
        // Without a framing of its own a response ends with the connection.
        let own =
            parts.headers.contains_key("content-length") || parts.headers.contains_key("transfer-encoding");
        assert!(!own, "hyper found an end that the guard did not: {:?}", parts.headers);
    }
    guarded.whole
}

#[test]
fn plain_responses_are_read_alike_and_not_vacuously() {
    for (response, whole) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true),
        (
            "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            true,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", false),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false),
    ] {
        assert_eq!(compare(&Method::GET, response.as_bytes()), whole, "{response:?}");
    }
    assert!(compare(&Method::HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => Just("HTTP/1.1 200 OK\r\n"), 1 => Just("HTTP/1.1 204 No Content\r\n"), 1 => Just("HTTP/1.1 100 Continue\r\n\r\n"),
        1 => Just("HTTP/1.1 304 X\r\n"), 1 => Just("HTTP/1.0 200 OK\r\n"), 1 => Just("HTTP/1.1 500\r\n"), 1 => Just("HTTP/1.1 200 \r\n"),
        2 => Just("Content-Length: 5\r\n"), 2 => Just("Transfer-Encoding: chunked\r\n"), 1 => Just("Content-Length: 0\r\n"),
        1 => Just("Connection: close\r\n"), 1 => Just("X:\t a \r\n"), 1 => Just("Transfer-Encoding: gzip\r\n"), 1 => Just("\n"),
        4 => Just("\r\n"), 2 => Just("hello"), 2 => Just("5;a\r\nhello\r\n"), 2 => Just("0\r\n\r\n"), 1 => Just("0\r\nX: y\r\n\r\n"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn generated_responses_are_read_alike(
        pieces in proptest::collection::vec(piece(), 0..8),
        head in any::<bool>(),
        mutation in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
    ) {
        let mut input = ["HTTP/1.1 200 OK\r\n"].into_iter().chain(pieces).collect::<String>().into_bytes();
        if let Some((at, byte)) = mutation {
            let at = at.index(input.len());
            input[at] = byte;
        }
        compare(if head { &Method::HEAD } else { &Method::GET }, &input);
    }
}
