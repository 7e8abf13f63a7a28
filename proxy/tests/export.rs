//! The program's telemetry when it is told to end: what is queued is sent, if the collector takes it in time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::logs::v1 as logs;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::{Value, json};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the exporter gives one attempt; an end that waited for it did not keep to its own bound of two seconds.
const ATTEMPT: Duration = Duration::from_secs(10);
const REFUSALS: usize = 20;

/// Takes log records, slowly: what arrived was sent after the signal.
struct Collector(mpsc::Sender<LogRecord>, Duration);

#[tonic::async_trait]
impl logs::logs_service_server::LogsService for Collector {
    async fn export(
        &self,
        request: Request<logs::ExportLogsServiceRequest>,
    ) -> Result<Response<logs::ExportLogsServiceResponse>, Status> {
        tokio::time::sleep(self.1).await;
        let all = request.into_inner().resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
        for log in all.flat_map(|scope| scope.log_records) {
            let _ = self.0.send(log);
        }
        Ok(Response::new(Default::default()))
    }
}

fn collector(delay: Duration) -> (SocketAddr, mpsc::Receiver<LogRecord>) {
    let (sender, got) = mpsc::channel();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            listener.set_nonblocking(true).unwrap();
            let listener = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).unwrap());
            let service = logs::logs_service_server::LogsServiceServer::new(Collector(sender, delay));
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(listener).await.unwrap();
        });
    });
    (address, got)
}

struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A proxy whose rule set refuses everything.
fn start(directory: &Path, collector: SocketAddr) -> (Proxy, SocketAddr) {
    let metadata = |name: &str| json!({"name": name, "namespace": "shop"});
    let rules = "SecAction \"id:1,phase:1,deny,status:403,msg:'No'\"";
    let policy = json!({
        "apiVersion": "palisade.dev/v1alpha1", "kind": "Policy",
        "workload": {"namespace": "shop", "name": "web"},
        "listeners": [{"name": "edge", "address": "127.0.0.1:0", "role": {"gateway": {}}}],
        "routes": [{"name": "all", "listeners": ["edge"], "backends": [{"cluster": "origin"}]}],
        "clusters": [{"name": "origin", "endpoints": [{"address": "127.0.0.1:9"}]}],
        "waf": [{
            "apiVersion": "palisade.dev/v1alpha1", "kind": "WafPolicy",
            "metadata": metadata("waf"), "spec": {"ruleSet": "rules"},
        }],
        "ruleSets": [{
            "apiVersion": "palisade.dev/v1alpha1", "kind": "RuleSet",
            "metadata": metadata("rules"), "spec": {"sources": [{"name": "rules.conf", "text": rules}]},
        }],
    });
    let (file, admin) = (directory.join("policy.json"), directory.join("admin.sock"));
    std::fs::write(&file, policy.to_string()).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_palisade-proxy"))
        .arg("--policy")
        .arg(&file)
        .arg("--admin-socket")
        .arg(&admin)
        .args(["--otlp", &collector.to_string(), "--workers", "1"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let proxy = Proxy(child);
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "the proxy did not start");
        if let Some(config) = ask(&admin, "/config")
            && ask(&admin, "/readyz").is_some_and(|text| text.starts_with("HTTP/1.1 200"))
        {
            let config: Value = serde_json::from_str(config.split_once("\r\n\r\n").unwrap().1).unwrap();
            return (proxy, config["listeners"][0]["address"].as_str().unwrap().parse().unwrap());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn ask(admin: &Path, path: &str) -> Option<String> {
    let mut stream = UnixStream::connect(admin).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Has requests refused, ends the proxy at once, and says how long its end took.
fn refuse_and_end((mut proxy, edge): (Proxy, SocketAddr)) -> Duration {
    for _ in 0..REFUSALS {
        let mut stream = TcpStream::connect(edge).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 403"), "{text}");
    }
    let begin = Instant::now();
    let id = proxy.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(proxy.0.wait().unwrap().success());
    begin.elapsed()
}

#[test]
fn what_is_queued_at_the_end_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let (address, got) = collector(Duration::from_millis(300));
    refuse_and_end(start(directory.path(), address));
    let logs: Vec<_> = got.try_iter().collect();
    for name in ["palisade.audit", "palisade.security_event"] {
        assert_eq!(logs.iter().filter(|log| log.event_name == name).count(), REFUSALS, "{name}");
    }
}

#[test]
fn a_collector_that_never_answers_does_not_hold_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let (address, _got) = collector(PATIENCE * 10);
    let took = refuse_and_end(start(directory.path(), address));
    assert!(took < ATTEMPT, "{took:?}");
}
