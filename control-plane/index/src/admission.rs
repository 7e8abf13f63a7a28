//! What one document alone shows to be wrong, with the field named; rule sets and policies are compiled with the same
//! crates as in the sidecar, so that what is admitted here compiles there.

use std::net::IpAddr;

use palisade_model::audit::AuditParts;
use palisade_model::documents::{
    AuthorizationPolicy, Document, FieldError, Gateway, GatewayListener, HttpRoute, KINDS, Metadata, RuleSet,
    ServiceEntry, WafPolicy, WafPolicySpec, WorkloadEntry,
};
use palisade_model::policy::{Route, RouteMatch, WeightedCluster};
use palisade_model::{Policy, WorkloadId};
use palisade_rules::{CompileError, Engine};

use crate::gateways::{self, PROXY_PROTOCOL_ANNOTATION, TRUSTED_HOPS_ANNOTATION, WORKLOAD_ANNOTATION};
use crate::{Index, http_routes, inventory, services};

/// Bytes of a name or namespace (a Kubernetes object name, RFC 1123).
pub const NAME_BYTES: usize = 253;

/// The only gateway class.
const GATEWAY_CLASS: &str = "palisade";

/// Checks one document among those of the index, which may hold an older version of it.
///
/// # Errors
/// Every field that is wrong.
pub fn validate(document: &Document, index: &Index) -> Result<(), Vec<FieldError>> {
    let mut errors = Errors::default();
    envelope(document, &mut errors);
    match document {
        Document::AuthorizationPolicy(document) => errors.0.extend(authorization(document, index)),
        Document::RuleSet(document) => rule_set(document, &mut errors),
        Document::WafPolicy(document) => waf_policy(document, index, &mut errors),
        Document::Gateway(document) => gateway(document, &mut errors),
        Document::HttpRoute(document) => http_route(document, &mut errors),
        Document::WorkloadEntry(document) => workload_entry(document, index, &mut errors),
        Document::ServiceEntry(document) => service_entry(document, &mut errors),
    }
    if errors.0.is_empty() { Ok(()) } else { Err(errors.0) }
}

#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn add(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.0.push(FieldError { path: path.into(), problem: problem.into() });
    }
}

/// `apiVersion`, `kind` and `metadata` of any document.
fn envelope(document: &Document, errors: &mut Errors) {
    let (api_version, kind) = match document {
        // The authorization engine says these two itself.
        Document::AuthorizationPolicy(_) => ("security.istio.io/v1", "AuthorizationPolicy"),
        Document::RuleSet(document) => (document.api_version.as_str(), document.kind.as_str()),
        Document::WafPolicy(document) => (document.api_version.as_str(), document.kind.as_str()),
        Document::Gateway(document) => (document.api_version.as_str(), document.kind.as_str()),
        Document::HttpRoute(document) => (document.api_version.as_str(), document.kind.as_str()),
        Document::WorkloadEntry(document) => (document.api_version.as_str(), document.kind.as_str()),
        Document::ServiceEntry(document) => (document.api_version.as_str(), document.kind.as_str()),
    };
    if kind != document.kind() {
        errors.add("kind", format!("{kind:?} is not {}", document.kind()));
    }
    if let Some((_, wanted)) = KINDS.iter().find(|(kind, _)| *kind == document.kind())
        && api_version != *wanted
    {
        errors.add("apiVersion", format!("{api_version:?} is not {wanted}"));
    }
    let Metadata { name, namespace, .. } = document.metadata();
    for (path, text) in [("metadata.name", name), ("metadata.namespace", namespace)] {
        let taken =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        if !text.bytes().all(taken) || !edge(bytes.first()) || !edge(bytes.last()) || text.len() > NAME_BYTES
        {
            errors.add(path, format!("{text:?} is not a name of lower-case letters, digits, `-` and `.`"));
        }
    }
}

fn authorization(policy: &AuthorizationPolicy, index: &Index) -> Vec<FieldError> {
    let namespace = policy.metadata.namespace.as_str();
    let everywhere = namespace == index.settings.root_namespace;
    let labels = policy.spec.selector.clone().unwrap_or_default().match_labels;
    let tcp = services::tcp_ports(&index.inventory, (!everywhere).then_some(namespace), &labels);
    palisade_authz::validate(policy, &|port| tcp.contains(&port))
}

fn rule_set(document: &RuleSet, errors: &mut Errors) {
    if document.spec.sources.is_empty() {
        errors.add("spec.sources", "a rule set has at least one source");
        return;
    }
    let metadata = Metadata { name: "dry-run".to_owned(), ..document.metadata.clone() };
    let probe = WafPolicy {
        api_version: "palisade.dev/v1alpha1".to_owned(),
        kind: "WafPolicy".to_owned(),
        metadata,
        spec: WafPolicySpec::of(document.metadata.name.clone()),
    };
    dry_compile(probe, document, errors);
}

fn waf_policy(document: &WafPolicy, index: &Index, errors: &mut Errors) {
    let before = errors.0.len();
    if document.spec.rule_set.is_empty() {
        errors.add("spec.ruleSet", "is empty");
    }
    if document.spec.paranoia_level.is_some_and(|level| !(1..=4).contains(&level)) {
        errors.add("spec.paranoiaLevel", "is a level from 1 to 4");
    }
    for (path, limit) in [
        ("spec.requestBody", Some(document.spec.request_body)),
        ("spec.responseBody", document.spec.response_body),
    ] {
        if limit.is_some_and(|limit| limit.max_bytes > palisade_model::limits::BUFFERED_BYTES) {
            errors.add(format!("{path}.maxBytes"), "is more than one process may hold");
        }
    }
    if let Some(parts) = &document.spec.audit_log.parts
        && AuditParts::parse(parts).is_none()
    {
        errors.add("spec.auditLog.parts", format!("{parts:?} has a letter that is none of A to K and Z"));
    }
    for (index, group) in document.spec.groups.iter().enumerate() {
        let path = format!("spec.groups[{index}]");
        match (&group.tag, &group.ids) {
            (None, None) => errors.add(path, "needs `tag` or `ids`"),
            (_, Some(ids)) => id_range(ids, &format!("{path}.ids"), errors),
            _ => {}
        }
    }
    for (index, exclusion) in document.spec.exclusions.iter().enumerate() {
        let path = format!("spec.exclusions[{index}]");
        match (&exclusion.tag, &exclusion.ids) {
            (None, None) => errors.add(path, "needs `tag` or `ids`"),
            (_, Some(ids)) => id_range(ids, &format!("{path}.ids"), errors),
            _ => {}
        }
    }
    // A rule set that is missing is a warning; one that is there must compile under this policy.
    if errors.0.len() == before
        && let Some(rule_set) = index.rule_set(document)
    {
        dry_compile(document.clone(), &rule_set, errors);
    }
}

/// `942100` or `942000-942999`.
fn id_range(text: &str, path: &str, errors: &mut Errors) {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => {}
        _ => errors.add(path, format!("{text:?} is not a rule id or a range such as 942000-942999")),
    }
}

/// Compiles a rule set under a policy as a sidecar would.
fn dry_compile(waf: WafPolicy, rule_set: &RuleSet, errors: &mut Errors) {
    let mut policy = Policy::empty(WorkloadId::local(&waf.metadata.namespace, "dry-run"));
    policy.waf = vec![waf];
    policy.rule_sets = vec![rule_set.clone()];
    match Engine::compile(&policy, "dry-run", None) {
        Ok(_) => {}
        // Its text names file, line and column; the rule set is the document or the one it names.
        Err(CompileError::Waf { error, .. }) => errors.add("spec", error.to_string()),
        Err(error) => errors.add("spec", error.to_string()),
    }
}

fn gateway(document: &Gateway, errors: &mut Errors) {
    if document.spec.gateway_class_name != GATEWAY_CLASS {
        let text = format!("{:?} is not {GATEWAY_CLASS}", document.spec.gateway_class_name);
        errors.add("spec.gatewayClassName", text);
    }
    let known = [WORKLOAD_ANNOTATION, TRUSTED_HOPS_ANNOTATION, PROXY_PROTOCOL_ANNOTATION];
    for name in document.metadata.annotations.keys() {
        if name.starts_with("palisade.dev/") && !known.contains(&name.as_str()) {
            errors
                .add(format!("metadata.annotations[{name}]"), format!("is not one of {}", known.join(", ")));
        }
    }
    if let Err((annotation, problem)) = gateways::client_address(document) {
        errors.add(format!("metadata.annotations[{annotation}]"), problem);
    }
    if document.spec.listeners.is_empty() {
        errors.add("spec.listeners", "a gateway has at least one listener");
    }
    for (index, listener) in document.spec.listeners.iter().enumerate() {
        let path = format!("spec.listeners[{index}]");
        let earlier = document.spec.listeners.iter().take(index);
        if earlier.clone().any(|other| other.name == listener.name) {
            errors.add(format!("{path}.name"), "is the name of two listeners");
        }
        if earlier.clone().any(|other| other.port == listener.port && other.hostname == listener.hostname) {
            errors.add(path.clone(), "has the port and hostname of an earlier listener");
        }
        gateway_listener(listener, &path, errors);
    }
}

fn gateway_listener(listener: &GatewayListener, path: &str, errors: &mut Errors) {
    if listener.port == 0 {
        errors.add(format!("{path}.port"), "is a port from 1 to 65535");
    }
    if let Some(hostname) = &listener.hostname {
        host(hostname, &format!("{path}.hostname"), errors);
    }
    match (listener.protocol.as_str(), &listener.tls) {
        ("HTTP", None) => {}
        ("HTTP", Some(_)) => errors.add(format!("{path}.tls"), "HTTP has no certificates; use HTTPS"),
        ("HTTPS", Some(tls)) => {
            if tls.mode.as_deref().is_some_and(|mode| mode != "Terminate") {
                errors.add(format!("{path}.tls.mode"), "only Terminate is taken");
            }
            if tls.certificate_refs.is_empty() {
                errors.add(format!("{path}.tls.certificateRefs"), "HTTPS needs a certificate");
            }
            for (at, reference) in tls.certificate_refs.iter().enumerate() {
                let taken = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
                let name = reference.name.as_str();
                if name.is_empty() || name.starts_with('.') || !name.bytes().all(taken) {
                    let path = format!("{path}.tls.certificateRefs[{at}].name");
                    errors.add(path, format!("{name:?} is not the name of a certificate"));
                }
            }
        }
        ("HTTPS", None) => errors.add(format!("{path}.tls"), "HTTPS needs a certificate"),
        (other, _) => errors.add(format!("{path}.protocol"), format!("{other:?} is not HTTP or HTTPS")),
    }
    let from = listener.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    if let Some(from) = from.and_then(|namespaces| namespaces.from.as_deref())
        && !["All", "Same"].contains(&from)
    {
        errors.add(format!("{path}.allowedRoutes.namespaces.from"), format!("{from:?} is not All or Same"));
    }
}

/// A host name, perhaps with `*.` in front.
fn host(text: &str, path: &str, errors: &mut Errors) {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > NAME_BYTES || !name.split('.').all(label) {
        errors.add(path, format!("{text:?} is not a host name"));
    }
}

fn http_route(document: &HttpRoute, errors: &mut Errors) {
    if document.spec.parent_refs.is_empty() {
        errors.add("spec.parentRefs", "a route attaches to at least one gateway");
    }
    for (index, hostname) in document.spec.hostnames.iter().enumerate() {
        host(hostname, &format!("spec.hostnames[{index}]"), errors);
    }
    for (index, rule) in document.spec.rules.iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        if rule.backend_refs.iter().all(|backend| backend.weight == Some(0)) {
            errors.add(format!("{path}.backendRefs"), "a rule has at least one backend with a weight");
        }
        for (at, backend) in rule.backend_refs.iter().enumerate().filter(|(_, backend)| backend.port == 0) {
            errors.add(format!("{path}.backendRefs[{at}].port"), format!("{} is not a port", backend.port));
        }
        if let Some(request) = rule.timeouts.as_ref().and_then(|timeouts| timeouts.request.as_ref())
            && let Err(problem) = http_routes::duration_ms(request)
        {
            errors.add(format!("{path}.timeouts.request"), problem);
        }
        for (at, matched) in http_routes::matches(rule).into_iter().enumerate() {
            route_match(matched, &format!("{path}.matches[{at}]"), errors);
        }
    }
}

/// A match must compile as a sidecar would compile it.
fn route_match(matched: RouteMatch, path: &str, errors: &mut Errors) {
    let mut policy = Policy::empty(WorkloadId::local("dry-run", "dry-run"));
    policy.routes = vec![Route {
        name: "dry-run".to_owned(),
        listeners: vec!["dry-run".to_owned()],
        hosts: Vec::new(),
        ports: Vec::new(),
        matches: vec![matched],
        backends: vec![WeightedCluster { cluster: "dry-run".to_owned(), weight: 1 }],
        timeout_ms: None,
    }];
    match Engine::compile(&policy, "dry-run", None) {
        Ok(_) => {}
        Err(CompileError::Route(error)) => errors.add(path, error.problem),
        Err(error) => errors.add(path, error.to_string()),
    }
}

fn workload_entry(document: &WorkloadEntry, index: &Index, errors: &mut Errors) {
    if let Err((path, problem)) = inventory::workload(document.clone(), &index.settings) {
        errors.add(path, problem);
    }
    for (name, port) in document.spec.ports.iter().filter(|(_, port)| **port == 0) {
        errors.add(format!("spec.ports[{name}]"), format!("{port} is not a port"));
    }
}

fn service_entry(document: &ServiceEntry, errors: &mut Errors) {
    let spec = &document.spec;
    if spec.hosts.is_empty() {
        errors.add("spec.hosts", "a service has at least one host");
    }
    for (index, name) in spec.hosts.iter().enumerate() {
        host(name, &format!("spec.hosts[{index}]"), errors);
        if name.starts_with('*') {
            errors.add(format!("spec.hosts[{index}]"), "a pattern cannot be called");
        }
    }
    if spec.ports.is_empty() {
        errors.add("spec.ports", "a service has at least one port");
    }
    for (index, port) in spec.ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        if port.number == 0 || port.target_port == Some(0) {
            errors.add(format!("{path}.number"), "is a port from 1 to 65535");
        }
        if services::protocol(port).is_none() {
            let text = format!("{:?} is not HTTP, HTTP2, GRPC or TCP", port.protocol);
            errors.add(format!("{path}.protocol"), text);
        }
        if spec.ports.iter().take(index).any(|other| other.number == port.number || other.name == port.name) {
            errors.add(path, "has the number or the name of an earlier port");
        }
    }
    if spec.workload_selector.is_some() && !spec.endpoints.is_empty() {
        errors.add("spec.endpoints", "may not be combined with workloadSelector");
    }
    for (index, endpoint) in spec.endpoints.iter().enumerate() {
        if endpoint.address.parse::<IpAddr>().is_err() {
            let text = format!("{:?} is not an IP address", endpoint.address);
            errors.add(format!("spec.endpoints[{index}].address"), text);
        }
    }
}
