//! The facts of one exchange, as variables show them: made once from the heads and bodies, then only read.
//!
//! `REQUEST_URI`, `REQUEST_FILENAME` and `REQUEST_BASENAME` are made from the canonical path, which is what is
//! forwarded, the latter two percent-decoded as the application sees them (and as ModSecurity 2 shows them);
//! `REQUEST_LINE`, `REQUEST_URI_RAW` and the headers are the bytes as they came. Headers keep their order and their
//! spelling.

use std::fmt::Write as _;
use std::net::IpAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::Version;
use palisade_model::{Connection, RequestHead, ResponseHead};
use palisade_seclang::Transformation;

use crate::bodies::multipart::{self, File, Flags};
use crate::bodies::urlencoded::Reading;
use crate::bodies::{cookies, urlencoded};
use crate::calendar::Moment;
use crate::collection::Collection;
use crate::scratch::{Arena, Scratch, Use};
use crate::transformations::bytes::hex_pair;
use crate::transformations::{self, decode_form};
use crate::values::number_text;

/// The facts.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) connection: ConnectionFacts,
    pub(crate) request: RequestFacts,
    pub(crate) body: BodyFacts,
    pub(crate) response: Option<ResponseFacts>,
    pub(crate) moment: Moment,
    pub(crate) epoch: u64,
    pub(crate) unique_id: Bytes,
    /// `ARGS_COMBINED_SIZE`: bytes of all names and values.
    pub(crate) arguments_size: Bytes,
}

/// Who talks to whom.
#[derive(Debug)]
pub(crate) struct ConnectionFacts {
    pub(crate) remote_addr: Bytes,
    pub(crate) remote_port: u16,
    pub(crate) server_addr: Bytes,
    pub(crate) server_port: u16,
}

/// What the request's head says.
#[derive(Debug)]
pub(crate) struct RequestFacts {
    pub(crate) line: Bytes,
    pub(crate) method: Bytes,
    pub(crate) uri: Bytes,
    pub(crate) uri_raw: Bytes,
    pub(crate) filename: Bytes,
    pub(crate) basename: Bytes,
    pub(crate) protocol: Bytes,
    pub(crate) query: Bytes,
    pub(crate) server_name: Bytes,
    pub(crate) headers: Collection,
    pub(crate) cookies: Collection,
    pub(crate) args_get: Collection,
    /// Whether an escape in the query is malformed.
    pub(crate) urlencoded_error: bool,
    /// Whether there are more arguments or cookies than the limit.
    pub(crate) over_limit: bool,
}

/// What the request's body says.
#[derive(Debug, Default)]
pub(crate) struct BodyFacts {
    /// `REQUEST_BODY`; absent unless a processor or a rule wants it.
    pub(crate) text: Option<Bytes>,
    /// `REQUEST_BODY_LENGTH`
    pub(crate) length: Bytes,
    pub(crate) args_post: Collection,
    /// What a multipart body says of itself.
    pub(crate) multipart: Option<MultipartFacts>,
    /// What an XML body says, by the path that selects it.
    pub(crate) xml: Collection,
    /// `REQBODY_PROCESSOR`: empty if none takes the body.
    pub(crate) processor: Bytes,
    /// Why the body is not what its processor expects.
    pub(crate) error: Option<String>,
    /// Whether only its first part was fed.
    pub(crate) truncated: bool,
}

/// What a multipart body says of itself; its fields are arguments.
#[derive(Debug)]
pub(crate) struct MultipartFacts {
    /// The names of fields with the names of their files.
    pub(crate) files: Collection,
    /// The names of fields with the sizes of their files.
    pub(crate) sizes: Collection,
    pub(crate) combined_size: usize,
    /// The names of parts with each of their header lines.
    pub(crate) part_headers: Collection,
    pub(crate) flags: Flags,
    pub(crate) strict_error: bool,
}

impl MultipartFacts {
    /// The facts of a form that was read.
    pub(crate) fn new(form: multipart::Form) -> Self {
        let strict_error = form.strict_error();
        let combined_size = form.files.iter().map(|file| file.size).sum();
        let (mut files, mut sizes) = (Collection::default(), Collection::default());
        for File { name, filename, size, .. } in form.files {
            sizes.push(name.clone(), number_text(size as u64));
            files.push(name, filename);
        }
        let mut part_headers = Collection::default();
        for (name, header) in form.part_headers {
            part_headers.push(name, header);
        }
        Self { files, sizes, combined_size, part_headers, flags: form.flags, strict_error }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct ResponseFacts {
    pub(crate) status: Bytes,
    pub(crate) line: Bytes,
    pub(crate) protocol: Bytes,
    pub(crate) headers: Collection,
    pub(crate) body: Option<Bytes>,
    pub(crate) truncated: bool,
}

impl Facts {
    /// The facts that are known when the request's head is.
    pub(crate) fn new(
        connection: &Connection,
        head: &RequestHead,
        time_ms: u64,
        unique_id: &str,
        arguments: Reading,
        scratch: &mut Scratch,
    ) -> Self {
        let mut facts = Self {
            connection: ConnectionFacts {
                remote_addr: address(connection.client.ip(), &mut scratch.arena),
                remote_port: connection.client.port(),
                server_addr: address(connection.local.ip(), &mut scratch.arena),
                server_port: connection.local.port(),
            },
            request: RequestFacts::new(head, arguments, scratch),
            body: BodyFacts { length: number_text(0), ..BodyFacts::default() },
            response: None,
            moment: Moment::of(time_ms),
            epoch: time_ms / 1000,
            unique_id: scratch.arena.copy(unique_id.as_bytes()),
            arguments_size: Bytes::new(),
        };
        facts.count_arguments(&mut scratch.arena);
        facts
    }

    /// `FULL_REQUEST`: line, headers, empty line, body.
    pub(crate) fn full_request(&self) -> Bytes {
        let mut full = BytesMut::from(self.request.line.as_ref());
        full.put_slice(b"\r\n");
        for (name, value) in self.request.headers.iter() {
            for piece in [name, b": ", value.as_ref(), b"\r\n"] as [&[u8]; 4] {
                full.put_slice(piece);
            }
        }
        full.put_slice(b"\r\n");
        full.put_slice(self.body.text.as_deref().unwrap_or_default());
        full.freeze()
    }

    /// Counts the bytes of all arguments, once they are read.
    pub(crate) fn count_arguments(&mut self, arena: &mut Arena) {
        let all = self.request.args_get.iter().chain(self.body.args_post.iter());
        self.arguments_size = arena.number(all.map(|(name, value)| name.len() + value.len()).sum());
    }
}

impl RequestFacts {
    fn new(head: &RequestHead, arguments: Reading, scratch: &mut Scratch) -> Self {
        let headers = request_headers(head, scratch);
        let mut args_get = scratch.collection(Use::Query);
        let (cookies, cookies_over) = read_cookies(&headers, scratch);
        let arena = &mut scratch.arena;
        let query = arena.copy(head.query.as_deref().unwrap_or_default().as_bytes());
        let protocol = protocol(head.version);
        let uri = arena.write(|text| {
            text.put_slice(head.path.as_bytes());
            if let Some(query) = &head.query {
                text.put_u8(b'?');
                text.put_slice(query.as_bytes());
            }
        });
        let uri_raw = if head.raw.uri.is_empty() { uri.clone() } else { head.raw.uri.clone() };
        let line = if head.raw.request_line.is_empty() {
            arena.write(|text| {
                for piece in [head.method.as_str().as_bytes(), b" ", &uri, b" ", protocol.as_bytes()] {
                    text.put_slice(piece);
                }
            })
        } else {
            head.raw.request_line.clone()
        };
        let parameters = read_form(&query, arguments, &mut args_get, arena);
        let filename = arena.write(|text| percent_decode(head.path.as_bytes(), text));
        let basename = filename.rsplit(|byte| matches!(byte, b'/' | b'\\')).next().unwrap_or_default();
        Self {
            protocol: line_protocol(&line).unwrap_or_else(|| Bytes::from_static(protocol.as_bytes())),
            line,
            method: arena.copy(head.method.as_str().as_bytes()),
            uri,
            uri_raw,
            basename: filename.slice_ref(basename),
            filename,
            query,
            server_name: arena.copy(head.authority.host.as_bytes()),
            headers,
            cookies,
            args_get,
            urlencoded_error: parameters.invalid_encoding,
            over_limit: parameters.over_limit || cookies_over,
        }
    }
}

impl RequestFacts {
    /// The scheme of `Authorization` and what follows it; both empty without one.
    pub(crate) fn credentials(&self) -> (Bytes, Bytes) {
        let Some(value) = self.headers.first(b"authorization") else { return Default::default() };
        let text = value.trim_ascii();
        let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
        let (scheme, rest) = text.split_at_checked(end).unwrap_or_default();
        (value.slice_ref(scheme), value.slice_ref(rest.trim_ascii()))
    }

    /// The user that Basic credentials name. Nobody has checked the password.
    pub(crate) fn remote_user(&self) -> Bytes {
        let (scheme, credentials) = self.credentials();
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return Bytes::new();
        }
        let decoded = transformations::apply(Transformation::Base64Decode, &credentials);
        let user = decoded.split(|byte| *byte == b':').next().unwrap_or_default();
        Bytes::copy_from_slice(user)
    }
}

/// The headers as they came. HTTP/2 has `:authority` in place of `Host`; rules look for the latter.
fn request_headers(head: &RequestHead, scratch: &mut Scratch) -> Collection {
    let mut headers = scratch.collection(Use::Headers);
    if head.raw.headers.is_empty() {
        for (name, value) in &head.headers {
            headers.push(scratch.arena.copy(name.as_str().as_bytes()), scratch.arena.copy(value.as_bytes()));
        }
    } else {
        for (name, value) in &head.raw.headers {
            headers.push(name.clone(), value.clone());
        }
    }
    if head.version >= Version::HTTP_2 && headers.first(b"host").is_none() {
        headers.push("host", head.authority.to_string());
    }
    headers
}

fn read_cookies(headers: &Collection, scratch: &mut Scratch) -> (Collection, bool) {
    let (mut all, mut over) = (scratch.collection(Use::Cookies), false);
    for (name, header) in headers.iter() {
        if !name.eq_ignore_ascii_case(b"cookie") {
            continue;
        }
        for (name, value) in cookies::pairs(header) {
            if all.len() == cookies::COOKIES_LIMIT {
                over = true;
                break;
            }
            all.push(header.slice_ref(name), header.slice_ref(value));
        }
        for (name, value) in cookies::unquoted(header) {
            if all.len() == cookies::COOKIES_LIMIT {
                over = true;
                break;
            }
            all.push(header.slice_ref(name), scratch.arena.take(value));
        }
    }
    (all, over)
}

/// What a query or a form comes to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Form {
    /// Whether an escape is malformed.
    pub(crate) invalid_encoding: bool,
    /// Whether there were more pairs than the limit.
    pub(crate) over_limit: bool,
}

/// Reads a query or a form. What needs no decoding is not copied.
pub(crate) fn read_form(input: &Bytes, reading: Reading, pairs: &mut Collection, arena: &mut Arena) -> Form {
    let mut form = Form::default();
    for (name, value) in urlencoded::segments(input, reading.separator) {
        if pairs.len() == reading.limit {
            form.over_limit = true;
            break;
        }
        let mut decoded = |text: &[u8]| {
            if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
                return input.slice_ref(text);
            }
            let (decoded, wrong) = decode_form(text);
            form.invalid_encoding |= wrong > 0;
            arena.take(decoded)
        };
        let name = decoded(name);
        pairs.push(name, decoded(value));
    }
    form
}

impl ResponseFacts {
    /// The facts of a response's head.
    pub(crate) fn new(head: &ResponseHead, scratch: &mut Scratch) -> Self {
        let protocol = protocol(head.version);
        let reason = head.status.canonical_reason().unwrap_or_default();
        let mut headers = scratch.collection(Use::Response);
        let arena = &mut scratch.arena;
        for (name, value) in &head.headers {
            headers.push(arena.copy(name.as_str().as_bytes()), arena.copy(value.as_bytes()));
        }
        let status = number_text(head.status.as_u16().into());
        Self {
            line: arena.write(|text| {
                for piece in [protocol.as_bytes(), b" ", &status, b" ", reason.as_bytes()] {
                    text.put_slice(piece);
                }
            }),
            status,
            protocol: Bytes::from_static(protocol.as_bytes()),
            headers,
            body: None,
            truncated: false,
        }
    }

    /// `RESPONSE_CONTENT_TYPE`: the media type without parameters.
    pub(crate) fn content_type(&self) -> Bytes {
        let Some(value) = self.headers.first(b"content-type") else { return Bytes::new() };
        value.slice_ref(value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii())
    }
}

/// An address as text.
fn address(address: IpAddr, arena: &mut Arena) -> Bytes {
    arena.write(|text| {
        // Writing to memory does not fail.
        let _ = write!(text, "{}", address.to_canonical());
    })
}

/// Writes a path with its escapes decoded; what is no escape stays.
fn percent_decode(path: &[u8], decoded: &mut BytesMut) {
    let mut rest = path;
    while let [first, after @ ..] = rest {
        match hex_pair(after, 0) {
            Some(byte) if *first == b'%' => {
                decoded.put_u8(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                decoded.put_u8(*first);
                rest = after;
            }
        }
    }
}

/// The version as the request line writes it.
fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// The last word of a request line, if it has three.
fn line_protocol(line: &Bytes) -> Option<Bytes> {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (Some(_), Some(_), Some(last), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return None;
    };
    Some(line.slice_ref(last))
}
