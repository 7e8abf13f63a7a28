//! HTTPRoutes → routes of a gateway, in the Gateway API's order of precedence.
//!
//! A route of ours has one host and one match, so that the order is total: exact host before `*.suffix` before any,
//! longer host first; exact path before prefix, longer prefix first; with method first; more headers first; then
//! namespace, name, rule and match. A backend that is unknown gets a cluster without endpoints: its requests fail
//! instead of falling through to a broader route.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use palisade_model::Protocol;
use palisade_model::documents::{
    BackendRef, Document, Gateway, HttpPathMatchType, HttpRoute, HttpRouteMatch, HttpRouteRule,
};
use palisade_model::policy::{
    Cluster, HeaderMatch, PathMatch, Route, RouteMatch, UpstreamTls, WeightedCluster,
};

use crate::gateways::{attached, serving_name};
use crate::inventory::Inventory;
use crate::services::{Services, cluster_name};
use crate::{DocumentRef, Problem};

/// The routes of a workload's gateways in order, and the clusters they name.
pub(crate) fn routes(
    inventory: &Inventory,
    services: &Services,
    gateways: &[&Gateway],
) -> (Vec<Route>, Vec<Cluster>) {
    let mut found: Vec<(Precedence, Route)> = Vec::new();
    let mut clusters: BTreeMap<String, Cluster> = BTreeMap::new();
    for route in inventory.http_routes.values() {
        for (host, listeners) in hosts(gateways, route) {
            for (index, rule) in route.spec.rules.iter().enumerate() {
                let backends = backends(inventory, services, route, rule, &mut clusters);
                for (at, matched) in matches(rule).into_iter().enumerate() {
                    let name = route_name(route, index, at, host.as_deref());
                    let timeout_ms = rule.timeouts.as_ref().and_then(|timeouts| timeouts.request.as_deref());
                    let precedence = precedence(host.as_deref(), &matched, route, index, at);
                    let compiled = Route {
                        name,
                        listeners: listeners.clone(),
                        hosts: host.iter().cloned().collect(),
                        ports: Vec::new(),
                        matches: vec![matched],
                        backends: backends.clone(),
                        timeout_ms: timeout_ms.and_then(|text| duration_ms(text).ok()).filter(|ms| *ms > 0),
                    };
                    found.push((precedence, compiled));
                }
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    (found.into_iter().map(|(_, route)| route).collect(), clusters.into_values().collect())
}

fn route_name(route: &HttpRoute, rule: usize, at: usize, host: Option<&str>) -> String {
    let (namespace, name) = (&route.metadata.namespace, &route.metadata.name);
    format!("{namespace}/{name} rules[{rule}].matches[{at}] {}", host.unwrap_or("*"))
}

/// Each host the route takes on these gateways (none: any), with the listeners on which it does.
fn hosts(gateways: &[&Gateway], route: &HttpRoute) -> BTreeMap<Option<String>, Vec<String>> {
    let mut hosts: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
    for gateway in gateways {
        for listener in attached(gateway, route) {
            let Some(serving) = serving_name(gateways, listener.port) else { continue };
            for host in intersection(listener.hostname.as_deref(), &route.spec.hostnames) {
                let listeners = hosts.entry(host).or_default();
                if !listeners.contains(&serving) {
                    listeners.push(serving.clone());
                }
            }
        }
    }
    hosts
}

/// The hosts that a listener and a route both take; none in the list: any host.
fn intersection(listener: Option<&str>, route: &[String]) -> Vec<Option<String>> {
    let listener = listener.map(str::to_ascii_lowercase);
    if route.is_empty() {
        return vec![listener];
    }
    let narrower = |host: &String| {
        let host = host.to_ascii_lowercase();
        match &listener {
            None => Some(host),
            Some(listener) if takes(listener, &host) => Some(host),
            Some(listener) if takes(&host, listener) => Some(listener.clone()),
            Some(_) => None,
        }
    };
    route.iter().filter_map(narrower).map(Some).collect()
}

/// Whether everything the second takes, the first takes too.
fn takes(wider: &str, narrower: &str) -> bool {
    match wider.strip_prefix('*') {
        Some(suffix) => narrower.ends_with(suffix) && narrower.len() >= wider.len(),
        None => wider == narrower,
    }
}

/// The alternatives of a rule as routes have them; without any, one that takes everything.
pub(crate) fn matches(rule: &HttpRouteRule) -> Vec<RouteMatch> {
    let compile = |matched: &HttpRouteMatch| RouteMatch {
        path: matched.path.as_ref().map(|path| match path.kind {
            HttpPathMatchType::Exact => PathMatch::Exact(path.value.clone()),
            HttpPathMatchType::PathPrefix => PathMatch::Prefix(path.value.clone()),
        }),
        method: matched.method.clone(),
        headers: matched
            .headers
            .iter()
            .map(|header| HeaderMatch { name: header.name.clone(), value: header.value.clone() })
            .collect(),
    };
    match rule.matches.as_slice() {
        [] => vec![RouteMatch::default()],
        all => all.iter().map(compile).collect(),
    }
}

/// Less comes first. Host class and length, path class and length, method, headers, then the place in the documents.
type Precedence =
    (u8, Reverse<usize>, u8, Reverse<usize>, bool, Reverse<usize>, String, String, usize, usize);

fn precedence(
    host: Option<&str>,
    matched: &RouteMatch,
    route: &HttpRoute,
    rule: usize,
    at: usize,
) -> Precedence {
    let (host_class, host_length) = match host {
        Some(host) if !host.starts_with('*') => (0, host.len()),
        Some(host) => (1, host.len()),
        None => (2, 0),
    };
    let (path_class, path_length) = match &matched.path {
        Some(PathMatch::Exact(path)) => (0, path.len()),
        Some(PathMatch::Prefix(path)) => (1, path.trim_end_matches('/').len()),
        None => (1, 0),
    };
    let metadata = &route.metadata;
    (
        host_class,
        Reverse(host_length),
        path_class,
        Reverse(path_length),
        matched.method.is_none(),
        Reverse(matched.headers.len()),
        metadata.namespace.clone(),
        metadata.name.clone(),
        rule,
        at,
    )
}

fn backends(
    inventory: &Inventory,
    services: &Services,
    route: &HttpRoute,
    rule: &HttpRouteRule,
    clusters: &mut BTreeMap<String, Cluster>,
) -> Vec<WeightedCluster> {
    let backend = |backend: &BackendRef| {
        let known = backend_cluster(inventory, services, route, backend).cloned();
        let cluster = known.unwrap_or_else(|| Cluster {
            name: format!("unknown {}:{}", backend.name, backend.port),
            endpoints: Vec::new(),
            protocol: Protocol::Http,
            tls: UpstreamTls::Mesh(Vec::new()),
        });
        let name = cluster.name.clone();
        clusters.entry(name.clone()).or_insert(cluster);
        WeightedCluster { cluster: name, weight: backend.weight.unwrap_or(1) }
    };
    rule.backend_refs.iter().map(backend).collect()
}

/// The cluster that a backend names; one that speaks HTTP.
fn backend_cluster<'a>(
    inventory: &Inventory,
    services: &'a Services,
    route: &HttpRoute,
    backend: &BackendRef,
) -> Option<&'a Cluster> {
    let namespace = backend.namespace.as_ref().unwrap_or(&route.metadata.namespace);
    let service = inventory.service(namespace, &backend.name)?;
    let cluster = services.clusters.get(&cluster_name(service, backend.port)?)?;
    (!cluster.protocol.is_tcp()).then_some(cluster)
}

/// Milliseconds of a Gateway API duration (GEP-2257): up to four numbers of up to five digits with `h`, `m`, `s`, `ms`.
pub(crate) fn duration_ms(text: &str) -> Result<u64, String> {
    let refuse = || format!("{text:?} is not a duration such as 10s, 500ms or 1m30s");
    let (mut rest, mut total, mut parts) = (text, 0u64, 0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits).ok_or_else(refuse)?;
        let unit_length = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at_checked(unit_length).ok_or_else(refuse)?;
        let scale = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return Err(refuse()),
        };
        parts += 1;
        if digits == 0 || digits > 5 || parts > 4 {
            return Err(refuse());
        }
        total += number.parse::<u64>().map_err(|_| refuse())? * scale;
        rest = after;
    }
    if parts == 0 { Err(refuse()) } else { Ok(total) }
}

/// Routes that attach to nothing, and backends that nobody is.
pub(crate) fn problems(inventory: &Inventory, services: &Services, problems: &mut Vec<Problem>) {
    for route in inventory.http_routes.values() {
        let reference = DocumentRef::of(&Document::HttpRoute(route.clone()));
        for (index, parent) in route.spec.parent_refs.iter().enumerate() {
            let namespace = parent.namespace.as_ref().unwrap_or(&route.metadata.namespace);
            let gateway = inventory.gateways.get(&(namespace.clone(), parent.name.clone()));
            let text = match gateway {
                None => format!("there is no Gateway {namespace}/{}", parent.name),
                Some(gateway) if attached(gateway, route).next().is_none() => {
                    "no listener of this gateway takes the route (allowedRoutes, sectionName)".to_owned()
                }
                Some(gateway) if hosts(&[gateway], route).is_empty() => {
                    "none of the route's hostnames is one of the listener's".to_owned()
                }
                Some(_) => continue,
            };
            problems.push(Problem::warning(reference.clone(), format!("spec.parentRefs[{index}]"), text));
        }
        for (index, rule) in route.spec.rules.iter().enumerate() {
            for (at, backend) in rule.backend_refs.iter().enumerate() {
                if backend_cluster(inventory, services, route, backend).is_none() {
                    let text = format!("no service has {}:{} as an HTTP port", backend.name, backend.port);
                    let path = format!("spec.rules[{index}].backendRefs[{at}]");
                    problems.push(Problem::warning(reference.clone(), path, text));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_gateway_api_writes_them() {
        for (text, ms) in
            [("10s", 10_000), ("500ms", 500), ("1m30s", 90_000), ("0s", 0), ("1h1m1s1ms", 3_661_001)]
        {
            assert_eq!(duration_ms(text), Ok(ms), "{text}");
        }
        for text in ["", "10", "s", "1.5s", "-1s", "123456s", "1s1s1s1s1s", "1S", "1 s", "1d"] {
            assert!(duration_ms(text).is_err(), "{text:?} was taken");
        }
        assert!(duration_ms("99999s").is_ok(), "five digits are the most");
    }

    #[test]
    fn the_narrower_of_two_hosts_is_their_intersection() {
        let meet = |listener: Option<&str>, route: &[&str]| {
            let route: Vec<String> = route.iter().map(ToString::to_string).collect();
            intersection(listener, &route)
        };
        let some = |host: &str| Some(host.to_owned());
        assert_eq!(meet(None, &[]), [None]);
        assert_eq!(meet(Some("*.A.com"), &[]), [some("*.a.com")]);
        assert_eq!(meet(None, &["A.com"]), [some("a.com")]);
        assert_eq!(meet(Some("*.a.com"), &["x.a.com", "a.com", "y.b.com"]), [some("x.a.com")]);
        assert_eq!(meet(Some("x.a.com"), &["*.a.com"]), [some("x.a.com")]);
        assert_eq!(meet(Some("*.a.com"), &["*.x.a.com"]), [some("*.x.a.com")]);
        assert!(meet(Some("a.com"), &["b.com"]).is_empty());
    }
}
