//! Packed bodies over sockets, both ways: what they unpack to is judged, the bytes that came are sent on.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use crate::stage::{FORM, RULES, Stage, get, inspection, length, limits, origin, post, reason};

pub const LIMIT: usize = 256 * 1024;

pub fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn bare(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// RFC 7932 §9.2: one meta-block that is stored, and the empty last one.
fn brotli(text: &[u8]) -> Vec<u8> {
    let head = u32::try_from(text.len() - 1).unwrap() << 4 | 1 << 20;
    [&head.to_le_bytes()[..3], text, &[3]].concat()
}

/// RFC 8878 §3.1: a single segment of blocks; of each its bytes, or one byte and how often.
fn zstd(blocks: &[(&[u8], usize)]) -> Vec<u8> {
    let total: usize = blocks.iter().map(|(_, size)| size).sum();
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    out.extend(u32::try_from(total).unwrap().to_le_bytes());
    for (number, (bytes, size)) in blocks.iter().enumerate() {
        let last = u32::from(number + 1 == blocks.len());
        let kind = u32::from(bytes.len() != *size);
        let head = last | kind << 1 | u32::try_from(*size).unwrap() << 3;
        out.extend(&head.to_le_bytes()[..3]);
        out.extend(*bytes);
    }
    out
}

type Packed = Vec<u8>;

/// By coding: a form with an attack, one without, and a page with a leak.
fn packers() -> Vec<(&'static str, Packed, Packed, Packed)> {
    let (bad, good, leak) = (b"a=1&b=attack&c=2", b"a=1&b=a-good-one&c=2", b"<p>the secret is this</p>");
    vec![
        ("gzip", gzip(bad), gzip(good), gzip(leak)),
        ("x-gzip", gzip(bad), gzip(good), gzip(leak)),
        ("deflate", zlib(bad), zlib(good), zlib(leak)),
        ("deflate", bare(bad), bare(good), bare(leak)),
        ("br", brotli(bad), brotli(good), brotli(leak)),
        ("zstd", zstd(&[(bad, bad.len())]), zstd(&[(good, good.len())]), zstd(&[(leak, leak.len())])),
        ("br, gzip", gzip(&brotli(bad)), gzip(&brotli(good)), gzip(&brotli(leak))),
    ]
}

type Bodies = Arc<Mutex<Vec<Vec<u8>>>>;

/// An origin that answers 200 and remembers bodies.
fn remembering() -> (SocketAddr, Bodies) {
    let bodies = Bodies::default();
    let seen = bodies.clone();
    let address = origin(move |mut client| {
        while let Some(head) = client.head() {
            let body = client.bytes(length(&head));
            seen.lock().unwrap().push(body);
            client.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    (address, bodies)
}

/// An origin that always answers this.
fn answering(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    origin(move |mut client| {
        while client.head().is_some() {
            client.send(&answer);
        }
    })
}

/// A 200 of `text/html` in this coding, or another status line and more headers.
fn packed_answer(line: &str, coding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {line}\r\ncontent-type: text/html\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn encoded(coding: &str, body: &[u8]) -> Vec<u8> {
    post(FORM, &format!("content-encoding: {coding}\r\n"), body)
}

fn with_bodies(spec: Value, choice: Value) -> Value {
    let mut spec = spec;
    spec["bodies"] = choice;
    spec
}

#[test]
fn an_attack_in_a_packed_request_is_refused_in_every_coding_and_what_passes_is_sent_as_it_came() {
    let (address, bodies) = remembering();
    let stage = Stage::new(address, RULES, limits(LIMIT, "reject"));
    for (coding, bad, good, _) in packers() {
        let (answer, record) = stage.send(encoded(coding, &bad));
        assert_eq!((answer.status, reason(&record)), (403, "waf_request"), "{coding}: {record}");
        assert!(bodies.lock().unwrap().is_empty(), "{coding}: the origin saw it");
        let (answer, record) = stage.send(encoded(coding, &good));
        assert_eq!(answer.status, 200, "{coding}: {record}");
        assert_eq!(inspection(&record, "request"), format!("full: {}", good.len()), "{coding}");
        assert_eq!(bodies.lock().unwrap().drain(..).collect::<Vec<_>>(), [good], "{coding}: as it came");
    }
}

#[test]
fn what_is_not_in_its_coding_and_what_is_packed_too_often_is_refused() {
    let (address, bodies) = remembering();
    let stage = Stage::new(address, RULES, limits(LIMIT, "reject"));
    for (coding, _, good, _) in packers().into_iter().filter(|(coding, ..)| !coding.contains(',')) {
        let cut = &good[..good.len() - 2];
        let tail = [good.as_slice(), b"tail"].concat();
        let twice = [good.as_slice(), &good].concat();
        let mut broken = good.clone();
        broken[0] ^= 0xff;
        for (what, body) in
            [("cut off", cut), ("a tail", &tail), ("two members", &twice), ("broken", &broken)]
        {
            let (answer, record) = stage.send(encoded(coding, body));
            assert_eq!(
                (answer.status, reason(&record)),
                (400, "body_malformed"),
                "{coding}, {what}: {record}"
            );
        }
        assert_eq!(stage.status(encoded(coding, b"a=1")), 400, "{coding}: not packed at all");
    }
    let thrice = gzip(&gzip(&gzip(b"a=1")));
    for (coding, body) in
        [("compress", &b"a=1"[..]), ("gzip;q=1", &gzip(b"a=1")), ("gzip, gzip, gzip", &thrice)]
    {
        let (answer, record) = stage.send(encoded(coding, body));
        assert_eq!((answer.status, reason(&record)), (415, "body_malformed"), "{coding}");
    }
    assert!(bodies.lock().unwrap().is_empty(), "the origin saw nothing");
    // What the policy lets pass it lets pass declared.
    let lax = with_bodies(limits(LIMIT, "reject"), json!({"unknownEncodings": "uninspected"}));
    let lax = Stage::new(address, RULES, lax);
    let (answer, record) = lax.send(encoded("compress", b"a=attack"));
    assert_eq!(answer.status, 200);
    assert_eq!(inspection(&record, "request"), "uninspected: its content encoding is not known");
    let raw = with_bodies(limits(LIMIT, "reject"), json!({"unknownEncodings": "inspectRaw"}));
    let raw = Stage::new(address, RULES, raw);
    assert_eq!(raw.status(encoded("compress", b"a=attack")), 403, "judged as the bytes it is");
}

/// What comes to a mebibyte: too many times its length, whatever the limit.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let zeros = vec![0; 1 << 20];
    // What the reference encoder of brotli makes of a mebibyte of zeros.
    let br = [0x5b, 0xff, 0xff, 0x8f, 0x7f, 0x02, 0x20, 0x1e, 0x0b, 0x04, 0x72, 0xef, 0x1f, 0x00];
    vec![
        ("gzip", gzip(&zeros)),
        ("deflate", zlib(&zeros)),
        ("br", br.to_vec()),
        ("zstd", zstd(&[(&b"\0"[..], 128 * 1024); 8])),
    ]
}

/// Text that comes to so many bytes and packs badly, so that its ratio is no matter.
fn dense(bytes: usize, word: &str) -> Vec<u8> {
    let mut seed = 0x2545_f491_u32;
    let mut letter = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        b'a' + u8::try_from(seed % 26).unwrap()
    };
    let text: Vec<u8> = (0..bytes - word.len() - 1).map(|_| letter()).collect();
    [word.as_bytes(), b"=", &text].concat()
}

#[test]
fn a_bomb_is_refused_and_a_long_body_follows_the_policy_both_ways() {
    let (address, bodies) = remembering();
    let wide = Stage::new(address, RULES, limits(4 << 20, "reject"));
    let prefix = Stage::new(address, RULES, limits(4 << 20, "inspectPrefix"));
    for (coding, bomb) in bombs() {
        assert!(bomb.len() < 2_000, "{coding}");
        for stage in [&wide, &prefix] {
            let (answer, record) = stage.send(encoded(coding, &bomb));
            assert_eq!((answer.status, reason(&record)), (400, "body_malformed"), "{coding}: {record}");
        }
        // An answer that unpacks to much is no attack: its first part is judged where the policy says so.
        let address = answering(packed_answer("200 OK", coding, &bomb));
        let (answer, record) = Stage::new(address, RULES, limits(4 << 20, "reject")).send(get("/"));
        assert_eq!((answer.status, reason(&record)), (502, "waf_response"), "{coding}");
        let (answer, record) = Stage::new(address, RULES, limits(4 << 20, "inspectPrefix")).send(get("/"));
        assert_eq!((answer.status, answer.body.as_slice()), (200, bomb.as_slice()), "{coding}");
        assert_eq!(inspection(&record, "response"), format!("prefix: {}", bomb.len()), "{coding}");
    }
    assert!(bodies.lock().unwrap().is_empty());
    // The limit of the policy is that of what comes out: under, at, over.
    let (reject, prefix) = (
        Stage::new(address, RULES, limits(20_000, "reject")),
        Stage::new(address, RULES, limits(20_000, "inspectPrefix")),
    );
    for (bytes, status) in [(19_999, 200), (20_000, 200), (20_001, 413)] {
        let packed = gzip(&dense(bytes, "a"));
        assert!(packed.len() < 20_000);
        assert_eq!(reject.status(encoded("gzip", &packed)), status, "{bytes}");
        let (answer, record) = prefix.send(encoded("gzip", &packed));
        let seen = if bytes > 20_000 { "prefix" } else { "full" };
        assert_eq!(answer.status, 200, "{bytes}");
        assert_eq!(inspection(&record, "request"), format!("{seen}: {}", packed.len()), "{bytes}");
    }
    let attack = gzip(&dense(30_000, "attack"));
    assert_eq!(prefix.status(encoded("gzip", &attack)), 403, "in the first part");
}

#[test]
fn a_leak_in_a_packed_answer_is_refused_in_every_coding() {
    for (coding, _, good, leak) in packers() {
        let stage =
            Stage::new(answering(packed_answer("200 OK", coding, &leak)), RULES, limits(LIMIT, "reject"));
        let (answer, record) = stage.send(get("/"));
        assert_eq!((answer.status, reason(&record)), (403, "waf_response"), "{coding}: {record}");
        let leaked = answer.raw.windows(leak.len()).any(|window| window == leak);
        assert!(!leaked, "{coding}");
        let stage =
            Stage::new(answering(packed_answer("200 OK", coding, &good)), RULES, limits(LIMIT, "reject"));
        let (answer, record) = stage.send(get("/"));
        assert_eq!((answer.status, answer.body.as_slice()), (200, good.as_slice()), "{coding}: as it came");
        assert_eq!(inspection(&record, "response"), format!("full: {}", good.len()), "{coding}");
        assert_eq!(answer.header("content-encoding"), Some(coding));
    }
    let tail = [gzip(b"fine").as_slice(), b"secret"].concat();
    for (coding, body) in [("gzip", &b"fine"[..]), ("gzip", &tail), ("compress", b"fine")] {
        let stage =
            Stage::new(answering(packed_answer("200 OK", coding, body)), RULES, limits(LIMIT, "reject"));
        let (answer, record) = stage.send(get("/"));
        assert_eq!((answer.status, reason(&record)), (502, "waf_response"), "{coding}");
    }
}

#[test]
fn a_part_of_a_packed_answer_is_refused_or_declared_and_a_part_of_a_plain_one_is_judged() {
    let part = packed_answer("206 Partial Content", "gzip", &gzip(b"<p>fine</p>")[4..]);
    let address = answering(part.clone());
    let (answer, record) = Stage::new(address, RULES, limits(LIMIT, "reject")).send(get("/"));
    assert_eq!((answer.status, reason(&record)), (502, "waf_response"), "the default");
    let lax = with_bodies(limits(LIMIT, "reject"), json!({"unknownEncodings": "uninspected"}));
    let (answer, record) = Stage::new(address, RULES, lax).send(get("/"));
    assert_eq!(answer.status, 206);
    assert!(part.ends_with(&answer.body) && !answer.body.is_empty());
    let declared = "uninspected: a part of a packed body cannot be unpacked";
    assert_eq!(inspection(&record, "response"), declared);
    let raw = with_bodies(limits(LIMIT, "reject"), json!({"unknownEncodings": "inspectRaw"}));
    assert_eq!(Stage::new(address, RULES, raw).status(get("/")), 206);
    for (body, status) in [("<p>the secret", 403), ("<p>nothing", 206)] {
        let part = packed_answer("206 Partial Content", "identity", body.as_bytes());
        let stage = Stage::new(answering(part), RULES, limits(LIMIT, "reject"));
        assert_eq!(stage.status(get("/")), status, "{body}");
    }
}

#[test]
fn an_answer_without_a_body_passes_whatever_its_head_says_of_one() {
    let head = |line: &str, headers: &str| {
        format!("HTTP/1.1 {line}\r\ncontent-type: text/html\r\ncontent-encoding: gzip\r\n{headers}\r\n")
    };
    for (request, line, headers) in [
        (get("/").replace("GET", "HEAD"), "200 OK", "content-length: 12345\r\n"),
        (get("/").replace("GET", "HEAD"), "206 Partial Content", "content-length: 12345\r\n"),
        (get("/"), "204 No Content", ""),
        (get("/"), "304 Not Modified", "etag: \"a\"\r\n"),
        (get("/"), "200 OK", "content-length: 0\r\n"),
    ] {
        let stage = Stage::new(answering(head(line, headers)), RULES, limits(LIMIT, "reject"));
        let (answer, record) = stage.send(&request);
        assert_eq!(answer.status.to_string(), line[..3], "{line}: {record}");
        assert!(answer.body.is_empty(), "{line}");
        assert_eq!(answer.header("content-encoding"), Some("gzip"), "{line}");
        if headers.contains("12345") {
            assert_eq!(answer.header("content-length"), Some("12345"), "{line}: HEAD keeps its length");
        }
        assert!(["none", "full: 0"].contains(&inspection(&record, "response").as_str()), "{line}: {record}");
    }
}
