//! Requests that servers were seen to read an attack in: what is read here is what they read, or the request is refused.
//! Each case names the server. Nothing is asked of the body's errors by the rules, so that the engine refuses them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use std::io::Write;
use std::sync::Arc;

use exchange::{Exchange, connection, get, policy, post, rule_set};
use palisade_model::documents::SourceFile;
use palisade_waf::{Engine, Transaction};

const RULES: &str = "SecRule ARGS|ARGS_NAMES|REQUEST_COOKIES|REQUEST_COOKIES_NAMES|XML:/*|XML://@*|REQUEST_BODY \
                     \"@contains attack\" \"id:1,phase:2,deny,status:403\"";
const FORM: &str = "application/x-www-form-urlencoded";

/// What becomes of an exchange: the status of its refusal, or 200. The fast path and the slow one agree.
fn status(exchange: &Exchange) -> u16 {
    let set = rule_set(vec![SourceFile { name: "test.conf".into(), text: RULES.into() }]);
    let fast = Arc::new(Engine::compile(&set, &policy()).unwrap());
    let slow = Arc::new(Engine::compile_slow(&set, &policy()).unwrap());
    let mut head = Transaction::begin(fast.clone(), &connection(), &exchange.head(), 0, "0123456789abcdef");
    if let Some(refused) = head.request_headers().or_else(|| head.refuse_request_body()) {
        return refused.status.as_u16();
    }
    let (found, truth) = (exchange.run(&fast), exchange.run(&slow));
    found.assert_same_as(&truth, exchange);
    found.interruption.map_or(200, |interruption| interruption.status.as_u16())
}

/// A body of bytes.
fn bytes(content_type: &str, body: &[u8]) -> Exchange {
    let mut exchange = post("/", content_type, "");
    exchange.headers.retain(|(name, _)| name != "Content-Length");
    exchange.body = body.to_vec();
    exchange.header("Content-Length", &body.len().to_string())
}

#[test]
fn cookies_are_judged_as_django_and_as_werkzeug_unquote_them() {
    for (cookie, expected) in [
        // Django 4.2, Starlette 1.10, Tornado 6.6, Werkzeug 3.1, aiohttp 3.14, http.cookies
        (r#"a="\141\164tack""#, 403),
        (r#"$Version=1; a="\a\t\t\a\c\k""#, 403),
        // Werkzeug, aiohttp, http.cookies
        (r#"a="att;ack"; b="at\;tack""#, 200),
        (r#"b=1; a="\141tt;\141tt\141ck""#, 403),
        // Django, Starlette, Tornado, Express' cookie: the one without a name
        ("a=1; =attack", 403),
        // Nobody
        (r"a=\141ttack", 200),
        (r#"messages="W1siX19qc29uX21lc3NhZ2Ui\054 \"ok\"]"; theme="dark""#, 200),
    ] {
        assert_eq!(status(&get("/").header("Cookie", cookie)), expected, "{cookie}");
    }
}

#[test]
fn a_form_in_a_charset_that_its_reader_ignores_is_refused() {
    for (parameter, body, expected) in [
        // Werkzeug 3.1: the NUL is a part of b.
        ("; charset=utf-16", &b"a=attack&b=\0"[..], 403),
        ("; charset=utf-16le", b"a=attack&b=\0\0\xff", 403),
        ("; charset=utf-32", b"a=attack\0\0\0\0", 403),
        // Tomcat decodes what the escapes stand for.
        ("; charset=utf-16", b"a=%00a%00t&b=\0", 400),
        // Django 4.2 reads RFC 2231's parameter, and `+ADw-` is `<` in UTF-7.
        ("; charset*=utf-8''utf-7", b"a=%2BADw-x", 415),
        ("; charset*0=utf-7", b"a=%2BADw-x", 415),
        ("; charset=\"utf\\-7\"", b"a=%2BADw-x", 415),
        ("; charset=UTF-8", b"a=\xe3\x81\x82", 200),
        ("; charset=iso-8859-1", b"a=%e9", 200),
    ] {
        assert_eq!(status(&bytes(&format!("{FORM}{parameter}"), body)), expected, "{parameter}");
    }
    // No processor: whoever takes it as it is reads another text than UTF-16's.
    assert_eq!(status(&bytes("text/plain; charset=utf-16", b"attack\0\0")), 403);
    let wide: Vec<u8> = "two words".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(status(&bytes("text/plain; charset=utf-16", &wide)), 200);
}

/// Half a character in GBK, Shift_JIS or Big5 is `]` or `\` in UTF-8.
#[test]
fn a_syntax_that_its_charset_hides_is_refused() {
    let document = |encoding: &str, lead: &[u8]| {
        let head = format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?><a><![CDATA[");
        [head.as_bytes(), lead, b"]]><!-- attack ]]> --></a>"].concat()
    };
    let xml = "application/xml";
    // libxml2 (lxml 6.1): the section goes on, and what is a comment to others is its text.
    for (encoding, lead) in
        [("gbk", "\u{3042}"), ("gb18030", "\u{4e2d}"), ("shift_jis", "\u{3041}"), ("big5", "\u{4e2d}")]
    {
        assert_eq!(status(&bytes(xml, &document(encoding, lead.as_bytes()))), 400, "{encoding}");
        let latin = document(encoding, b"\x81");
        assert_eq!(
            status(&bytes(&format!("{xml}; charset=iso-8859-1"), &latin)),
            400,
            "{encoding} in Latin 1"
        );
    }
    // aiohttp 3.14 decodes JSON in the charset that is declared; in GBK, half the backslashes are gone.
    let json = "{\"a\":\"\u{3042}\\\\u0061ttack\"}".as_bytes();
    assert_eq!(status(&bytes("application/json; charset=gbk", json)), 400);
    for (kind, body, expected) in [
        (xml, document("utf-8", "\u{3042}".as_bytes()), 200),
        ("application/json", json.to_vec(), 200),
        ("application/json; charset=iso-8859-1", json.to_vec(), 200),
        ("application/json; charset=gbk", b"{\"a\":\"\xc4\xe3\xba\xc3\"}".to_vec(), 200),
        (xml, b"<?xml version='1.0' encoding='gbk'?><a>\xc4\xe3\xba\xc3</a>".to_vec(), 200),
        (xml, b"<?xml version='1.0' encoding='shift_jis'?><a>\x93\xfa</a>".to_vec(), 200),
        // Half of its second character is a brace.
        (xml, b"<?xml version='1.0' encoding='shift_jis'?><a>\x93\xfa\x96{</a>".to_vec(), 400),
    ] {
        assert_eq!(status(&bytes(kind, &body)), expected, "{kind} {body:?}");
    }
}

#[test]
fn types_are_read_as_the_most_generous_server_reads_them() {
    // Tornado 6.6 and ModSecurity compare beginnings, PHP ends a type at a space, ASP.NET Core takes text/json.
    for kind in [
        "application/x-www-form-urlencoded2",
        "application/x-www-form-urlencoded x",
        "Application/X-WWW-FORM-URLENCODED\t;",
    ] {
        assert_eq!(status(&post("/", kind, "a=%61ttack")), 403, "{kind}");
    }
    let body = "--b\r\nContent-Disposition: form-data; name=\"%61\"\r\n\r\nattack\r\n--b--\r\n";
    assert_eq!(status(&post("/", "multipart/form-data2; boundary=b", body)), 403);
    assert_eq!(status(&post("/", "text/json", r#"{"a":"\u0061ttack"}"#)), 403);
}

/// Go's net/http and Django 4.2 do not unpack: gzip's header has room for a file's name, and theirs is a field of it.
#[test]
fn a_packed_body_is_judged_as_servers_read_it_that_do_not_unpack() {
    let gzip = |name: &[u8], text: &[u8]| {
        let mut wire = flate2::GzBuilder::new().filename(name).write(Vec::new(), flate2::Compression::best());
        wire.write_all(text).unwrap();
        wire.finish().unwrap()
    };
    let packed = |kind: &str, wire: &[u8]| status(&bytes(kind, wire).header("Content-Encoding", "gzip"));
    for (name, text, expected) in [
        (&b"&a=attack&"[..], &b"a=good"[..], 403),
        (b"&a=%61ttack&", b"a=good", 403),
        (b"&a=\xff%61ttack", b"a=good", 403),
        (b"form.txt", b"a=attack", 403),
        (b"form.txt", b"a=good&b=as+ever", 200),
    ] {
        assert_eq!(packed(FORM, &gzip(name, text)), expected, "{name:?}");
    }
    let parts =
        |value: &str| format!("--b0\r\nContent-Disposition: form-data; name=a\r\n\r\n{value}\r\n--b0--\r\n");
    let kind = "multipart/form-data; boundary=b0";
    assert_eq!(packed(kind, &gzip(b"x", parts("good").as_bytes())), 200);
    assert_eq!(packed(kind, &gzip(parts("attack").as_bytes(), parts("good").as_bytes())), 400);
    // Stored as it is, the same form is read twice and judged twice.
    let stored = |text: &[u8]| {
        [b"\x01", &(text.len() as u16).to_le_bytes()[..], &(!(text.len() as u16)).to_le_bytes(), text]
            .concat()
    };
    let deflated = |text: &[u8]| status(&bytes(FORM, &stored(text)).header("Content-Encoding", "deflate"));
    assert_eq!((deflated(b"a=1&b=good"), deflated(b"a=1&b=attack")), (200, 403));
}

/// Go's `json.NewDecoder(request.Body)` and aiohttp's `request.json()` ask for no type.
#[test]
fn a_body_without_a_type_that_begins_as_json_is_read_as_json() {
    let untyped = |body: &str| {
        let mut exchange = bytes("", body.as_bytes());
        let empty = status(&exchange);
        exchange.headers.retain(|(name, _)| name != "Content-Type");
        assert_eq!(status(&exchange), empty, "{body}");
        empty
    };
    for (body, expected) in [
        (r#"{"a":"\u0061ttack"}"#, 403),
        (" [1,\"\\u0061ttack\"] x", 403),
        (r#"{"\u0061ttack":1}"#, 403),
        // Go takes half a surrogate pair.
        (r#"{"a":"\ud800","b":"attack"}"#, 403),
        (r#"{"a":"good"}"#, 200),
        ("{{template}}", 200),
        ("plain", 200),
    ] {
        assert_eq!(untyped(body), expected, "{body}");
    }
    // With a type that nothing reads it stays text.
    assert_eq!(status(&post("/", "text/plain", r#"{"a":"\u0061ttack"}"#)), 200);
}
