//! Headers that say one thing to us and another to the origin.

use serde_json::json;

use crate::frames::Http2;
use crate::stage::{Origin, Stage, with_waf};

fn with(lines: &str) -> Vec<u8> {
    bytes(lines.as_bytes())
}

fn bytes(lines: &[u8]) -> Vec<u8> {
    let mut request = b"GET /good HTTP/1.1\r\nhost: shop.example\r\n".to_vec();
    request.extend_from_slice(lines);
    request.extend_from_slice(b"\r\n\r\n");
    request
}

#[test]
fn headers_26_a_denied_value_counts_wherever_it_stands() {
    let stage = Stage::new(Origin::ok());
    for lines in [
        "x-role: admin",
        "x-role: user\r\nx-role: admin",
        "x-role: admin\r\nX-Role: user",
        "X-ROLE: user, admin",
    ] {
        stage.refuses(lines, with(lines), &[403]);
    }
    let mut fields = Http2::get("/good");
    fields.extend([(&b"x-role"[..], &b"user"[..]), (b"x-role", b"admin")]);
    Http2::refused(&stage, "second value", &fields, &[403]);
    stage.forwards("another role", with("x-role: user"));
}

#[test]
fn headers_28_bytes_over_0x7f_do_not_make_a_rule_fail_open() {
    let stage = Stage::with(Origin::ok(), |policy| {
        policy["authorization"][0]["spec"]["rules"] = json!([{
            "to": [{"operation": {"paths": ["/guarded"]}}],
            "when": [{"key": "request.headers[x-role]", "notValues": ["user"]}],
        }]);
        let rules = r#"
SecRuleEngine On
SecRule REQUEST_HEADERS:X-Query "@rx (?i)evil" "id:1,phase:1,deny,status:403""#;
        with_waf(policy, rules, 100, "reject");
    });
    let guarded = |role: &[u8]| {
        let mut request = b"GET /guarded HTTP/1.1\r\nhost: shop.example\r\nx-role: ".to_vec();
        request.extend_from_slice(role);
        request.extend_from_slice(b"\r\n\r\n");
        request
    };
    stage.refuses("a value that is no UTF-8 is not `user`", guarded(b"us\xffer"), &[400, 403]);
    stage.refuses("a value of bytes only", guarded(b"\xff\xfe"), &[400, 403]);
    stage.refuses("a pattern between bytes", bytes(b"x-query: \xff\xfeEvil\xc3"), &[400, 403]);
    let mut fields = Http2::get("/guarded");
    fields.push((b"x-role", b"us\xffer"));
    Http2::refused(&stage, "obs-text", &fields, &[400, 403]);
    stage.forwards("a user", guarded(b"user"));
}

#[test]
fn headers_29_control_characters_in_a_value_are_refused() {
    let stage = Stage::new(Origin::ok());
    let cases: [&[u8]; 7] = [
        b"x-a: b\0c",
        b"x-a: b\rx-role: admin",
        b"x-a: b\nx-role: admin",
        b"x-a: b\n\nGET /admin HTTP/1.1",
        b"x-a: \x01",
        b"x-a: b\x7f",
        b"x-a: b\r\n x-role: admin",
    ];
    for case in cases {
        stage.refuses(&String::from_utf8_lossy(case), bytes(case), &[400]);
    }
    for value in [&b"b\0c"[..], b"b\r\nx-role: admin", b"b\nx-role: admin", b"b\rc"] {
        let mut fields = Http2::get("/good");
        fields.push((b"x-a", value));
        Http2::refused(&stage, &format!("{value:?}"), &fields, &[400]);
    }
}

#[test]
fn headers_30_an_underscore_is_read_as_a_hyphen_where_a_rule_denies() {
    let stage = Stage::new(Origin::ok());
    stage.refuses("x_role", with("x_role: admin"), &[400, 403]);
    stage.refuses("content_length", with("content_length: 5"), &[400]);
    stage.refuses("transfer_encoding", with("transfer_encoding: chunked"), &[400]);
    let mut fields = Http2::get("/good");
    fields.push((b"x_role", b"admin"));
    Http2::refused(&stage, "x_role", &fields, &[400, 403]);
}

#[test]
fn headers_32_a_client_cannot_choose_the_address_the_origin_sees() {
    let attempts = [
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "127.0.0.1, 10.0.0.1",
        "garbage, , ,",
        "10.0.0.1:80",
        "[::1]",
        "unknown",
    ];
    let stage = Stage::new(Origin::ok());
    for attempt in attempts {
        let seen = stage.forwards(attempt, with(&format!("x-forwarded-for: {attempt}")));
        assert!(seen.head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{attempt}: {}", seen.head);
        assert_eq!(seen.head.matches("x-forwarded-for").count(), 1, "{}", seen.head);
    }
    let claims =
        "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/a/sa/boss\r\nx-forwarded-proto: https";
    let seen = stage.forwards("claims", with(claims));
    assert!(!seen.head.contains("boss") && !seen.head.contains("x-forwarded-proto: https"), "{}", seen.head);
}

#[test]
fn headers_33_a_client_cannot_have_headers_removed_by_naming_them() {
    let stage = Stage::new(Origin::ok());
    for name in
        ["authorization", "cookie", "host", "x-forwarded-for", "content-length", "x-forwarded-client-cert"]
    {
        let lines = format!("authorization: Basic abc\r\ncookie: a=b\r\nconnection: close, {name}");
        stage.refuses(name, with(&lines), &[400]);
    }
    // What may be nominated is gone for the verdict and for the origin alike.
    let seen = stage.forwards("x-hop", with("connection: x-hop\r\nx-hop: 1"));
    assert!(!seen.head.contains("x-hop"), "{}", seen.head);
}

#[test]
fn headers_33_a_nominated_header_that_a_rule_denies_does_not_reach_the_origin() {
    let stage = Stage::new(Origin::ok());
    let mut client = crate::stage::Client::connect(stage.edge);
    client.send(with("connection: x-role\r\nx-role: admin"));
    let status = client.answer().unwrap().status;
    assert!(matches!(status, 200 | 400 | 403), "{status}");
    assert!(!stage.origin.text().contains("admin"), "{}", stage.origin.text());
}

#[test]
fn headers_34_white_space_around_a_name_is_refused() {
    let stage = Stage::new(Origin::ok());
    for lines in ["x-role : admin", "x-role\t: admin", " x-role: admin", ": admin", "x role: admin", "x-role"]
    {
        stage.refuses(lines, with(lines), &[400]);
    }
    // White space before the first header is a line of its own kind (Node and others skip it).
    stage.refuses(
        "before the first",
        "GET /good HTTP/1.1\r\n x-role: admin\r\nhost: shop.example\r\n\r\n",
        &[400],
    );
}
