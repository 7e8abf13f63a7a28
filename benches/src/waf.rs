//! Our WAF engine as the benches use it: the rule set from a directory, a policy, and the whole way of one exchange.
//!
//! The way is the proxy's (`rules/src/request.rs`, `rules/src/response.rs`): phases 1 and 2, then 3 and 4 on a response
//! whose body is not inspected, then 5; after an interruption only 5.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use palisade_model::documents::{Metadata, RuleSet, WafPolicySpec};
use palisade_model::{Authority, Connection, Direction, RawHead, RequestHead, ResponseHead, Scheme};
use palisade_waf::{Engine, Transaction};

use crate::requests::{HOST, Shape};

/// The files of the rule set that the comparison writes, in the order in which they are read.
pub const FILES: [&str; 3] = ["base.conf", "crs-setup.conf", "rules/*.conf"];

/// The files of the Core Rule Set as it is unpacked, without base.conf.
pub const CRS_FILES: [&str; 2] = ["crs-setup.conf.example", "rules/*.conf"];

/// Reads `include` below `directory`.
pub fn rule_set(directory: &Path, include: &[&str]) -> Result<RuleSet> {
    let include: Vec<String> = include.iter().map(|&name| name.to_owned()).collect();
    let metadata = Metadata { name: "crs".into(), namespace: "bench".into(), ..Metadata::default() };
    palisade_loader::rule_set::read(directory, &include, metadata)
        .with_context(|| format!("read the rule set in {}", directory.display()))
}

/// A blocking policy that inspects request bodies of up to 128 KiB.
pub fn policy(paranoia: u8) -> WafPolicySpec {
    WafPolicySpec { paranoia_level: Some(paranoia), ..WafPolicySpec::of("crs") }
}

/// A request with what surrounds it, ready to be judged any number of times.
#[derive(Debug)]
pub struct Exchange {
    connection: Connection,
    head: RequestHead,
    body: Vec<u8>,
    response: ResponseHead,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The rules that matched, in order.
    pub fired: Vec<u64>,
    /// The status of the refusal; none: it passed.
    pub refused: Option<u16>,
}

impl Exchange {
    /// The exchange of a shape.
    pub fn of(shape: &Shape) -> Result<Self> {
        let mut headers = HeaderMap::new();
        let mut raw = Vec::new();
        for (name, value) in &shape.headers {
            headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
            raw.push((Bytes::from_static(name.as_bytes()), Bytes::from(value.clone())));
        }
        let (path, query) = match shape.target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (shape.target.as_ref(), None),
        };
        let head = RequestHead {
            raw: RawHead {
                request_line: Bytes::from(format!("{} {} HTTP/1.1", shape.method, shape.target)),
                uri: Bytes::from(shape.target.clone().into_owned()),
                headers: raw,
            },
            method: Method::from_bytes(shape.method.as_bytes())?,
            scheme: Scheme::Http,
            authority: Authority { host: HOST.into(), port: None },
            path: path.into(),
            query,
            headers,
            upgrade: None,
            expect_continue: false,
            version: Version::HTTP_11,
        };
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("1024"));
        let response = ResponseHead { status: StatusCode::OK, headers, version: Version::HTTP_11 };
        Ok(Self { connection: connection()?, head, body: shape.body.clone(), response })
    }

    /// What a transaction costs before the first rule: the facts of the connection and the head.
    pub fn begin(&self, engine: &Arc<Engine>) -> Transaction {
        Transaction::begin(engine.clone(), &self.connection, &self.head, 1_700_000_000_000, "bench")
    }

    /// The bytes of the head as they came in, and the body.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.raw.request_line.to_vec();
        for (name, value) in &self.head.raw.headers {
            bytes.extend_from_slice(&[name.as_ref(), b": ", value.as_ref(), b"\r\n"].concat());
        }
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// How long the body is.
    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// Judges it once. Gives the finished transaction and the status of its refusal.
    pub fn judge(&self, engine: &Arc<Engine>) -> (Transaction, Option<u16>) {
        let mut transaction = self.begin(engine);
        let refused = self.phases(&mut transaction);
        transaction.logging();
        (transaction, refused)
    }

    /// Judges it once and says what came of it.
    pub fn outcome(&self, engine: &Arc<Engine>) -> Outcome {
        let (transaction, refused) = self.judge(engine);
        Outcome { fired: transaction.matches().iter().map(|found| found.id).collect(), refused }
    }

    fn phases(&self, transaction: &mut Transaction) -> Option<u16> {
        let mut interruption = transaction.request_headers();
        if interruption.is_none() {
            if transaction.wants_request_body() {
                transaction.request_body_feed(&self.body);
            }
            interruption = transaction.request_body(true);
        }
        if interruption.is_none() {
            interruption = transaction.response_headers(&self.response);
        }
        if interruption.is_none() {
            interruption = transaction.response_body(true);
        }
        interruption.map(|interruption| interruption.status.as_u16())
    }
}

fn connection() -> Result<Connection> {
    Ok(Connection {
        listener: "bench".into(),
        direction: Direction::Gateway,
        peer: "192.0.2.7:40000".parse()?,
        client: "192.0.2.7:40000".parse()?,
        local: "192.0.2.80:80".parse()?,
        principal: None,
        sni: None,
        tls: false,
    })
}
