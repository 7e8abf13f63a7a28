//! A stage against the engine alone: the head is read as the proxy reads it, then the transaction walks its phases.
//!
//! No socket, no routing, no upstream: what the backend would answer is asked directly. Bytes behind the first request
//! are read too, as the proxy would read them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use palisade_http::guard::{Event, Guard};
use palisade_http::{Cause, HeadLimits, Malformed, head};
use palisade_model::documents::{Metadata, RuleSet, WafPolicySpec};
use palisade_model::record::RuleMatch;
use palisade_model::{BodyKind, Connection, Direction, RawHead, RequestHead, ResponseHead, Scheme};
use palisade_tests::origin::{Received, Reply};
use palisade_tests::rule_set::CoreRuleSet;
use palisade_tests::wire::Answer;
use palisade_waf::{Engine, Interruption, Transaction};
use tempfile::TempDir;

use crate::expect::Outcome;
use crate::log::Line;
use crate::run::Runner;
use crate::{backend, settings};

/// 2026-01-01, so that runs do not differ.
const TIME_MS: u64 = 1_767_225_600_000;

/// The rules and the policy of the suite.
pub fn configured(crs: &CoreRuleSet) -> Result<(RuleSet, WafPolicySpec)> {
    let directory = TempDir::new()?;
    let include = settings::lay_out(crs, directory.path())?;
    let metadata = Metadata { name: "rules".into(), ..Metadata::default() };
    let set = palisade_loader::rule_set::read(directory.path(), &include, metadata)?;
    let policy = serde_json::from_value(settings::waf_policy())?;
    Ok((set, policy))
}

/// What came of the requests in some bytes.
pub struct Judged {
    /// The answer to the first, or why there is none.
    pub answer: Result<Answer, String>,
    /// What matched in any.
    pub matches: Vec<RuleMatch>,
    /// The work units that their transactions did not use, together.
    pub units_left: u64,
}

/// The engine with the rules.
pub struct InProcess {
    engine: Arc<Engine>,
    count: AtomicU64,
}

impl InProcess {
    /// Compiles the rules.
    pub fn start(crs: &CoreRuleSet) -> Result<Self> {
        let (set, policy) = configured(crs)?;
        let engine = Engine::compile(&set, &policy).context("the rules do not compile")?;
        Ok(Self::with(Arc::new(engine)))
    }

    /// With an engine of one's own.
    pub fn with(engine: Arc<Engine>) -> Self {
        Self { engine, count: AtomicU64::new(0) }
    }

    /// Judges every request in `bytes`.
    pub fn judge(&self, bytes: &[u8]) -> Judged {
        let mut judged =
            Judged { answer: Err("no whole request".to_owned()), matches: Vec::new(), units_left: 0 };
        for (number, request) in read(bytes).into_iter().enumerate() {
            let answer = self.one(request, &mut judged);
            if number == 0 {
                judged.answer = answer;
            }
        }
        judged
    }

    fn one(&self, request: Result<Read, Malformed>, judged: &mut Judged) -> Result<Answer, String> {
        let refused = |malformed: Malformed| {
            answer(malformed.cause.status(), &Reply::new(400, "text/plain", malformed.to_string()))
        };
        let (head, body) = match request {
            Err(malformed) => return Ok(refused(malformed)),
            Ok(Read { complete: false, .. }) => return Err("the body is not whole".into()),
            Ok(Read { raw, body, .. }) => match canonical(raw) {
                Err(malformed) => return Ok(refused(malformed)),
                Ok((_, BodyKind::Length(_) | BodyKind::Unknown)) if body.is_none() => {
                    return Ok(refused(Malformed::new(Cause::StartLine, "body")));
                }
                Ok((head, _)) => (head, body.unwrap_or_default()),
            },
        };
        let id = format!("{:016x}", self.count.fetch_add(1, Ordering::Relaxed));
        let mut transaction = Transaction::begin(self.engine.clone(), &connection(), &head, TIME_MS, &id);
        let reply = phases(&mut transaction, &head, body);
        transaction.logging();
        judged.matches.extend(transaction.matches().iter().cloned());
        judged.units_left += transaction.work_units_left();
        Ok(match reply {
            Ok(reply) => {
                let status = StatusCode::from_u16(reply.status).map_err(|error| error.to_string())?;
                answer(status, &reply)
            }
            Err(interruption) => answer(interruption.status, &Reply::empty()),
        })
    }
}

impl Runner for InProcess {
    fn run(&self, bytes: &[u8], _answered: bool) -> Result<Outcome> {
        let Judged { answer, matches, .. } = self.judge(bytes);
        Ok(Outcome { answer, log: matches.iter().map(Line::of).collect() })
    }
}

/// A request as the guard read it.
struct Read {
    raw: RawHead,
    /// The body without its framing; none if its chunks cannot be read.
    body: Option<Vec<u8>>,
    complete: bool,
}

/// What the guard lets through, request by request; a refusal is the last.
fn read(bytes: &[u8]) -> Vec<Result<Read, Malformed>> {
    let mut guard = Guard::new(HeadLimits::default());
    let mut requests: Vec<Result<Read, Malformed>> = Vec::new();
    let mut framed: Vec<Vec<u8>> = Vec::new();
    let mut rest = bytes;
    loop {
        let progress = guard.feed(rest);
        let (passed, after) = rest.split_at_checked(progress.pass).unwrap_or((rest, &[]));
        rest = after.get(progress.discard..).unwrap_or_default();
        match progress.event {
            Some(Event::Head(raw) | Event::Escaped(raw, _)) => {
                // The backend accepts no upgrade.
                guard.upgrade(false);
                requests.push(Ok(Read { raw: *raw, body: None, complete: guard.is_between_messages() }));
                framed.push(Vec::new());
                continue;
            }
            Some(Event::Refuse(malformed)) => {
                // What breaks inside a body refuses the request that the body is of.
                if let Some(Ok(Read { complete: false, .. })) = requests.last() {
                    requests.pop();
                }
                requests.push(Err(malformed));
                break;
            }
            None => {}
        }
        if let Some(framed) = framed.last_mut() {
            framed.extend_from_slice(passed);
        }
        if let Some(Ok(last)) = requests.last_mut() {
            last.complete = guard.is_between_messages();
        }
        if progress.pass == 0 && progress.discard == 0 {
            break;
        }
    }
    for (request, framed) in requests.iter_mut().zip(framed) {
        if let Ok(request) = request {
            let chunked =
                request.raw.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"transfer-encoding"));
            request.body = if chunked { unchunked(&framed) } else { Some(framed) };
        }
    }
    requests
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + size)?);
        rest = rest.get(end + 2 + size + 2..)?;
    }
}

/// What an HTTP library would make of a head that the guard let through, and its canonical form.
fn canonical(raw: RawHead) -> Result<(RequestHead, BodyKind), Malformed> {
    let bad = |_| Malformed::new(Cause::StartLine, "request line");
    let mut words = raw.request_line.split(|byte| *byte == b' ');
    let method = Method::from_bytes(words.next().unwrap_or_default())
        .map_err(|_| Malformed::new(Cause::Method, "request line"))?;
    let uri = Uri::try_from(palisade_http::guard::escaped(&raw.uri).as_ref()).map_err(bad)?;
    let version = if raw.request_line.ends_with(b"1.0") { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut headers = HeaderMap::new();
    for (name, value) in &raw.headers {
        let broken = || Malformed::new(Cause::HeaderName, "headers");
        let name = HeaderName::from_bytes(name).map_err(|_| broken())?;
        headers.append(name, HeaderValue::from_bytes(value).map_err(|_| broken())?);
    }
    let mut parts = http::Request::new(()).into_parts().0;
    (parts.method, parts.uri, parts.version, parts.headers) = (method, uri, version, headers);
    head::canonical(parts, Some(raw), Scheme::Http, false, &HeadLimits::default())
}

fn phases(transaction: &mut Transaction, head: &RequestHead, body: Vec<u8>) -> Result<Reply, Interruption> {
    let so_far = |interruption: Option<Interruption>| interruption.map_or(Ok(()), Err);
    so_far(transaction.request_headers())?;
    if !body.is_empty() {
        so_far(transaction.refuse_request_body())?;
    }
    if transaction.wants_request_body() {
        // In two pieces: a transaction may not depend on how a body is cut.
        let (first, second) = body.split_at_checked(body.len() / 2).unwrap_or((&body, &[]));
        transaction.request_body_feed(first);
        transaction.request_body_feed(second);
    }
    so_far(transaction.request_body(true))?;
    let received = Received {
        method: head.method.to_string(),
        target: head.path_and_query(),
        headers: Vec::new(),
        body,
    };
    let reply = backend::answer(&received);
    let mut headers = HeaderMap::new();
    for (name, value) in &reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    so_far(transaction.response_headers(&ResponseHead { status, headers, version: Version::HTTP_11 }))?;
    if transaction.wants_response_body() {
        transaction.response_body_feed(&reply.body);
    }
    so_far(transaction.response_body(true))?;
    Ok(reply)
}

fn answer(status: StatusCode, reply: &Reply) -> Answer {
    let mut raw = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in &reply.headers {
        raw.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    raw.extend_from_slice(b"\r\n");
    raw.extend_from_slice(&reply.body);
    let headers =
        reply.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    Answer { status: status.as_u16(), headers, body: reply.body.clone(), raw }
}

fn connection() -> Connection {
    let client = std::net::SocketAddr::from(([127, 0, 0, 1], 4711));
    Connection {
        listener: "edge".into(),
        direction: Direction::Gateway,
        peer: client,
        client,
        local: std::net::SocketAddr::from(([127, 0, 0, 1], 8080)),
        principal: None,
        sni: None,
        tls: false,
    }
}
