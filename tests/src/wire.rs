//! A client that sends bytes as they are and reads one answer: for requests that no HTTP library would write.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

/// An answer as it came.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body; of a chunked one, its chunks joined.
    pub body: Vec<u8>,
    /// Every byte, head included.
    pub raw: Vec<u8>,
}

impl Answer {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// What came of one connection.
#[derive(Debug)]
pub struct Exchange {
    /// The client's end, by which the proxy's log names it.
    pub client: SocketAddr,
    /// The answer, or why there is none.
    pub answer: Result<Answer, String>,
}

/// How long the other side may take to close a connection that was answered.
const CLOSING: Duration = Duration::from_secs(5);

/// Sends `bytes` on a connection of their own and reads the first answer. The connection is over afterwards: what else
/// was in `bytes` has been answered too.
pub fn exchange(to: SocketAddr, bytes: &[u8], patience: Duration) -> Result<Exchange> {
    let mut stream = TcpStream::connect_timeout(&to, patience).with_context(|| format!("connect to {to}"))?;
    let client = stream.local_addr()?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    // Who is refused early is answered all the same.
    let _ = stream.write_all(bytes);
    let mut raw = Vec::new();
    let head_only = bytes.starts_with(b"HEAD ");
    let answer = loop {
        match parse(&raw, head_only, false) {
            Parsed::Whole(answer) => break Ok(answer),
            Parsed::Broken(why) => break Err(why),
            Parsed::More => {}
        }
        let mut piece = [0; 16384];
        match stream.read(&mut piece) {
            Ok(0) => {
                break match parse(&raw, head_only, true) {
                    Parsed::Whole(answer) => Ok(answer),
                    Parsed::Broken(why) => Err(why),
                    Parsed::More => Err(format!("closed after {} bytes", raw.len())),
                };
            }
            Ok(read) => raw.extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(error) => break Err(format!("{error} after {} bytes", raw.len())),
        }
    };
    if answer.is_ok() {
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.set_read_timeout(Some(CLOSING));
        let _ = stream.read_to_end(&mut Vec::new());
    }
    Ok(Exchange { client, answer })
}

enum Parsed {
    Whole(Answer),
    More,
    Broken(String),
}

/// Reads the first final answer in `raw`.
fn parse(raw: &[u8], head_only: bool, ended: bool) -> Parsed {
    let mut rest = raw;
    loop {
        let Some(end) = find(rest, b"\r\n\r\n") else { return Parsed::More };
        let (head, body) = rest.split_at(end + 4);
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
        let Some(status) = status else { return Parsed::Broken(format!("no status in {text:?}")) };
        // What comes before the answer itself.
        if matches!(status, 100..=199) && status != 101 {
            rest = body;
            continue;
        }
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new(), raw: raw.to_vec() };
        let body = match of_body(&answer, body, head_only, ended) {
            Ok(Some(body)) => body,
            Ok(None) => return Parsed::More,
            Err(why) => return Parsed::Broken(why),
        };
        answer.body = body;
        return Parsed::Whole(answer);
    }
}

/// The body if it is whole.
fn of_body(answer: &Answer, body: &[u8], head_only: bool, ended: bool) -> Result<Option<Vec<u8>>, String> {
    if head_only || matches!(answer.status, 101 | 204 | 304) {
        return Ok(Some(Vec::new()));
    }
    if answer.header("transfer-encoding") == Some("chunked") {
        return unchunked(body);
    }
    match answer.header("content-length").map(str::parse::<usize>) {
        Some(Ok(length)) => Ok(body.get(..length).map(<[u8]>::to_vec)),
        Some(Err(error)) => Err(format!("content-length: {error}")),
        None => Ok(ended.then(|| body.to_vec())),
    }
}

fn unchunked(mut rest: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let Some(end) = find(rest, b"\r\n") else { return Ok(None) };
        let size = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
        let size =
            usize::from_str_radix(size.trim(), 16).map_err(|error| format!("chunk {size:?}: {error}"))?;
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else { return Ok(None) };
        let Some(after) = rest.get(end + 2 + size + 2..) else { return Ok(None) };
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(chunk);
        rest = after;
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
