//! A proxy with rules in front of an origin of one's own, and a client that speaks bytes.
//!
//! Every read and write has a time limit, so that a test that waits for something that never comes fails and ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use palisade_tests::process::program;
use palisade_tests::proxy::{self, Proxy};
use palisade_tests::rule_set::CoreRuleSet;
use palisade_tests::wire::{self, Answer};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing here takes this long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What the tests' own rules look for.
pub const RULES: &str = "SecRequestBodyAccess On\nSecResponseBodyAccess On\n\
    SecResponseBodyMimeType text/plain text/html text/event-stream\n\
    SecRule ARGS|REQUEST_BODY \"@contains attack\" \"id:1,phase:2,deny,status:403\"\n\
    SecRule RESPONSE_BODY \"@contains secret\" \"id:4,phase:4,deny,status:403\"\n";

pub struct Stage {
    pub proxy: Proxy,
    _directory: TempDir,
}

impl Stage {
    /// With these rules and this WafPolicy, in front of `origin`.
    pub fn new(origin: SocketAddr, rules: &str, spec: Value) -> Self {
        Self::with(origin, rules, spec, |_| {})
    }

    /// The same; `change` has the last word on the policy.
    pub fn with(origin: SocketAddr, rules: &str, spec: Value, change: impl FnOnce(&mut Value)) -> Self {
        let directory = TempDir::new().unwrap();
        let place = directory.path().join("rules");
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("rules.conf"), rules).unwrap();
        Self::start(directory, origin, spec, &["rules.conf".to_owned()], change)
    }

    /// With CRS and rules before its set-up; none if there is no CRS, which is said.
    pub fn with_crs(
        origin: SocketAddr,
        before: &str,
        spec: Value,
        change: impl FnOnce(&mut Value),
    ) -> Option<Self> {
        let (crs, _) = CoreRuleSet::for_tests()?;
        let directory = TempDir::new().unwrap();
        let before = format!("SecRequestBodyAccess On\nSecResponseBodyAccess On\n{before}\n");
        let include = crs.lay_out(&directory.path().join("rules"), &before, "").unwrap();
        Some(Self::start(directory, origin, spec, &include, change))
    }

    fn start(
        directory: TempDir,
        origin: SocketAddr,
        spec: Value,
        include: &[String],
        change: impl FnOnce(&mut Value),
    ) -> Self {
        let mut policy = proxy::gateway(origin);
        proxy::protect(&mut policy, spec, &directory.path().join("rules"), include);
        change(&mut policy);
        let binary = program("palisade-proxy").unwrap();
        let proxy = Proxy::start(&binary, &policy, directory.path()).unwrap();
        Self { proxy, _directory: directory }
    }

    pub fn connect(&self) -> Client {
        Client::new(connect(self.proxy.edge))
    }

    /// Sends one request; gives its answer and its record.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> (Answer, Value) {
        let exchange = wire::exchange(self.proxy.edge, bytes.as_ref(), PATIENCE).unwrap();
        let record = self.proxy.record(exchange.client).unwrap();
        (exchange.answer.unwrap_or_else(|why| panic!("no answer: {why}; {record}")), record)
    }

    /// The status a request comes to.
    pub fn status(&self, bytes: impl AsRef<[u8]>) -> u16 {
        self.send(bytes).0.status
    }

    /// Bytes of bodies that the process holds now.
    pub fn held(&self) -> u64 {
        let page = palisade_tests::http::send(self.proxy.admin, "GET", "/config", &[], "").unwrap();
        let page = page.json().unwrap();
        page["bufferedBytes"].as_u64().unwrap_or_else(|| panic!("no held bytes in {page}"))
    }
}

/// A WafPolicy whose limits are these; longer bodies are refused or judged by their first part.
pub fn limits(bytes: usize, over: &str) -> Value {
    let limit = json!({"maxBytes": bytes, "over": over});
    json!({"mode": "block", "requestBody": limit, "responseBody": limit})
}

/// What the record says of a body: `request` or `response`.
pub fn inspection(record: &Value, of: &str) -> String {
    let said = if of == "request" { &record["inspection"] } else { &record["responseInspection"] };
    let kind = said["inspection"].as_str().unwrap_or_default();
    match (&said["why"], &said["bytes"]) {
        (Value::String(why), _) => format!("{kind}: {why}"),
        (_, Value::Number(bytes)) => format!("{kind}: {bytes}"),
        _ => kind.to_owned(),
    }
}

/// The name of the cause for which an exchange was refused.
pub fn reason(record: &Value) -> &str {
    record.pointer("/verdict/denial/reason").and_then(Value::as_str).unwrap_or_default()
}

pub fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A POST with a body of this type and these header lines.
pub fn post(kind: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /good HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\ncontent-type: {kind}\r\n\
         content-length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n")
}

pub const FORM: &str = "application/x-www-form-urlencoded";

/// An origin: `play` has each connection, in a thread of its own.
pub fn origin(play: impl Fn(Client) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let play = std::sync::Arc::new(play);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let play = play.clone();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            std::thread::spawn(move || play(Client::new(stream)));
        }
    });
    address
}

/// One end of a connection that speaks bytes.
pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Reads on; whether there was more.
    fn more(&mut self) -> bool {
        let mut piece = [0; 65_536];
        match self.stream.read(&mut piece) {
            Ok(read) => {
                self.buffer.extend_from_slice(&piece[..read]);
                read > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing came in time"),
            Err(_) => false,
        }
    }

    /// Up to and with `mark`, as text; none if the other side closed before.
    pub fn until(&mut self, mark: &str) -> Option<String> {
        let end = loop {
            let found = self.buffer.windows(mark.len()).position(|window| window == mark.as_bytes());
            match found {
                Some(at) => break at + mark.len(),
                None if !self.more() => return None,
                None => {}
            }
        };
        let text = self.buffer.drain(..end).collect::<Vec<u8>>();
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    /// A head, in lower case.
    pub fn head(&mut self) -> Option<String> {
        self.until("\r\n\r\n").map(|head| head.to_lowercase())
    }

    /// So many bytes, given to `take` as they come; how many came.
    pub fn each(&mut self, count: usize, mut take: impl FnMut(&[u8])) -> usize {
        let mut seen = 0;
        loop {
            let now = self.buffer.len().min(count - seen);
            take(&self.buffer[..now]);
            self.buffer.drain(..now);
            seen += now;
            if seen == count || !self.more() {
                return seen;
            }
        }
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        self.each(count, |piece| all.extend_from_slice(piece));
        all
    }

    /// Everything until the other side closes.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.buffer)
    }
}

/// The status in a head.
pub fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{head:?}"))
}

/// The length that a head declares.
pub fn length(head: &str) -> usize {
    let line = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    line.map_or(0, |length| length.trim().parse().unwrap())
}
