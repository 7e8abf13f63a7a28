//! A [`RequestRecord`] as an OTLP log record, and back.
//!
//! Promises: OpenTelemetry's semantic names where they exist, `palisade.*` otherwise; what is read back is what was
//! written, but for texts cut at [`crate::limits`]; malformed input is an error that names the attribute. The workload
//! is not read from the log record: the reader says whose it is. Redaction is the exporter's.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Otlp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use palisade_model::record::{
    ConnectionFacts, Inspection, RECORD_VERSION, RequestFacts, ResponseFacts, VerdictFacts,
};
use palisade_model::{Denial, RequestRecord, WorkloadId};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::attribute::{Budget, attribute, cut, from_json, number, text, to_json};
use crate::limits::{EVENT_ATTRIBUTES, EVENT_BYTES, EVENT_HEADERS, EVENT_MATCHES};
use crate::trace::TraceContext;

/// `event_name` of records that end in a refusal, or that WAF rules matched.
pub const SECURITY_EVENT: &str = "palisade.security_event";
/// `event_name` of all others.
pub const FLOW: &str = "palisade.flow";

/// A record with what export adds to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The facts.
    pub record: RequestRecord,
    /// How many like it this one stands for, itself included: 1 unless a flood of denials was sampled.
    pub represents: u64,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
}

/// Why a log record is not an event of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{attribute}: {problem}")]
pub struct EventError {
    /// The attribute's name, or `attributes`.
    pub attribute: String,
    /// What is wrong with it.
    pub problem: String,
}

fn fault(attribute: &str, problem: impl Into<String>) -> EventError {
    EventError { attribute: cut(attribute).to_owned(), problem: problem.into() }
}

/// The resource of a workload's telemetry.
pub fn resource(workload: &WorkloadId) -> Resource {
    Resource {
        attributes: vec![
            text("service.name", &workload.name),
            text("service.namespace", &workload.namespace),
            text("palisade.cluster", &workload.cluster),
            text("palisade.tenant", &workload.tenant),
            text("palisade.workload", &workload.to_string()),
        ],
        ..Resource::default()
    }
}

/// The workload a resource claims to be; it proves nothing.
pub fn claimed_workload(resource: &Resource) -> Option<WorkloadId> {
    let claim = resource.attributes.iter().take(EVENT_ATTRIBUTES).find(|a| a.key == "palisade.workload")?;
    let Some(Otlp::StringValue(claim)) = claim.value.as_ref()?.value.as_ref() else { return None };
    let parts: Vec<_> = claim.split('/').collect();
    match parts.as_slice() {
        [cluster, tenant, namespace, name] if parts.iter().all(|part| !part.is_empty()) => Some(WorkloadId {
            cluster: (*cluster).to_owned(),
            tenant: (*tenant).to_owned(),
            namespace: (*namespace).to_owned(),
            name: (*name).to_owned(),
        }),
        _ => None,
    }
}

impl Event {
    /// An event that stands for itself alone.
    pub fn new(record: RequestRecord) -> Self {
        Self { record, represents: 1, trace: None }
    }

    /// The OTLP form. Texts and lists over [`crate::limits`] are cut.
    pub fn to_log(&self) -> LogRecord {
        let record = &self.record;
        let denied = matches!(record.verdict, VerdictFacts::Deny(_));
        let security = denied || !record.matches.is_empty();
        let severity = if denied { SeverityNumber::Warn } else { SeverityNumber::Info };
        let summary = match &record.verdict {
            VerdictFacts::Permit => "permitted".to_owned(),
            VerdictFacts::Deny(denial) => denial.to_string(),
        };
        let time = record.time_ms.saturating_mul(1_000_000);
        let mut attributes = vec![
            number("palisade.record.version", record.version.into()),
            text("palisade.reference", &record.reference),
            text("palisade.policy.version", &record.policy_version),
            number("palisade.represents", self.represents),
        ];
        attributes.extend(request_attributes(record));
        attributes.extend(response_attributes(record));
        let headers = record.request.iter().flat_map(|request| &request.headers).take(EVENT_HEADERS);
        let headers: Vec<_> = headers.map(|(name, value)| Value::from(vec![cut(name), cut(value)])).collect();
        attributes.push(json("palisade.request.headers", Value::Array(headers)));
        flatten("palisade", &record.verdict, &mut attributes);
        if let Some(staged) = &record.staged {
            attributes.push(json("palisade.staged", as_json(staged)));
        }
        let matches: Vec<_> = record.matches.iter().take(EVENT_MATCHES).map(as_json).collect();
        attributes.push(json("palisade.waf.matches", Value::Array(matches)));
        flatten("palisade.inspection", &record.inspection, &mut attributes);
        if record.response_inspection != Inspection::None {
            attributes.push(json("palisade.response.inspection", as_json(&record.response_inspection)));
        }
        LogRecord {
            time_unix_nano: time,
            observed_time_unix_nano: time,
            severity_number: severity.into(),
            severity_text: if denied { "WARN" } else { "INFO" }.to_owned(),
            body: Some(AnyValue { value: Some(Otlp::StringValue(cut(&summary).to_owned())) }),
            attributes,
            flags: self.trace.map_or(0, |trace| u32::from(trace.sampled())),
            trace_id: self.trace.map(|trace| trace.trace_id().to_vec()).unwrap_or_default(),
            span_id: self.trace.map(|trace| trace.span_id().to_vec()).unwrap_or_default(),
            event_name: if security { SECURITY_EVENT } else { FLOW }.to_owned(),
            ..LogRecord::default()
        }
    }

    /// Reads a log record of `workload`, whoever it says it is from.
    pub fn from_log(log: &LogRecord, workload: &WorkloadId) -> Result<Self, EventError> {
        if log.event_name != SECURITY_EVENT && log.event_name != FLOW {
            return Err(fault("event_name", "is not one of ours"));
        }
        // Whoever keeps events counts them, and a sender of ours sends none that is longer.
        if log.encoded_len() > EVENT_BYTES {
            return Err(fault("attributes", format!("together have more than {EVENT_BYTES} bytes")));
        }
        let mut attributes = Attributes::read(&log.attributes)?;
        let version: u32 = attributes.take("palisade.record.version")?;
        if version != RECORD_VERSION {
            return Err(fault("palisade.record.version", format!("{version} is not read by this version")));
        }
        let represents: u64 = attributes.take("palisade.represents")?;
        if represents == 0 {
            return Err(fault("palisade.represents", "is 0"));
        }
        let record = RequestRecord {
            version,
            reference: attributes.take("palisade.reference")?,
            time_ms: log.time_unix_nano / 1_000_000,
            workload: workload.clone(),
            policy_version: attributes.take("palisade.policy.version")?,
            connection: connection(&mut attributes)?,
            request: request(&mut attributes)?,
            verdict: verdict(&mut attributes)?,
            staged: attributes.take_optional("palisade.staged")?,
            matches: bounded("palisade.waf.matches", EVENT_MATCHES, &mut attributes)?,
            inspection: attributes.gather::<Inspection>("palisade.inspection")?,
            response_inspection: attributes
                .take_optional("palisade.response.inspection")?
                .unwrap_or_default(),
            response: response(&mut attributes)?,
        };
        let trace = TraceContext::from_ids(&log.trace_id, &log.span_id, log.flags);
        Ok(Self { record, represents, trace })
    }
}

/// The attributes of connection and request, as spans have them too.
pub(crate) fn request_attributes(record: &RequestRecord) -> Vec<KeyValue> {
    let connection = &record.connection;
    let mut attributes = vec![
        text("palisade.listener", &connection.listener),
        json("palisade.direction", as_json(&connection.direction)),
    ];
    endpoint("network.peer", &connection.peer, &mut attributes);
    endpoint("client", &connection.client, &mut attributes);
    endpoint("network.local", &connection.local, &mut attributes);
    optional("palisade.source.principal", &connection.principal, &mut attributes);
    optional("tls.client.server_name", &connection.sni, &mut attributes);
    if let Some(request) = &record.request {
        attributes.push(text("http.request.method", &request.method));
        attributes.push(text("server.address", &request.host));
        attributes.push(text("url.path", &request.path));
        optional("url.query", &request.query, &mut attributes);
        match request.protocol.strip_prefix("HTTP/") {
            Some(version) => {
                attributes.push(text("network.protocol.name", "http"));
                attributes.push(text("network.protocol.version", version));
            }
            None => attributes.push(text("network.protocol.name", &request.protocol)),
        }
    }
    attributes
}

/// The attributes of the response, as spans have them too.
pub(crate) fn response_attributes(record: &RequestRecord) -> Vec<KeyValue> {
    let Some(response) = &record.response else { return Vec::new() };
    let mut attributes = vec![
        number("http.response.status_code", response.status.into()),
        attribute("palisade.response.truncated", Otlp::BoolValue(response.truncated)),
        number("palisade.duration_us", response.duration_us),
        number("http.request.body.size", response.request_bytes),
        number("http.response.body.size", response.response_bytes),
    ];
    optional("palisade.response.cluster", &response.cluster, &mut attributes);
    attributes
}

fn optional(key: &str, value: &Option<String>, attributes: &mut Vec<KeyValue>) {
    attributes.extend(value.iter().map(|value| text(key, value)));
}

/// `address:port` as the two attributes OpenTelemetry has for it; another text whole as the address.
fn endpoint(prefix: &str, value: &str, attributes: &mut Vec<KeyValue>) {
    match value.parse::<SocketAddr>() {
        Ok(address) if address.to_string() == value => {
            attributes.push(text(&format!("{prefix}.address"), &address.ip().to_string()));
            attributes.push(number(&format!("{prefix}.port"), address.port().into()));
        }
        _ => attributes.push(text(&format!("{prefix}.address"), value)),
    }
}

fn json(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(from_json(value)), ..KeyValue::default() }
}

/// The model's own form; its types have no map keys or numbers that JSON lacks, so this cannot fail.
fn as_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// An object's fields as attributes of their own, one level down.
fn flatten(prefix: &str, value: &impl Serialize, attributes: &mut Vec<KeyValue>) {
    let Value::Object(fields) = as_json(value) else { return };
    for (key, value) in fields {
        match value {
            Value::Object(inner) => {
                let inner = inner.into_iter().filter(|(_, value)| !value.is_null());
                attributes.extend(inner.map(|(name, value)| json(&format!("{prefix}.{key}.{name}"), value)));
            }
            value => attributes.push(json(&format!("{prefix}.{key}"), value)),
        }
    }
}

/// The attributes of one log record, each once.
struct Attributes(BTreeMap<String, Value>);

impl Attributes {
    fn read(attributes: &[KeyValue]) -> Result<Self, EventError> {
        if attributes.len() > EVENT_ATTRIBUTES {
            return Err(fault("attributes", format!("more than {EVENT_ATTRIBUTES}")));
        }
        let mut values = BTreeMap::new();
        for KeyValue { key, value, .. } in attributes {
            let value = value.as_ref().ok_or_else(|| fault(key, "has no value"))?;
            let value = to_json(value, 0, &mut Budget::default()).map_err(|problem| fault(key, problem))?;
            if values.insert(key.clone(), value).is_some() {
                return Err(fault(key, "is there twice"));
            }
        }
        Ok(Self(values))
    }

    fn take<T: DeserializeOwned>(&mut self, key: &str) -> Result<T, EventError> {
        self.take_optional(key)?.ok_or_else(|| fault(key, "is missing"))
    }

    fn take_optional<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, EventError> {
        let Some(value) = self.0.remove(key) else { return Ok(None) };
        serde_json::from_value(value).map(Some).map_err(|error| fault(key, error.to_string()))
    }

    /// The object whose fields are the attributes under `prefix`.
    fn gather<T: DeserializeOwned>(&mut self, prefix: &str) -> Result<T, EventError> {
        let under = format!("{prefix}.");
        let keys: Vec<String> = self.0.keys().filter(|key| key.starts_with(&under)).cloned().collect();
        let mut fields = Map::new();
        for key in keys {
            if let (Some(value), Some(name)) = (self.0.remove(&key), key.strip_prefix(&under)) {
                fields.insert(name.to_owned(), value);
            }
        }
        serde_json::from_value(Value::Object(fields)).map_err(|error| fault(prefix, error.to_string()))
    }

    fn endpoint(&mut self, prefix: &str) -> Result<String, EventError> {
        let address: String = self.take(&format!("{prefix}.address"))?;
        let key = format!("{prefix}.port");
        let Some(port) = self.take_optional::<u16>(&key)? else { return Ok(address) };
        let ip = address.parse().map_err(|_| fault(&key, "belongs to no address"))?;
        Ok(SocketAddr::new(ip, port).to_string())
    }
}

fn connection(attributes: &mut Attributes) -> Result<ConnectionFacts, EventError> {
    Ok(ConnectionFacts {
        listener: attributes.take("palisade.listener")?,
        direction: attributes.take("palisade.direction")?,
        peer: attributes.endpoint("network.peer")?,
        client: attributes.endpoint("client")?,
        local: attributes.endpoint("network.local")?,
        principal: attributes.take_optional("palisade.source.principal")?,
        sni: attributes.take_optional("tls.client.server_name")?,
    })
}

fn request(attributes: &mut Attributes) -> Result<Option<RequestFacts>, EventError> {
    let headers = bounded("palisade.request.headers", EVENT_HEADERS, attributes)?;
    let Some(method) = attributes.take_optional("http.request.method")? else { return Ok(None) };
    let name: String = attributes.take("network.protocol.name")?;
    let version: Option<String> = attributes.take_optional("network.protocol.version")?;
    Ok(Some(RequestFacts {
        method,
        host: attributes.take("server.address")?,
        path: attributes.take("url.path")?,
        query: attributes.take_optional("url.query")?,
        headers,
        protocol: version.map_or(name, |version| format!("HTTP/{version}")),
    }))
}

fn verdict(attributes: &mut Attributes) -> Result<VerdictFacts, EventError> {
    let verdict: String = attributes.take("palisade.verdict")?;
    match verdict.as_str() {
        "permit" => Ok(VerdictFacts::Permit),
        "deny" => Ok(VerdictFacts::Deny(attributes.gather::<Denial>("palisade.denial")?)),
        other => Err(fault("palisade.verdict", format!("`{}` is not a verdict", cut(other)))),
    }
}

fn response(attributes: &mut Attributes) -> Result<Option<ResponseFacts>, EventError> {
    let Some(status) = attributes.take_optional("http.response.status_code")? else { return Ok(None) };
    Ok(Some(ResponseFacts {
        status,
        cluster: attributes.take_optional("palisade.response.cluster")?,
        truncated: attributes.take("palisade.response.truncated")?,
        duration_us: attributes.take("palisade.duration_us")?,
        request_bytes: attributes.take("http.request.body.size")?,
        response_bytes: attributes.take("http.response.body.size")?,
    }))
}

fn bounded<T: DeserializeOwned>(
    key: &str,
    limit: usize,
    attributes: &mut Attributes,
) -> Result<Vec<T>, EventError> {
    let list: Vec<T> = attributes.take(key)?;
    match list.len() > limit {
        true => Err(fault(key, format!("{} are more than {limit}", list.len()))),
        false => Ok(list),
    }
}

#[cfg(test)]
pub(crate) mod tests;
