//! Request head → canonical form: the one reading that router, authorization, schema and upstream share.
//!
//! Promises that what is accepted can be read in one way only, that reading it again changes nothing, and that the
//! host header says the authority that was judged. It reads heads only; the transport compares a body with its length.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::request::Parts;
use http::{Method, Version};
use palisade_model::{Authority, BodyKind, RawHead, RequestHead, Scheme};

pub use crate::framing::HeadLimits;
pub use crate::headers::trailers;
use crate::{Cause, Malformed, authority, framing, headers, path, target as targets};

/// Reads a decoded head into its canonical form.
///
/// - `raw`: the bytes of the head as the guard gave them; `None` on HTTP/2, where they are written as they would have
///   been on HTTP/1.
/// - `scheme`: what the transport is (`https` under TLS); a scheme in the target only has to be one of the two.
/// - `ended`: whether the transport already ended the message with its head (hyper's `Body::is_end_stream`). On HTTP/2
///   it tells a request without a body from one whose length is not known; HTTP/1 says so in its headers.
///
/// Afterwards `headers` has exactly one `host`, which is the authority; `expect`, hop-by-hop and identity headers are
/// gone (`te: trailers` stays on HTTP/2).
pub fn canonical(
    parts: Parts,
    raw: Option<RawHead>,
    scheme: Scheme,
    ended: bool,
    limits: &HeadLimits,
) -> Result<(RequestHead, BodyKind), Malformed> {
    let Parts { method, uri, version, mut headers, .. } = parts;
    check_line(&method, version)?;
    let start_bytes = check_target(&method, &uri, raw.as_ref(), limits)?;
    let authority = read_authority(&uri, &headers, scheme)?;
    if headers.get_all(CONTENT_TYPE).iter().nth(1).is_some() {
        return Err(Malformed::new(Cause::MultipleContentTypes, "header content-type"));
    }
    let path = match uri.path() {
        "*" if method == Method::OPTIONS => "*".to_owned(),
        path => path::normalise(path, limits.encoded_slash)?,
    };
    // Escaping can make it longer; what is forwarded keeps the limit too.
    if path.len() + uri.query().map_or(0, |query| query.len() + 1) > limits.uri_bytes {
        return Err(Malformed::new(Cause::UriTooLong, "target"));
    }
    if version == Version::HTTP_2 {
        headers::join_cookies(&mut headers);
    }
    let raw = match raw {
        Some(raw) => raw,
        None => written(&method, &uri, &authority, &headers),
    };
    // Before the headers are counted: an inserted host counts.
    set_host(&mut headers, &authority)?;
    let mut facts = headers::clean(&mut headers, &method, version, start_bytes, limits)?;
    if version == Version::HTTP_2 && ended {
        facts.body = match facts.body {
            BodyKind::Length(_) => {
                return Err(Malformed::new(Cause::LengthMismatch, "header content-length"));
            }
            BodyKind::Empty | BodyKind::Unknown => BodyKind::Empty,
        };
    }
    let head = RequestHead {
        method,
        scheme,
        authority,
        path,
        query: uri.query().map(str::to_owned),
        headers,
        upgrade: facts.upgrade,
        expect_continue: facts.expect_continue,
        version,
        raw,
    };
    Ok((head, facts.body))
}

fn check_line(method: &Method, version: Version) -> Result<(), Malformed> {
    if !matches!(version, Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2) {
        return Err(Malformed::new(Cause::Version, "request line"));
    }
    if method == Method::CONNECT {
        return Err(Malformed::new(Cause::Connect, "method"));
    }
    if method.as_str().len() > framing::METHOD_BYTES || misspelled(method) {
        return Err(Malformed::new(Cause::Method, "method"));
    }
    Ok(())
}

/// Whether it is a standard method but for its case. Methods have case (RFC 9110 §9.1), and some applications forget it:
/// a DENY on `DELETE` must not be walked around with `delete`.
fn misspelled(method: &Method) -> bool {
    const STANDARD: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    let method = method.as_str();
    method.bytes().any(|byte| byte.is_ascii_lowercase())
        && STANDARD.iter().any(|standard| standard.eq_ignore_ascii_case(method))
}

/// Checks form and length of the target; gives the bytes of the start line.
fn check_target(
    method: &Method,
    uri: &http::Uri,
    raw: Option<&RawHead>,
    limits: &HeadLimits,
) -> Result<usize, Malformed> {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let length = raw.map_or(target.len() + authority.len(), |raw| raw.uri.len());
    if length > limits.uri_bytes {
        return Err(Malformed::new(Cause::UriTooLong, "target"));
    }
    if let Some(raw) = raw {
        if memchr::memchr(b'#', &raw.uri).is_some() {
            return Err(Malformed::new(Cause::Fragment, "target"));
        }
        // The raw bytes and the decoded head travel apart: they must be of one request.
        if authority.is_empty() && !targets::same(&raw.uri, target)
            || !raw.request_line.starts_with(method.as_str().as_bytes())
        {
            return Err(Malformed::new(Cause::StartLine, "request line"));
        }
    }
    if uri.scheme().is_some_and(|scheme| !matches!(scheme.as_str(), "http" | "https")) {
        return Err(Malformed::new(Cause::Scheme, "target"));
    }
    let query = uri.query().unwrap_or_default().as_bytes();
    match query.iter().find(|byte| !matches!(byte, 0x21..=0x7e)) {
        Some(0x80..) => return Err(Malformed::new(Cause::NonAsciiTarget, "query")),
        Some(_) => return Err(Malformed::new(Cause::ControlCharacter, "query")),
        None => {}
    }
    Ok(raw.map_or(method.as_str().len() + length + " ".len() + " HTTP/2\r\n\r\n".len(), |raw| {
        raw.request_line.len() + 2
    }))
}

/// The authority from target and `Host`, which must agree.
fn read_authority(
    uri: &http::Uri,
    headers: &http::HeaderMap,
    scheme: Scheme,
) -> Result<Authority, Malformed> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Malformed::new(Cause::MultipleHosts, "header host"));
    }
    let host = host.map(|host| authority::parse(host.as_bytes(), "header host")).transpose()?;
    let target =
        uri.authority().map(|target| authority::parse(target.as_str().as_bytes(), "target")).transpose()?;
    match (target, host) {
        (Some(target), Some(host)) if !authority::same(&target, &host, scheme) => {
            Err(Malformed::new(Cause::AuthorityMismatch, "header host"))
        }
        (Some(authority), _) | (None, Some(authority)) => Ok(authority),
        (None, None) => Err(Malformed::new(Cause::MissingHost, "header host")),
    }
}

/// Makes the host header say the authority, without a copy where it already does.
fn set_host(headers: &mut http::HeaderMap, authority: &Authority) -> Result<(), Malformed> {
    let says = headers.get(HOST).is_some_and(|host| match authority.port {
        None => host.as_bytes() == authority.host.as_bytes(),
        Some(_) => host.as_bytes() == authority.to_string().as_bytes(),
    });
    if !says {
        let value = HeaderValue::from_maybe_shared(Bytes::from(authority.to_string()))
            .map_err(|_| Malformed::new(Cause::Host, "header host"))?;
        headers.insert(HOST, value);
    }
    Ok(())
}

/// The head as HTTP/1 would have written it: one buffer, sliced.
fn written(method: &Method, uri: &http::Uri, authority: &Authority, headers: &http::HeaderMap) -> RawHead {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut buffer = Vec::with_capacity(512);
    buffer.extend_from_slice(method.as_str().as_bytes());
    buffer.push(b' ');
    let uri_start = buffer.len();
    buffer.extend_from_slice(target.as_bytes());
    let uri_end = buffer.len();
    buffer.extend_from_slice(b" HTTP/2");
    let line_end = buffer.len();
    let mut spans = Vec::with_capacity(headers.len() + 1);
    let mut push = |name: &[u8], value: &[u8]| {
        let start = buffer.len();
        buffer.extend_from_slice(name);
        let middle = buffer.len();
        buffer.extend_from_slice(value);
        spans.push((start..middle, middle..buffer.len()));
    };
    if !headers.contains_key(HOST) {
        push(b"host", authority.to_string().as_bytes());
    }
    for (name, value) in headers {
        push(name.as_str().as_bytes(), value.as_bytes());
    }
    let buffer = Bytes::from(buffer);
    RawHead {
        request_line: buffer.slice(..line_end),
        uri: buffer.slice(uri_start..uri_end),
        headers: spans.into_iter().map(|(name, value)| (buffer.slice(name), buffer.slice(value))).collect(),
    }
}

#[cfg(test)]
mod tests;
