//! The header rules of a request: what is refused, what ends here, and what the head says about its body.
//!
//! Promises that hop-by-hop headers and identity headers that a client sent are gone afterwards. It cannot check
//! values for control characters again: `http::HeaderValue` cannot hold them.

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Version};
use palisade_model::BodyKind;

use crate::framing::{self, HeadLimits};
use crate::{Cause, Malformed};

/// What the headers said before they were removed.
#[derive(Debug)]
pub(crate) struct Facts {
    pub body: BodyKind,
    pub upgrade: Option<String>,
    pub expect_continue: bool,
}

/// Headers that end at this hop (RFC 9110 §7.6.1), in the order of the bits of `Scan::hop`.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::UPGRADE,
    header::TRANSFER_ENCODING,
    header::TE,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

#[derive(Default)]
struct Scan {
    length: Option<u64>,
    chunked: bool,
    upgrades: usize,
    websocket: bool,
    connection_upgrade: bool,
    expect: bool,
    te_trailers: bool,
    hop: u16,
    bytes: usize,
    remove: Vec<HeaderName>,
}

fn refuse<T>(cause: Cause, name: &str) -> Result<T, Malformed> {
    Err(Malformed::new(cause, format!("header {name}")))
}

/// Checks all headers, then removes those that end here. `start_bytes`: the length of the start line.
pub(crate) fn clean(
    headers: &mut HeaderMap,
    method: &Method,
    version: Version,
    start_bytes: usize,
    limits: &HeadLimits,
) -> Result<Facts, Malformed> {
    if headers.len() > limits.header_count {
        return Err(Malformed::new(Cause::TooManyHeaders, "headers"));
    }
    let mut scan = Scan { bytes: start_bytes, ..Scan::default() };
    for (name, value) in headers.iter() {
        // Two bytes for `: ` or `:` and padding, two for the line end.
        scan.bytes += name.as_str().len() + value.len() + 4;
        if version == Version::HTTP_2 {
            scan.http2(name, value.as_bytes())?;
        } else {
            scan.http1(name, value.as_bytes(), version)?;
        }
        scan.either(name, value.as_bytes())?;
    }
    if scan.bytes > limits.header_bytes {
        return Err(Malformed::new(Cause::HeadTooLarge, "headers"));
    }
    if scan.chunked && scan.length.is_some() {
        return refuse(Cause::LengthAndEncoding, "content-length");
    }
    let body = match (version, scan.length) {
        (Version::HTTP_2, None) => BodyKind::Unknown,
        (_, length) => framing::body_kind(length, scan.chunked),
    };
    let upgrade = scan.upgrade(method, version, body)?;
    for (bit, name) in HOP_BY_HOP.iter().enumerate() {
        if scan.hop & (1 << bit) != 0 && !(scan.te_trailers && name == header::TE) {
            headers.remove(name);
        }
    }
    for name in &scan.remove {
        headers.remove(name);
    }
    let expect_continue = scan.expect && version != Version::HTTP_10;
    Ok(Facts { body, upgrade, expect_continue })
}

impl Scan {
    /// Rules of HTTP/1 alone.
    fn http1(&mut self, name: &HeaderName, value: &[u8], version: Version) -> Result<(), Malformed> {
        match name.as_str() {
            "connection" => self.connection(value),
            "transfer-encoding" => {
                if self.chunked || version != Version::HTTP_11 || !framing::is_chunked(value) {
                    return refuse(Cause::TransferEncoding, "transfer-encoding");
                }
                self.chunked = true;
                Ok(())
            }
            "upgrade" => {
                self.upgrades += 1;
                self.websocket = value.eq_ignore_ascii_case(b"websocket");
                Ok(())
            }
            "http2-settings" => {
                self.remove.push(HTTP2_SETTINGS);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Rules of HTTP/2 alone (RFC 9113 §8.2.2).
    fn http2(&mut self, name: &HeaderName, value: &[u8]) -> Result<(), Malformed> {
        match name.as_str() {
            "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade"
            | "http2-settings" => refuse(Cause::ConnectionHeader, name.as_str()),
            "te" if !value.eq_ignore_ascii_case(b"trailers") => refuse(Cause::ConnectionHeader, "te"),
            "te" => {
                self.te_trailers = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn either(&mut self, name: &HeaderName, value: &[u8]) -> Result<(), Malformed> {
        if let Some(bit) = HOP_BY_HOP.iter().position(|hop| hop == name) {
            self.hop |= 1 << bit;
        }
        match name.as_str() {
            "content-length" => {
                if self.length.is_some() {
                    return refuse(Cause::MultipleContentLengths, "content-length");
                }
                let Some(length) = framing::content_length(value) else {
                    return refuse(Cause::ContentLength, "content-length");
                };
                self.length = Some(length);
            }
            "expect" => {
                if self.expect || !value.eq_ignore_ascii_case(b"100-continue") {
                    return refuse(Cause::Expect, "expect");
                }
                self.expect = true;
            }
            text if text.starts_with("x-") || text.contains('_') => {
                if is_underscore_framing(text) {
                    return refuse(Cause::UnderscoreFraming, "content_length or transfer_encoding");
                }
                if claims_identity(text) {
                    self.remove.push(name.clone());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `Connection`: its nominated headers end here too, but it may not strip what policies and applications rely on.
    fn connection(&mut self, value: &[u8]) -> Result<(), Malformed> {
        for member in framing::list(value) {
            if member.eq_ignore_ascii_case(b"close") || member.eq_ignore_ascii_case(b"keep-alive") {
                continue;
            }
            if member.eq_ignore_ascii_case(b"upgrade") {
                self.connection_upgrade = true;
                continue;
            }
            let Ok(name) = HeaderName::from_bytes(member) else {
                return refuse(Cause::Nomination, "connection");
            };
            if is_protected(name.as_str()) {
                return refuse(Cause::Nomination, "connection");
            }
            self.remove.push(name);
        }
        Ok(())
    }

    fn upgrade(
        &self,
        method: &Method,
        version: Version,
        body: BodyKind,
    ) -> Result<Option<String>, Malformed> {
        if !is_upgrade(self.upgrades, self.websocket, self.connection_upgrade, version) {
            return Ok(None);
        }
        if method != Method::GET || body != BodyKind::Empty {
            return refuse(Cause::Upgrade, "upgrade");
        }
        Ok(Some("websocket".to_owned()))
    }
}

/// The one upgrade that is offered. Everything else (h2c, several protocols) is an ordinary request.
pub(crate) fn is_upgrade(
    upgrades: usize,
    websocket: bool,
    connection_upgrade: bool,
    version: Version,
) -> bool {
    upgrades == 1 && websocket && connection_upgrade && version == Version::HTTP_11
}

/// Spelled with an underscore, a CGI-like application reads it as the header with a hyphen.
fn hyphenated(name: &str) -> std::borrow::Cow<'_, str> {
    if name.contains('_') { name.replace('_', "-").into() } else { name.into() }
}

fn is_underscore_framing(name: &str) -> bool {
    name.contains('_') && matches!(&*hyphenated(name), "content-length" | "transfer-encoding")
}

/// Headers in which only this proxy may speak. With underscores, also those that carry the client's address: the
/// hyphenated ones are decided by trusted hops elsewhere.
fn claims_identity(name: &str) -> bool {
    let text = hyphenated(name);
    text == "x-forwarded-client-cert"
        || text.starts_with("x-palisade-")
        || (name.contains('_') && (text.starts_with("x-forwarded-") || text == "x-real-ip"))
}

/// Headers that a `Connection` option may not remove (the class of Pingora's CVE-2026-105299).
fn is_protected(name: &str) -> bool {
    let name = hyphenated(name);
    matches!(
        &*name,
        "host"
            | "authorization"
            | "cookie"
            | "origin"
            | "referer"
            | "range"
            | "expect"
            | "trailer"
            | "transfer-encoding"
            | "forwarded"
            | "traceparent"
            | "tracestate"
            | "user-agent"
            | "x-real-ip"
            | "x-request-id"
    ) || ["content-", "x-forwarded-", "x-palisade-", "x-envoy-", "access-control-", "sec-"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Joins the cookie crumbs of HTTP/2 into the one header that HTTP/1 would carry (RFC 9113 §8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(|crumb| crumb.as_bytes()).collect();
    if let Ok(joined) = header::HeaderValue::from_bytes(&crumbs.join(b"; ".as_slice())) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Checks trailers of either direction before they are passed on: those that RFC 9110 §6.5.1 forbids (framing,
/// routing, authentication, payload) refuse the message, identity headers are removed.
pub fn trailers(headers: &mut HeaderMap, limits: &HeadLimits) -> Result<(), Malformed> {
    if headers.len() > limits.header_count {
        return Err(Malformed::new(Cause::Trailer, "trailers"));
    }
    let mut bytes = 0;
    let mut remove = Vec::new();
    for (name, value) in headers.iter() {
        bytes += name.as_str().len() + value.len() + 4;
        if is_forbidden_trailer(name.as_str()) {
            return Err(Malformed::new(Cause::Trailer, format!("trailer {name}")));
        }
        if claims_identity(name.as_str()) {
            remove.push(name.clone());
        }
    }
    if bytes > limits.header_bytes {
        return Err(Malformed::new(Cause::Trailer, "trailers"));
    }
    for name in &remove {
        headers.remove(name);
    }
    Ok(())
}

/// Whether a header may not be sent after the body. `name` in lower case.
pub(crate) fn is_forbidden_trailer(name: &str) -> bool {
    matches!(
        &*hyphenated(name),
        "content-length"
            | "content-encoding"
            | "content-type"
            | "content-range"
            | "transfer-encoding"
            | "trailer"
            | "te"
            | "connection"
            | "upgrade"
            | "keep-alive"
            | "host"
            | "authorization"
            | "cookie"
            | "set-cookie"
            | "expect"
            | "range"
            | "proxy-authorization"
            | "proxy-authenticate"
            | "www-authenticate"
    )
}
