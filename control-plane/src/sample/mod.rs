//! A request that a person has at hand: HTTP/1.1 as text ([`raw`]), or a curl command line ([`curl`]).
//!
//! Promises that a sample is read as the proxy reads a request (framing guard, then canonical head), that nothing it
//! says is ignored without a note, and that reading it is bounded. Sends nothing.

pub mod curl;
mod form;
pub mod raw;
mod words;

use palisade_http::Malformed;
use palisade_http::guard::{Event, Guard};
use palisade_http::head::{HeadLimits, canonical};
use palisade_http::response::{self, Asked};
use palisade_model::{RequestHead, ResponseHead, Scheme};

/// Bytes of a sample, of a curl command line, and of everything that it reads from files. Twice the most that a policy
/// may inspect of a body by default would do; the rest is room for uploads.
pub const SAMPLE_BYTES: usize = 16 * 1024 * 1024;

/// A request, and perhaps the response to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Request line and headers, each with CRLF, and an empty line.
    pub head: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the request would be made over TLS.
    pub tls: bool,
    /// The response, head and body.
    pub response: Option<(Vec<u8>, Vec<u8>)>,
    /// What was added or left out when it was read.
    pub notes: Vec<String>,
}

/// What is wrong with a sample.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SampleError(pub String);

impl SampleError {
    fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

impl Sample {
    /// The canonical head, or why the proxy would refuse it before any rule.
    pub fn request_head(&self) -> Result<RequestHead, Malformed> {
        let limits = HeadLimits::default();
        let incomplete = || Malformed::new(palisade_http::Cause::StartLine, "request line");
        // What the server behind the guard reads: the line as it came, or with its target escaped.
        let (raw, head) = match Guard::new(limits).feed(&self.head).event {
            Some(Event::Head(raw)) => (*raw, self.head.clone()),
            Some(Event::Escaped(raw, head)) => (*raw, head),
            Some(Event::Refuse(malformed)) => return Err(malformed),
            None => return Err(incomplete()),
        };
        let mut line =
            head.split(|byte| *byte == b'\r').next().unwrap_or_default().split(|byte| *byte == b' ');
        let (method, target) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
        let version = match line.next() {
            Some(b"HTTP/1.0") => http::Version::HTTP_10,
            _ => http::Version::HTTP_11,
        };
        let mut request = http::Request::builder().method(method).uri(target).version(version);
        for (name, value) in &raw.headers {
            request = request.header(name.as_ref(), value.as_ref());
        }
        let (parts, ()) = request.body(()).map_err(|_| incomplete())?.into_parts();
        let scheme = if self.tls { Scheme::Https } else { Scheme::Http };
        canonical(parts, Some(raw), scheme, false, &limits).map(|(head, _)| head)
    }

    /// The response head and its body, if there is one.
    pub fn response_head(&self, asked: &RequestHead) -> Result<Option<(ResponseHead, &[u8])>, SampleError> {
        let Some((head, body)) = &self.response else { return Ok(None) };
        let mut lines =
            head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let line = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        let status = line.split(' ').nth(1).unwrap_or_default();
        let wrong = |problem: &str| SampleError::new(format!("the response: {problem}"));
        if !line.starts_with("HTTP/") {
            return Err(wrong("its first line is not `HTTP/1.1 STATUS REASON`"));
        }
        let mut response = http::Response::builder().status(status);
        for line in lines.filter(|line| !line.is_empty()) {
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = line.split_at(colon.ok_or_else(|| wrong("a header has no colon"))?);
            response = response.header(name, value.get(1..).unwrap_or_default().trim_ascii());
        }
        let (parts, ()) = response.body(()).map_err(|error| wrong(&error.to_string()))?.into_parts();
        let (head, _) = response::check(&Asked::from(asked), parts, false)
            .map_err(|malformed| wrong(&format!("{} in {}", malformed.cause.as_str(), malformed.place)))?;
        Ok(Some((head, body)))
    }
}
