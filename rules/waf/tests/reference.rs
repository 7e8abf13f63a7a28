//! What ModSecurity's reference says of variables, limits and the recommended configuration, one behaviour each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use exchange::{Exchange, compile, connection, engine, form, get, policy, post};
use palisade_model::documents::{BodyLimit, OverLimit};
use palisade_waf::Transaction;

/// Whether a rule on `target` matches what `operator` says, in phase 5, when everything is known.
fn holds(before: &str, exchange: &Exchange, target: &str, operator: &str) -> bool {
    let rules = format!("{before}\nSecRule {target} \"{operator}\" \"id:1,phase:5,pass\"");
    exchange.run(&engine(&rules)).ids().contains(&1)
}

fn check(before: &str, exchange: &Exchange, rows: &[(&str, &str)]) {
    for (target, value) in rows {
        let operator = if value.is_empty() { "^$".to_owned() } else { format!("@streq {value}") };
        assert!(holds(before, exchange, target, &operator), "{target} is not {value}");
    }
}

#[test]
fn variables_of_the_connection_and_of_time() {
    // 2026-01-01 00:00:00 UTC, a Thursday.
    check(
        "SecWebAppId shop",
        &get("/"),
        &[
            ("REMOTE_ADDR", "192.0.2.7"),
            ("REMOTE_HOST", "192.0.2.7"),
            ("REMOTE_PORT", "4711"),
            ("SERVER_ADDR", "192.0.2.1"),
            ("SERVER_PORT", "8080"),
            ("SERVER_NAME", "localhost"),
            ("TIME", "00:00:00"),
            ("TIME_DAY", "1"),
            ("TIME_EPOCH", "1767225600"),
            ("TIME_HOUR", "0"),
            ("TIME_MIN", "0"),
            ("TIME_MON", "0"),
            ("TIME_SEC", "0"),
            ("TIME_WDAY", "4"),
            ("TIME_YEAR", "2026"),
            ("DURATION", "0"),
            ("UNIQUE_ID", "0123456789abcdef"),
            ("WEBAPPID", "shop"),
            ("MODSEC_BUILD", "030015100"),
        ],
    );
    check("", &get("/"), &[("WEBAPPID", "default")]);
    assert!(holds("", &get("/"), "MODSEC_BUILD", "@ge 020502000"), "rule sets ask for a least version");
}

#[test]
fn variables_of_the_request() {
    let request = get("/shop/a%20b.php?q=1&r=2").header("Cookie", "sid=9").header("X-A", "b");
    let full = "GET /shop/a%20b.php?q=1&r=2 HTTP/1.1\r\nHost: localhost\r\nCookie: sid=9\r\nX-A: b\r\n\r\n";
    let length = full.len().to_string();
    check(
        "",
        &request,
        &[
            ("REQUEST_METHOD", "GET"),
            ("REQUEST_PROTOCOL", "HTTP/1.1"),
            ("REQUEST_LINE", "GET /shop/a%20b.php?q=1&r=2 HTTP/1.1"),
            ("REQUEST_URI_RAW", "/shop/a%20b.php?q=1&r=2"),
            ("REQUEST_FILENAME", "/shop/a b.php"),
            ("REQUEST_BASENAME", "a b.php"),
            ("PATH_INFO", "/shop/a b.php"),
            ("QUERY_STRING", "q=1&r=2"),
            ("FULL_REQUEST_LENGTH", &length),
            ("ARGS_COMBINED_SIZE", "4"),
            ("&ARGS_GET", "2"),
            ("ARGS_GET_NAMES:r", "r"),
            ("REQUEST_COOKIES:sid", "9"),
            ("&REQUEST_COOKIES_NAMES", "1"),
            ("REQUEST_HEADERS:x-a", "b"),
            ("URLENCODED_ERROR", "0"),
            ("REMOTE_USER", ""),
        ],
    );
    assert!(holds("", &request, "FULL_REQUEST", "@beginsWith GET /shop/a%20b.php"));
    check("", &get("/?a=%zz"), &[("URLENCODED_ERROR", "1")]);
}

#[test]
fn credentials_name_a_scheme_and_a_user() {
    for (header, scheme, user) in [
        ("Basic YWxpY2U6c2VjcmV0", "Basic", "alice"),
        ("basic   YWxpY2U6Yjpj", "basic", "alice"),
        ("Basic YWxpY2U=", "Basic", "alice"),
        ("Basic", "Basic", ""),
        ("Basic %%%", "Basic", ""),
        ("Bearer YWxpY2U6c2VjcmV0", "Bearer", ""),
        ("", "", ""),
    ] {
        let request = get("/").header("Authorization", header);
        check("", &request, &[("AUTH_TYPE", scheme), ("REMOTE_USER", user)]);
    }
}

#[test]
fn variables_of_the_body_and_of_the_response() {
    let sent = form("/", "a=1&b=22").answered(404, "text/html; charset=utf-8", "gone");
    check(
        "",
        &sent,
        &[
            ("REQUEST_BODY", "a=1&b=22"),
            ("REQUEST_BODY_LENGTH", "8"),
            ("REQBODY_PROCESSOR", "URLENCODED"),
            ("REQBODY_ERROR", "0"),
            ("INBOUND_DATA_ERROR", "0"),
            ("ARGS_POST:b", "22"),
            ("&ARGS_POST_NAMES", "2"),
            ("RESPONSE_STATUS", "404"),
            ("STATUS", "404"),
            ("RESPONSE_PROTOCOL", "HTTP/1.1"),
            ("STATUS_LINE", "HTTP/1.1 404 Not Found"),
            ("RESPONSE_CONTENT_TYPE", "text/html"),
            ("RESPONSE_CONTENT_LENGTH", "4"),
            ("RESPONSE_BODY", "gone"),
            ("RESPONSE_HEADERS:Content-Type", "text/html; charset=utf-8"),
            ("OUTBOUND_DATA_ERROR", "0"),
        ],
    );
    let judged = "SecRule REQBODY_ERROR \"@eq 2\" \"id:9,phase:2,pass\"";
    check(judged, &post("/", "application/json", "{"), &[("REQBODY_ERROR", "1")]);
}

#[test]
fn variables_that_rules_make() {
    let before = "SecAction \"id:8,phase:1,pass,severity:3,setenv:colour=red,setuid:alice,setsid:s1\"
                  SecRule ARGS \"@rx 2\" \"id:9,phase:1,pass,msg:'two %{MATCHED_VAR}',severity:4,ver:'v/1',rev:'7',chain\"
                  SecRule MATCHED_VARS_NAMES \"@rx .\"";
    check(
        before,
        &get("/?a=12&b=23&c=3"),
        &[
            ("ENV:colour", "red"),
            ("USERID", "alice"),
            ("SESSIONID", "s1"),
            ("HIGHEST_SEVERITY", "3"),
            ("RULE:id", "1"),
            ("RULE:phase", "5"),
        ],
    );
    let matched = "SecRule ARGS \"@rx 2\" \"id:9,phase:1,pass,chain\"
                   SecRule &MATCHED_VARS \"@eq 2\" \"chain\"
                   SecRule MATCHED_VARS:ARGS:b \"@streq 23\" \"chain\"
                   SecRule MATCHED_VARS_NAMES:ARGS:a \"@streq ARGS:a\" \"chain\"
                   SecRule MATCHED_VAR_NAME \"@rx ^MATCHED_VARS_NAMES\" \"setvar:tx.chain=1\"";
    check(matched, &get("/?a=12&b=23&c=3"), &[("TX:chain", "1")]);
}

#[test]
fn the_recommended_configuration_loads_and_what_has_no_effect_is_told_once_with_its_place() {
    let recommended = r#"SecRuleEngine DetectionOnly
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" \
     "id:'200000',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" \
     "id:'200001',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRequestBodyLimit 13107200
SecRequestBodyNoFilesLimit 131072
SecRequestBodyLimitAction Reject
SecRequestBodyJsonDepthLimit 512
SecArgumentsLimit 1000
SecRule &ARGS "@ge 1000" \
"id:'200007', phase:2,t:none,log,deny,status:400,msg:'Failed to fully parse request body due to large argument count',severity:2"
SecRule REQBODY_ERROR "!@eq 0" \
"id:'200002', phase:2,t:none,log,deny,status:400,msg:'Failed to parse request body.',logdata:'%{reqbody_error_msg}',severity:2"
SecRule MULTIPART_STRICT_ERROR "!@eq 0" \
"id:'200003',phase:2,t:none,log,deny,status:400,msg:'Multipart: PE %{REQBODY_PROCESSOR_ERROR}, BQ %{MULTIPART_BOUNDARY_QUOTED}'"
SecRule MULTIPART_UNMATCHED_BOUNDARY "@eq 1" \
    "id:'200004',phase:2,t:none,log,deny,msg:'Multipart parser detected a possible unmatched boundary.'"
SecPcreMatchLimit 1000
SecPcreMatchLimitRecursion 1000
SecRule TX:/^MSC_/ "!@streq 0" "id:'200005',phase:2,t:none,deny,msg:'ModSecurity internal error flagged: %{MATCHED_VAR_NAME}'"
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html text/xml
SecResponseBodyLimit 524288
SecResponseBodyLimitAction ProcessPartial
SecTmpDir /tmp/
SecDataDir /tmp/
SecAuditEngine RelevantOnly
SecAuditLogRelevantStatus "^(?:5|4(?!04))"
SecAuditLogParts ABIJDEFHZ
SecAuditLogType Serial
SecAuditLog /var/log/modsec_audit.log
SecArgumentSeparator &
SecCookieFormat 0
SecUnicodeMapFile unicode.mapping 20127
SecStatusEngine Off
"#;
    let engine = engine(recommended);
    let told: Vec<(&str, &str)> = engine
        .notes()
        .iter()
        .map(|note| {
            let (place, rest) = note.split_once(": note: ").unwrap();
            (place, rest.split_once(": ").unwrap().0)
        })
        .collect();
    for (place, name) in [
        ("test.conf:20:1", "SecPcreMatchLimit"),
        ("test.conf:27:1", "SecTmpDir"),
        ("test.conf:28:1", "SecDataDir"),
        ("test.conf:36:1", "SecUnicodeMapFile"),
        ("test.conf:37:1", "SecStatusEngine"),
    ] {
        assert!(told.iter().any(|(at, found)| (*at, *found) == (place, name)), "{name}: {told:?}");
    }
    assert!(!told.iter().any(|(_, name)| name.starts_with("SecRequestBodyLimit")), "{told:?}");
    let twice =
        compile("SecTmpDir /a\nSecTmpDir /b\nSecRule DURATION|DURATION \"@gt 0\" id:1", &policy()).unwrap();
    assert_eq!(twice.notes().len(), 2, "{:?}", twice.notes());
    let exchange = get("/?a=1").header("Content-Type", "application/json");
    assert_eq!(exchange.run(&engine).interruption, None);
}

#[test]
fn the_smaller_of_the_rule_sets_and_the_policys_body_limit_holds() {
    use OverLimit::{InspectPrefix, Reject};
    let policy_limit = BodyLimit { max_bytes: 1_000, over: InspectPrefix };
    let of = |rules: &str, content_type: &str| {
        let head = post("/", content_type, "x").head();
        let mut transaction = Transaction::begin(engine(rules), &connection(), &head, 0, "id");
        transaction.request_headers();
        let (request, response) =
            (transaction.request_body_limit(policy_limit), transaction.response_body_limit(policy_limit));
        ((request.max_bytes, request.over), (response.max_bytes, response.over))
    };
    let (json, multipart) = ("application/json", "multipart/form-data; boundary=b");
    let unchanged = (1_000, InspectPrefix);
    let phase_1 = |action: &str| format!("SecAction \"id:1,phase:1,pass,nolog,{action}\"");
    for (rules, content_type, request, response) in [
        (String::new(), json, unchanged, unchanged),
        ("SecRequestBodyLimit 999".into(), json, (999, Reject), unchanged),
        ("SecRequestBodyLimit 1000".into(), json, (1_000, Reject), unchanged),
        ("SecRequestBodyLimit 1001".into(), json, unchanged, unchanged),
        (
            "SecRequestBodyLimit 9\nSecRequestBodyLimitAction ProcessPartial".into(),
            json,
            (9, InspectPrefix),
            unchanged,
        ),
        ("SecRequestBodyLimit 9\nSecRuleEngine DetectionOnly".into(), json, (9, InspectPrefix), unchanged),
        ("SecRequestBodyLimit 500\nSecRequestBodyNoFilesLimit 100".into(), json, (100, Reject), unchanged),
        (
            "SecRequestBodyLimit 500\nSecRequestBodyNoFilesLimit 100".into(),
            multipart,
            (500, Reject),
            unchanged,
        ),
        (
            "SecResponseBodyLimit 10\nSecResponseBodyLimitAction ProcessPartial".into(),
            json,
            unchanged,
            (10, InspectPrefix),
        ),
        ("SecResponseBodyLimit 10".into(), json, unchanged, (10, Reject)),
        (phase_1("ctl:requestBodyLimit=50"), json, (50, Reject), unchanged),
        (
            "SecRequestBodyLimit 9\n".to_owned() + &phase_1("ctl:requestBodyLimit=70"),
            json,
            (70, Reject),
            unchanged,
        ),
        (phase_1("ctl:requestBodyLimit=5000"), json, unchanged, unchanged),
        (phase_1("ctl:responseBodyLimit=60"), json, unchanged, (60, Reject)),
    ] {
        assert_eq!(of(&rules, content_type), (request, response), "{rules} {content_type}");
    }
}
