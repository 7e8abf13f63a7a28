//! Bodies made to pass under the rules.

use std::io::Write;
use std::sync::Arc;

use crate::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, Http2, Outcome, block, frame};
use crate::protocols::http2_echo;
use crate::stage::{Client, GOOD, Origin, Stage, with_waf};

const RULES: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQBODY_ERROR "!@eq 0" "id:2,phase:2,deny,status:400"
SecAction "id:4,phase:1,pass,nolog,ctl:forceRequestBodyVariable=On"
SecRule ARGS|ARGS_NAMES|REQUEST_BODY "@contains attack" "id:3,phase:2,deny,status:403"
"#;
const LIMIT: usize = 1000;

fn stage(over: &str) -> Stage {
    Stage::with(Origin::ok(), |policy| with_waf(policy, RULES, LIMIT, over))
}

fn post(kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /good HTTP/1.1\r\nhost: shop.example\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn waf_90_a_body_over_the_limit_is_413_or_judged_by_its_first_part() {
    let form = |length: usize| format!("a={}", "x".repeat(length - 2));
    let reject = stage("reject");
    reject.forwards("under", post(FORM, &form(LIMIT - 1)));
    reject.forwards("at", post(FORM, &form(LIMIT)));
    reject.refuses("over", post(FORM, &form(LIMIT + 1)), &[413]);
    reject.refuses(
        "over, an attack behind the limit",
        post(FORM, &format!("{}&b=attack", form(LIMIT))),
        &[413],
    );
    let prefix = stage("inspectPrefix");
    let over = form(LIMIT + 1);
    assert_eq!(prefix.forwards("over", post(FORM, &over)).body, over.as_bytes());
    prefix.refuses("an attack in the first part", post(FORM, &format!("b=attack&{}", form(LIMIT))), &[403]);
    // A length that lies holds nothing back: the refusal comes with the first byte over the limit.
    let mut client = Client::connect(reject.edge);
    let over = form(LIMIT + 1);
    let head = "POST /good HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 4000000000";
    client.send(format!("{head}\r\ncontent-type: {FORM}\r\n\r\n{over}"));
    assert_eq!(client.answer().unwrap().status, 413, "long before its end");
}

#[test]
fn waf_90_a_long_upload_passes_in_bounded_memory_and_everything_but_its_files_is_judged() {
    const FIELDS: &str = "SecRule ARGS|FILES \"@contains attack\" \"id:3,phase:2,deny,status:403\"";
    const HELD: usize = 64 * 1024;
    let stage = Stage::with(Origin::ok(), |policy| with_waf(policy, FIELDS, HELD, "reject"));
    let upload = |length: usize, last: &str| {
        let part = |name: &str| format!("--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n");
        let mut body = format!("{}hello\r\n{}", part("note"), part("f; filename=a")).into_bytes();
        body.resize(body.len() + length, b'x');
        body.extend_from_slice(format!("\r\n{}{last}\r\n--b--\r\n", part("last")).as_bytes());
        let length = body.len();
        let head = format!("POST /good HTTP/1.1\r\nhost: shop.example\r\ncontent-length: {length}\r\n");
        let kind = "content-type: multipart/form-data; boundary=b\r\n\r\n";
        [head.as_bytes(), kind.as_bytes(), &body].concat()
    };
    // An attack behind a file: the upstream sees a broken request at most.
    let mut client = Client::connect(stage.edge);
    client.send(upload(300_000, "attack"));
    assert_eq!(client.answer().unwrap().status, 403);
    assert_eq!(stage.origin.count(), 0, "{:?}", stage.origin.requests().len());
    assert!(!stage.origin.text().contains("attack"));
    // A field that is as long as a file is none.
    let long = "x".repeat(3 * HELD);
    let mut client = Client::connect(stage.edge);
    client.send(upload(300_000, &long));
    assert_eq!(client.answer().unwrap().status, 413);
    assert_eq!(stage.origin.count(), 0);
    stage.serves_others();
    let before = stage.memory();
    let seen = stage.forwards("50 MiB", upload(50 << 20, "fine"));
    assert!(seen.body.len() > 50 << 20 && seen.body.ends_with(b"fine\r\n--b--\r\n"));
    let grown = stage.memory().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more for an upload of 50 MiB");
}

/// A form with a file that begins and ends with so many bytes around `middle`.
fn long_form(around: usize, middle: &str) -> Vec<u8> {
    let bytes = "x".repeat(around);
    let head = "--b0undary\r\ncontent-disposition: form-data; name=f; filename=a\r\n\r\n";
    let body = format!("{head}{bytes}{middle}{bytes}\r\n--b0undary--\r\n");
    post("multipart/form-data; boundary=b0undary", &body).into_bytes()
}

#[test]
fn waf_92_a_file_that_holds_what_some_reader_takes_for_a_boundary_never_arrives_however_long_it_is() {
    const FIELDS: &str = "SecRule ARGS \"@contains attack\" \"id:3,phase:2,deny,status:403\"";
    const HELD: usize = 64 * 1024;
    for over in ["reject", "inspectPrefix"] {
        let stage = Stage::with(Origin::ok(), |policy| with_waf(policy, FIELDS, HELD, over));
        let mut refused = 0;
        // White space and quotes; Django takes one within a line, Werkzeug one behind a carriage return.
        for odd in
            ["\r\n-- b0undary", "\r\n--\"b0undary\"", "x--b0undary", "\r--b0undary", "\n--\t \x0b b0undary"]
        {
            let part = format!("{odd}\r\ncontent-disposition: form-data; name=evil\r\n\r\nattack");
            // In a form that is held, at its limit, and where the bytes pass unheld.
            for around in [100, HELD / 2, HELD - 80, 300_000] {
                let mut client = Client::connect(stage.edge);
                client.send(long_form(around, &part));
                let answer = client.answer().unwrap_or_else(|| panic!("{odd:?} {around}: no answer"));
                assert_eq!(answer.status, 400, "{over} {odd:?} {around}");
                refused += 1;
            }
        }
        assert_eq!(stage.origin.count(), 0, "no request is whole");
        let text = stage.origin.text();
        assert!(!text.contains("attack") && !text.contains("name=evil"), "{over}");
        let metrics = stage.metrics();
        let counted = metrics.lines().find(|line| line.contains("body_malformed")).unwrap_or_default();
        assert!(counted.ends_with(&format!(" {refused}")), "{counted} of {refused}");
        stage.serves_others();
    }
}

#[test]
fn waf_92_key_files_and_patches_are_uploaded_as_they_are() {
    // ModSecurity's recommended rules beside our own.
    const STRICT: &str = r#"
SecRule REQBODY_ERROR "!@eq 0" "id:2,phase:2,deny,status:400"
SecRule MULTIPART_STRICT_ERROR "!@eq 0" "id:3,phase:2,deny,status:400"
SecRule MULTIPART_UNMATCHED_BOUNDARY "!@eq 0" "id:4,phase:2,deny,status:400"
"#;
    const HELD: usize = 64 * 1024;
    let stage = Stage::with(Origin::ok(), |policy| with_waf(policy, STRICT, HELD, "reject"));
    let text = "-----BEGIN PRIVATE KEY-----\r\nTUlJRXZn\r\n-----END PRIVATE KEY-----\r\n--- a/f\n+++ b/f\n\
                @@ -1 +1 @@\n--old\n-- \nsignature\n--\r\n-- \"quoted\"\r\n--b0und\r\n-- b0und\r\n";
    for repeat in [1, 20, 3_000] {
        let sent = long_form(10, &format!("\r\n{}", text.repeat(repeat)));
        let seen = stage.forwards("keys and patches", &sent);
        assert!(sent.ends_with(&seen.body) && seen.body.len() > text.len() * repeat, "{repeat}");
    }
    stage.alive();
}

#[test]
fn waf_94_deep_json_and_duplicate_keys_are_refused_or_seen_whole() {
    let stage = Stage::with(Origin::ok(), |policy| with_waf(policy, RULES, 512 * 1024, "reject"));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    stage.refuses("100,000 arrays", post("application/json", &deep), &[400, 403, 413, 503]);
    let deep = format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
    stage.refuses("50,000 objects", post("application/json", &deep), &[400, 403, 413, 503]);
    stage.refuses("unclosed", post("application/json", &"[".repeat(100_000)), &[400, 403, 413, 503]);
    for body in [
        r#"{"a":"attack","a":"b"}"#,
        r#"{"a":"b","a":"attack"}"#,
        r#"{"a":"\u0061ttack"}"#,
        r#"{"attack":1}"#,
    ] {
        stage.refuses(body, post("application/json", body), &[400, 403]);
    }
    stage.forwards("good JSON", post("application/json", r#"{"a":["b",{"c":1}]}"#));
    stage.alive();
}

#[test]
fn waf_93_another_charset_does_not_hide_an_attack_that_is_written_in_ascii() {
    let stage = stage("reject");
    for kind in [
        "application/x-www-form-urlencoded; charset=utf-7",
        "application/x-www-form-urlencoded;charset=ibm037",
        "text/plain; charset=utf-16",
        "APPLICATION/X-WWW-FORM-URLENCODED",
        "",
    ] {
        stage.refuses(kind, post(kind, "a=attack"), &[400, 403, 415]);
    }
}

#[test]
fn waf_96_an_attack_in_pieces_is_one_attack() {
    let stage = stage("reject");
    let chunks: String = "a=attack".chars().map(|piece| format!("1\r\n{piece}\r\n")).collect();
    let head = format!("POST /good HTTP/1.1\r\nhost: shop.example\r\ncontent-type: {FORM}\r\n");
    stage.refuses("chunks", format!("{head}transfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"), &[403]);
    let mut client = Client::connect(stage.edge);
    for byte in post(FORM, "a=attack").bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer().unwrap().status, 403, "bytes");
    let mut frames = Http2::connect(&stage);
    let mut fields = Http2::get("/good");
    fields[0].1 = b"POST";
    fields.push((b"content-type", FORM.as_bytes()));
    frames.send(&frame(HEADERS, END_HEADERS, 1, &block(&fields)));
    for piece in ["a=a", "", "tt", "ac"] {
        frames.send(&frame(DATA, 0, 1, piece.as_bytes()));
    }
    frames.send(&frame(DATA, END_STREAM, 1, b"k"));
    assert_eq!(frames.outcome(1), Outcome::Status(403), "frames");
    // Padding (flag 8) is no data.
    frames.send(&frame(HEADERS, END_HEADERS, 3, &block(&fields)));
    frames.send(&frame(DATA, 8, 3, b"\x03a=attxxx"));
    frames.send(&frame(DATA, END_STREAM | 8, 3, b"\x03ackxxx"));
    assert_ne!(frames.outcome(3), Outcome::Status(200), "padded frames");
    assert!(!stage.origin.text().contains("POST"), "{:?}", stage.origin.requests());
}

#[test]
fn waf_97_what_is_not_inspected_is_said_to_be() {
    // A WebSocket's bytes and gRPC's messages pass unread; the access log has the reason in its record.
    let origin = Origin::start(Arc::new(|seen, stream| {
        let answer = if seen.head.contains("websocket") {
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nattack"
        } else {
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        };
        stream.write_all(answer.as_bytes()).is_ok() && !seen.head.contains("websocket")
    }));
    let stage = Stage::with(origin, |policy| with_waf(policy, RULES, LIMIT, "reject"));
    let mut client = Client::connect(stage.edge);
    client.send(
        "GET /good HTTP/1.1\r\nhost: shop.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
    );
    assert_eq!(client.head().unwrap().status, 101);
    assert_eq!(client.bytes(6).unwrap(), b"attack");
    // gRPC is HTTP/2 on both sides, and its content type stands alone.
    let (address, seen) = http2_echo();
    let grpc_stage = Stage::with(Origin::ok(), |policy| {
        policy["clusters"][0]["endpoints"][0]["address"] = address.to_string().into();
        policy["clusters"][0]["protocol"] = "grpc".into();
        with_waf(policy, RULES, LIMIT, "reject");
    });
    let grpc = |kinds: &[&str]| {
        let mut client = Http2::connect(&grpc_stage);
        let mut fields = Http2::get("/good");
        fields[0].1 = b"POST";
        fields.extend(kinds.iter().map(|kind| (&b"content-type"[..], kind.as_bytes())));
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&fields));
        bytes.extend(frame(DATA, END_STREAM, 1, b"a=attack"));
        client.send(&bytes);
        client.outcome(1)
    };
    for kinds in [&["application/grpc", FORM], &[FORM, "application/grpc"], &["application/grpcx", FORM]] {
        assert!(!matches!(grpc(kinds), Outcome::Status(200)), "{kinds:?}");
    }
    assert!(seen.lock().unwrap().is_empty());
    assert_eq!(grpc(&["application/grpc"]), Outcome::Status(200), "declared, not judged");
    assert!(!seen.lock().unwrap().is_empty(), "it was forwarded, since a gRPC refusal has status 200 too");
    // The name alone does not switch inspection off.
    for kind in ["application/grpc", "application/grpc+proto", "application/grpcx", "text/application/grpc"] {
        stage.refuses(kind, post(kind, "a=attack"), &[400, 403]);
    }
    stage.refuses("two types", post("application/grpc\r\ncontent-type: text/plain", "a=attack"), &[400, 403]);
    let mut follow = Client::connect(stage.edge);
    follow.send(GOOD);
    assert_eq!(follow.answer().unwrap().status, 200);
}
