//! Whatever the guard lets through, hyper reads as the guard did: the same requests, targets, headers and bodies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod hyper_reads;

use std::path::Path;

use hyper_reads::compare;
use proptest::prelude::*;

#[test]
fn plain_connections_are_read_alike_and_not_vacuously() {
    for (input, requests) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1),
        (
            "GET /a?b=c HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: \t2 \r\n\r\nGET http://a/ HTTP/1.1\r\nhost: A\r\n\r\n",
            2,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n", 2),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            2,
        ),
        ("GET / HTTP/1.0\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 1),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel", 1),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            2,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", 1),
        // Refused in the middle: what passed before is still read alike.
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0x1\r\n", 1),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", 1),
    ] {
        assert_eq!(compare(input.as_bytes()), requests, "{input:?}");
    }
}

/// Seeds of the fuzz target, with every input that once showed a difference.
#[test]
fn the_fuzz_seeds_are_read_alike() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/seeds/guard_vs_hyper");
    let mut count = 0;
    for entry in std::fs::read_dir(&seeds).expect("the seeds are part of the repository") {
        compare(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0);
}

fn head() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        6 => Just("GET / HTTP/1.1"), 4 => Just("POST /a/../%62?c HTTP/1.1"), 1 => Just("GET http://a/x HTTP/1.1"),
        1 => Just("OPTIONS * HTTP/1.1"), 1 => Just("GET / HTTP/1.0"), 1 => Just("GET /{\"}|^[]~` HTTP/1.1"),
        1 => Just("M!#$%&'*+-.^_`|~ /?`{}|<\" HTTP/1.1"), 1 => Just("HEAD /?`{}|^\\ HTTP/1.1"),
        1 => Just("GET HTTP://A?q HTTP/1.1"), 1 => Just("GET https://a:80/#f HTTP/1.1"),
    ];
    let field = prop_oneof![
        3 => Just("X-A: b"), 1 => Just("x-a:\tc "), 1 => Just("Connection: close"), 1 => Just("Connection: keep-alive"),
        2 => Just("Content-Length: 5"), 1 => Just("Content-Length: 0"), 1 => Just("content-length:5 "), 2 => Just("Transfer-Encoding: chunked"),
        1 => Just("transfer-encoding:  Chunked\t"), 1 => Just("Transfer-Encoding: gzip, chunked"), 1 => Just("Upgrade: websocket"),
        1 => Just("Connection: upgrade, foo"), 1 => Just("Connection: close, Upgrade"), 1 => Just("Connection: keep-alive, \u{e9}"), 1 => Just("Expect: 100-continue"), 1 => Just("X: \u{e9}"), 1 => Just("X:"),
        1 => Just("Upgrade: h2c"), 1 => Just("Host: b"), 1 => Just("Keep-Alive: 5"), 1 => Just("Content-Length: 05"),
        1 => Just("X\"Y: z"), 1 => Just("Connection:"), 1 => Just("Connection: close, keep-alive"),
    ];
    (line, proptest::bool::weighted(0.95), proptest::collection::vec(field, 0..4)).prop_map(
        |(line, host, fields)| {
            let host = if host { "Host: a\r\n" } else { "" };
            let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
            format!("{line}\r\n{host}{fields}\r\n")
        },
    )
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        Just("hello"),
        Just("5\r\nhello\r\n"),
        Just("0\r\n\r\n"),
        Just("3;x=y\r\nabc\r\n"),
        Just("0\r\nX: y\r\n\r\n"),
        Just("00005\r\nhello\r\n0\r\n\r\n"),
        Just("a\r\n0123456789\r\n"),
        Just("\r\n"),
        Just("0;a\r\n\r\n"),
        Just("5 \r\nhello\r\n"),
    ];
    prop_oneof![3 => head().prop_map(String::into_bytes), 2 => body.prop_map(|body| body.as_bytes().to_vec())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn generated_connections_are_read_alike(
        pieces in proptest::collection::vec(piece(), 1..6),
        mutation in proptest::option::of((any::<proptest::sample::Index>(), prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r'), Just(b' '), Just(b':'), Just(b',')], any::<bool>())),
    ) {
        let mut input = pieces.concat();
        if let Some((at, byte, insert)) = mutation {
            let at = at.index(input.len());
            if insert { input.insert(at, byte) } else { input[at] = byte }
        }
        compare(&input);
    }
}
