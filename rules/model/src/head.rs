//! The canonical reading of a request head, and the raw bytes it was read from.
//!
//! A [`RequestHead`] is made by `palisade-http` and by nothing else in the data path. Router, authorization,
//! schema and the forwarded request use it; the WAF also gets the [`RawHead`], since CRS rules read raw bytes.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};

/// The scheme of the request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port a missing port means.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The authority a request is for: lower-case host without a trailing dot, and the port if one was given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    /// Lower-case registered name, IPv4 address, or IPv6 address in brackets.
    pub host: String,
    /// The port, if one was written.
    pub port: Option<u16>,
}

impl std::fmt::Display for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// One request head, read once, in one way.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method, case-sensitive (RFC 9110 §9.1).
    pub method: Method,
    /// The scheme.
    pub scheme: Scheme,
    /// From `:authority`, the absolute-form target, or `Host`; they are known to agree.
    pub authority: Authority,
    /// Normalised: begins with `/` (or is `*` for a server-wide OPTIONS), unreserved bytes decoded, no dot segments,
    /// no duplicate slashes, percent-escapes in upper case.
    pub path: String,
    /// Everything after the first `?`, as sent.
    pub query: Option<String>,
    /// As received, without hop-by-hop headers and without client-sent identity headers.
    pub headers: HeaderMap,
    /// The protocol an HTTP/1.1 client asks to switch to, in lower case (`websocket`); its hop-by-hop headers are gone.
    pub upgrade: Option<String>,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// The version the client spoke.
    pub version: Version,
    /// What was read, before it was normalised.
    pub raw: RawHead,
}

impl RequestHead {
    /// Path and query as they are forwarded.
    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

/// The bytes as they came (HTTP/1), or as they would have been written (HTTP/2, which has no raw bytes).
#[derive(Clone, Debug, Default)]
pub struct RawHead {
    /// The request line without its line end.
    pub request_line: Bytes,
    /// The request target as sent.
    pub uri: Bytes,
    /// Every header in order, names as sent.
    pub headers: Vec<(Bytes, Bytes)>,
}

/// How a request's body is framed, known from its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// There is none.
    Empty,
    /// Content-Length, never 0.
    Length(u64),
    /// Chunked, or an HTTP/2 stream without a length.
    Unknown,
}

/// A response head as read from the upstream.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The version the upstream spoke.
    pub version: Version,
}
