//! The stage: an origin that remembers, the real proxy in front of it, and a client that speaks bytes.
//!
//! Every read has a time limit, so that a test that waits for something that never comes fails and ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use palisade_tests::process::program;
use palisade_tests::proxy::{self, Proxy};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing here takes this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const GOOD: &str = "GET /good HTTP/1.1\r\nhost: shop.example\r\n\r\n";

/// A request as the origin read it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

/// What the origin does with a request; `false` closes the connection.
pub type Play = Arc<dyn Fn(&Seen, &mut TcpStream) -> bool + Send + Sync>;

/// An origin that remembers every byte and every request.
#[derive(Clone)]
pub struct Origin {
    pub address: SocketAddr,
    bytes: Arc<Mutex<Vec<u8>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Origin {
    pub fn start(play: Play) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let origin = Self { address, bytes: Arc::default(), seen: Arc::default() };
        let this = origin.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (this, play) = (this.clone(), play.clone());
                std::thread::spawn(move || this.serve(stream, &play));
            }
        });
        origin
    }

    /// Answers everything with 200 and `ok`.
    pub fn ok() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    }

    pub fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(Arc::new(move |_, stream| stream.write_all(&answer).is_ok()))
    }

    fn serve(&self, mut stream: TcpStream, play: &Play) {
        let mut buffer = Vec::new();
        loop {
            let Some(seen) = self.request(&mut stream, &mut buffer) else { return };
            self.seen.lock().unwrap().push(seen.clone());
            if !play(&seen, &mut stream) {
                return;
            }
        }
    }

    fn more(&self, stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
        let mut piece = [0; 16384];
        let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
        buffer.extend_from_slice(&piece[..read]);
        let mut log = self.bytes.lock().unwrap();
        // A log of megabytes would be compared with nothing.
        if log.len() < 1 << 20 {
            log.extend_from_slice(&piece[..read]);
        }
        Some(())
    }

    fn request(&self, stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
        let end = loop {
            match find(buffer, b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.more(stream, buffer)?,
            }
        };
        let head: Vec<u8> = buffer.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let lower = head.to_lowercase();
        let mut body = Vec::new();
        if lower.contains("\r\ntransfer-encoding: chunked\r\n") {
            loop {
                let line = loop {
                    match find(buffer, b"\r\n") {
                        Some(end) => break end,
                        None => self.more(stream, buffer)?,
                    }
                };
                let size = String::from_utf8_lossy(&buffer[..line]).into_owned();
                let size = usize::from_str_radix(&size, 16).ok()?;
                while size > 0 && buffer.len() < line + 2 + size + 2 {
                    self.more(stream, buffer)?;
                }
                if size == 0 {
                    // Trailers, then an empty line.
                    while find(&buffer[line..], b"\r\n\r\n").is_none() {
                        self.more(stream, buffer)?;
                    }
                    let end = line + find(&buffer[line..], b"\r\n\r\n").unwrap() + 4;
                    body.extend_from_slice(&buffer[line + 2..end]);
                    buffer.drain(..end);
                    break;
                }
                body.extend_from_slice(&buffer[line + 2..line + 2 + size]);
                buffer.drain(..line + 2 + size + 2);
            }
        } else if let Some(length) = lower.lines().find_map(|line| line.strip_prefix("content-length: ")) {
            let length: usize = length.trim().parse().ok()?;
            while buffer.len() < length {
                self.more(stream, buffer)?;
            }
            body = buffer.drain(..length).collect();
        }
        Some(Seen { head, body })
    }

    pub fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// All bytes, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }
}

/// The policy of the set: nobody gets to the admin pages, by path, host, header or body.
pub fn policy(origin: SocketAddr) -> Value {
    let mut policy = proxy::gateway(origin);
    policy["authorization"] = json!([{
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "no-admin", "namespace": "shop"},
        "spec": {"action": "DENY", "rules": [
            {"to": [{"operation": {"paths": ["/admin*"]}}]},
            {"to": [{"operation": {"hosts": ["admin.example"]}}]},
            {"when": [{"key": "request.headers[x-role]", "values": ["admin"]}]},
        ]},
    }]);
    policy
}

/// Adds a WAF with a small rule set and limits in bytes.
pub fn with_waf(policy: &mut Value, rules: &str, max_bytes: usize, over: &str) {
    policy["waf"] = json!([{
        "apiVersion": "palisade.dev/v1alpha1",
        "kind": "WafPolicy",
        "metadata": {"name": "waf", "namespace": "shop"},
        "spec": {"ruleSet": "rules", "requestBody": {"maxBytes": max_bytes, "over": over}},
    }]);
    policy["ruleSets"] = json!([{
        "apiVersion": "palisade.dev/v1alpha1",
        "kind": "RuleSet",
        "metadata": {"name": "rules", "namespace": "shop"},
        "spec": {"sources": [{"name": "rules.conf", "text": rules}]},
    }]);
}

/// The proxy as a process, in front of an origin.
pub struct Stage {
    pub origin: Origin,
    pub edge: SocketAddr,
    pub admin: SocketAddr,
    proxy: Proxy,
    _dir: TempDir,
}

impl Stage {
    pub fn new(origin: Origin) -> Self {
        Self::with(origin, |_| {})
    }

    pub fn with(origin: Origin, change: impl FnOnce(&mut Value)) -> Self {
        let mut policy = policy(origin.address);
        change(&mut policy);
        Self::playing(origin, &policy, TempDir::new().unwrap())
    }

    /// Starts with a complete policy; `dir` holds what it names by relative path.
    pub fn playing(origin: Origin, policy: &Value, dir: TempDir) -> Self {
        let proxy = Proxy::start(&program("palisade-proxy").unwrap(), policy, dir.path()).unwrap();
        Self { origin, edge: proxy.edge, admin: proxy.admin, proxy, _dir: dir }
    }

    /// The proxy is alive.
    pub fn alive(&self) {
        self.proxy.check().unwrap();
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.proxy.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
    }

    pub fn metrics(&self) -> String {
        self.proxy.metrics().unwrap()
    }

    /// Another client is served.
    pub fn serves_others(&self) {
        let mut client = Client::connect(self.edge);
        client.send(GOOD);
        assert_eq!(client.answer().expect("another client is answered").status, 200);
    }

    /// Sends an attack on a connection of its own: it gets one of `statuses`, the origin sees nothing of it, and the
    /// connection is then closed or answers a good request correctly. Gives the status.
    pub fn refuses(&self, name: &str, attack: impl AsRef<[u8]>, statuses: &[u16]) -> u16 {
        let before = self.origin.count();
        let mut client = Client::connect(self.edge);
        client.send(attack);
        let answer = client.answer().unwrap_or_else(|| panic!("{name}: closed without an answer"));
        assert!(statuses.contains(&answer.status), "{name}: {} instead of {statuses:?}", answer.status);
        let follow = client.try_send(GOOD).ok().and_then(|()| client.answer());
        let served = match follow {
            None => 0,
            Some(next) => {
                assert_eq!(
                    (next.status, next.body.as_slice()),
                    (200, &b"ok"[..]),
                    "{name}: the next request"
                );
                1
            }
        };
        let seen = self.origin.requests();
        let new = &seen[before..];
        assert_eq!(new.len(), served, "{name}: the origin saw {new:?}");
        assert!(new.iter().all(|one| one.target() == "/good"), "{name}: the origin saw {new:?}");
        assert!(!self.origin.text().to_lowercase().contains("admin"), "{name}: {}", self.origin.text());
        answer.status
    }

    /// Sends a request that is let through; gives what the origin saw of it.
    pub fn forwards(&self, name: &str, request: impl AsRef<[u8]>) -> Seen {
        let before = self.origin.count();
        let mut client = Client::connect(self.edge);
        client.send(request);
        assert_eq!(client.answer().map(|answer| answer.status), Some(200), "{name}");
        let seen = self.origin.requests();
        assert_eq!(seen.len(), before + 1, "{name}");
        seen[before].clone()
    }
}

pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: Vec<u8>,
}

/// A client that speaks bytes, over plain TCP or anything else that reads and writes.
pub struct Client<S = TcpStream> {
    pub stream: S,
    buffer: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self::over(stream)
    }
}

impl<S: Read + Write> Client<S> {
    pub fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self.stream.flush().unwrap();
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// More bytes; `false` at the end. A silence longer than the patience is a failure.
    fn more(&mut self) -> bool {
        let mut piece = [0; 16384];
        match self.stream.read(&mut piece) {
            Ok(read) => {
                self.buffer.extend_from_slice(&piece[..read]);
                read > 0
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {
                panic!("no answer in time")
            }
            Err(_) => false,
        }
    }

    /// At least so many bytes, in order.
    pub fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.more() {
                return None;
            }
        }
        Some(self.buffer.drain(..count).collect())
    }

    fn line(&mut self) -> Option<String> {
        let end = loop {
            match find(&self.buffer, b"\r\n") {
                Some(end) => break end,
                None if !self.more() => return None,
                None => {}
            }
        };
        let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 2);
        Some(line)
    }

    /// The head of a response only.
    pub fn head(&mut self) -> Option<Answer> {
        let end = loop {
            match find(&self.buffer, b"\r\n\r\n") {
                Some(end) => break end + 4,
                None if !self.more() => return None,
                None => {}
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok())?;
        Some(Answer { status, head, body: Vec::new() })
    }

    /// One whole response; none if the connection ended first.
    pub fn answer(&mut self) -> Option<Answer> {
        let mut answer = self.head()?;
        let bodiless = matches!(answer.status, 100..=199 | 204 | 304);
        if answer.head.contains("transfer-encoding: chunked") {
            while let Some(chunk) = self.chunk()? {
                answer.body.extend_from_slice(&chunk);
            }
        } else if !bodiless {
            let length = answer.head.lines().find_map(|line| line.strip_prefix("content-length: "));
            answer.body = self.bytes(length.map_or(0, |length| length.trim().parse().unwrap()))?;
        }
        Some(answer)
    }

    /// The next chunk; `Some(None)` at the end, whose trailers are dropped.
    pub fn chunk(&mut self) -> Option<Option<Vec<u8>>> {
        let size = usize::from_str_radix(self.line()?.trim(), 16).ok()?;
        if size == 0 {
            while !self.line()?.is_empty() {}
            return Some(None);
        }
        let mut chunk = self.bytes(size + 2)?;
        chunk.truncate(size);
        Some(Some(chunk))
    }

    /// Everything until the other side closes.
    pub fn rest(&mut self) -> String {
        while self.more() {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }
}
