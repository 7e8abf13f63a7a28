//! Compares what the guard lets through with what hyper makes of it. Shared by the differential test and the fuzz
//! target. Panics on the first difference.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use palisade_http::guard::{Event, Guard};
use palisade_http::{Cause, HeadLimits, head};
use palisade_model::{BodyKind, RawHead, Scheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One request as the guard saw it.
struct Seen {
    raw: RawHead,
    /// The bytes between this head and the next.
    framed: Vec<u8>,
    complete: bool,
}

/// What the guard made of one connection.
struct Guarded {
    passed: Vec<u8>,
    seen: Vec<Seen>,
}

/// One request as hyper saw it; no body if it was cut.
struct Read {
    parts: Parts,
    body: Option<Bytes>,
    ended: bool,
}

/// Checks one connection's bytes; gives how many requests both read.
pub fn compare(input: &[u8]) -> usize {
    let guarded = guard(input);
    let read = serve(&guarded.passed);
    assert_eq!(read.len(), guarded.seen.len(), "hyper and the guard count differently");
    for (read, seen) in read.into_iter().zip(&guarded.seen) {
        same_head(&read.parts, &seen.raw);
        match (&read.body, seen.complete) {
            (Some(body), true) => {
                let chunked = header(&seen.raw, b"transfer-encoding").is_some();
                let expected = if chunked { unchunk(&seen.framed) } else { seen.framed.clone() };
                assert_eq!(&body[..], expected, "bodies differ");
            }
            (None, false) => {}
            (body, complete) => panic!("hyper body {body:?}, complete to the guard: {complete}"),
        }
        same_body_kind(read, seen);
    }
    guarded.seen.len()
}

/// Byte for byte, so that head and body bytes are known apart.
fn guard(input: &[u8]) -> Guarded {
    let mut guard = Guard::new(HeadLimits::default());
    let mut guarded = Guarded { passed: Vec::new(), seen: Vec::new() };
    let mut held = Vec::new();
    for &byte in input {
        held.push(byte);
        loop {
            let progress = guard.feed(&held);
            let passed = held.get(..progress.pass).expect("pass is within the input");
            guarded.passed.extend_from_slice(passed);
            if let (None, Some(last)) = (&progress.event, guarded.seen.last_mut()) {
                last.framed.extend_from_slice(passed);
            }
            held.drain(..progress.pass + progress.discard);
            match progress.event {
                Some(Event::Head(raw)) => {
                    // The service below answers everything with an ordinary response.
                    guard.upgrade(false);
                    guarded.seen.push(Seen { raw: *raw, framed: Vec::new(), complete: false });
                }
                Some(Event::Escaped(raw, bytes)) => {
                    guard.upgrade(false);
                    guarded.passed.extend_from_slice(&bytes);
                    guarded.seen.push(Seen { raw: *raw, framed: Vec::new(), complete: false });
                }
                Some(Event::Refuse(_)) => return guarded,
                None => break,
            }
            if let Some(last) = guarded.seen.last_mut() {
                last.complete = guard.is_between_messages();
            }
        }
        if let Some(last) = guarded.seen.last_mut() {
            last.complete |= guard.is_between_messages();
        }
    }
    guarded
}

/// Lets hyper read the bytes of one connection.
fn serve(bytes: &[u8]) -> Vec<Read> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let read = Arc::new(Mutex::new(Vec::new()));
    let log = read.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let log = log.clone();
        async move {
            let ended = hyper::body::Body::is_end_stream(request.body());
            let (parts, body) = request.into_parts();
            let body = body.collect().await.ok().map(|body| body.to_bytes());
            log.lock().expect("unpoisoned").push(Read { parts, body, ended });
            Ok::<_, std::convert::Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    runtime.block_on(async move {
        let (mut client, server) = tokio::io::duplex(bytes.len() + 1024 * 1024);
        client.write_all(bytes).await.expect("it has room");
        client.shutdown().await.expect("it closes");
        let connection = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .max_headers(HeadLimits::default().header_count)
            .max_buf_size(HeadLimits::default().header_bytes * 2)
            .serve_connection(TokioIo::new(server), service);
        let _ =
            tokio::time::timeout(Duration::from_secs(20), connection).await.expect("hyper comes to an end");
        let mut answers = Vec::new();
        client.read_to_end(&mut answers).await.expect("the answers can be read");
    });
    std::mem::take(&mut *read.lock().expect("unpoisoned"))
}

fn same_head(parts: &Parts, raw: &RawHead) {
    let line = String::from_utf8_lossy(&raw.request_line);
    assert_eq!(line.split(' ').next(), Some(parts.method.as_str()));
    assert!(line.ends_with(&format!("{:?}", parts.version)), "{line} {:?}", parts.version);
    let uri = &escaped(&raw.uri);
    let target = parts.uri.path_and_query().expect("a target").as_str();
    match parts.uri.authority() {
        None => assert_eq!(uri, target),
        Some(authority) => {
            let rest = uri.split_once("://").expect("absolute form").1;
            let rest = rest.strip_prefix(authority.as_str()).expect("the same authority");
            assert!(rest == target || format!("/{rest}") == target, "{uri} {target}");
        }
    }
    let mut sent: BTreeMap<String, Vec<&[u8]>> = BTreeMap::new();
    for (name, value) in &raw.headers {
        sent.entry(String::from_utf8_lossy(name).to_ascii_lowercase()).or_default().push(value);
    }
    let mut read: BTreeMap<String, Vec<&[u8]>> = BTreeMap::new();
    for (name, value) in &parts.headers {
        read.entry(name.as_str().to_owned()).or_default().push(value.as_bytes());
    }
    assert_eq!(sent, read);
}

/// The canonical head must frame the body as the guard did, and may not doubt that raw and decoded belong together.
fn same_body_kind(read: Read, seen: &Seen) {
    let length = header(&seen.raw, b"content-length").map(<[u8]>::to_vec);
    let chunked = header(&seen.raw, b"transfer-encoding").is_some();
    match head::canonical(
        read.parts,
        Some(seen.raw.clone()),
        Scheme::Http,
        read.ended,
        &HeadLimits::default(),
    ) {
        Ok((_, body)) => {
            let expected = match length.as_deref() {
                _ if chunked => BodyKind::Unknown,
                None | Some(b"0") => BodyKind::Empty,
                Some(digits) => {
                    BodyKind::Length(std::str::from_utf8(digits).expect("digits").parse().expect("a number"))
                }
            };
            assert_eq!(body, expected);
        }
        Err(malformed) => assert!(
            !matches!(
                malformed.cause,
                Cause::StartLine
                    | Cause::Fragment
                    | Cause::ContentLength
                    | Cause::MultipleContentLengths
                    | Cause::TransferEncoding
                    | Cause::LengthAndEncoding
                    | Cause::MissingHost
                    | Cause::MultipleHosts
                    | Cause::Upgrade
                    | Cause::Connect
                    | Cause::TooManyHeaders
                    | Cause::UriTooLong
            ),
            "the guard must refuse this: {malformed}"
        ),
    }
}

/// What the guard escapes, escaped once more by the plainest means: the target as hyper must see it.
fn escaped(uri: &[u8]) -> String {
    let mut text = String::new();
    for byte in uri {
        let query = text.contains('?');
        match byte {
            b'<' | b'>' => text.push_str(&format!("%{byte:02X}")),
            b'`' if !query => text.push_str("%60"),
            b'"' | 0x80.. if query => text.push_str(&format!("%{byte:02X}")),
            byte => text.push(char::from(*byte)),
        }
    }
    text
}

fn header<'a>(raw: &'a RawHead, name: &[u8]) -> Option<&'a [u8]> {
    raw.headers.iter().find(|(sent, _)| sent.eq_ignore_ascii_case(name)).map(|(_, value)| &value[..])
}

/// A chunk decoder of its own, the plainest there is.
fn unchunk(mut framed: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = framed.windows(2).position(|pair| pair == b"\r\n").expect("a chunk line");
        let (line, rest) = framed.split_at(end + 2);
        let digits = line.split(|byte| matches!(byte, b';' | b'\r')).next().expect("digits");
        let size =
            usize::from_str_radix(std::str::from_utf8(digits).expect("ASCII"), 16).expect("hexadecimal");
        if size == 0 {
            return body;
        }
        let (data, rest) = rest.split_at(size);
        body.extend_from_slice(data);
        framed = rest.strip_prefix(b"\r\n").expect("a chunk ends with CRLF");
    }
}
