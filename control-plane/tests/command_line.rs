//! The command line: what it prints, and its exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::{House, allow, house, options, workload};

fn palisade(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_palisade"))
        .args(arguments)
        .env_remove("PALISADE_TOKEN")
        .output()
        .expect("the program starts");
    let Output { status, stdout, stderr } = output;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn documents(folder: &Path) -> String {
    let path = folder.join("documents");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("web.yaml"), workload("shop", "web", "web")).unwrap();
    std::fs::write(path.join("callers.yaml"), allow("shop", "callers", "web", "/a")).unwrap();
    path.display().to_string()
}

#[test]
fn check_says_ok_with_0_and_names_what_is_wrong_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = documents(folder.path());
    let mesh = ["--trust-domain", "mesh.example"];
    let check = |more: &[&str]| palisade(&[&["check", &path], more, &mesh].concat());
    let (code, out, _) = check(&[]);
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("ok: 2 documents, 1 workloads"), "{out}");
    // A rule set that nobody has: alone it is no error, together it is a warning.
    let waf = "apiVersion: palisade.dev/v1alpha1\nkind: WafPolicy\nmetadata: {name: w, namespace: shop}\n\
               spec: {ruleSet: missing}\n";
    std::fs::write(folder.path().join("documents/waf.yaml"), waf).unwrap();
    let (code, out, _) = check(&[]);
    assert!(code == 0 && out.contains("warning:") && out.contains("waf.yaml"), "{code} {out}");
    let (code, out, _) = check(&["--strict", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(code == 1 && report["valid"] == false && report["warnings"][0]["place"].is_string(), "{out}");
    let bad = allow("shop", "callers", "web", "/a").replace("selector", "selectr");
    std::fs::write(folder.path().join("documents/callers.yaml"), bad).unwrap();
    let (code, out, _) = check(&[]);
    assert_eq!(code, 1);
    assert!(out.contains("callers.yaml:5:"), "{out}");
    let (code, _, error) = palisade(&["check", "/nowhere/at/all"]);
    assert!(code == 2 && error.contains("/nowhere/at/all"), "{error}");
}

#[test]
fn a_field_error_names_the_file_and_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = documents(folder.path());
    let bad = allow("shop", "callers", "web", "/a").replace("mesh.example/ns/shop/sa/web", "a*b*c");
    std::fs::write(folder.path().join("documents/callers.yaml"), bad).unwrap();
    let (code, out, _) = palisade(&["check", &path, "--trust-domain", "mesh.example"]);
    assert_eq!(code, 1);
    assert!(out.contains("callers.yaml") && out.contains("principals[0]"), "{out}");
}

#[test]
fn render_prints_what_the_policy_file_reader_takes() {
    let folder = tempfile::tempdir().unwrap();
    let path = documents(folder.path());
    let render = |workload: &str| {
        palisade(&["render", "--documents", &path, "--workload", workload, "--trust-domain", "mesh.example"])
    };
    let (code, out, error) = render("shop/web");
    assert_eq!(code, 0, "{error}");
    let read = palisade_loader::policy_file::parse("rendered", &out, folder.path()).unwrap();
    assert_eq!(read.policy.workload.name, "web");
    assert_eq!(read.policy.authorization.len(), 1);
    assert_eq!(render("shop/nobody").0, 2);
    assert_eq!(render("web").0, 2);
}

#[test]
fn explain_permits_with_0_and_denies_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = documents(folder.path());
    let explain = |caller: &str, target: &str, more: &[&str]| {
        let fixed = ["explain", "--documents", &path, "--workload", "shop/web", "--host", "web.shop"];
        let asked = ["--principal", caller, "--path", target, "--trust-domain", "mesh.example"];
        palisade(&[&fixed[..], &asked, more].concat())
    };
    let (code, out, error) = explain("mesh.example/ns/shop/sa/web", "/a", &["--header", "x-a: b"]);
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.contains("callers"), "{out}");
    let (code, out, _) = explain("mesh.example/ns/shop/sa/thief", "/a", &[]);
    assert_eq!(code, 1);
    assert!(out.contains("authorization_not_allowed") || out.contains("no ALLOW"), "{out}");
    let (code, out, _) = explain("mesh.example/ns/shop/sa/web", "/a%2fb", &[]);
    assert!(code == 1 && out.contains("refused before any rule"), "{out}");
    assert_eq!(explain("not a principal", "/a", &[]).0, 2);
    let (_, out, _) = explain("mesh.example/ns/shop/sa/web", "/a", &["--json"]);
    assert!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["judged"].is_object(), "{out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_made_over_rest_and_offline() {
    let house = house().await;
    let entry = workload("shop", "web", "web");
    assert_eq!(house.put("WorkloadEntry", "shop", "web", &entry).await.status, 200);
    let token_file = house.folder.path().join("token");
    std::fs::write(&token_file, &house.token).unwrap();
    let (server, token_file) = (house.running.rest.to_string(), token_file.display().to_string());
    let online = ["--server", &server, "--token-file", &token_file];
    let state = house.folder.path().join("state").display().to_string();
    let offline = ["--state-dir", state.as_str()];
    for way in [&online[..], &offline] {
        let join = palisade(&[&["join-token", "--workload", "shop/web"], way].concat());
        assert_eq!(join.0, 0, "{}", join.2);
        let token: palisade_identity::JoinToken = join.1.parse().unwrap();
        palisade_identity::bootstrap::enrol(&house.running.grpc.to_string(), &token).await.unwrap();
        let made = palisade(&[&["token", "create", "--role", "viewer"], way].concat());
        assert_eq!(made.0, 0, "{}", made.2);
        let answer = house.call_as(Some(made.1.trim()), "GET", "/api/v1/documents", "").await;
        assert_eq!(answer.status, 200);
        let unknown = palisade(&[&["join-token", "--workload", "shop/nobody"], way].concat());
        assert_eq!(unknown.0, 2, "{}", unknown.1);
    }
    let nobody = palisade(&["join-token", "--workload", "shop/web", "--server", &server]);
    assert!(nobody.0 == 2 && nobody.2.contains("PALISADE_TOKEN"), "{}", nobody.2);
}

#[tokio::test]
async fn the_admin_token_file_is_private_and_good() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin-token");
    let mut with_file = options(folder.path(), None);
    with_file.admin_token_file = Some(path.clone());
    let running = palisade_control_plane::serve::start(with_file).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(&path).unwrap().trim().to_owned();
    let house = House { running, token, folder };
    assert_eq!(house.call("GET", "/api/v1/tokens", "").await.status, 200);
}

#[test]
fn rest_in_plain_text_beyond_loopback_must_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state").display().to_string();
    let (code, _, error) = palisade(&["serve", "--state-dir", &state, "--listen-rest", "0.0.0.0:0"]);
    assert_eq!(code, 2);
    assert!(error.contains("--allow-plain-rest"), "{error}");
    assert!(!Path::new(&state).exists(), "nothing was made");
}
