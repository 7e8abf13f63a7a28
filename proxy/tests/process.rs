//! The program itself: a policy file that changes, a control plane that is away, admin pages, a signal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use palisade_identity::{CertificateAuthority, WorkloadKey, certificate};
use palisade_model::policy::{Listener, ListenerRole};
use palisade_model::{Policy, Principal, WorkloadId};
use palisade_proxy::policy::state_dir::{KeptIdentity, StateDir};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

struct Running {
    child: Child,
    socket: PathBuf,
}

impl Running {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        let socket = directory.join("admin.sock");
        let child = Command::new(env!("CARGO_BIN_EXE_palisade-proxy"))
            .args(arguments)
            .arg("--admin-socket")
            .arg(&socket)
            .args(["--workers", "1"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, socket }
    }

    fn ask(&self, method: &str, path: &str) -> Option<(u16, String)> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let status = text.split(' ').nth(1)?.parse().ok()?;
        Some((status, text.split_once("\r\n\r\n")?.1.to_owned()))
    }

    fn wait(&self, what: &str, mut until: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !until(self) {
            assert!(Instant::now() < end, "{what} did not happen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ready(&self) {
        self.wait("readiness", |one| one.ask("GET", "/readyz").is_some_and(|(status, _)| status == 200));
    }

    fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.ask("GET", path).unwrap().1).unwrap()
    }

    fn listener(&self) -> SocketAddr {
        self.json("/config")["listeners"][0]["address"].as_str().unwrap().parse().unwrap()
    }

    fn metric(&self, line: &str) -> bool {
        self.ask("GET", "/metrics").unwrap().1.lines().any(|one| one == line)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: SocketAddr, path: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// Answers every connection with 200.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            }
        }
    });
    address
}

fn policy_text(origin: SocketAddr, denied: &str) -> String {
    format!(
        "apiVersion: palisade.dev/v1alpha1\nkind: Policy\nworkload: {{namespace: shop, name: web}}\n\
         listeners: [{{name: edge, address: \"127.0.0.1:0\", role: {{gateway: {{}}}}}}]\n\
         routes: [{{name: all, listeners: [edge], backends: [{{cluster: origin}}]}}]\n\
         clusters: [{{name: origin, endpoints: [{{address: \"{origin}\"}}]}}]\n\
         authorization:\n- apiVersion: security.istio.io/v1\n  kind: AuthorizationPolicy\n  \
         metadata: {{name: no, namespace: shop}}\n  spec:\n    action: DENY\n    rules:\n    \
         - to: [{{operation: {{paths: [\"{denied}\"]}}}}]\n"
    )
}

#[test]
fn a_policy_file_is_enforced_again_when_it_changes_and_a_bad_one_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.yaml");
    let origin = origin();
    std::fs::write(&file, policy_text(origin, "/one")).unwrap();
    let running = Running::start(directory.path(), &["--policy", file.to_str().unwrap()]);
    running.ready();
    let edge = running.listener();
    assert_eq!((get(edge, "/one"), get(edge, "/two")), (403, 200));

    std::fs::write(&file, policy_text(origin, "/two")).unwrap();
    running.wait("the second policy", |_| get(edge, "/two") == 403);
    assert_eq!(get(edge, "/one"), 200);
    let version = running.json("/policy")["version"].clone();

    std::fs::write(&file, "kind: Policy\nnonsense: true\n").unwrap();
    running.wait("the refusal", |one| one.metric("palisade_policy_updates_total{outcome=\"rejected\"} 1"));
    assert_eq!((get(edge, "/one"), get(edge, "/two")), (200, 403), "the last good policy stays");
    assert_eq!(running.json("/policy")["version"], version);
    assert_eq!(running.listener(), edge, "the listener stayed open all the time");
}

#[test]
fn a_staged_policy_refuses_nothing_and_is_counted_beside_every_enforced_one() {
    let directory = tempfile::tempdir().unwrap();
    let (file, staged) = (directory.path().join("policy.yaml"), directory.path().join("staged.yaml"));
    let origin = origin();
    std::fs::write(&file, policy_text(origin, "/one")).unwrap();
    std::fs::write(&staged, policy_text(origin, "/two")).unwrap();
    let arguments = ["--policy", file.to_str().unwrap(), "--staged", staged.to_str().unwrap()];
    let running = Running::start(directory.path(), &arguments);
    running.ready();
    let edge = running.listener();
    assert_eq!((get(edge, "/one"), get(edge, "/two"), get(edge, "/three")), (403, 200, 200));
    let count = |count: u32| format!("palisade_staged_denials_total{{listener=\"edge\"}} {count}");
    running.wait("the count", |one| one.metric(&count(1)));
    // It stays beside the next policy.
    std::fs::write(&file, policy_text(origin, "/three")).unwrap();
    running.wait("the second policy", |_| get(edge, "/three") == 403);
    assert_eq!(get(edge, "/two"), 200);
    running.wait("the count", |one| one.metric(&count(2)));
}

#[test]
fn the_program_refuses_a_bad_file_at_its_start_and_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.yaml");
    std::fs::write(&file, "apiVersion: palisade.dev/v1alpha1\nkind: Policy\nnonsense: true\n").unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_palisade-proxy")).arg("--policy").arg(&file).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("policy.yaml:3:1") && error.contains("nonsense"), "{error}");
}

#[test]
fn admin_pages_are_read_only_and_tell_the_state() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.yaml");
    std::fs::write(&file, policy_text(origin(), "/one")).unwrap();
    let mut running = Running::start(directory.path(), &["--policy", file.to_str().unwrap()]);
    running.ready();
    assert_eq!(running.ask("GET", "/healthz").unwrap().0, 200);
    assert_eq!(running.ask("POST", "/policy").unwrap().0, 405);
    assert_eq!(running.ask("GET", "/quit").unwrap().0, 404);
    assert_eq!(running.json("/policy")["policy"]["workload"]["name"], "web");
    assert!(running.json("/identity")["principal"].is_null());
    get(running.listener(), "/one");
    let denied = "palisade_denials_total{listener=\"edge\",cause=\"authorization_denied\"} 1";
    running.wait("the counter", |one| one.metric(denied));
    // A signal drains and ends the program with success.
    let killed = Command::new("kill").args(["-TERM", &running.child.id().to_string()]).status().unwrap();
    assert!(killed.success() && running.child.wait().unwrap().success());
}

#[test]
fn a_restart_without_the_control_plane_serves_by_the_kept_policy_and_identity() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::open(&directory.path().join("state")).unwrap();
    let day = Duration::from_secs(24 * 3600);
    let authority = CertificateAuthority::create("cluster.local", SystemTime::now(), day).unwrap();
    let key = WorkloadKey::generate().unwrap();
    let web = Principal::new("cluster.local", "shop", "web").unwrap();
    let issued = authority.sign(&key.signing_request().unwrap(), &web, day, SystemTime::now()).unwrap();
    let chain = certificate::to_pem(&issued.chain);
    state.keep_identity(&KeptIdentity { chain, key: key.to_pem(), bundle: authority.root_pem() }).unwrap();
    let mut policy = Policy::empty(WorkloadId::local("shop", "web"));
    policy.listeners = vec![Listener {
        name: "edge".into(),
        address: "127.0.0.1:0".parse().unwrap(),
        role: ListenerRole::Gateway { certificates: Vec::new(), client_address: Default::default() },
    }];
    state.keep_policy(&policy, "kept").unwrap();
    // Nobody listens there: a port that was free a moment ago and is not given out again soon.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let state_dir = directory.path().join("state");
    let arguments =
        ["--control-plane", &nobody, "--workload", "shop/web", "--state-dir", state_dir.to_str().unwrap()];
    let running = Running::start(directory.path(), &arguments);
    running.ready();
    assert_eq!(running.json("/policy")["version"], "kept");
    assert_eq!(running.json("/identity")["principal"], "cluster.local/ns/shop/sa/web");
    assert_eq!(get(running.listener(), "/"), 404, "it judges: there is no route");
    drop(running);

    // Without anything kept it is up, unready, and has no policy.
    let empty = directory.path().join("empty");
    let arguments =
        ["--control-plane", &nobody, "--workload", "shop/web", "--state-dir", empty.to_str().unwrap()];
    let running = Running::start(directory.path(), &arguments);
    running.wait("the admin pages", |one| one.ask("GET", "/healthz").is_some());
    assert_eq!(running.ask("GET", "/readyz").unwrap(), (503, "no policy\n".to_owned()));
}
