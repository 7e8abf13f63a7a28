//! Heads in, canonical heads or causes out; numbers are those of the adversarial test list.

use http::Request;
use proptest::prelude::*;

use super::*;

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn parts(method: &str, uri: &str, version: Version, headers: Pairs<'_>) -> Parts {
    let mut request = Request::builder().method(method).uri(uri).version(version);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn read(parts: Parts) -> Result<(RequestHead, BodyKind), Cause> {
    canonical(parts, None, Scheme::Http, false, &HeadLimits::default()).map_err(|malformed| malformed.cause)
}

fn h1(method: &str, uri: &str, headers: Pairs<'_>) -> Result<(RequestHead, BodyKind), Cause> {
    let headers = [&[("host", "a")], headers].concat();
    read(parts(method, uri, Version::HTTP_11, &headers))
}

fn h2(method: &str, uri: &str, headers: Pairs<'_>) -> Result<(RequestHead, BodyKind), Cause> {
    read(parts(method, uri, Version::HTTP_2, headers))
}

fn cause<T>(result: Result<T, Cause>) -> Cause {
    result.err().expect("refused")
}

#[test]
fn the_canonical_head_is_what_policies_see() {
    let (head, body) = h1("POST", "/x/../%61dmin?q=%61#", &[("content-length", "5"), ("X-Y", "z")]).unwrap();
    assert_eq!(
        (head.path.as_str(), head.query.as_deref(), body),
        ("/admin", Some("q=%61"), BodyKind::Length(5))
    );
    assert_eq!(head.authority.to_string(), "a");
    assert_eq!(head.headers["x-y"], "z");
    assert!(head.upgrade.is_none() && !head.expect_continue);
}

#[test]
fn path_09_a_fragment_in_the_raw_target_is_refused() {
    let raw =
        RawHead { request_line: "GET /admin#f HTTP/1.1".into(), uri: "/admin#f".into(), headers: vec![] };
    let parts = parts("GET", "/admin#f", Version::HTTP_11, &[("host", "a")]);
    let refused = canonical(parts, Some(raw), Scheme::Http, false, &HeadLimits::default());
    assert_eq!(refused.unwrap_err().cause, Cause::Fragment);
}

#[test]
fn raw_bytes_of_another_request_are_refused() {
    for (line, uri) in [("GET /b HTTP/1.1", "/b"), ("POST /a HTTP/1.1", "/a")] {
        let raw = RawHead { request_line: line.into(), uri: uri.into(), headers: vec![] };
        let parts = parts("GET", "/a", Version::HTTP_11, &[("host", "a")]);
        let refused = canonical(parts, Some(raw), Scheme::Http, false, &HeadLimits::default());
        assert_eq!(refused.unwrap_err().cause, Cause::StartLine);
    }
}

#[test]
fn path_10_the_query_is_no_part_of_the_path() {
    let (head, _) = h1("GET", "/admin?x", &[]).unwrap();
    assert_eq!((head.path.as_str(), head.query.as_deref()), ("/admin", Some("x")));
    assert_eq!(h1("GET", "/admin?", &[]).unwrap().0.query.as_deref(), Some(""));
    assert_eq!(h1("GET", "/admin%3Fx", &[]).unwrap().0.path, "/admin%3Fx");
}

#[test]
fn asterisk_is_for_options_only_and_connect_is_refused() {
    assert_eq!(h1("OPTIONS", "*", &[]).unwrap().0.path, "*");
    assert_eq!(cause(h1("GET", "*", &[])), Cause::Target);
    assert_eq!(cause(h1("CONNECT", "a:80", &[])), Cause::Connect);
    assert_eq!(cause(h2("CONNECT", "http://a/ws", &[])), Cause::Connect);
    assert!(h1("TRACE", "/", &[]).is_ok(), "the WAF judges methods");
    assert!(h1(&"M".repeat(framing::METHOD_BYTES), "/", &[]).is_ok());
    assert_eq!(cause(h1(&"M".repeat(framing::METHOD_BYTES + 1), "/", &[])), Cause::Method);
}

#[test]
fn host_20_to_22_authority_has_one_spelling_and_the_host_header_says_it() {
    let (head, _) = read(parts("GET", "/", Version::HTTP_11, &[("host", "A.COM.:80")])).unwrap();
    assert_eq!((head.authority.host.as_str(), head.authority.port), ("a.com", Some(80)));
    assert_eq!(head.headers["host"], "a.com:80");
    assert_eq!(cause(read(parts("GET", "/", Version::HTTP_11, &[("host", "a.com:0080")]))), Cause::Port);
}

#[test]
fn host_24_sources_of_the_authority_must_agree() {
    assert_eq!(cause(h1("GET", "/", &[("host", "a")])), Cause::MultipleHosts);
    assert_eq!(cause(read(parts("GET", "/", Version::HTTP_11, &[]))), Cause::MissingHost);
    assert_eq!(cause(read(parts("GET", "/", Version::HTTP_10, &[]))), Cause::MissingHost);
    assert_eq!(cause(h1("GET", "http://b/", &[])), Cause::AuthorityMismatch);
    assert_eq!(cause(h2("GET", "http://b/", &[("host", "a")])), Cause::AuthorityMismatch);
    assert_eq!(cause(h1("GET", "http://a:443/", &[])), Cause::AuthorityMismatch);
    assert_eq!(h1("GET", "http://A:80/", &[]).unwrap().0.headers["host"], "a:80");
    assert_eq!(h2("GET", "http://a/", &[("host", "A:80")]).unwrap().0.headers["host"], "a");
    assert_eq!(cause(h2("GET", "http://u@a/", &[])), Cause::UserInfo);
    assert_eq!(cause(h2("GET", "ftp://a/", &[])), Cause::Scheme);
}

#[test]
fn headers_26_several_values_are_kept_in_order() {
    let (head, _) = h1("GET", "/", &[("x", "1"), ("x", "2")]).unwrap();
    assert_eq!(head.headers.get_all("x").iter().collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn headers_28_obs_text_is_kept() {
    let mut parts = parts("GET", "/", Version::HTTP_11, &[("host", "a")]);
    parts.headers.insert("x", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    assert_eq!(read(parts).unwrap().0.headers["x"].as_bytes(), b"caf\xe9");
}

#[test]
fn headers_29_a_header_value_cannot_hold_line_ends() {
    for bad in [b"a\0".as_slice(), b"a\r\nb", b"a\n", b"\x7f"] {
        assert!(HeaderValue::from_bytes(bad).is_err());
    }
}

#[test]
fn headers_30_identity_cannot_be_claimed_with_any_spelling() {
    let claimed = [
        "x-forwarded-client-cert",
        "X-Palisade-Principal",
        "x_palisade_principal",
        "x-palisade_anything",
        "x_forwarded_client_cert",
        "X_Forwarded_For",
        "x_real_ip",
    ];
    for name in claimed {
        let (head, _) = h1("GET", "/", &[(name, "spiffe://td/ns/a/sa/b"), ("x-kept", "1")]).unwrap();
        assert_eq!(head.headers.len(), 2, "{name}");
        assert_eq!(head.raw.headers.len(), 3, "the WAF sees what was sent");
    }
    assert_eq!(cause(h1("GET", "/", &[("content_length", "5")])), Cause::UnderscoreFraming);
    assert_eq!(cause(h1("GET", "/", &[("transfer_encoding", "chunked")])), Cause::UnderscoreFraming);
    assert_eq!(
        h1("GET", "/", &[("my_header", "1"), ("x-forwarded-for", "1.2.3.4")]).unwrap().0.headers.len(),
        3
    );
}

#[test]
fn headers_33_connection_may_not_strip_what_matters() {
    for name in [
        "authorization",
        "Host",
        "content-length",
        "cookie",
        "x-forwarded-for",
        "Content-Type",
        "x_forwarded_for",
        "user-agent",
    ] {
        assert_eq!(cause(h1("GET", "/", &[("connection", name)])), Cause::Nomination, "{name}");
        let list = format!("close, {name}");
        assert_eq!(cause(h1("GET", "/", &[("connection", &list)])), Cause::Nomination, "{name}");
    }
    assert_eq!(cause(h1("GET", "/", &[("connection", "a b")])), Cause::Nomination);
    let (head, _) =
        h1("GET", "/", &[("connection", "X-Hop, keep-alive"), ("x-hop", "1"), ("x-hop", "2")]).unwrap();
    assert_eq!(head.headers.len(), 1, "{:?}", head.headers);
}

#[test]
fn hop_by_hop_headers_end_here() {
    let sent = [
        ("connection", "te"),
        ("te", "trailers"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic x"),
        ("transfer-encoding", "chunked"),
        ("trailer", "x-t"),
    ];
    let (head, body) = h1("POST", "/", &sent).unwrap();
    assert_eq!(body, BodyKind::Unknown);
    assert_eq!(head.headers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["host", "trailer"]);
}

#[test]
fn framing_36_to_40_are_refused_in_decoded_heads_too() {
    let both = [("content-length", "3"), ("transfer-encoding", "chunked")];
    assert_eq!(cause(h1("POST", "/", &both)), Cause::LengthAndEncoding);
    assert_eq!(cause(h1("POST", "/", &[("transfer-encoding", "gzip, chunked")])), Cause::TransferEncoding);
    let twice = [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
    assert_eq!(cause(h1("POST", "/", &twice)), Cause::TransferEncoding);
    assert_eq!(cause(h1("POST", "/", &[("content-length", "+5")])), Cause::ContentLength);
    let twice = [("content-length", "5"), ("content-length", "5")];
    assert_eq!(cause(h1("POST", "/", &twice)), Cause::MultipleContentLengths);
    let old = parts("POST", "/", Version::HTTP_10, &[("host", "a"), ("transfer-encoding", "chunked")]);
    assert_eq!(cause(read(old)), Cause::TransferEncoding);
}

#[test]
fn framing_44_connection_headers_on_http_2() {
    for name in
        ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings"]
    {
        assert_eq!(cause(h2("GET", "http://a/", &[(name, "x")])), Cause::ConnectionHeader, "{name}");
    }
    assert_eq!(cause(h2("GET", "http://a/", &[("te", "gzip")])), Cause::ConnectionHeader);
    assert_eq!(h2("POST", "http://a/", &[("te", "trailers")]).unwrap().0.headers["te"], "trailers");
    for pseudo in ["/a\r\nx: y", "/a b", "/a\nb", "/a\0"] {
        assert!(http::uri::PathAndQuery::try_from(pseudo).is_err(), "the type refuses it: {pseudo:?}");
    }
}

#[test]
fn framing_45_and_46_bodies_as_declared() {
    assert_eq!(h1("GET", "/", &[]).unwrap().1, BodyKind::Empty);
    assert_eq!(h1("GET", "/", &[("content-length", "0")]).unwrap().1, BodyKind::Empty);
    assert_eq!(h1("GET", "/", &[("content-length", "2")]).unwrap().1, BodyKind::Length(2));
    let ended = |headers: Pairs<'_>, ended| {
        let parts = parts("POST", "http://a/", Version::HTTP_2, headers);
        canonical(parts, None, Scheme::Http, ended, &HeadLimits::default())
            .map(|(_, body)| body)
            .map_err(|malformed| malformed.cause)
    };
    assert_eq!(ended(&[], false), Ok(BodyKind::Unknown));
    assert_eq!(ended(&[], true), Ok(BodyKind::Empty));
    assert_eq!(ended(&[("content-length", "2")], false), Ok(BodyKind::Length(2)));
    assert_eq!(ended(&[("content-length", "2")], true), Err(Cause::LengthMismatch));
}

#[test]
fn framing_48_only_100_continue_can_be_expected() {
    let (head, _) = h1("POST", "/", &[("expect", "100-Continue"), ("content-length", "1")]).unwrap();
    assert!(head.expect_continue && head.headers.get("expect").is_none());
    assert_eq!(cause(h1("POST", "/", &[("expect", "200-ok")])), Cause::Expect);
    let old = parts("POST", "/", Version::HTTP_10, &[("host", "a"), ("expect", "100-continue")]);
    assert!(!read(old).unwrap().0.expect_continue);
}

#[test]
fn only_websocket_is_an_upgrade() {
    let ask = |protocol| h1("GET", "/", &[("connection", "keep-alive, Upgrade"), ("upgrade", protocol)]);
    let (head, _) = ask("WebSocket").unwrap();
    assert_eq!(head.upgrade.as_deref(), Some("websocket"));
    assert!(head.headers.get("upgrade").is_none() && head.headers.get("connection").is_none());
    for other in ["h2c", "websocket, h2c", "TLS/1.0"] {
        let (head, _) = ask(other).unwrap();
        assert!(head.upgrade.is_none() && head.headers.get("upgrade").is_none(), "{other}");
    }
    let websocket = [("connection", "upgrade"), ("upgrade", "websocket")];
    assert_eq!(cause(h1("POST", "/", &websocket)), Cause::Upgrade);
    assert_eq!(cause(h1("GET", "/", &[&websocket[..], &[("content-length", "1")]].concat())), Cause::Upgrade);
    assert!(h1("GET", "/", &[("upgrade", "websocket")]).unwrap().0.upgrade.is_none());
}

#[test]
fn http2_52_cookie_crumbs_are_one_header() {
    let (head, _) = h2("GET", "http://a/", &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]).unwrap();
    assert_eq!(head.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    assert_eq!(head.raw.headers.iter().filter(|(name, _)| &name[..] == b"cookie").count(), 1);
}

#[test]
fn http_2_is_written_as_http_1_would_be() {
    let (head, _) = h2("GET", "http://A:81/%61?q", &[("x", "y")]).unwrap();
    assert_eq!(&head.raw.request_line[..], b"GET /%61?q HTTP/2");
    assert_eq!(&head.raw.uri[..], b"/%61?q");
    let headers: Vec<_> = head.raw.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(headers, [(&b"host"[..], &b"a:81"[..]), (b"x", b"y")]);
}

#[test]
fn the_limits_are_exact() {
    let limits = HeadLimits { header_bytes: 300, header_count: 3, uri_bytes: 40, ..HeadLimits::default() };
    let read = |uri: &str, headers: Pairs<'_>| {
        let headers = [&[("host", "a")], headers].concat();
        canonical(parts("GET", uri, Version::HTTP_11, &headers), None, Scheme::Http, false, &limits)
            .map(|_| ())
            .map_err(|malformed| malformed.cause)
    };
    let uri = |bytes: usize| format!("/{}", "u".repeat(bytes - 1));
    assert_eq!(read(&uri(39), &[]), Ok(()));
    assert_eq!(read(&uri(40), &[]), Ok(()));
    assert_eq!(read(&uri(41), &[]), Err(Cause::UriTooLong));
    assert_eq!(read("/{{{{{{{{{{{{{", &[]), Ok(()));
    assert_eq!(read("/{{{{{{{{{{{{{{", &[]), Err(Cause::UriTooLong), "43 bytes once escaped");
    let many = |count: usize| vec![("x", "y"); count - 1];
    assert_eq!(read("/", &many(2)), Ok(()));
    assert_eq!(read("/", &many(3)), Ok(()));
    assert_eq!(read("/", &many(4)), Err(Cause::TooManyHeaders));
    let frame = "GET / HTTP/2\r\nhost: a\r\nx: \r\n\r\n".len();
    let bytes = |bytes: usize| "y".repeat(bytes - frame);
    assert_eq!(read("/", &[("x", &bytes(299))]), Ok(()));
    assert_eq!(read("/", &[("x", &bytes(300))]), Ok(()));
    assert_eq!(read("/", &[("x", &bytes(301))]), Err(Cause::HeadTooLarge));
}

#[test]
fn a_host_that_is_inserted_counts() {
    let limits = HeadLimits { header_count: 2, ..HeadLimits::default() };
    let parts = |headers| parts("GET", "http://a/", Version::HTTP_2, headers);
    assert!(canonical(parts(&[("x", "y")]), None, Scheme::Http, false, &limits).is_ok());
    let over = canonical(parts(&[("x", "y"), ("z", "")]), None, Scheme::Http, false, &limits);
    assert_eq!(over.unwrap_err().cause, Cause::TooManyHeaders);
}

#[test]
fn trailers_are_checked_like_headers() {
    let read = |pairs: Pairs<'_>| {
        let mut headers = parts("GET", "/", Version::HTTP_11, pairs).headers;
        trailers(&mut headers, &HeadLimits::default())
            .map(|()| headers.len())
            .map_err(|malformed| malformed.cause)
    };
    assert_eq!(read(&[("grpc-status", "0"), ("grpc-message", "")]), Ok(2));
    assert_eq!(read(&[("x-palisade-principal", "me"), ("x", "y")]), Ok(1));
    for name in
        ["content-length", "transfer-encoding", "host", "authorization", "set-cookie", "content_length"]
    {
        assert_eq!(read(&[(name, "0")]), Err(Cause::Trailer), "{name}");
    }
}

#[test]
fn a_body_has_one_content_type() {
    let two = [("content-type", "text/plain"), ("content-type", "application/json")];
    assert_eq!(cause(h1("POST", "/", &two)), Cause::MultipleContentTypes);
    assert_eq!(cause(h2("POST", "http://a/", &two)), Cause::MultipleContentTypes);
    assert!(h1("POST", "/", &two[..1]).is_ok());
}

#[test]
fn a_standard_method_has_one_spelling() {
    for method in ["delete", "Post", "gET"] {
        assert_eq!(cause(h1(method, "/", &[])), Cause::Method, "{method}");
    }
    for method in ["DELETE", "PROPFIND", "report", "m-search"] {
        assert!(h1(method, "/", &[]).is_ok(), "{method}");
    }
}

fn again(head: &RequestHead) -> Parts {
    let mut parts =
        Request::builder().method(head.method.clone()).uri(head.path_and_query()).version(head.version);
    *parts.headers_mut().unwrap() = head.headers.clone();
    parts.body(()).unwrap().into_parts().0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn reading_a_canonical_head_again_changes_nothing(
        path in "/([a-c./;]|%2[eE5]|%6[1-3]|//|\\.\\.|\\{|\\|)*",
        query in proptest::option::of("[a-z%=&/.]*"),
        host in "[a-cA-C]{1,3}\\.?(:[1-9][0-9]?)?",
        headers in proptest::collection::vec(
            (prop_oneof![
                Just("connection"), Just("x-a"), Just("x_b"), Just("te"), Just("expect"), Just("upgrade"), Just("cookie"),
                Just("content-length"), Just("transfer-encoding"), Just("x-palisade-a"),
            ],
            prop_oneof![
                Just("x-a"), Just("close"), Just("trailers"), Just("100-continue"), Just("websocket"), Just("upgrade"),
                Just("5"), Just("chunked"),
            ]), 0..5),
        two in any::<bool>(),
    ) {
        let uri = query.map_or(path.clone(), |query| format!("{path}?{query}"));
        let version = if two { Version::HTTP_2 } else { Version::HTTP_11 };
        let headers: Vec<_> = [("host", host.as_str())].into_iter().chain(headers).collect();
        if let Ok((once, _)) = read(parts("GET", &uri, version, &headers)) {
            let (twice, _) = read(again(&once)).expect("a canonical head is accepted");
            prop_assert_eq!(&once.path, &twice.path);
            prop_assert_eq!(&once.query, &twice.query);
            prop_assert_eq!(&once.authority, &twice.authority);
            prop_assert_eq!(&once.headers, &twice.headers);
            prop_assert_eq!(&once.method, &twice.method);
        }
    }
}
