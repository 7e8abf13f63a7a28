//! The audit log of the program itself: what is in the file by default, and what is never in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const RULES: &str = r#"
SecAction "id:1,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_pl1=0"
SecRule ARGS "@rx attack" "id:100,phase:2,deny,status:403,t:none,t:lowercase,msg:'An attack',\
    logdata:'Found %{MATCHED_VAR} in %{MATCHED_VAR_NAME}',severity:CRITICAL,tag:'attack-generic',ver:'test/1',\
    setvar:'tx.inbound_anomaly_score_pl1=+5'"
SecRule ARGS:quiet "@streq 1" "id:101,phase:2,pass,nolog,auditlog,msg:'Quiet'"
SecRule ARGS:silent "@streq 1" "id:102,phase:2,pass,log,noauditlog,msg:'Silent'"
"#;

struct Proxy {
    child: Child,
    admin: PathBuf,
    edge: SocketAddr,
    log: PathBuf,
}

impl Proxy {
    fn start(directory: &Path, rules: &str) -> Self {
        Self::with(directory, rules, json!({}))
    }

    /// With fields of the WafPolicy.
    fn with(directory: &Path, rules: &str, spec: Value) -> Self {
        let (file, admin) = (directory.join("policy.json"), directory.join("admin.sock"));
        std::fs::write(&file, policy(origin(), rules, spec).to_string()).unwrap();
        let log = directory.join("audit.log");
        let child = Command::new(env!("CARGO_BIN_EXE_palisade-proxy"))
            .arg("--policy")
            .arg(&file)
            .arg("--audit-log")
            .arg(&log)
            .arg("--admin-socket")
            .arg(&admin)
            .args(["--workers", "1"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut proxy = Self { child, admin, edge: "127.0.0.1:0".parse().unwrap(), log };
        wait("readiness", || proxy.ask("/readyz").is_some_and(|text| text.starts_with("HTTP/1.1 200")));
        let text = proxy.ask("/config").unwrap();
        let config: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        proxy.edge = config["listeners"][0]["address"].as_str().unwrap().parse().unwrap();
        proxy
    }

    fn ask(&self, path: &str) -> Option<String> {
        let mut stream = UnixStream::connect(&self.admin).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Sends a request and returns the status.
    fn send(&self, head: &str, body: &str) -> u16 {
        let mut stream = TcpStream::connect(self.edge).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        write!(stream, "{head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Waits for so many lines.
    fn lines(&self, count: usize) -> Vec<Value> {
        let read = || std::fs::read_to_string(&self.log).unwrap_or_default();
        wait("the audit log", || read().lines().count() >= count);
        let lines: Vec<_> = read().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), count);
        lines
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !until() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut buffer = [0; 65536];
            if stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                let head = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ncontent-type: text/plain\r\n";
                let cookie = "set-cookie: s=canary-answer\r\nx-shop: canary-answer\r\n";
                let _ = write!(stream, "{head}{cookie}connection: close\r\n\r\ncanary-ok");
            }
        }
    });
    address
}

fn policy(origin: SocketAddr, rules: &str, mut spec: Value) -> Value {
    spec["ruleSet"] = "rules".into();
    json!({
        "apiVersion": "palisade.dev/v1alpha1", "kind": "Policy",
        "workload": {"namespace": "shop", "name": "web"},
        "listeners": [{"name": "edge", "address": "127.0.0.1:0", "role": {"gateway": {}}}],
        "routes": [{"name": "all", "listeners": ["edge"], "backends": [{"cluster": "origin"}]}],
        "clusters": [{"name": "origin", "endpoints": [{"address": origin}]}],
        "waf": [{
            "apiVersion": "palisade.dev/v1alpha1", "kind": "WafPolicy",
            "metadata": {"name": "waf", "namespace": "shop"}, "spec": spec,
        }],
        "ruleSets": [{
            "apiVersion": "palisade.dev/v1alpha1", "kind": "RuleSet",
            "metadata": {"name": "rules", "namespace": "shop"},
            "spec": {"sources": [{"name": "rules.conf", "text": rules}]},
        }],
    })
}

const FORM: &str = "content-type: application/x-www-form-urlencoded";

#[test]
fn an_attack_is_one_line_that_says_what_matched_and_shows_nothing_of_the_client() {
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(directory.path(), RULES);
    let head = format!(
        "POST /shop/canary-path?q=canary-query HTTP/1.1\r\nhost: shop.example\r\n{FORM}\r\n\
         cookie: id=canary-cookie\r\nauthorization: Bearer canary-token\r\nx-note: canary-header"
    );
    assert_eq!(proxy.send(&head, "a=ATTACK+canary-matched&b=canary-body"), 403);
    assert_eq!(proxy.send("GET /fine HTTP/1.1\r\nhost: shop.example", ""), 200);
    let line = &proxy.lines(1)[0];
    assert!(!line.to_string().to_ascii_lowercase().contains("canary"), "{line:#}");

    assert_eq!((&line["audit"], &line["parts"]), (&json!(1), &json!("ABFHKZ")));
    assert_eq!(line["A"]["host"], "shop.example");
    assert_eq!(line["A"]["workload"]["name"], "web");
    assert_eq!((&line["B"]["path"], &line["B"]["query"]), (&json!("/shop/…"), &json!("…")));
    assert_eq!(line["F"]["status"], 403);
    let trailer = &line["H"];
    assert_eq!((&trailer["engine"], &trailer["verdict"]), (&json!("On"), &json!("deny")));
    assert_eq!(trailer["cause"], "waf_request");
    assert_eq!(trailer["scores"], json!({"inbound_anomaly_score_pl1": 5}));
    let found = &trailer["matches"][0];
    assert_eq!((&found["id"], &found["phase"], &found["target"]), (&json!(100), &json!(2), &json!("ARGS:a")));
    assert_eq!(found["data"], "Found … in ARGS:a");
    assert_eq!(found["value"], "21 bytes: letters, space, punctuation");
    assert_eq!((&found["file"], &found["line"]), (&json!("rules.conf"), &json!(3)));
    assert_eq!(
        found["message"],
        "Matched at ARGS:a. [file \"rules.conf\"] [line \"3\"] [id \"100\"] [msg \"An attack\"] \
         [data \"Found … in ARGS:a\"] [severity \"CRITICAL\"] [ver \"test/1\"] [tag \"attack-generic\"]"
    );
    assert_eq!(line["K"], json!([{"id": 100, "phase": 2}]));
    assert_eq!(std::fs::metadata(&proxy.log).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn rules_say_whether_they_are_audited_and_a_file_that_was_moved_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut proxy = Proxy::start(directory.path(), RULES);
    let ask = |query: &str| proxy.send(&format!("GET /?{query} HTTP/1.1\r\nhost: a"), "");
    assert_eq!((ask("silent=1"), ask("quiet=1")), (200, 200));
    assert_eq!(proxy.lines(1)[0]["K"], json!([{"id": 101, "phase": 2}]), "nolog,auditlog is audited");

    let moved = directory.path().join("audit.log.1");
    std::fs::rename(&proxy.log, &moved).unwrap();
    proxy.signal("-HUP");
    wait("the new file", || proxy.log.exists());
    assert_eq!(ask("quiet=1"), 200);
    assert_eq!(proxy.lines(1)[0]["K"][0]["id"], 101);
    assert_eq!(std::fs::read_to_string(moved).unwrap().lines().count(), 1, "the old file is left alone");
    let metrics = proxy.ask("/metrics").unwrap();
    assert!(metrics.lines().any(|line| line == "palisade_audit_written_total 2"), "{metrics}");

    assert_eq!(ask("quiet=1"), 200);
    proxy.signal("-TERM");
    assert!(proxy.child.wait().unwrap().success());
    assert_eq!(proxy.lines(2).len(), 2, "what was queued at the end is written");
}

#[test]
fn the_audit_engine_of_a_rule_set_is_honoured() {
    let directory = tempfile::tempdir().unwrap();
    let rules = format!(
        "SecAuditEngine On\nSecAuditLogParts ABZ\n{RULES}\n\
         SecRule ARGS:off \"@streq 1\" \"id:200,phase:1,pass,nolog,ctl:auditEngine=Off\"\n\
         SecRule ARGS:more \"@streq 1\" \"id:201,phase:1,pass,nolog,ctl:auditLogParts=+H\"\n"
    );
    let proxy = Proxy::start(directory.path(), &rules);
    for query in ["off=1", "", "more=1"] {
        assert_eq!(proxy.send(&format!("GET /?{query} HTTP/1.1\r\nhost: a"), ""), 200);
    }
    let lines = proxy.lines(2);
    assert_eq!((&lines[0]["parts"], &lines[1]["parts"]), (&json!("ABZ"), &json!("ABHZ")));
    assert!(lines[0]["H"].is_null() && !lines[1]["H"].is_null());
}

const UPLOAD: &str = "--x\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nattack canary-field\r\n--x\r\n\
    content-disposition: form-data; name=\"f\"; filename=\"canary-name.txt\"\r\n\r\ncanary-file\r\n--x--\r\n";
const UPLOAD_HEAD: &str = "POST /shop/canary-path?q=canary-query HTTP/1.1\r\nhost: shop.example\r\n\
    content-type: multipart/form-data; boundary=x\r\nx-note: canary-header\r\nx-api-key: canary-key\r\n\
    cookie: id=canary-cookie";

fn every_section(show: bool) -> Value {
    let log = json!({
        "engine": "on", "parts": "ABCEFHIJKZ",
        "headers": show, "uri": show, "matchedBytes": show, "bodies": show,
    });
    json!({"mode": "detect", "responseBody": {"maxBytes": 1000}, "auditLog": log})
}

#[test]
fn what_the_policy_shows_is_there_and_credentials_never_are() {
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::with(directory.path(), RULES, every_section(true));
    assert_eq!(proxy.send(UPLOAD_HEAD, UPLOAD), 200);
    let line = &proxy.lines(1)[0];
    for credential in ["canary-key", "canary-cookie", "s=canary-answer"] {
        assert!(!line.to_string().contains(credential), "{credential}: {line:#}");
    }
    let request = &line["B"];
    assert_eq!(
        (&request["path"], &request["query"]),
        (&json!("/shop/canary-path"), &json!("q=canary-query"))
    );
    let headers = request["headers"].as_array().unwrap();
    assert!(
        headers.contains(&json!(["x-note", "canary-header"])) && headers.contains(&json!(["x-api-key", "…"]))
    );
    assert!(line["F"]["headers"].as_array().unwrap().contains(&json!(["x-shop", "canary-answer"])));
    assert_eq!(line["C"]["text"], UPLOAD);
    assert_eq!(line["E"], json!({"bytes": 9, "truncated": false, "text": "canary-ok"}));
    assert_eq!(line["I"]["text"], "a=attack%20canary-field");
    assert_eq!(line["J"], json!([{"field": "f", "name": "canary-name.txt", "size": 11}]));
    let found = &line["H"]["matches"][0];
    assert_eq!((&found["id"], &found["detectOnly"]), (&json!(100), &json!(true)));
    assert_eq!(found["value"], "attack canary-field");
    assert_eq!(found["data"], "Found attack canary-field in ARGS:a");
    assert_eq!((&line["H"]["engine"], &line["H"]["verdict"]), (&json!("DetectionOnly"), &json!("permit")));
}

#[test]
fn sections_that_are_wanted_and_not_shown_tell_nothing_and_a_rule_that_sanitises_hides_all() {
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::with(directory.path(), RULES, every_section(false));
    assert_eq!(proxy.send(UPLOAD_HEAD, UPLOAD), 200);
    let directory = tempfile::tempdir().unwrap();
    let rules = format!("{RULES}\nSecAction \"id:9,phase:2,pass,nolog,sanitiseArg:a\"");
    let sanitised = Proxy::with(directory.path(), &rules, every_section(true));
    assert_eq!(sanitised.send(UPLOAD_HEAD, UPLOAD), 200);
    for proxy in [proxy, sanitised] {
        let line = &proxy.lines(1)[0];
        assert!(!line.to_string().contains("canary"), "{line:#}");
        assert_eq!(line["J"], json!([{"field": "…", "name": "…", "size": 11}]));
        assert_eq!(line["H"]["matches"][0]["id"], 100);
        assert!(line["C"].is_null() && line["E"].is_null() && line["I"].is_null());
    }
}

#[test]
fn the_policy_wins_over_the_rule_set_and_a_relevant_status_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let rules = "SecAuditEngine On\nSecAuditLogParts ABCZ\nSecAuditLogRelevantStatus \"^(?:5|4(?!04))\"\n\
         SecRule ARGS:status \"@streq 404\" \"id:1,phase:1,deny,status:404,nolog\"";
    let log = json!({"auditLog": {"engine": "relevantOnly", "parts": "HK"}});
    let proxy = Proxy::with(directory.path(), rules, log);
    assert_eq!(proxy.send("GET / HTTP/1.1\r\nhost: a", ""), 200);
    assert_eq!(proxy.send("GET /?status=404 HTTP/1.1\r\nhost: a", ""), 404);
    let line = &proxy.lines(1)[0];
    assert_eq!((&line["parts"], &line["K"]), (&json!("AHKZ"), &json!([])));
    assert_eq!(line["H"]["denial"]["rule"]["id"], 1, "a refusal is relevant, though nothing is logged");
    let letters = json!({"auditLog": {"parts": "AX"}});
    let file = directory.path().join("bad.json");
    std::fs::write(&file, policy(origin(), rules, letters).to_string()).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_palisade-proxy")).arg("--policy").arg(&file).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("auditLog.parts"));
}

#[test]
fn an_audit_log_that_cannot_be_written_is_an_error_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.json");
    std::fs::write(&file, policy(origin(), RULES, json!({})).to_string()).unwrap();
    for log in ["/nowhere/audit.log", "/dev/null", directory.path().to_str().unwrap()] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_palisade-proxy"));
        let output = command.arg("--policy").arg(&file).args(["--audit-log", log]).output().unwrap();
        assert!(!output.status.success());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("audit log") && error.contains(log), "{error}");
    }
}
