//! Paths that mean the admin pages to somebody.

use crate::frames::Http2;
use crate::stage::{Origin, Stage};

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: shop.example\r\n\r\n").into_bytes()
}

/// Over HTTP/1.1 and HTTP/2.
fn refused(targets: &[&str], statuses: &[u16]) {
    let stage = Stage::new(Origin::ok());
    for target in targets {
        stage.refuses(target, get(target), statuses);
        // A target with bytes that no URI has cannot be told apart from a broken frame: a reset is a refusal too.
        Http2::refused(&stage, target, &Http2::get(target), statuses);
    }
    stage.serves_others();
}

#[test]
fn path_01_a_double_slash_does_not_hide_a_denied_path() {
    refused(&["//admin", "///admin/x", "/./admin", "/.//admin"], &[403]);
}

#[test]
fn path_02_an_encoded_letter_does_not_hide_a_denied_path() {
    refused(&["/%61dmin", "/%61%64%6d%69%6e", "/admi%6E"], &[403]);
}

#[test]
fn path_04_encoded_dot_segments_are_resolved_before_the_verdict() {
    refused(&["/x/%2e%2e/admin", "/x/../admin", "/x/.%2E/admin", "/x/y/../../admin"], &[403]);
}

#[test]
fn path_05_an_encoded_slash_does_not_hide_a_denied_path() {
    refused(&["/x%2f..%2fadmin", "/x%2F../admin", "/%2fadmin"], &[400, 403]);
}

#[test]
fn path_06_a_backslash_does_not_hide_a_denied_path() {
    refused(&["/\\admin", "/%5cadmin", "/x%5c..%5cadmin", "/x\\..\\admin"], &[400, 403]);
    let stage = Stage::new(Origin::ok());
    stage.refuses("a target that begins with a backslash", get("\\admin"), &[400]);
}

#[test]
fn path_08_parameters_do_not_hide_a_denied_path() {
    refused(&["/x/..;/admin", "/x/..;a=b/admin", "/admin;x=y", "/;x/admin", "/.;/admin"], &[400, 403]);
}

#[test]
fn path_09_a_fragment_is_refused() {
    let stage = Stage::new(Origin::ok());
    for target in ["/admin#frag", "/good#/../admin", "/#"] {
        stage.refuses(target, get(target), &[400, 403]);
    }
}

#[test]
fn path_10_a_query_does_not_hide_an_exact_path() {
    let stage = Stage::with(Origin::ok(), |policy| {
        policy["authorization"][0]["spec"]["rules"][0]["to"][0]["operation"]["paths"] = ["/admin"].into();
    });
    for target in ["/admin?x", "/admin?", "//admin?a=/good", "http://shop.example/admin?x"] {
        stage.refuses(target, get(target), &[403]);
    }
    Http2::refused(&stage, "/admin?x", &Http2::get("/admin?x"), &[403]);
}

#[test]
fn path_12_double_encoding_is_forwarded_as_it_was_judged() {
    let stage = Stage::new(Origin::ok());
    for target in ["/x/%252e%252e/y", "/%2561dmi", "/x%252fy"] {
        assert_eq!(stage.forwards(target, get(target)).target(), target);
    }
    stage.refuses("one decoding", get("/x/%252e%252e/%2e%2e/%2e%2e/%61dmin"), &[403]);
}

#[test]
fn path_13_overlong_utf8_is_forwarded_as_it_was_judged_or_refused() {
    let stage = Stage::new(Origin::ok());
    for target in ["/x%c0%afy", "/x/%c0%ae%c0%ae/y", "/%e0%80%afy"] {
        let seen = stage.forwards(target, get(target));
        assert!(seen.target().eq_ignore_ascii_case(target), "{target}: {}", seen.target());
    }
    stage.refuses(
        "raw bytes over 0x7f",
        b"GET /\xc0\xafadmin HTTP/1.1\r\nhost: shop.example\r\n\r\n",
        &[400],
    );
}

#[test]
fn path_14_a_path_without_a_slash_is_refused() {
    let stage = Stage::new(Origin::ok());
    stage.refuses("no slash", get("admin"), &[400]);
    stage.refuses("empty", get(""), &[400]);
    for path in ["admin", "", "*"] {
        Http2::refused(&stage, path, &Http2::get(path), &[400, 403]);
    }
}

#[test]
fn path_16_a_double_slash_is_a_path_and_no_authority() {
    let stage = Stage::new(Origin::ok());
    stage.refuses("//evil/../admin", get("//evil/../admin"), &[403]);
    let seen = stage.forwards("//evil/x", get("//evil/x"));
    assert_eq!(seen.target(), "/evil/x");
    assert!(seen.head.contains("host: shop.example\r\n"), "{}", seen.head);
    stage.refuses("absolute", get("http://admin.example/"), &[400, 403]);
    stage.refuses("absolute, in capitals", get("HTTP://SHOP.example/%61dmin"), &[400, 403]);
    stage.refuses("user info", get("http://shop.example@admin.example/"), &[400]);
}

#[test]
fn path_17_a_template_segment_does_not_cross_a_slash() {
    let stage = Stage::with(Origin::ok(), |policy| {
        policy["authorization"][0]["spec"]["action"] = "ALLOW".into();
        policy["authorization"][0]["spec"]["rules"] =
            serde_json::json!([{"to": [{"operation": {"paths": ["/good", "/users/{*}/photo"]}}]}]);
    });
    stage.forwards("one segment", get("/users/a/photo"));
    for target in
        ["/users/a/b/photo", "/users//photo", "/users/photo", "/users/a%2fb/photo", "/users/a%5cb/photo"]
    {
        stage.refuses(target, get(target), &[400, 403]);
    }
}

#[test]
fn path_18_an_encoded_nul_is_refused() {
    refused(&["/good%00/../admin", "/%00admin", "/good%00"], &[400, 403]);
}
