//! The tools for rule writers as programs: what they print, and their exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::path::Path;
use std::process::Command;

use support::house;

/// Runs the program in a directory.
fn palisade_in(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_palisade"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("PALISADE_TOKEN")
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const RULES: &str = r#"SecRule ARGS:q "@rx un+ion" "id:10,phase:2,block,t:none,t:lowercase,msg:'Found',severity:CRITICAL,setvar:'tx.score=+5'"
SecRule TX:score "@ge 5" "id:20,phase:2,deny,status:406,msg:'Over %{tx.score}'"
SecRule RESPONSE_BODY "@contains secret" "id:30,phase:4,deny,msg:'Leak'"
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.conf"), RULES).unwrap();
    folder
}

#[test]
fn a_test_shows_rule_target_bytes_score_prefilter_and_verdict() {
    let folder = folder();
    let test = |more: &[&str]| palisade_in(folder.path(), &[&["waf", "test", "rules.conf"], more].concat());
    let (code, out, error) = test(&["--curl", "curl 'http://shop.example/?q=UNNion'"]);
    assert_eq!(code, 1, "{error}");
    let expected = "GET /?q=UNNion HTTP/1.1\n\
        rules without a version, 3 rules in force\n\
        \n\
        10  phase 2  CRITICAL  Found\n\
        \x20 at         rules.conf:1:1\n\
        \x20 operator   @rx un+ion\n\
        \x20 target     ARGS:q\n\
        \x20   value      UNNion\n\
        \x20   seen as    unnion\n\
        \x20   through    lowercase\n\
        \x20   prefilter  literal \"";
    assert!(out.starts_with(expected), "{out}");
    for piece in [
        "sets       tx.score: nothing -> 5",
        "effect     deny 406",
        "always: rules set this variable",
        "tx.score  5",
        "verdict: denied with 406 by rule 20 in phase 2",
    ] {
        assert!(out.contains(piece), "{piece}: {out}");
    }
    assert!(!out.contains('\u{1b}'), "no colour where nobody looks");
    let (code, out, _) = test(&["--curl", "curl http://a/?q=UNNion", "--mode", "detect"]);
    assert!(code == 0 && out.contains("passes; in block mode rule 20 would deny it"), "{out}");
}

#[test]
fn a_test_says_why_nothing_matched() {
    let folder = folder();
    std::fs::write(
        folder.path().join("r.http"),
        "POST /?q=plain HTTP/1.1\nHost: a\nContent-Type: text/plain\n\nunion\n",
    )
    .unwrap();
    let (code, out, _) =
        palisade_in(folder.path(), &["waf", "test", "rules.conf", "--request", "r.http", "--rule", "10"]);
    assert_eq!(code, 0);
    for piece in [
        "10  phase 2  CRITICAL    (did not match)",
        "target     ARGS:q  (no match)",
        "prefilter  passed over:",
        "no rule with a log entry matched",
        "Content-Length: 5 was added",
        "there is no response",
        "verdict: passes",
    ] {
        assert!(out.contains(piece), "{piece}: {out}");
    }
    let (code, _, error) =
        palisade_in(folder.path(), &["waf", "test", "rules.conf", "--request", "r.http", "--rule", "99"]);
    assert!(code == 2 && error.contains("no rule 99"), "{error}");
}

#[test]
fn a_response_is_tried_and_a_malformed_head_is_refused_as_the_proxy_does() {
    let folder = folder();
    let request =
        "GET / HTTP/1.1\nHost: a\n\n### response\nHTTP/1.1 200 OK\nContent-Type: text/html\n\na secret\n";
    std::fs::write(folder.path().join("r.http"), request).unwrap();
    let test = |more: &[&str]| {
        palisade_in(folder.path(), &[&["waf", "test", "rules.conf", "--request", "r.http"], more].concat())
    };
    let (code, out, error) = test(&["--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}"));
    assert_eq!(code, 1);
    assert_eq!(
        (report["verdict"]["rule"].as_u64(), report["verdict"]["phase"].as_u64()),
        (Some(30), Some(4))
    );
    assert_eq!(report["rules"][0]["values"][0]["target"], "RESPONSE_BODY");
    assert_eq!(report["fastPathAgrees"], true);
    std::fs::write(folder.path().join("r.http"), "GET / HTTP/1.1\nHost: a\nHost: b\n\n").unwrap();
    let (code, out, _) = test(&[]);
    assert!(code == 1 && out.contains("refused before any rule: multiple_hosts"), "{out}");
}

#[test]
fn what_cannot_be_read_is_told_with_2() {
    let folder = folder();
    for (arguments, named) in [
        (&["waf", "test", "rules.conf", "--curl", "curl --upload-file a http://h"][..], "--upload-file"),
        (
            &["waf", "test", "rules.conf", "--curl", "curl -d @/etc/passwd http://h"],
            "below the working directory",
        ),
        (&["waf", "test", "missing.conf", "--curl", "curl http://h"], "missing.conf"),
        (&["waf", "test", "rules.conf"], "--curl"),
        (&["waf", "lint", "rules.conf", "--allow", "W999"], "W999"),
        (&["ruleset", "import", "missing.tar"], "missing.tar"),
    ] {
        let (code, _, error) = palisade_in(folder.path(), arguments);
        assert!(code == 2 && error.contains(named), "{arguments:?}: {code} {error}");
    }
    std::fs::write(folder.path().join("rules.conf"), "SecRule ARGS \"@rx (\" \"id:1\"\n").unwrap();
    let (code, _, error) = palisade_in(folder.path(), &["waf", "lint", "rules.conf"]);
    assert!(code == 2 && error.contains("rules.conf:1:"), "{error}");
}

#[test]
fn lint_tells_places_and_fails_only_if_asked() {
    let folder = folder();
    std::fs::write(
        folder.path().join("rules.conf"),
        "SecRule RESPONSE_BODY \"@contains a\" \"id:1,phase:1,pass\"\n",
    )
    .unwrap();
    let lint = |more: &[&str]| palisade_in(folder.path(), &[&["waf", "lint", "rules.conf"], more].concat());
    let (code, out, _) = lint(&[]);
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "rules.conf:1:1: W003: rule 1: never matches: RESPONSE_BODY is empty in phase 1\n1 rules, 1 warnings\n"
    );
    assert_eq!(lint(&["--deny-warnings"]).0, 1);
    assert_eq!(lint(&["--deny-warnings", "--allow", "W003"]).0, 0);
    let report: serde_json::Value = serde_json::from_str(&lint(&["--json"]).1).unwrap();
    assert_eq!(report["findings"][0]["code"], "W003");
    std::fs::write(folder.path().join("rules.conf"), "SecTmpDir /tmp\nSecAction id:1,pass\n").unwrap();
    let (code, out, _) = lint(&["--deny-warnings"]);
    assert_eq!(code, 0, "what has no effect is told and is no fault: {out}");
    assert_eq!(
        out,
        "rules.conf:1:1: note: SecTmpDir: bodies are never written to files\n1 rules, 0 warnings, 1 notes\n"
    );
    let report: serde_json::Value = serde_json::from_str(&lint(&["--json"]).1).unwrap();
    assert_eq!(report["notes"][0], "rules.conf:1:1: note: SecTmpDir: bodies are never written to files");
    let test = ["waf", "test", "rules.conf", "--curl", "curl http://h/"];
    let (_, out, _) = palisade_in(folder.path(), &test);
    assert!(out.contains("\nrules.conf:1:1: note: SecTmpDir: "), "{out}");
    let (code, out, _) = palisade_in(folder.path(), &["waf", "lint", "palisade-default", "--deny-warnings"]);
    assert!(code == 0 && out.ends_with("0 warnings\n"), "{out}");
}

#[test]
fn an_import_has_version_and_checksums_and_can_be_verified() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("release/rules");
    std::fs::create_dir_all(&rules).unwrap();
    std::fs::write(
        rules.join("a.conf"),
        "SecRule ARGS \"@pmFromFile a.data\" \"id:1,phase:2,deny,ver:'SET/1.0'\"\n",
    )
    .unwrap();
    std::fs::write(rules.join("a.data"), "attack\n").unwrap();
    let import =
        |more: &[&str]| palisade_in(folder.path(), &[&["ruleset", "import", "release"], more].concat());
    let (code, out, error) = import(&["--name", "own", "--namespace", "shop"]);
    assert_eq!(code, 0, "{error}");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let annotations = &document["metadata"]["annotations"];
    assert_eq!(annotations["palisade.dev/rule-set-version"], "SET/1.0");
    let checksum = annotations["palisade.dev/sources-sha256"].as_str().unwrap().to_owned();
    assert!(error.contains("version         SET/1.0") && error.contains(&checksum), "{error}");
    assert_eq!(import(&["--sha256", &checksum]).0, 0);
    let (code, _, error) = import(&["--sha256", "00"]);
    assert!(code == 2 && error.contains("was expected"), "{error}");
    assert_eq!(import(&["--out", "own.json"]).0, 0);
    let (code, out, _) =
        palisade_in(folder.path(), &["waf", "test", "own.json", "--curl", "curl http://a/?q=attack"]);
    assert!(code == 1 && out.contains("SET/1.0"), "{out}");
    // Another layout, with the files named.
    let (code, out, error) = import(&["--include", "rules/*.conf"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("rules/a.data"), "{out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_can_be_put_in_force_at_once() {
    let house = house().await;
    let folder = house.folder.path().to_owned();
    std::fs::write(folder.join("rules.conf"), RULES).unwrap();
    std::fs::write(folder.join("token"), &house.token).unwrap();
    let server = house.running.rest.to_string();
    let arguments = ["ruleset", "import", "rules.conf", "--name", "own", "--namespace", "shop", "--store"];
    let more = ["--server", server.as_str(), "--token-file", "token"];
    let (code, out, error) = palisade_in(&folder, &[&arguments[..], &more].concat());
    assert_eq!(code, 0, "{error}");
    assert!(out.is_empty() && error.contains("in force as revision"), "{error}");
    let answer = house.call("GET", "/api/v1/documents/RuleSet/shop/own", "").await;
    assert!(answer.status == 200 && answer.body.contains("palisade.dev/sources-sha256"), "{}", answer.body);
    // A WafPolicy may name the rule set that comes with Palisade without any document.
    let policy = "apiVersion: palisade.dev/v1alpha1\nkind: WafPolicy\nmetadata: {name: w, namespace: shop}\n\
                  spec: {ruleSet: palisade-default}\n";
    assert_eq!(house.put("WafPolicy", "shop", "w", policy).await.status, 200);
}
