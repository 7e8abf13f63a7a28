//! Exchanges for tests: a request as text, an engine from text, what came of it.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use palisade_model::documents::{BodyLimit, Metadata, RuleSet, RuleSetSpec, SourceFile, WafPolicySpec};
use palisade_model::record::RuleMatch;
use palisade_model::{Authority, Connection, Direction, RawHead, RequestHead, ResponseHead, Scheme};
use palisade_waf::{CompileError, Engine, Interruption, Transaction};

/// A request and the response it gets.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub method: String,
    pub uri: String,
    pub version: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub response: Response,
}

/// What the application answers.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What came of an exchange.
#[derive(Debug)]
pub struct Outcome {
    pub matches: Vec<RuleMatch>,
    pub interruption: Option<Interruption>,
    /// The phase that was interrupted.
    pub phase: Option<u8>,
    /// Work units that are left.
    pub units: u64,
}

impl Outcome {
    /// The same verdict and matches as the straightforward evaluation's, for no more work units.
    pub fn assert_same_as(&self, truth: &Outcome, exchange: &Exchange) {
        let told = |outcome: &Outcome| {
            format!("{:?} {:?} {:?}", outcome.matches, outcome.interruption, outcome.phase)
        };
        assert_eq!(told(self), told(truth), "{exchange:?}");
        assert!(self.units >= truth.units, "{} units are left of {}: {exchange:?}", self.units, truth.units);
    }

    pub fn ids(&self) -> Vec<u64> {
        self.matches.iter().map(|found| found.id).collect()
    }

    pub fn blocked_by(&self) -> Option<u64> {
        self.interruption.as_ref().map(|interruption| interruption.rule)
    }
}

pub fn get(uri: &str) -> Exchange {
    Exchange {
        method: "GET".into(),
        uri: uri.into(),
        version: "HTTP/1.1".into(),
        headers: vec![("Host".into(), "localhost".into())],
        body: Vec::new(),
        response: Response { status: 200, headers: Vec::new(), body: Vec::new() },
    }
}

pub fn post(uri: &str, content_type: &str, body: &str) -> Exchange {
    let length = body.len().to_string();
    let mut exchange = get(uri).header("Content-Type", content_type).header("Content-Length", &length);
    exchange.method = "POST".into();
    exchange.body = body.into();
    exchange
}

pub fn form(uri: &str, body: &str) -> Exchange {
    post(uri, "application/x-www-form-urlencoded", body)
}

impl Exchange {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn answered(mut self, status: u16, content_type: &str, body: &str) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        self.response = Response { status, headers, body: body.into() };
        self
    }

    pub fn head(&self) -> RequestHead {
        let (path, query) = match self.uri.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (self.uri.as_str(), None),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()))
            {
                headers.append(name, value);
            }
        }
        let version = match self.version.as_str() {
            "HTTP/1.0" => Version::HTTP_10,
            "HTTP/2.0" => Version::HTTP_2,
            _ => Version::HTTP_11,
        };
        let raw =
            self.headers.iter().map(|(name, value)| (Bytes::from(name.clone()), Bytes::from(value.clone())));
        RequestHead {
            method: Method::from_bytes(self.method.as_bytes()).unwrap(),
            scheme: Scheme::Http,
            authority: Authority { host: "localhost".into(), port: None },
            path: canonical(path),
            query,
            headers,
            upgrade: None,
            expect_continue: false,
            version,
            raw: RawHead {
                request_line: Bytes::from(format!("{} {} {}", self.method, self.uri, self.version)),
                uri: Bytes::from(self.uri.clone()),
                headers: raw.collect(),
            },
        }
    }

    pub fn response_head(&self) -> ResponseHead {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.response.headers {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let status = StatusCode::from_u16(self.response.status).unwrap();
        ResponseHead { status, headers, version: Version::HTTP_11 }
    }

    /// Sends it through all phases, as the proxy does.
    pub fn run(&self, engine: &Arc<Engine>) -> Outcome {
        let mut transaction = Transaction::begin(
            engine.clone(),
            &connection(),
            &self.head(),
            1_767_225_600_000,
            "0123456789abcdef",
        );
        let (interruption, phase) = self.phases(&mut transaction);
        transaction.logging();
        let units = transaction.work_units_left();
        Outcome { matches: transaction.matches().to_vec(), interruption, phase, units }
    }

    fn phases(&self, transaction: &mut Transaction) -> (Option<Interruption>, Option<u8>) {
        if let Some(interruption) = transaction.request_headers() {
            return (Some(interruption), Some(1));
        }
        if transaction.wants_request_body() {
            // In two pieces: a transaction may not depend on how a body is cut.
            let (first, second) = self.body.split_at(self.body.len() / 2);
            transaction.request_body_feed(first);
            transaction.request_body_feed(second);
        }
        if let Some(interruption) = transaction.request_body(true) {
            return (Some(interruption), Some(2));
        }
        let head = self.response_head();
        if let Some(interruption) = transaction.response_headers(&head) {
            return (Some(interruption), Some(3));
        }
        if transaction.wants_response_body() {
            transaction.response_body_feed(&self.response.body);
        }
        match transaction.response_body(true) {
            Some(interruption) => (Some(interruption), Some(4)),
            None => (None, None),
        }
    }
}

pub fn connection() -> Connection {
    Connection {
        listener: "test".into(),
        direction: Direction::Gateway,
        peer: "192.0.2.7:4711".parse().unwrap(),
        client: "192.0.2.7:4711".parse().unwrap(),
        local: "192.0.2.1:8080".parse().unwrap(),
        principal: None,
        sni: None,
        tls: false,
    }
}

/// The canonical path as far as these tests need it: unreserved bytes decoded, dot segments removed.
fn canonical(path: &str) -> String {
    let bytes = path.as_bytes();
    let (mut decoded, mut at) = (String::new(), 0);
    while at < bytes.len() {
        let escape = path.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escape {
            Some(byte) if bytes[at] == b'%' && (byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) => {
                decoded.push(byte as char);
                at += 3;
            }
            _ => {
                let letter = path[at..].chars().next().unwrap();
                decoded.push(letter);
                at += letter.len_utf8();
            }
        }
    }
    if decoded == "*" {
        return decoded;
    }
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = decoded.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        match part {
            "." | ".." => {
                if part == ".." {
                    segments.pop();
                }
                if parts.peek().is_none() {
                    segments.push("");
                }
            }
            "" if parts.peek().is_some() => {}
            part => segments.push(part),
        }
    }
    format!("/{}", segments.join("/"))
}

/// A policy that blocks, with response bodies inspected.
pub fn policy() -> WafPolicySpec {
    WafPolicySpec { response_body: Some(BodyLimit::RESPONSE), ..WafPolicySpec::of("rules") }
}

pub fn rule_set(sources: Vec<SourceFile>) -> RuleSet {
    RuleSet {
        api_version: "palisade.dev/v1alpha1".into(),
        kind: "RuleSet".into(),
        metadata: Metadata::default(),
        spec: RuleSetSpec { sources, data: Default::default() },
    }
}

pub fn compile(text: &str, policy: &WafPolicySpec) -> Result<Arc<Engine>, CompileError> {
    let sources = vec![SourceFile { name: "test.conf".into(), text: text.into() }];
    Engine::compile(&rule_set(sources), policy).map(Arc::new)
}

/// An engine that blocks, from text.
pub fn engine(text: &str) -> Arc<Engine> {
    compile(text, &policy()).unwrap_or_else(|error| panic!("{error}"))
}

/// The directory of CRS, if it is there.
pub fn crs_directory() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs");
    let found = std::env::var_os("PALISADE_CRS").map(PathBuf::from).unwrap_or(beside);
    if found.join("crs-setup.conf.example").is_file() {
        return Some(found);
    }
    println!("skipped: no Core Rule Set in {} (set PALISADE_CRS)", found.display());
    None
}

/// CRS as a RuleSet, `before` its set-up and `after` its rules.
pub fn crs(directory: &Path, before: &str, after: &str) -> RuleSet {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let source = |name: &str, text: String| SourceFile { name: name.into(), text };
    let mut sources = vec![
        source("before.conf", before.to_owned()),
        source("crs-setup.conf", read(&directory.join("crs-setup.conf.example"))),
    ];
    let mut data = std::collections::BTreeMap::new();
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(directory.join("rules")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".conf") {
            sources.push(source(&name, read(&path)));
        } else if name.ends_with(".data") {
            data.insert(name, read(&path));
        }
    }
    sources.push(source("after.conf", after.to_owned()));
    let mut set = rule_set(sources);
    set.spec.data = data;
    set
}
