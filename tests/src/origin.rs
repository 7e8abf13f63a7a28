//! An origin for one test: answers each request as its play says, and remembers what it was sent.
//!
//! It stands behind the proxy, so what it reads is well formed; it speaks HTTP/1.1 with kept-alive connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

/// A request as the origin read it.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What the origin answers.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Header lines, without those of framing.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// An answer with a body of some type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type".into(), content_type.into())], body: body.into() }
    }

    /// 200 and nothing else.
    pub fn empty() -> Self {
        Self { status: 200, headers: Vec::new(), body: Vec::new() }
    }
}

/// What the origin answers to a request.
pub type Play = dyn Fn(&Received) -> Reply + Send + Sync;

/// A running origin; it ends with the process.
#[derive(Clone)]
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Received>>>,
    remembers: bool,
}

impl Origin {
    /// One that remembers every request.
    pub fn start(play: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Result<Self> {
        Self::listen(Arc::new(play), true)
    }

    /// One that remembers nothing, for long runs.
    pub fn forgetful(play: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Result<Self> {
        Self::listen(Arc::new(play), false)
    }

    fn listen(play: Arc<Play>, remembers: bool) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let origin = Self { address: listener.local_addr()?, seen: Arc::default(), remembers };
        let this = origin.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (this, play) = (this.clone(), play.clone());
                std::thread::spawn(move || this.serve(stream, &*play));
            }
        });
        Ok(origin)
    }

    /// What it has received so far.
    pub fn received(&self) -> Vec<Received> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn serve(&self, mut stream: TcpStream, play: &Play) {
        let mut buffer = Vec::new();
        while let Some(received) = read(&mut stream, &mut buffer) {
            let reply = play(&received);
            let bytes = rendered(&reply, received.method == "HEAD");
            if self.remembers {
                self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(received);
            }
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
    }
}

fn rendered(reply: &Reply, head_only: bool) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {} Reply\r\n", reply.status).into_bytes();
    for (name, value) in &reply.headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    let bodiless = matches!(reply.status, 100..=199 | 204 | 304);
    if !bodiless {
        bytes.extend_from_slice(format!("content-length: {}\r\n", reply.body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    if !bodiless && !head_only {
        bytes.extend_from_slice(&reply.body);
    }
    bytes
}

fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    let end = loop {
        match find(buffer, b"\r\n\r\n") {
            Some(end) => break end + 4,
            None => more(stream, buffer)?,
        }
    };
    let head: Vec<u8> = buffer.drain(..end).collect();
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let body = if header("transfer-encoding").is_some() {
        chunks(stream, buffer)?
    } else {
        let length: usize = header("content-length").map_or(Some(0), |length| length.parse().ok())?;
        take(stream, buffer, length)?
    };
    Some(Received { method, target, headers, body })
}

fn chunks(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(line(stream, buffer)?.trim(), 16).ok()?;
        if size == 0 {
            while !line(stream, buffer)?.is_empty() {}
            return Some(body);
        }
        body.extend(take(stream, buffer, size)?);
        line(stream, buffer)?;
    }
}

fn line(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    let end = loop {
        match find(buffer, b"\r\n") {
            Some(end) => break end,
            None => more(stream, buffer)?,
        }
    };
    let mut line = take(stream, buffer, end + 2)?;
    line.truncate(end);
    String::from_utf8(line).ok()
}

fn take(stream: &mut TcpStream, buffer: &mut Vec<u8>, count: usize) -> Option<Vec<u8>> {
    while buffer.len() < count {
        more(stream, buffer)?;
    }
    Some(buffer.drain(..count).collect())
}

fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16384];
    let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
    buffer.extend_from_slice(piece.get(..read)?);
    Some(())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
