//! What the tests of this crate share: a control plane in this process, calls to it, documents.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use palisade_control_plane::serve::{Options, Running, start};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct House {
    pub running: Running,
    pub token: String,
    pub folder: tempfile::TempDir,
}

pub fn options(folder: &Path, documents: Option<PathBuf>) -> Options {
    Options {
        state_dir: folder.join("state"),
        documents,
        listen_grpc: SocketAddr::from(([127, 0, 0, 1], 0)),
        listen_rest: SocketAddr::from(([127, 0, 0, 1], 0)),
        trust_domain: "mesh.example".to_owned(),
        root_namespace: "istio-system".to_owned(),
        svid_ttl: Duration::from_secs(3600),
        admin_token_file: None,
    }
}

pub async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let running = start(options(folder.path(), None)).await.unwrap();
    let token = running.first_token.clone().expect("a first start makes a token");
    House { running, token, folder }
}

/// A house with a watched directory that holds these files.
pub async fn house_with(files: &[(&str, &str)]) -> House {
    let folder = tempfile::tempdir().unwrap();
    let documents = folder.path().join("documents");
    std::fs::create_dir(&documents).unwrap();
    for (name, text) in files {
        std::fs::write(documents.join(name), text).unwrap();
    }
    let running = start(options(folder.path(), Some(documents))).await.unwrap();
    let token = running.first_token.clone().expect("a first start makes a token");
    House { running, token, folder }
}

pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    pub fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_else(|| panic!("no {field}: {}", self.body)).to_owned()
    }
}

impl House {
    pub fn documents(&self) -> PathBuf {
        self.folder.path().join("documents")
    }

    pub async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        self.call_as(Some(&self.token), method, path, body).await
    }

    pub async fn call_as(&self, token: Option<&str>, method: &str, path: &str, body: &str) -> Answer {
        let authorization =
            token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        self.call_with(&authorization, method, path, body).await
    }

    pub async fn call_with(&self, headers: &str, method: &str, path: &str, body: &str) -> Answer {
        let kind = if body.starts_with('{') { "application/json" } else { "application/yaml" };
        let mut socket = TcpStream::connect(self.running.rest).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: rest\r\nconnection: close\r\ncontent-type: {kind}\r\n{headers}\
             content-length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        // A refusal may come before the body was read.
        let _ = socket.write_all(body.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, body: body.to_owned() }
    }

    pub async fn put(&self, kind: &str, namespace: &str, name: &str, body: &str) -> Answer {
        self.call("PUT", &format!("/api/v1/documents/{kind}/{namespace}/{name}"), body).await
    }

    /// Makes a token of a role.
    pub async fn token_of(&self, role: &str, namespace: Option<&str>) -> String {
        let request = serde_json::json!({"role": role, "namespace": namespace}).to_string();
        let made = self.call("POST", "/api/v1/tokens", &request).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.text("token")
    }
}

/// Asks again until there is an answer; fails after a generous time.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "never came: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn workload(namespace: &str, name: &str, account: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  address: 127.0.0.9\n  serviceAccount: {account}\n  labels: {{app: {name}}}\n"
    )
}

pub fn allow(namespace: &str, name: &str, app: &str, path: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  selector: {{matchLabels: {{app: {app}}}}}\n  action: ALLOW\n  rules:\n  \
         - from: [{{source: {{principals: [mesh.example/ns/shop/sa/web]}}}}]\n    \
         to: [{{operation: {{paths: [{path}]}}}}]\n"
    )
}
