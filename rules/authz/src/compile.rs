//! AuthorizationPolicy documents → compiled rules, or every problem with its field path.
//!
//! Promises: what compiles means what Istio means by it; what could never match, or has no meaning here, is refused.

use std::sync::Arc;

use http::HeaderName;
use palisade_model::documents::{self, Action, AuthorizationPolicy, FieldError, Operation, Source};
use palisade_model::{Principal, RuleId, network};

use crate::condition::{Condition, PrincipalPattern, Values};
use crate::path::PathPattern;
use crate::pattern::Pattern;

/// Rules of one workload, over all its policies. Each is a few hundred bytes compiled; more is a mistake or an attack.
pub const RULES: usize = 100_000;

/// Headers that are gone before policies see a request (RFC 9110 §7.6.1); a condition on one would never hold.
const HOP_BY_HOP: [&str; 6] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "expect"];

/// Conditions that must all hold.
pub(crate) type Clause = Box<[Condition]>;

/// A compiled rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    /// Any of them; empty: any caller.
    pub(crate) from: Box<[Clause]>,
    /// Any of them; empty: any operation.
    pub(crate) to: Box<[Clause]>,
    /// All of them.
    pub(crate) when: Clause,
}

/// Collects problems while a policy is read.
#[derive(Default)]
struct Problems(Vec<FieldError>);

impl Problems {
    fn add(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.0.push(FieldError { path: path.into(), problem: problem.into() });
    }

    /// Reads each value of a list.
    fn each<T>(
        &mut self,
        path: &str,
        values: &[String],
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Box<[T]> {
        let mut read_values = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            match read(value) {
                Ok(value) => read_values.push(value),
                Err(problem) => self.add(format!("{path}[{index}]"), problem),
            }
        }
        read_values.into()
    }
}

/// Compiles one policy.
pub(crate) fn policy(policy: &AuthorizationPolicy) -> Result<Vec<Rule>, Vec<FieldError>> {
    let mut problems = Problems::default();
    if policy.api_version != "security.istio.io/v1" {
        problems.add("apiVersion", format!("{:?} is not security.istio.io/v1", policy.api_version));
    }
    if policy.kind != "AuthorizationPolicy" {
        problems.add("kind", format!("{:?} is not AuthorizationPolicy", policy.kind));
    }
    if policy.metadata.name.is_empty() {
        problems.add("metadata.name", "is empty");
    }
    if policy.spec.action == Action::Deny && policy.spec.rules.is_empty() {
        problems
            .add("spec.rules", "a DENY policy without rules never matches; `rules: [{}]` denies everything");
    }
    let (namespace, name): (Arc<str>, Arc<str>) =
        (policy.metadata.namespace.as_str().into(), policy.metadata.name.as_str().into());
    let mut rules = Vec::with_capacity(policy.spec.rules.len());
    for (index, document) in policy.spec.rules.iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        let id =
            RuleId::Authorization { namespace: namespace.clone(), name: name.clone(), rule: Some(index) };
        rules.push(rule(id, &namespace, document, &path, &mut problems));
    }
    if problems.0.is_empty() { Ok(rules) } else { Err(problems.0) }
}

fn rule(id: RuleId, namespace: &str, rule: &documents::Rule, path: &str, problems: &mut Problems) -> Rule {
    let numbered = |list: &str, index: usize, field: &str| format!("{path}.{list}[{index}].{field}");
    let from = rule
        .from
        .iter()
        .enumerate()
        .map(|(index, from)| source(&from.source, namespace, &numbered("from", index, "source"), problems))
        .collect();
    let to = rule
        .to
        .iter()
        .enumerate()
        .map(|(index, to)| operation(&to.operation, &numbered("to", index, "operation"), problems))
        .collect();
    let mut when = Vec::new();
    for (index, condition) in rule.when.iter().enumerate() {
        when_condition(condition, namespace, &format!("{path}.when[{index}]"), &mut when, problems);
    }
    Rule { id, from, to, when: when.into() }
}

fn source(source: &Source, namespace: &str, path: &str, problems: &mut Problems) -> Clause {
    let named = [&source.principals, &source.not_principals, &source.namespaces, &source.not_namespaces];
    let accounts = [&source.service_accounts, &source.not_service_accounts];
    if accounts.iter().any(|list| !list.is_empty()) && named.iter().any(|list| !list.is_empty()) {
        problems.add(
            format!("{path}.serviceAccounts"),
            "may not be combined with principals, namespaces or their opposites",
        );
    }
    let mut clause = List { base: path, prefix: "source", conditions: Vec::new(), problems };
    clause.pair(
        ["principals", "notPrincipals"],
        &source.principals,
        &source.not_principals,
        |problems, path, values| Values::Principals(problems.each(path, values, principal)),
    );
    clause.pair(
        ["namespaces", "notNamespaces"],
        &source.namespaces,
        &source.not_namespaces,
        |problems, path, values| Values::Namespaces(problems.each(path, values, segment)),
    );
    let [accounts, not_accounts] = accounts;
    clause.pair(
        ["serviceAccounts", "notServiceAccounts"],
        accounts,
        not_accounts,
        |problems, path, values| {
            Values::ServiceAccounts(problems.each(path, values, |text| account(text, namespace)))
        },
    );
    clause.pair(
        ["ipBlocks", "notIpBlocks"],
        &source.ip_blocks,
        &source.not_ip_blocks,
        |problems, path, values| Values::SourceIps(problems.each(path, values, network)),
    );
    clause.finish("a source must name something; to match every caller leave `from` out")
}

fn operation(operation: &Operation, path: &str, problems: &mut Problems) -> Clause {
    let mut clause = List { base: path, prefix: "operation", conditions: Vec::new(), problems };
    clause.pair(["hosts", "notHosts"], &operation.hosts, &operation.not_hosts, |problems, path, values| {
        Values::Hosts(problems.each(path, values, host))
    });
    clause.pair(["ports", "notPorts"], &operation.ports, &operation.not_ports, |problems, path, values| {
        Values::DestinationPorts(problems.each(path, values, port))
    });
    clause.pair(
        ["methods", "notMethods"],
        &operation.methods,
        &operation.not_methods,
        |problems, path, values| Values::Methods(problems.each(path, values, method)),
    );
    clause.pair(["paths", "notPaths"], &operation.paths, &operation.not_paths, |problems, path, values| {
        Values::Paths(problems.each(path, values, PathPattern::parse))
    });
    clause.finish("an operation must name something; to match every operation leave `to` out")
}

/// The conditions of one clause as they are read.
struct List<'a> {
    base: &'a str,
    prefix: &'a str,
    conditions: Vec<Condition>,
    problems: &'a mut Problems,
}

impl List<'_> {
    /// A field and its opposite.
    fn pair(
        &mut self,
        [field, not_field]: [&str; 2],
        values: &[String],
        not_values: &[String],
        read: impl Fn(&mut Problems, &str, &[String]) -> Values,
    ) {
        for (field, values, negated) in [(field, values, false), (not_field, not_values, true)] {
            if !values.is_empty() {
                let values = read(self.problems, &format!("{}.{field}", self.base), values);
                let field = format!("{}.{field}", self.prefix).into();
                self.conditions.push(Condition { field, negated, values });
            }
        }
    }

    fn finish(self, if_empty: &str) -> Clause {
        if self.conditions.is_empty() {
            self.problems.add(self.base, if_empty);
        }
        self.conditions.into()
    }
}

fn when_condition(
    condition: &documents::Condition,
    namespace: &str,
    path: &str,
    into: &mut Vec<Condition>,
    problems: &mut Problems,
) {
    let key = condition.key.as_str();
    if condition.values.is_empty() && condition.not_values.is_empty() {
        problems.add(path, "needs `values` or `notValues`");
    }
    let header = match key.strip_prefix("request.headers[").and_then(|rest| rest.strip_suffix(']')) {
        Some(name) => match header_name(name) {
            Ok(name) => Some(name),
            Err(problem) => return problems.add(format!("{path}.key"), problem),
        },
        None => None,
    };
    for (field, values, negated) in
        [("values", &condition.values, false), ("notValues", &condition.not_values, true)]
    {
        if values.is_empty() {
            continue;
        }
        let path = format!("{path}.{field}");
        let values = match (key, &header) {
            (_, Some(name)) => Values::Header(name.clone(), problems.each(&path, values, Pattern::parse)),
            ("source.ip", _) => Values::SourceIps(problems.each(&path, values, network)),
            ("source.namespace", _) => Values::Namespaces(problems.each(&path, values, segment)),
            ("source.principal", _) => Values::Principals(problems.each(&path, values, principal)),
            ("source.serviceAccount", _) => {
                Values::ServiceAccounts(problems.each(&path, values, |text| account(text, namespace)))
            }
            ("destination.ip", _) => Values::DestinationIps(problems.each(&path, values, network)),
            ("destination.port", _) => Values::DestinationPorts(problems.each(&path, values, port)),
            ("connection.sni", _) => Values::Sni(problems.each(&path, values, host)),
            _ => {
                let known = "request.headers[name], source.ip, source.namespace, source.serviceAccount, \
                             source.principal, destination.ip, destination.port, connection.sni";
                return problems.add(path.replace(field, "key"), format!("{key:?} is not one of {known}"));
            }
        };
        into.push(Condition { field: key.into(), negated, values });
    }
}

fn principal(text: &str) -> Result<PrincipalPattern, String> {
    if text.starts_with("spiffe:") {
        return Err(format!("{text:?}: principals are written without `spiffe://`"));
    }
    match Pattern::parse(text)? {
        Pattern::Exact(exact) => exact
            .parse::<Principal>()
            .map(PrincipalPattern::Exact)
            .map_err(|error| format!("{text:?} can never match: {error}")),
        pattern => match pattern.literal().bytes().all(|byte| identity_byte(byte) || byte == b'/') {
            true => Ok(PrincipalPattern::Text(pattern)),
            false => Err(format!("{text:?} can never match: a principal has letters, digits and ./-_ only")),
        },
    }
}

fn segment(text: &str) -> Result<Pattern, String> {
    let pattern = Pattern::parse(text)?;
    match pattern.literal().bytes().all(identity_byte) {
        true => Ok(pattern),
        false => Err(format!("{text:?} can never match: a namespace has letters, digits and .-_ only")),
    }
}

fn account(text: &str, own_namespace: &str) -> Result<(Box<str>, Box<str>), String> {
    let (namespace, account) = text.split_once('/').unwrap_or((own_namespace, text));
    let complete = |part: &str| !part.is_empty() && part.bytes().all(identity_byte);
    match complete(namespace) && complete(account) {
        true => Ok((namespace.into(), account.into())),
        false => {
            Err(format!("{text:?} is not `<account>` or `<namespace>/<account>`; patterns are not taken"))
        }
    }
}

fn identity_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

fn port(text: &str) -> Result<u16, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if port != 0 && digits => Ok(port),
        _ => Err(format!("{text:?} is not a port from 1 to 65535")),
    }
}

fn host(text: &str) -> Result<Pattern, String> {
    let pattern = Pattern::parse(text)?.lower_case();
    let literal = pattern.literal();
    if literal.bytes().any(|byte| matches!(byte, b'/' | b'@' | b'?' | b'#' | b'\\' | 0..=0x20 | 0x7f..)) {
        return Err(format!("{text:?} can never match: it is not a host name"));
    }
    if literal.ends_with('.') && !matches!(pattern, Pattern::Prefix(_)) {
        return Err(format!("{text:?} can never match: hosts are compared without a trailing dot"));
    }
    Ok(pattern)
}

fn method(text: &str) -> Result<Pattern, String> {
    let pattern = Pattern::parse(text)?;
    let literal = pattern.literal();
    if !literal.is_empty() && http::Method::from_bytes(literal.as_bytes()).is_err() {
        return Err(format!("{text:?} can never match: it is not a method"));
    }
    Ok(pattern)
}

fn header_name(text: &str) -> Result<HeaderName, String> {
    let name =
        HeaderName::from_bytes(text.as_bytes()).map_err(|_| format!("{text:?} is not a header name"))?;
    if name == http::header::HOST {
        return Err("the host is compared with `to.operation.hosts`".to_owned());
    }
    if HOP_BY_HOP.contains(&name.as_str()) {
        return Err(format!("{name} is a hop-by-hop header, which is removed before policies are asked"));
    }
    Ok(name)
}

/// HTTP fields where only TCP ports are named. The fields of a rule's `when` count if every operation is TCP.
pub(crate) fn http_on_tcp(rules: &[Rule], is_tcp: &dyn Fn(u16) -> bool) -> Vec<FieldError> {
    let mut problems = Problems::default();
    for (index, rule) in rules.iter().enumerate() {
        let only_tcp = |clause: &Clause| {
            clause.iter().any(|condition| match &condition.values {
                Values::DestinationPorts(ports) => {
                    !condition.negated && ports.iter().all(|port| is_tcp(*port))
                }
                _ => false,
            })
        };
        let path = format!("spec.rules[{index}]");
        let refuse = |problems: &mut Problems, path: String| {
            problems.add(path, "is an HTTP field, but the ports named are declared TCP");
        };
        for (at, clause) in rule.to.iter().enumerate().filter(|(_, clause)| only_tcp(clause)) {
            for condition in clause.iter().filter(|condition| condition.is_http()) {
                refuse(&mut problems, format!("{path}.to[{at}].{}", condition.field));
            }
        }
        let all_tcp = only_tcp(&rule.when) || (!rule.to.is_empty() && rule.to.iter().all(only_tcp));
        if all_tcp {
            for condition in rule.when.iter().filter(|condition| condition.is_http()) {
                refuse(&mut problems, format!("{path}.when {}", condition.field));
            }
        }
    }
    problems.0
}
