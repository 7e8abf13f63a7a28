//! Strictness towards upstream responses: the framing guard of their bytes, and the check of their heads.
//!
//! Promises that a response is read in one way, that only an upgrade that was asked for is accepted, and that headers
//! of the upstream connection do not reach the client. The cause of a refusal is for the event; the client gets 502.

use http::header::{self, HeaderMap, HeaderName};
use http::response::Parts;
use http::{Method, StatusCode, Version};
use palisade_model::{BodyKind, RequestHead, ResponseHead};

use crate::framing::{self, HeadLimits};
use crate::guard::{Body, Failed, HeadScan, fields, split};
use crate::headers::is_forbidden_trailer;
use crate::{Cause, Malformed};

/// What a response answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    method: Method,
    upgrade: bool,
}

impl Asked {
    /// Of the request that was sent. `upgrade`: whether the upgrade was forwarded with it.
    pub fn new(method: Method, upgrade: bool) -> Self {
        Self { method, upgrade }
    }

    /// Whether the answer is a head alone.
    pub fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }
}

impl From<&RequestHead> for Asked {
    fn from(head: &RequestHead) -> Self {
        Self::new(head.method.clone(), head.upgrade.is_some())
    }
}

/// Headers of a response that end at this hop.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::UPGRADE,
    header::TRANSFER_ENCODING,
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// Checks a decoded response head, HTTP/1 or HTTP/2, and removes the headers that end here.
///
/// A 101 is accepted only on HTTP/1.1 as the answer to a forwarded upgrade, and only to `websocket`. Any other final
/// status for such a request is an ordinary response: the connection stays HTTP. `ended` as for
/// [`crate::head::canonical`].
pub fn check(asked: &Asked, parts: Parts, ended: bool) -> Result<(ResponseHead, BodyKind), Malformed> {
    let Parts { status, version, mut headers, .. } = parts;
    let scan = Scan::read(&headers, version)?;
    let mut body = scan.framing.body(asked, status, version)?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        scan.framing.check_switch()?;
    }
    if ended {
        if matches!(body, BodyKind::Length(_)) {
            return refuse(Cause::LengthMismatch, "header content-length");
        }
        body = BodyKind::Empty;
    }
    for name in HOP_BY_HOP.iter().chain(&scan.nominated) {
        headers.remove(name);
    }
    Ok((ResponseHead { status, headers, version }, body))
}

/// Removes from an upstream's trailers what RFC 9110 §6.5.1 forbids there. The head has left by then, so that nothing
/// can be refused any more without breaking the response.
pub fn trailers(headers: &mut HeaderMap) {
    let forbidden: Vec<_> =
        headers.keys().filter(|name| is_forbidden_trailer(name.as_str())).cloned().collect();
    for name in &forbidden {
        headers.remove(name);
    }
}

fn refuse<T>(cause: Cause, place: &str) -> Result<T, Malformed> {
    Err(Malformed::new(cause, place))
}

/// The framing facts of a response head, from bytes or from decoded headers.
#[derive(Debug, Default)]
struct Framing {
    length: Option<u64>,
    chunked: bool,
    upgrades: usize,
    websocket: bool,
    connection_upgrade: bool,
}

impl Framing {
    fn field(&mut self, name: &[u8], value: &[u8], version: Version) -> Result<(), Malformed> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            7 if is(b"upgrade") => {
                self.upgrades += 1;
                self.websocket = value.eq_ignore_ascii_case(b"websocket");
            }
            10 if is(b"connection") => {
                self.connection_upgrade |=
                    framing::list(value).any(|option| option.eq_ignore_ascii_case(b"upgrade"));
            }
            14 if is(b"content-length") => {
                const PLACE: &str = "header content-length";
                if self.length.is_some() {
                    return refuse(Cause::MultipleContentLengths, PLACE);
                }
                let length = framing::content_length(value);
                self.length = Some(length.ok_or_else(|| Malformed::new(Cause::ContentLength, PLACE))?);
            }
            17 if is(b"transfer-encoding") => {
                if self.chunked || version != Version::HTTP_11 || !framing::is_chunked(value) {
                    return refuse(Cause::TransferEncoding, "header transfer-encoding");
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// The body of the response (RFC 9112 §6.3); `Unknown` is chunked or until the end of the stream.
    fn body(&self, asked: &Asked, status: StatusCode, version: Version) -> Result<BodyKind, Malformed> {
        if self.chunked && self.length.is_some() {
            return refuse(Cause::LengthAndEncoding, "header content-length");
        }
        if status == StatusCode::SWITCHING_PROTOCOLS && (!asked.upgrade || version != Version::HTTP_11) {
            return refuse(Cause::UnexpectedResponse, "status line");
        }
        let declared = self.chunked || self.length.is_some_and(|length| length > 0);
        let bodiless = status.is_informational() || status == StatusCode::NO_CONTENT;
        // A 304 may say the length that a 200 would have had (RFC 9110 §15.4.5); it may not be chunked here.
        if bodiless && declared || status == StatusCode::NOT_MODIFIED && self.chunked {
            return refuse(Cause::ForbiddenBody, "headers");
        }
        if bodiless || status == StatusCode::NOT_MODIFIED || asked.method == Method::HEAD {
            return Ok(BodyKind::Empty);
        }
        Ok(match self.length {
            Some(_) => framing::body_kind(self.length, false),
            None => BodyKind::Unknown,
        })
    }

    fn check_switch(&self) -> Result<(), Malformed> {
        if self.upgrades == 1 && self.websocket && self.connection_upgrade {
            return Ok(());
        }
        refuse(Cause::Upgrade, "header upgrade")
    }
}

struct Scan {
    framing: Framing,
    nominated: Vec<HeaderName>,
}

impl Scan {
    fn read(headers: &HeaderMap, version: Version) -> Result<Self, Malformed> {
        let mut scan = Self { framing: Framing::default(), nominated: Vec::new() };
        for (name, value) in headers {
            if version == Version::HTTP_2 && HOP_BY_HOP.contains(name) && name != header::PROXY_AUTHENTICATE {
                return refuse(Cause::ConnectionHeader, "headers");
            }
            scan.framing.field(name.as_str().as_bytes(), value.as_bytes(), version)?;
            if name == header::CONNECTION {
                scan.nominate(value.as_bytes())?;
            }
        }
        Ok(scan)
    }

    /// An upstream is not a stranger, but it may not make us drop what a browser's safety or a body's meaning rests on.
    fn nominate(&mut self, value: &[u8]) -> Result<(), Malformed> {
        for option in framing::list(value) {
            let Ok(name) = HeaderName::from_bytes(option) else {
                return refuse(Cause::Nomination, "header connection");
            };
            let text = name.as_str();
            if matches!(text, "set-cookie" | "location" | "strict-transport-security" | "x-frame-options")
                || text.starts_with("content-")
                || text.starts_with("access-control-")
                || text.starts_with("x-content-")
            {
                return refuse(Cause::Nomination, "header connection");
            }
            self.nominated.push(name);
        }
        Ok(())
    }
}

/// What became of the bytes an upstream sent.
#[derive(Debug)]
#[must_use]
pub struct ResponseProgress {
    /// How many bytes from the start may be handed to the HTTP client. The rest is kept and fed again.
    pub pass: usize,
    /// Why nothing more may pass; close the connection.
    pub refused: Option<Malformed>,
}

#[derive(Debug)]
enum State {
    /// No request is open: a byte now would be taken for the answer to the next one.
    Idle,
    Head(HeadScan),
    Body(Body),
    Tunnel,
    Refused,
}

/// The framing guard of one upstream HTTP/1 connection, on the side that reads responses: one request at a time.
#[derive(Debug)]
pub struct ResponseGuard {
    limits: HeadLimits,
    asked: Option<Asked>,
    state: State,
}

impl ResponseGuard {
    /// A guard before the first request.
    pub fn new(limits: HeadLimits) -> Self {
        Self { limits, asked: None, state: State::Idle }
    }

    /// Says which request is about to be sent; its response is read next.
    pub fn ask(&mut self, asked: Asked) {
        if matches!(self.state, State::Idle) {
            self.state = State::Head(HeadScan::default());
        }
        self.asked = Some(asked);
    }

    /// Whether no response is open: only then the connection may be used again.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Whether nothing of the next response has passed: it is open and its head is not whole, or none is open.
    pub fn awaits_head(&self) -> bool {
        matches!(self.state, State::Idle | State::Head(_))
    }

    /// Reads the unpassed bytes, with new ones behind.
    pub fn feed(&mut self, input: &[u8]) -> ResponseProgress {
        let mut pass = 0;
        loop {
            let rest = input.get(pass..).unwrap_or_default();
            match self.step(rest) {
                Ok(Some(bytes)) => pass += bytes,
                Ok(None) => return ResponseProgress { pass, refused: None },
                Err(Failed { pass: good, malformed }) => {
                    self.state = State::Refused;
                    return ResponseProgress { pass: pass + good, refused: Some(malformed) };
                }
            }
        }
    }

    /// Passes some bytes, or needs more.
    fn step(&mut self, input: &[u8]) -> Result<Option<usize>, Failed> {
        if input.is_empty() {
            return Ok(None);
        }
        match &mut self.state {
            State::Idle => {
                let malformed = Malformed::new(Cause::UnexpectedResponse, "response without a request");
                Err(Failed { pass: 0, malformed })
            }
            State::Head(scan) => {
                let found =
                    scan.find(input, &self.limits).map_err(|malformed| Failed { pass: 0, malformed })?;
                let Some(end) = found else { return Ok(None) };
                let head = input.get(..end).unwrap_or(input);
                self.head(head).map_err(|malformed| Failed { pass: 0, malformed })?;
                Ok(Some(end))
            }
            State::Body(body) => {
                let followed = body.follow(input)?;
                if followed.done {
                    self.state = State::Idle;
                }
                Ok((followed.pass > 0).then_some(followed.pass))
            }
            State::Tunnel => Ok(Some(input.len())),
            State::Refused => Ok(None),
        }
    }

    fn head(&mut self, head: &[u8]) -> Result<(), Malformed> {
        let asked =
            self.asked.as_ref().ok_or_else(|| Malformed::new(Cause::UnexpectedResponse, "status line"))?;
        let (line, lines) = split(head);
        let (version, status) = status_line(line)?;
        let mut framing = Framing::default();
        for (count, field) in fields(lines).enumerate() {
            let (name, value) = field?;
            if count == self.limits.header_count {
                return refuse(Cause::TooManyHeaders, "headers");
            }
            framing.field(name, value, version)?;
        }
        let body = framing.body(asked, status, version)?;
        self.state = match body {
            _ if status == StatusCode::SWITCHING_PROTOCOLS => {
                framing.check_switch()?;
                State::Tunnel
            }
            _ if status.is_informational() => State::Head(HeadScan::default()),
            BodyKind::Empty => State::Idle,
            BodyKind::Length(length) => State::Body(Body::Length(length)),
            BodyKind::Unknown if framing.chunked => State::Body(Body::chunked()),
            BodyKind::Unknown => State::Body(Body::UntilEnd),
        };
        Ok(())
    }
}

/// `HTTP/1.x SP 3DIGIT SP [reason]`; the space before a missing reason may be missing too.
fn status_line(line: &[u8]) -> Result<(Version, StatusCode), Malformed> {
    const PLACE: &str = "status line";
    let version = match line.get(..9) {
        Some(b"HTTP/1.1 ") => Version::HTTP_11,
        Some(b"HTTP/1.0 ") => Version::HTTP_10,
        _ => return refuse(Cause::StartLine, PLACE),
    };
    let status = line.get(9..12).and_then(|digits| StatusCode::from_bytes(digits).ok());
    let Some(status) = status.filter(|status| status.as_u16() < 600) else {
        return refuse(Cause::StartLine, PLACE);
    };
    match line.get(12..) {
        None | Some([]) => {}
        Some([b' ', reason @ ..]) if framing::is_field_text(reason) => {}
        Some(_) => return refuse(Cause::StartLine, PLACE),
    }
    Ok((version, status))
}

#[cfg(test)]
mod tests;
