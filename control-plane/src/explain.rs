//! Answers a hypothetical request: the same reading of the head and the same judgement as in the sidecar.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use palisade_http::head::{HeadLimits, canonical};
use palisade_index::Index;
use palisade_model::policy::ListenerRole;
use palisade_model::{Connection, Direction, Policy, Principal, RawHead, Scheme, WorkloadId};
use palisade_rules::explain::Explanation;
use palisade_rules::{Engine, Exchange, Snapshot};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A request that somebody might make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Question {
    /// The workload that is called: `namespace/name`.
    pub workload: String,
    /// The caller's principal; none: no mesh identity.
    #[serde(default)]
    pub principal: Option<String>,
    /// The method; GET if absent.
    #[serde(default)]
    pub method: Option<String>,
    /// The host that is asked for, perhaps with a port.
    pub host: String,
    /// The request target as sent: path and query.
    pub path: String,
    /// Headers as `name: value`.
    #[serde(default)]
    pub headers: Vec<String>,
    /// The body.
    #[serde(default)]
    pub body: Option<String>,
    /// The port policies see; the host's, or 80.
    #[serde(default)]
    pub port: Option<u16>,
    /// The caller's address; 127.0.0.1 if absent.
    #[serde(default)]
    pub source_ip: Option<String>,
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// The head cannot be read in one way: 400 before any rule.
    Malformed {
        /// The cause's name in `docs/denials.md`.
        cause: String,
        /// Where in the head.
        place: String,
    },
    /// It is judged.
    Judged(Box<Explanation>),
}

/// What is wrong with a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct QuestionError {
    /// Its field.
    pub field: &'static str,
    /// One sentence.
    pub problem: String,
}

/// Reads `namespace/name`.
pub fn workload_of(text: &str) -> Result<WorkloadId, QuestionError> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(WorkloadId::local(namespace, name))
        }
        _ => Err(wrong("workload", format!("{text:?} is not namespace/name"))),
    }
}

/// Answers a question by what is in force. Compiles the workload's policy: call it off the reactor.
pub fn explain(index: &Index, question: &Question) -> Result<Answer, QuestionError> {
    let workload = workload_of(&question.workload)?;
    let policy = index
        .policy(&workload)
        .ok_or_else(|| wrong("workload", format!("{} is not in the inventory", question.workload)))?;
    let connection = connection(question, &policy)?;
    let (parts, raw) = head(question)?;
    let limits = HeadLimits::from(&policy.limits);
    let head = match canonical(parts, Some(raw), Scheme::Http, false, &limits) {
        Ok((head, _)) => head,
        Err(malformed) => {
            let cause = malformed.cause.as_str().to_owned();
            return Ok(Answer::Malformed { cause, place: malformed.place });
        }
    };
    let version = palisade_loader::version_of(&policy);
    let engine = Engine::compile(&policy, &version, None)
        .map_err(|error| wrong("workload", format!("its policy does not compile: {error}")))?;
    let snapshot = Snapshot::new(Arc::new(engine), None);
    let exchange = Exchange { reference: "explain".into(), time_ms: 0 };
    let body = question.body.as_deref().unwrap_or_default().as_bytes();
    let explanation = palisade_rules::explain::request(&snapshot, &connection, head, body, exchange);
    Ok(Answer::Judged(Box::new(explanation)))
}

fn connection(question: &Question, policy: &Policy) -> Result<Connection, QuestionError> {
    let principal = match question.principal.as_deref() {
        None => None,
        Some(text) => {
            let bare = text.strip_prefix("spiffe://").unwrap_or(text);
            Some(Principal::from_str(bare).map_err(|error| wrong("principal", error.to_string()))?)
        }
    };
    let source = match question.source_ip.as_deref() {
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(text) => text.parse().map_err(|_| wrong("sourceIp", format!("{text:?} is not an address")))?,
    };
    let named = question.host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let port = question.port.or(named).unwrap_or(80);
    let gateway = policy.listeners.iter().filter(|l| matches!(l.role, ListenerRole::Gateway { .. }));
    let gateway: Vec<_> = gateway.collect();
    let listener = gateway.iter().find(|l| l.address.port() == port).or(gateway.first());
    let peer = SocketAddr::new(source, 40_000);
    Ok(Connection {
        listener: listener.map_or_else(|| "inbound".to_owned(), |listener| listener.name.clone()),
        direction: if listener.is_some() { Direction::Gateway } else { Direction::Inbound },
        peer,
        client: peer,
        local: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
        tls: principal.is_some(),
        principal,
        sni: None,
    })
}

/// The head as HTTP/1.1 would carry it, decoded and raw.
fn head(question: &Question) -> Result<(http::request::Parts, RawHead), QuestionError> {
    let method = question.method.as_deref().unwrap_or("GET");
    let mut lines = vec![("host".to_owned(), question.host.clone())];
    for line in &question.headers {
        let (name, value) =
            line.split_once(':').ok_or_else(|| wrong("headers", format!("{line:?} is not `name: value`")))?;
        lines.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let length = question.body.as_deref().map_or(0, str::len);
    if length > 0 && !lines.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        lines.push(("content-length".to_owned(), length.to_string()));
    }
    let mut request = http::Request::builder().method(method).uri(&question.path);
    for (name, value) in &lines {
        request = request.header(name, value);
    }
    let request = request.body(()).map_err(|error| wrong("request", error.to_string()))?;
    let raw = RawHead {
        request_line: format!("{method} {} HTTP/1.1", question.path).into(),
        uri: question.path.clone().into(),
        headers: lines.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
    };
    Ok((request.into_parts().0, raw))
}

fn wrong(field: &'static str, problem: String) -> QuestionError {
    QuestionError { field, problem }
}
