//! One complete request head, byte for byte: request line, fields, and what they say about framing.
//!
//! Bytes of the target that must be escaped are escaped in a copy of the head; the raw head keeps what was sent.

use bytes::Bytes;
use http::Version;
use palisade_model::{Authority, BodyKind, RawHead, Scheme};

use super::lines;
use crate::framing::{self, HeadLimits};
use crate::{Cause, Malformed, authority, headers, target};

/// The longest target that the `http` crate can hold.
const LONGEST_TARGET: usize = 65_534;

/// What the guard must know of a head to follow the connection.
#[derive(Debug)]
pub(super) struct Facts {
    pub body: BodyKind,
    pub upgrade: bool,
    pub close: bool,
}

/// Reads a head whose line ends were checked. Gives the head that is to be handed on, if it is not the one that was sent.
pub(super) fn read(head: &[u8], limits: &HeadLimits) -> Result<(RawHead, Facts, Option<Vec<u8>>), Malformed> {
    let bytes = Bytes::copy_from_slice(head);
    let (line, fields) = lines::split(&bytes);
    let start = Start::read(line, limits)?;
    let mut framing = Framing::default();
    let mut headers = Vec::with_capacity(16);
    for field in lines::fields(fields) {
        let (name, value) = field?;
        if headers.len() == limits.header_count {
            return Err(Malformed::new(Cause::TooManyHeaders, "headers"));
        }
        framing.field(name, value, start.version)?;
        headers.push((bytes.slice_ref(name), bytes.slice_ref(value)));
    }
    framing.check_host(start.authority.as_ref())?;
    let facts = framing.facts(&start)?;
    let escaped = if start.escapes { Some(escaped(head, line, &start, limits)?) } else { None };
    let raw = RawHead { request_line: bytes.slice_ref(line), uri: bytes.slice_ref(start.target), headers };
    Ok((raw, facts, escaped))
}

/// The head with its target escaped. An escape is longer than its byte, and what is handed on keeps the limit too.
fn escaped(head: &[u8], line: &[u8], start: &Start<'_>, limits: &HeadLimits) -> Result<Vec<u8>, Malformed> {
    let target = target::escaped(start.target).unwrap_or_else(|| start.target.to_vec());
    if target.len() > limits.uri_bytes.min(LONGEST_TARGET) {
        return Err(Malformed::new(Cause::UriTooLong, "target"));
    }
    // An empty line before the head is not handed on.
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let before = start.method.len() + 1;
    let rest = line.get(before + start.target.len()..).unwrap_or_default();
    let fields = head.get(line.len()..).unwrap_or_default();
    Ok([line.get(..before).unwrap_or_default(), target.as_slice(), rest, fields].concat())
}

struct Start<'a> {
    method: &'a [u8],
    target: &'a [u8],
    version: Version,
    /// Of an absolute-form target.
    authority: Option<Authority>,
    /// Whether bytes of the target must be escaped.
    escapes: bool,
}

impl<'a> Start<'a> {
    fn read(line: &'a [u8], limits: &HeadLimits) -> Result<Self, Malformed> {
        let refuse = |cause| Malformed::new(cause, "request line");
        let (method, rest) = split_space(line).ok_or_else(|| refuse(Cause::StartLine))?;
        let (target, version) = split_space(rest).ok_or_else(|| refuse(Cause::StartLine))?;
        if line == b"PRI * HTTP/2.0" {
            return Err(refuse(Cause::Http2Preface));
        }
        if method.len() > framing::METHOD_BYTES || !framing::is_token(method) {
            return Err(refuse(Cause::Method));
        }
        if method == b"CONNECT" {
            return Err(refuse(Cause::Connect));
        }
        let version = match version {
            b"HTTP/1.1" => Version::HTTP_11,
            b"HTTP/1.0" => Version::HTTP_10,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(refuse(Cause::Version));
            }
            _ => return Err(refuse(Cause::StartLine)),
        };
        if target.len() > limits.uri_bytes.min(LONGEST_TARGET) {
            return Err(refuse(Cause::UriTooLong));
        }
        let (authority, escapes) = match target {
            [b'/', ..] => (None, check_path_and_query(target)?),
            b"*" if method == b"OPTIONS" => (None, false),
            _ => absolute(target).map(|(authority, escapes)| (Some(authority), escapes))?,
        };
        Ok(Self { method, target, version, authority, escapes })
    }
}

fn split_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b' ', bytes)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// The authority of an absolute-form target, and whether bytes behind it must be escaped.
fn absolute(target: &[u8]) -> Result<(Authority, bool), Malformed> {
    let is =
        |prefix: &[u8]| target.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let skip = if is(b"http://") {
        "http://".len()
    } else if is(b"https://") {
        "https://".len()
    } else {
        return Err(Malformed::new(Cause::Target, "target"));
    };
    let rest = target.get(skip..).unwrap_or_default();
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, &[]));
    let escapes = check_path_and_query(path)?;
    Ok((authority::parse(authority, "target")?, escapes))
}

/// Refuses what has no place in a target, at least what the `http` crate refuses or drops, so that the server sees
/// every head that the guard announces, as the guard saw it. Gives whether bytes must be escaped.
fn check_path_and_query(bytes: &[u8]) -> Result<bool, Malformed> {
    let mut query = false;
    let mut escapes = false;
    for &byte in bytes {
        match byte {
            b'?' => query = true,
            b'#' => return Err(Malformed::new(Cause::Fragment, "target")),
            0..0x20 | 0x7f => return Err(Malformed::new(Cause::ControlCharacter, "target")),
            b' ' => return Err(Malformed::new(Cause::Target, "target")),
            byte if target::is_escaped(byte, query) => escapes = true,
            0x80.. => return Err(Malformed::new(Cause::NonAsciiTarget, "target")),
            _ => {}
        }
    }
    Ok(escapes)
}

#[derive(Default)]
struct Framing<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    connection_upgrade: bool,
    upgrades: usize,
    websocket: bool,
}

impl<'a> Framing<'a> {
    fn field(&mut self, name: &[u8], value: &'a [u8], version: Version) -> Result<(), Malformed> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is(b"host") => match self.host.replace(value) {
                None => {}
                Some(_) => return Err(Malformed::new(Cause::MultipleHosts, "header host")),
            },
            7 if is(b"upgrade") => {
                self.upgrades += 1;
                self.websocket = value.eq_ignore_ascii_case(b"websocket");
            }
            10 if is(b"connection") => {
                for option in framing::list(value) {
                    if !framing::is_token(option) {
                        return Err(Malformed::new(Cause::Nomination, "header connection"));
                    }
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    self.connection_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            14 if is(b"content-length") => {
                const PLACE: &str = "header content-length";
                if self.length.is_some() {
                    return Err(Malformed::new(Cause::MultipleContentLengths, PLACE));
                }
                let length = framing::content_length(value);
                self.length = Some(length.ok_or_else(|| Malformed::new(Cause::ContentLength, PLACE))?);
            }
            17 if is(b"transfer-encoding") => {
                if self.chunked || version != Version::HTTP_11 || !framing::is_chunked(value) {
                    return Err(Malformed::new(Cause::TransferEncoding, "header transfer-encoding"));
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn check_host(&self, target: Option<&Authority>) -> Result<(), Malformed> {
        const PLACE: &str = "header host";
        let host = self.host.filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| Malformed::new(Cause::MissingHost, PLACE))?;
        let Some(target) = target else { return Ok(()) };
        let host = authority::parse(host, PLACE)?;
        // The guard does not know the transport's scheme; the canonical head judges the default port.
        let same = [Scheme::Http, Scheme::Https].iter().any(|scheme| authority::same(target, &host, *scheme));
        if same { Ok(()) } else { Err(Malformed::new(Cause::AuthorityMismatch, PLACE)) }
    }

    fn facts(&self, start: &Start<'_>) -> Result<Facts, Malformed> {
        if self.chunked && self.length.is_some() {
            return Err(Malformed::new(Cause::LengthAndEncoding, "header content-length"));
        }
        if self.close && self.keep_alive {
            // Readers differ in which of the two wins, and so in whether a pipelined request exists.
            return Err(Malformed::new(Cause::Nomination, "header connection"));
        }
        let body = framing::body_kind(self.length, self.chunked);
        let upgrade =
            headers::is_upgrade(self.upgrades, self.websocket, self.connection_upgrade, start.version);
        if upgrade && (start.method != b"GET" || body != BodyKind::Empty) {
            return Err(Malformed::new(Cause::Upgrade, "header upgrade"));
        }
        let close = match start.version {
            Version::HTTP_10 => !self.keep_alive,
            _ => self.close,
        };
        Ok(Facts { body, upgrade, close })
    }
}
