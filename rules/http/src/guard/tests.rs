//! What the guard refuses, with the numbers of the adversarial test list, and what it lets through.

use proptest::prelude::*;

use super::*;
use crate::Cause;

/// What a connection came to: bytes that passed, request lines announced, and the refusal.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    passed: Vec<u8>,
    heads: Vec<String>,
    refused: Option<Cause>,
}

fn run_with(limits: HeadLimits, input: &[u8], piece: usize) -> Outcome {
    let mut guard = Guard::new(limits);
    let mut outcome = Outcome::default();
    let mut held: Vec<u8> = Vec::new();
    for bytes in input.chunks(piece.max(1)) {
        held.extend_from_slice(bytes);
        loop {
            let progress = guard.feed(&held);
            outcome.passed.extend_from_slice(&held[..progress.pass]);
            held.drain(..progress.pass + progress.discard);
            assert!(held.len() <= guard.hold_bytes().saturating_add(piece), "more is held than promised");
            match progress.event {
                Some(Event::Head(raw)) => {
                    outcome.heads.push(String::from_utf8(raw.request_line.to_vec()).unwrap())
                }
                Some(Event::Escaped(raw, bytes)) => {
                    outcome.passed.extend_from_slice(&bytes);
                    outcome.heads.push(String::from_utf8_lossy(&raw.request_line).into_owned());
                }
                Some(Event::Refuse(malformed)) => outcome.refused = Some(malformed.cause),
                None => break,
            }
        }
    }
    outcome
}

fn run(input: &str) -> Outcome {
    let whole = run_with(HeadLimits::default(), input.as_bytes(), usize::MAX);
    assert_eq!(whole, run_with(HeadLimits::default(), input.as_bytes(), 1), "cutting changed the outcome");
    whole
}

/// The cause of a refusal before anything passed.
fn refused(input: &str) -> Cause {
    let outcome = run(input);
    assert!(outcome.passed.is_empty(), "{input:?} passed in part");
    assert!(outcome.heads.is_empty());
    outcome.refused.unwrap_or_else(|| panic!("not refused: {input:?}"))
}

fn passes(input: &str, heads: usize) {
    let outcome = run(input);
    assert_eq!((outcome.refused, outcome.heads.len()), (None, heads), "{input:?}");
    assert_eq!(String::from_utf8(outcome.passed).unwrap(), input);
}

fn with(headers: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n")
}

#[test]
fn ordinary_and_pipelined_requests_pass() {
    passes("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1);
    passes("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 1);
    passes("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 1);
    passes("GET http://a:80/x?y HTTP/1.1\r\nHost: A\r\n\r\n", 1);
    passes(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /b?c HTTP/1.1\r\nHost: a\r\n\r\n",
        2,
    );
    passes(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        2,
    );
    passes("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\nHost: a\r\n\r\n", 2);
}

#[test]
fn the_raw_head_has_names_and_order_as_sent() {
    let mut guard = Guard::new(HeadLimits::default());
    let progress = guard.feed(b"GET /%61?b HTTP/1.1\r\nHOST:  a \r\nx-B:\r\nX-a: \xff\r\n\r\n");
    let Some(Event::Head(raw)) = progress.event else { panic!("no head") };
    assert_eq!(&raw.request_line[..], b"GET /%61?b HTTP/1.1");
    assert_eq!(&raw.uri[..], b"/%61?b");
    let headers: Vec<_> = raw.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(headers, [(&b"HOST"[..], &b"a"[..]), (b"x-B", b""), (b"X-a", b"\xff")]);
}

#[test]
fn host_24_no_host_and_two_hosts() {
    assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), Cause::MissingHost);
    assert_eq!(refused("GET / HTTP/1.0\r\n\r\n"), Cause::MissingHost);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: \r\n\r\n"), Cause::MissingHost);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), Cause::MultipleHosts);
    assert_eq!(refused("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"), Cause::AuthorityMismatch);
    assert_eq!(refused("GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n"), Cause::UserInfo);
}

#[test]
fn headers_29_control_characters_in_values() {
    assert_eq!(refused(&with("X: a\0b")), Cause::ControlCharacter);
    assert_eq!(refused(&with("X: a\rb")), Cause::BareCr);
    assert_eq!(refused(&with("X: a\nY: b")), Cause::BareLf);
    assert_eq!(refused(&with("X: a\x7f")), Cause::ControlCharacter);
}

#[test]
fn headers_34_names_are_tokens() {
    assert_eq!(refused(&with("X : a")), Cause::SpaceBeforeColon);
    assert_eq!(refused(&with("X\t: a")), Cause::SpaceBeforeColon);
    assert_eq!(refused(&with("X Y: a")), Cause::HeaderName);
    assert_eq!(refused(&with(": a")), Cause::HeaderName);
    assert_eq!(refused(&with("no colon")), Cause::HeaderName);
    assert_eq!(refused(&with("X: a\r\n folded")), Cause::ObsFold);
    assert_eq!(refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), Cause::ObsFold);
}

#[test]
fn framing_36_length_and_encoding() {
    assert_eq!(refused(&with("Content-Length: 3\r\nTransfer-Encoding: chunked")), Cause::LengthAndEncoding);
    assert_eq!(refused(&with("Transfer-Encoding: chunked\r\nContent-Length: 0")), Cause::LengthAndEncoding);
}

#[test]
fn framing_37_encodings_that_are_not_chunked() {
    for value in
        ["gzip, chunked", "chunked, chunked", "identity", "xchunked", "\x0bchunked", "chunked;q=1", ""]
    {
        let cause = refused(&with(&format!("Transfer-Encoding: {value}")));
        assert!(matches!(cause, Cause::TransferEncoding | Cause::ControlCharacter), "{value}");
    }
    assert_eq!(
        refused(&with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")),
        Cause::TransferEncoding
    );
}

#[test]
fn framing_38_lengths_that_are_not_plain_numbers() {
    for value in ["+5", "5,5", "0x5", "05", "-1", "", "5 5", "99999999999999999999"] {
        assert_eq!(refused(&with(&format!("Content-Length: {value}"))), Cause::ContentLength, "{value}");
    }
    assert_eq!(refused(&with("Content-Length: 5\r\nContent-Length: 5")), Cause::MultipleContentLengths);
}

#[test]
fn framing_40_http_1_0_with_an_encoding() {
    assert_eq!(
        refused("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Cause::TransferEncoding
    );
}

#[test]
fn framing_41_bytes_after_an_upgrade_wait_for_the_answer() {
    let head = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n";
    let early = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    for accepted in [true, false] {
        let mut guard = Guard::new(HeadLimits::default());
        let whole = [head.as_slice(), early].concat();
        let progress = guard.feed(&whole);
        assert_eq!(progress.pass, head.len());
        assert!(guard.awaits_upgrade());
        let progress = guard.feed(early);
        assert!(progress.pass == 0 && progress.discard == 0 && progress.event.is_none());
        guard.upgrade(accepted);
        let progress = guard.feed(early);
        assert_eq!(progress.pass, early.len());
        assert_eq!(progress.event.is_some(), !accepted, "after 101 it is no request, after 200 it is one");
    }
}

#[test]
fn an_upgrade_that_is_not_offered_is_an_ordinary_request() {
    for headers in
        ["Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c", "Upgrade: websocket", "Connection: upgrade"]
    {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n");
        passes(&format!("{request}{request}"), 2);
    }
    assert_eq!(refused(&with("Connection: upgrade\r\nUpgrade: websocket")), Cause::Upgrade);
    let body =
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n";
    assert_eq!(refused(body), Cause::Upgrade);
}

#[test]
fn nothing_passes_after_the_last_request() {
    for connection in ["Connection: close", "Connection: foo, Close"] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{connection}\r\n\r\n");
        let outcome = run(&format!("{request}{request}"));
        assert_eq!((outcome.heads.len(), outcome.passed.len()), (1, request.len()));
    }
    let last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut guard = Guard::new(HeadLimits::default());
    assert!(guard.feed(last).event.is_some());
    guard.upgrade(false);
    assert!(guard.is_ended(), "an upgrade that was not accepted may be the last request too");
    for options in ["a b", "keep-alive, \u{e9}", "close;q=1"] {
        assert_eq!(refused(&with(&format!("Connection: {options}"))), Cause::Nomination);
    }
    let old = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
    assert_eq!(run(&format!("{old}{old}")).heads.len(), 1);
    assert_eq!(refused(&with("Connection: close\r\nConnection: keep-alive")), Cause::Nomination);
}

#[test]
fn an_ended_guard_passes_nothing() {
    let mut guard = Guard::new(HeadLimits::default());
    guard.end();
    let progress = guard.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(progress.pass == 0 && progress.discard == 27 && progress.event.is_none() && guard.is_ended());
}

#[test]
fn request_lines_have_one_form() {
    for (line, cause) in [
        ("GET  / HTTP/1.1", Cause::StartLine),
        ("GET / HTTP/1.1 ", Cause::StartLine),
        ("GET /", Cause::StartLine),
        ("GET\t/ HTTP/1.1", Cause::StartLine),
        ("GET / HTTP/1.2", Cause::Version),
        ("GET / HTTP/2.0", Cause::Version),
        ("GET / http/1.1", Cause::StartLine),
        ("PRI * HTTP/2.0", Cause::Http2Preface),
        ("G(T / HTTP/1.1", Cause::Method),
        ("CONNECT a:80 HTTP/1.1", Cause::Connect),
        ("GET * HTTP/1.1", Cause::Target),
        ("GET admin HTTP/1.1", Cause::Target),
        ("GET ftp://a/ HTTP/1.1", Cause::Target),
        ("GET \\admin HTTP/1.1", Cause::Target),
        ("GET /a#b HTTP/1.1", Cause::Fragment),
        ("GET /a\0 HTTP/1.1", Cause::ControlCharacter),
        ("GET /é HTTP/1.1", Cause::NonAsciiTarget),
        ("GET http://a/é HTTP/1.1", Cause::NonAsciiTarget),
    ] {
        assert_eq!(refused(&format!("{line}\r\nHost: a\r\n\r\n")), cause, "{line}");
    }
    assert_eq!(refused("\r\n\r\nGET / HTTP/1.1\r\n"), Cause::StartLine);
    assert_eq!(refused("\nGET / HTTP/1.1\r\n"), Cause::BareLf);
    assert_eq!(refused("GET / HTTP/1.1\nHost: a\n\n"), Cause::BareLf);
    assert_eq!(refused("\x16\x03\x01"), Cause::StartLine);
}

#[test]
fn bytes_that_can_mean_only_themselves_are_escaped_and_the_raw_head_keeps_them() {
    for (sent, read) in [
        ("/?q=<script>", "/?q=%3Cscript%3E"),
        ("/?q=\"é\"", "/?q=%22%C3%A9%22"),
        ("/a<b>`\"?`", "/a%3Cb%3E%60\"?`"),
        ("http://a/x?<", "http://a/x?%3C"),
    ] {
        let request =
            |target: &str| format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        let two = format!("{}{}", request(sent), request("/next"));
        let outcome = run(&two);
        assert_eq!(outcome.heads, [format!("POST {sent} HTTP/1.1"), "POST /next HTTP/1.1".to_owned()]);
        assert_eq!(String::from_utf8(outcome.passed).unwrap(), request(read) + &request("/next"));
        assert_eq!(outcome.refused, None);
    }
    let outcome = run("\r\nGET /?< HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(outcome.passed, b"GET /?%3C HTTP/1.1\r\nHost: a\r\n\r\n", "the empty line before it is gone");
}

#[test]
fn an_escaped_target_keeps_the_limit_at_under_and_over() {
    let limits = HeadLimits { uri_bytes: 20, ..HeadLimits::default() };
    // `/?` and an escape are 5 bytes.
    for (more, refused) in [(14, None), (15, None), (16, Some(Cause::UriTooLong))] {
        let head = format!("GET /?<{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(more));
        assert_eq!(run_with(limits, head.as_bytes(), usize::MAX).refused, refused, "{more}");
    }
}

#[test]
fn a_preface_between_requests_is_refused() {
    let first = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let outcome = run(&format!("{first}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    assert_eq!((outcome.refused, outcome.passed.len()), (Some(Cause::Http2Preface), first.len()));
}

#[test]
fn chunk_framing_is_exact() {
    for (chunks, cause) in [
        ("0x1\r\na\r\n", Cause::ChunkSize),
        ("+1\r\na\r\n", Cause::ChunkSize),
        ("-1\r\na\r\n", Cause::ChunkSize),
        (" 1\r\na\r\n", Cause::ChunkSize),
        ("1 \r\na\r\n", Cause::ChunkSize),
        ("\r\n", Cause::ChunkSize),
        ("g\r\n", Cause::ChunkSize),
        ("8000000000000000\r\n", Cause::ChunkSize),
        ("00000000000000001\r\na\r\n", Cause::ChunkSize),
        ("1\na\r\n", Cause::BareLf),
        ("1\r\nab\r\n", Cause::ChunkEnd),
        ("1\r\na\n", Cause::ChunkEnd),
        ("1;\0\r\na\r\n", Cause::ChunkExtension),
        ("1;a\rb\r\n", Cause::ChunkExtension),
        ("0\r\nX: 1\n\r\n", Cause::BareLf),
        ("0\r\nX : 1\r\n\r\n", Cause::SpaceBeforeColon),
        ("0\r\nContent-Length: 1\r\n\r\n", Cause::Trailer),
        ("0\r\nhost: b\r\n\r\n", Cause::Trailer),
        ("0\r\n folded\r\n\r\n", Cause::ObsFold),
    ] {
        let outcome = run(&format!("{}{chunks}", with("Transfer-Encoding: chunked")));
        assert_eq!((outcome.refused, outcome.heads.len()), (Some(cause), 1), "{chunks:?}");
    }
}

/// Runs one at, under and over a limit.
fn limit(limits: HeadLimits, make: impl Fn(usize) -> String, at: usize, cause: Cause) {
    for (size, expected) in [(at - 1, None), (at, None), (at + 1, Some(cause))] {
        let input = make(size);
        for piece in [1, 7, usize::MAX] {
            assert_eq!(
                run_with(limits, input.as_bytes(), piece).refused,
                expected,
                "{size} in pieces of {piece}"
            );
        }
    }
}

#[test]
fn the_head_limits_are_exact() {
    let limits = HeadLimits { header_bytes: 200, header_count: 5, uri_bytes: 50, ..HeadLimits::default() };
    let bytes = |size: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(size - frame))
    };
    limit(limits, bytes, 200, Cause::HeadTooLarge);
    let count = |size: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(size - 1));
    limit(limits, count, 5, Cause::TooManyHeaders);
    let uri = |size: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "u".repeat(size - 1));
    limit(limits, uri, 50, Cause::UriTooLong);
    let method = |size: usize| format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(size));
    limit(limits, method, crate::framing::METHOD_BYTES, Cause::Method);
    // The longest method before the longest target still fits what is searched for a line end.
    let method = "M".repeat(crate::framing::METHOD_BYTES);
    let longest = format!("{method} /{} HTTP/1.1\r\nHost: a\r\n\r\n", "u".repeat(49));
    assert_eq!(run_with(limits, longest.as_bytes(), 1).refused, None);
    // Without a line end in sight it is refused as soon as no good head can follow.
    for (size, expected) in [(113, None), (114, None), (115, Some(Cause::UriTooLong))] {
        for piece in [1, usize::MAX] {
            let refused = run_with(limits, &vec![b'G'; size], piece).refused;
            assert_eq!(refused, expected, "{size} bytes are 50 of a target and 64 beside it");
        }
    }
    assert_eq!(run_with(limits, &[b'G'; 150], 1).refused, Some(Cause::UriTooLong));
}

#[test]
fn no_configured_limit_lets_a_target_through_that_the_server_behind_cannot_hold() {
    const LONGEST: usize = 65_534;
    let limits = HeadLimits { header_bytes: 200_000, uri_bytes: 100_000, ..HeadLimits::default() };
    for (size, expected) in [(LONGEST - 1, None), (LONGEST, None), (LONGEST + 1, Some(Cause::UriTooLong))] {
        let target = format!("/{}", "u".repeat(size - 1));
        assert_eq!(http::Uri::try_from(target.as_str()).is_ok(), expected.is_none(), "{size}");
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(run_with(limits, head.as_bytes(), usize::MAX).refused, expected, "{size}");
        // An escape has two bytes more than what it stands for.
        let head = format!("GET /<{} HTTP/1.1\r\nHost: a\r\n\r\n", "u".repeat(size - 4));
        assert_eq!(run_with(limits, head.as_bytes(), usize::MAX).refused, expected, "{size} escaped");
    }
}

#[test]
fn the_chunk_limits_are_exact() {
    let limits = HeadLimits::default();
    let chunked = |chunks: String| format!("{}{chunks}", with("Transfer-Encoding: chunked"));
    let digits = |size: usize| chunked(format!("{}1\r\na\r\n0\r\n\r\n", "0".repeat(size - 1)));
    limit(limits, digits, 16, Cause::ChunkSize);
    let line = |size: usize| chunked(format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(size - 2)));
    limit(limits, line, CHUNK_LINE_BYTES, Cause::ChunkSize);
    let trailers = |size: usize| chunked(format!("0\r\n{}\r\n", "X: y\r\n".repeat(size)));
    limit(limits, trailers, TRAILER_COUNT, Cause::Trailer);
    let trailer = |size: usize| chunked(format!("0\r\nX:{}\r\n\r\n", "y".repeat(size - 2)));
    limit(limits, trailer, TRAILER_BYTES, Cause::Trailer);
    let extension = |size: usize| {
        let (full, rest) = (size / 128, size % 128);
        let one = |bytes: usize| format!("1;{}\r\na\r\n", "x".repeat(bytes - 1));
        let rest = if rest == 0 { String::new() } else { one(rest) };
        chunked(format!("{}{rest}0\r\n\r\n", one(128).repeat(full)))
    };
    limit(limits, extension, CHUNK_EXTENSION_BYTES, Cause::ChunkExtension);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn the_outcome_does_not_depend_on_the_pieces(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("GET / HTTP/1.1\r\n"), Just("POST /a HTTP/1.1\r\n"), Just("Host: a\r\n"), Just("\r\n"),
                Just("Content-Length: 3\r\n"), Just("Transfer-Encoding: chunked\r\n"), Just("abc"), Just("3\r\nabc\r\n"),
                Just("0\r\n\r\n"), Just("Connection: close\r\n"), Just("\n"), Just("X: \0"), Just("3;e\r\n"),
            ], 0..24),
        piece in 1_usize..20,
    ) {
        let input = parts.concat();
        let whole = run_with(HeadLimits::default(), input.as_bytes(), usize::MAX);
        prop_assert_eq!(whole, run_with(HeadLimits::default(), input.as_bytes(), piece));
    }

    #[test]
    fn no_bytes_make_it_panic(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = run_with(HeadLimits::default(), &input, 3);
    }
}
