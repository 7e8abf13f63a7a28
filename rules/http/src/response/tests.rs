//! What an upstream may not answer.

use http::Response;

use super::*;

fn parts(status: u16, version: Version, headers: &[(&str, &str)]) -> Parts {
    let mut response = Response::builder().status(status).version(version);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap().into_parts().0
}

fn checked(asked: &Asked, status: u16, headers: &[(&str, &str)]) -> Result<BodyKind, Cause> {
    check(asked, parts(status, Version::HTTP_11, headers), false)
        .map(|(_, body)| body)
        .map_err(|malformed| malformed.cause)
}

fn get() -> Asked {
    Asked::new(Method::GET, false)
}

const SWITCH: &[(&str, &str)] = &[("connection", "Upgrade"), ("upgrade", "websocket")];

#[test]
fn a_101_answers_an_upgrade_and_nothing_else() {
    let upgrade = Asked::new(Method::GET, true);
    assert_eq!(checked(&upgrade, 101, SWITCH), Ok(BodyKind::Empty));
    assert_eq!(checked(&get(), 101, SWITCH), Err(Cause::UnexpectedResponse));
    assert_eq!(checked(&upgrade, 101, &[]), Err(Cause::Upgrade));
    assert_eq!(checked(&upgrade, 101, &[("connection", "upgrade"), ("upgrade", "h2c")]), Err(Cause::Upgrade));
    let old = check(&upgrade, parts(101, Version::HTTP_10, SWITCH), false);
    assert_eq!(old.map(|_| ()).map_err(|malformed| malformed.cause), Err(Cause::UnexpectedResponse));
}

#[test]
fn framing_42_a_200_to_an_upgrade_is_an_ordinary_response() {
    let upgrade = Asked::new(Method::GET, true);
    let parts = parts(
        200,
        Version::HTTP_11,
        &[("connection", "upgrade"), ("upgrade", "websocket"), ("content-length", "2")],
    );
    let (head, body) = check(&upgrade, parts, false).unwrap();
    assert_eq!(body, BodyKind::Length(2));
    assert!(head.headers.get("upgrade").is_none() && head.headers.get("connection").is_none());
}

#[test]
fn framing_45_bodies_where_none_may_be() {
    let head = Asked::new(Method::HEAD, false);
    assert_eq!(checked(&head, 200, &[("content-length", "5")]), Ok(BodyKind::Empty));
    assert_eq!(checked(&head, 200, &[("transfer-encoding", "chunked")]), Ok(BodyKind::Empty));
    assert_eq!(checked(&get(), 204, &[("content-length", "5")]), Err(Cause::ForbiddenBody));
    assert_eq!(checked(&get(), 204, &[("transfer-encoding", "chunked")]), Err(Cause::ForbiddenBody));
    assert_eq!(checked(&get(), 204, &[("content-length", "0")]), Ok(BodyKind::Empty));
    assert_eq!(checked(&get(), 304, &[("content-length", "5")]), Ok(BodyKind::Empty));
    assert_eq!(checked(&get(), 304, &[("transfer-encoding", "chunked")]), Err(Cause::ForbiddenBody));
    assert_eq!(checked(&get(), 103, &[("content-length", "5")]), Err(Cause::ForbiddenBody));
}

#[test]
fn framing_is_as_strict_as_for_requests() {
    assert_eq!(
        checked(&get(), 200, &[("content-length", "5"), ("transfer-encoding", "chunked")]),
        Err(Cause::LengthAndEncoding)
    );
    assert_eq!(
        checked(&get(), 200, &[("content-length", "5"), ("content-length", "5")]),
        Err(Cause::MultipleContentLengths)
    );
    assert_eq!(checked(&get(), 200, &[("content-length", "+5")]), Err(Cause::ContentLength));
    assert_eq!(checked(&get(), 200, &[("transfer-encoding", "gzip, chunked")]), Err(Cause::TransferEncoding));
    assert_eq!(checked(&get(), 200, &[]), Ok(BodyKind::Unknown));
}

#[test]
fn headers_of_the_upstream_connection_end_here() {
    let parts = parts(
        200,
        Version::HTTP_11,
        &[
            ("connection", "keep-alive, x-hop"),
            ("keep-alive", "timeout=5"),
            ("x-hop", "1"),
            ("x-end", "2"),
            ("transfer-encoding", "chunked"),
        ],
    );
    let (head, body) = check(&get(), parts, false).unwrap();
    assert_eq!(body, BodyKind::Unknown);
    assert_eq!(head.headers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x-end"]);
    assert_eq!(checked(&get(), 200, &[("connection", "set-cookie")]), Err(Cause::Nomination));
    assert_eq!(checked(&get(), 200, &[("connection", "a b")]), Err(Cause::Nomination));
}

#[test]
fn http_2_has_no_connection_headers_and_an_ended_response_has_no_length() {
    let refused = |headers: &[(&str, &str)], ended| {
        check(&get(), parts(200, Version::HTTP_2, headers), ended).map(|(_, body)| body).map_err(|m| m.cause)
    };
    assert_eq!(refused(&[("connection", "close")], false), Err(Cause::ConnectionHeader));
    assert_eq!(refused(&[("transfer-encoding", "chunked")], false), Err(Cause::ConnectionHeader));
    assert_eq!(refused(&[("content-length", "5")], true), Err(Cause::LengthMismatch));
    assert_eq!(refused(&[], true), Ok(BodyKind::Empty));
    assert_eq!(refused(&[], false), Ok(BodyKind::Unknown));
}

/// What the guard makes of an upstream's bytes: bytes that passed, and the cause of a refusal.
fn guarded(asked: &Asked, bytes: &[u8]) -> (usize, Option<Cause>, bool) {
    let mut outcomes = Vec::new();
    for piece in [1, 5, usize::MAX] {
        let mut guard = ResponseGuard::new(HeadLimits::default());
        guard.ask(asked.clone());
        let (mut held, mut passed, mut refused) = (Vec::new(), 0, None);
        for part in bytes.chunks(piece) {
            held.extend_from_slice(part);
            let progress = guard.feed(&held);
            held.drain(..progress.pass);
            passed += progress.pass;
            refused = refused.or(progress.refused.map(|malformed| malformed.cause));
        }
        outcomes.push((passed, refused, guard.is_idle()));
    }
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "{outcomes:?}");
    outcomes[0]
}

#[test]
fn whole_responses_pass_and_leave_the_connection_idle() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 204\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: 1\r\n\r\n",
    ] {
        assert_eq!(guarded(&get(), response.as_bytes()), (response.len(), None, true), "{response:?}");
    }
    let until_end = b"HTTP/1.1 200 OK\r\n\r\nuntil the end";
    assert_eq!(guarded(&get(), until_end), (until_end.len(), None, false));
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(guarded(&Asked::new(Method::HEAD, false), head), (head.len(), None, true));
}

#[test]
fn ambiguous_responses_do_not_pass() {
    for (response, cause) in [
        ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", Cause::BareLf),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", Cause::MultipleContentLengths),
        ("HTTP/1.1 200 OK\r\nX : y\r\n\r\n", Cause::SpaceBeforeColon),
        ("HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", Cause::ObsFold),
        ("HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", Cause::ControlCharacter),
        ("HTTP/1.1 2000 OK\r\n\r\n", Cause::StartLine),
        ("HTTP/1.1 999 OK\r\n\r\n", Cause::StartLine),
        ("HTTP/2.0 200 OK\r\n\r\n", Cause::StartLine),
        ("HTTP/1.1  200 OK\r\n\r\n", Cause::StartLine),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Cause::TransferEncoding),
        (
            "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            Cause::UnexpectedResponse,
        ),
    ] {
        assert_eq!(guarded(&get(), response.as_bytes()), (0, Some(cause), false), "{response:?}");
    }
}

#[test]
fn a_response_nobody_asked_for_is_refused() {
    let one = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let two = [one.as_slice(), one].concat();
    assert_eq!(guarded(&get(), &two), (one.len(), Some(Cause::UnexpectedResponse), false));
}

#[test]
fn after_a_101_everything_passes() {
    let bytes =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00\n\0";
    assert_eq!(guarded(&Asked::new(Method::GET, true), bytes), (bytes.len(), None, false));
    // Without the 101 the same bytes are refused.
    let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\x81";
    assert_eq!(guarded(&Asked::new(Method::GET, true), plain).1, Some(Cause::UnexpectedResponse));
}

#[test]
fn forbidden_trailers_of_an_upstream_are_dropped() {
    let mut headers =
        parts(200, Version::HTTP_2, &[("grpc-status", "0"), ("set-cookie", "a=b"), ("content-length", "5")])
            .headers;
    trailers(&mut headers);
    assert_eq!(headers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["grpc-status"]);
}
