//! Promise: whatever an exchange holds, its line of the audit log is one line of JSON that is read back as it was, and
//! no value of it is in the line where the policy shows none.
#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use palisade_fuzz::exchange::{answer, connection, engines, head, headers, policy, rule_set};
use palisade_fuzz::input::{Input, escaped};
use palisade_fuzz::record::{Audited, audited};
use palisade_model::audit::AuditRecord;
use palisade_model::record::{
    ConnectionFacts, Inspection, RECORD_VERSION, RequestFacts, ResponseFacts, VerdictFacts, first_segment,
};
use palisade_model::{Denial, Reason, RequestHead, RequestRecord, WorkloadId};
use palisade_waf::{Engine, Transaction};
use serde_json::json;

/// In every value. Nothing that an input is likely to have.
const SECRET: &str = "q7Zk1mVx9";
const RULES: &str = "SecAuditEngine On\nSecAuditLogParts ABCEFHIJKZ\n\
    SecRule REQUEST_URI|REQUEST_HEADERS|REQUEST_COOKIES|ARGS|REQUEST_BODY|XML:/*|XML://@*|FILES|FILES_NAMES|MULTIPART_PART_HEADERS|FULL_REQUEST \
    \"@rx (?i)(q7zk)(.*)\" \"id:1,phase:2,pass,capture,multiMatch,t:none,t:lowercase,msg:'%{MATCHED_VAR} %{TX.0}',\
    logdata:'%{MATCHED_VAR_NAME} %{MATCHED_VAR} %{ARGS.a} %{TX.2}',tag:'x/%{TX.1}',severity:ERROR,setvar:tx.seen=%{MATCHED_VAR}\"\n\
    SecRule TX:seen|REQBODY_ERROR_MSG|REQUEST_LINE|QUERY_STRING \"@unconditionalMatch\" \"id:2,phase:2,pass,log,auditlog,msg:'%{MATCHED_VAR}',logdata:'%{MATCHED_VAR}'\"\n\
    SecRule RESPONSE_HEADERS|RESPONSE_BODY|RESPONSE_STATUS \"@rx .\" \"id:3,phase:4,pass,capture,msg:'%{TX.0}',logdata:'%{MATCHED_VAR}'\"\n";

/// An engine that shows nothing, and one that shows everything.
fn shown() -> &'static [Arc<Engine>; 2] {
    static SHOWN: OnceLock<[Arc<Engine>; 2]> = OnceLock::new();
    SHOWN.get_or_init(|| {
        [false, true].map(|show| {
            let mut policy = policy();
            let log = json!({"headers": show, "uri": show, "matchedBytes": show, "bodies": show});
            policy.audit_log = serde_json::from_value(log).expect("what the policy shows");
            let [fast, _] = engines(&rule_set(RULES, &[]), &policy);
            fast
        })
    })
}

/// A request and its answer in which every value holds the secret.
struct Story {
    head: RequestHead,
    body: Vec<u8>,
    answer: Vec<u8>,
}

fn story(mut input: Input<'_>) -> Story {
    let kind = input.byte();
    let [name, before, after, file] = [(); 4].map(|()| input.line());
    let value = format!("{}{SECRET}{}", escaped(before), escaped(after));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let plain = format!("{}{SECRET}{}", text(before), text(after));
    let (media, body) = match kind % 5 {
        0 => ("application/x-www-form-urlencoded", format!("{}={value}", escaped(name))),
        1 => ("application/json", json!({"a": plain, "b": [plain]}).to_string()),
        2 => (
            "multipart/form-data; boundary=b",
            format!(
                "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{plain}\r\n--b\r\nContent-Disposition: \
                 form-data; name=f; filename=\"{value}\"\r\nX-Part: {SECRET}\r\n\r\n{plain}\r\n--b--\r\n"
            ),
        ),
        3 => ("text/xml", format!("<a b=\"{value}\">{value}</a>")),
        _ => ("text/plain", plain.clone()),
    };
    let lines = [
        format!("content-type: {media}"),
        format!("cookie: sid={value}; b={SECRET}"),
        format!("authorization: Bearer {value}"),
        format!("user-agent: {value}"),
        format!("x-any: {}", plain.replace(['\r', '\n'], "")),
    ];
    let path = format!("/first/{value}");
    let query = format!("{}={value}&a={SECRET}", escaped(name));
    let head = head(b"POST", &path, Some(query), headers(lines.iter().map(String::as_bytes)));
    Story { head, body: body.into_bytes(), answer: [file, SECRET.as_bytes()].concat() }
}

/// The line that the proxy writes of it.
fn line(engine: &Arc<Engine>, story: &Story, refused: bool) -> String {
    let connection = connection();
    let mut transaction =
        Transaction::begin(engine.clone(), &connection, &story.head, 1_767_225_600_000, "reference");
    transaction.request_headers();
    transaction.request_body_feed(&story.body);
    transaction.request_body(true);
    let types =
        [format!("content-type: text/html"), format!("set-cookie: a={SECRET}"), format!("x-b: {SECRET}")];
    let answer = answer(200, headers(types.iter().map(String::as_bytes)));
    transaction.response_headers(&answer);
    transaction.response_body_feed(&story.answer);
    transaction.response_body(true);
    transaction.logging();
    let trail = transaction.audit_trail();
    let record = record(story, refused, transaction.matches().to_vec());
    let facts = Audited {
        record: &record,
        trail,
        cause: refused.then_some("waf_request"),
        headers: Some(&answer.headers),
    };
    let written = audited(facts);
    let line = serde_json::to_string(&written).expect("a line can be written");
    assert_eq!(serde_json::from_str::<AuditRecord>(&line).expect("a line can be read"), written);
    line
}

fn record(story: &Story, refused: bool, matches: Vec<palisade_model::record::RuleMatch>) -> RequestRecord {
    let connection = connection();
    let path = &story.head.path;
    let denial = || Denial::new(Reason::WafRequest, None, format!("score 5 at {path}"));
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    RequestRecord {
        version: RECORD_VERSION,
        reference: "reference".into(),
        time_ms: 1_767_225_600_000,
        workload: WorkloadId::local("shop", "web"),
        policy_version: "7".into(),
        connection: ConnectionFacts {
            listener: connection.listener.to_string(),
            direction: connection.direction,
            peer: connection.peer.to_string(),
            client: connection.client.to_string(),
            local: connection.local.to_string(),
            principal: None,
            sni: None,
        },
        request: Some(RequestFacts {
            method: "POST".into(),
            host: "localhost".into(),
            path: path.clone(),
            query: story.head.query.clone(),
            headers: story.head.headers.iter().map(header).collect(),
            protocol: "HTTP/2.0".into(),
        }),
        verdict: if refused { VerdictFacts::Deny(denial()) } else { VerdictFacts::Permit },
        staged: None,
        matches,
        inspection: Inspection::Full { bytes: story.body.len() as u64 },
        response_inspection: Inspection::None,
        response: Some(ResponseFacts {
            status: 200,
            cluster: None,
            truncated: false,
            duration_us: 1,
            request_bytes: 1,
            response_bytes: 1,
        }),
    }
}

// The first byte chooses the body's form; then lines: a name, what stands before and after the secret, an answer.
fuzz_target!(|data: &[u8]| {
    if data.windows(4).any(|part| part.eq_ignore_ascii_case(b"q7Zk")) {
        return;
    }
    let refused = data.first().is_some_and(|byte| byte & 0x80 != 0);
    let story = story(Input::new(data));
    for (engine, shows) in shown().iter().zip([false, true]) {
        let line = line(engine, &story, refused);
        assert!(!line.contains(['\n', '\r']), "more than one line");
        let leaks = line.to_ascii_lowercase().contains(&SECRET.to_ascii_lowercase());
        assert_eq!(leaks, shows, "{line}");
        // The first segment of a path is shown, unless a rule matched in it.
        assert!(shows || !line.contains(&first_segment(&story.head.path)) || line.contains("/first/…"));
    }
});
