//! Route match: a table compiled once, searched per request.
//!
//! ```text
//!   listener ─▶ hosts: exact name ∪ *.suffix (label by label) ∪ all ─▶ candidates, in order of precedence
//!            ─▶ port, path, method, headers ─▶ the first that takes the request
//! ```
//! Promises that the first route of the policy's order that matches decides, and that the search costs what the routes
//! of one host cost, however many hosts there are. It does not choose a backend: weights are the proxy's dice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::{HeaderName, Method};
use palisade_model::RequestHead;
use palisade_model::policy::{PathMatch, Route, RouteMatch, WeightedCluster};

use crate::authority;

/// A compiled route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledRoute {
    /// Its name.
    pub name: Arc<str>,
    /// Where it goes.
    pub backends: Arc<[WeightedCluster]>,
    /// Milliseconds up to the response head.
    pub timeout_ms: Option<u64>,
}

/// Why a route cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("routes[{index}] {name}: {problem}")]
pub struct RouteError {
    /// Its index in the policy.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub problem: String,
}

/// All routes of a policy.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: Vec<Compiled>,
    listeners: HashMap<String, Hosts>,
    /// Routes without listener names.
    outbound: Hosts,
}

#[derive(Clone, Debug)]
struct Compiled {
    route: CompiledRoute,
    ports: Vec<u16>,
    alternatives: Vec<Alternative>,
}

#[derive(Clone, Debug)]
struct Alternative {
    path: Option<Path>,
    method: Option<Method>,
    headers: Vec<(HeaderName, String)>,
}

#[derive(Clone, Debug)]
enum Path {
    Exact(String),
    /// Without its final slash; empty takes every path.
    Prefix(String),
}

/// Indexes of routes by host, each list in order of precedence.
#[derive(Clone, Debug, Default)]
struct Hosts {
    exact: HashMap<String, Vec<usize>>,
    /// By what follows `*.`.
    suffix: HashMap<String, Vec<usize>>,
    all: Vec<usize>,
}

impl RouteTable {
    /// Compiles routes in order of precedence. Refuses what could never match or would match something else than
    /// what its author reads: bad host patterns, paths that are not canonical, weights that sum to nothing.
    pub fn compile(routes: &[Route]) -> Result<Self, RouteError> {
        let mut table = Self::default();
        let mut names = HashSet::new();
        for (index, route) in routes.iter().enumerate() {
            let error = |problem: String| RouteError { index, name: route.name.clone(), problem };
            if route.name.is_empty() {
                return Err(error("the name is empty".into()));
            }
            if !names.insert(route.name.as_str()) {
                return Err(error("the name is used twice".into()));
            }
            table.routes.push(compile(route).map_err(error)?);
            let hosts = route
                .hosts
                .iter()
                .map(|host| host_pattern(host))
                .collect::<Result<Vec<_>, _>>()
                .map_err(error)?;
            if route.listeners.is_empty() {
                table.outbound.insert(&hosts, index);
            }
            for listener in &route.listeners {
                table.listeners.entry(listener.clone()).or_default().insert(&hosts, index);
            }
        }
        Ok(table)
    }

    /// The first route of the listener that takes the request. `outbound`: whether the listener is an outbound HTTP
    /// listener, which routes without listener names apply to.
    ///
    /// A header condition holds if any of the header's values is exactly the one asked for.
    pub fn find(&self, listener: &str, outbound: bool, head: &RequestHead) -> Option<&CompiledRoute> {
        let named = self.listeners.get(listener);
        let general = outbound.then_some(&self.outbound);
        let mut best: Option<usize> = None;
        for hosts in named.into_iter().chain(general) {
            hosts.lists(&head.authority.host, |candidates| {
                let end = best.unwrap_or(usize::MAX);
                let found = candidates
                    .iter()
                    .take_while(|index| **index < end)
                    .find(|index| self.routes.get(**index).is_some_and(|route| route.takes(head)));
                best = found.copied().or(best);
            });
        }
        best.and_then(|index| self.routes.get(index)).map(|compiled| &compiled.route)
    }
}

impl Hosts {
    fn insert(&mut self, patterns: &[Pattern], index: usize) {
        let push = |list: &mut Vec<usize>| {
            if list.last() != Some(&index) {
                list.push(index);
            }
        };
        if patterns.is_empty() {
            push(&mut self.all);
        }
        for pattern in patterns {
            match pattern {
                Pattern::All => push(&mut self.all),
                Pattern::Exact(host) => push(self.exact.entry(host.clone()).or_default()),
                Pattern::Suffix(suffix) => push(self.suffix.entry(suffix.clone()).or_default()),
            }
        }
    }

    /// Gives every list that a host is in.
    fn lists(&self, host: &str, mut visit: impl FnMut(&[usize])) {
        if let Some(list) = self.exact.get(host) {
            visit(list);
        }
        // `*.b.c` takes `a.b.c` and `x.a.b.c`, never `b.c`; an IPv6 literal has no labels.
        if !self.suffix.is_empty() && !host.starts_with('[') {
            let mut rest = host;
            while let Some((_, parent)) = rest.split_once('.') {
                if let Some(list) = self.suffix.get(parent) {
                    visit(list);
                }
                rest = parent;
            }
        }
        visit(&self.all);
    }
}

impl Compiled {
    fn takes(&self, head: &RequestHead) -> bool {
        let port = || head.authority.port.unwrap_or(head.scheme.default_port());
        (self.ports.is_empty() || self.ports.contains(&port()))
            && (self.alternatives.is_empty() || self.alternatives.iter().any(|one| one.takes(head)))
    }
}

impl Alternative {
    fn takes(&self, head: &RequestHead) -> bool {
        let path = match &self.path {
            None => true,
            Some(Path::Exact(path)) => head.path == *path,
            Some(Path::Prefix(prefix)) => {
                // A server-wide `*` is under no prefix but `/`.
                head.path.strip_prefix(prefix.as_str()).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('/') || (prefix.is_empty() && rest == "*")
                })
            }
        };
        path && self.method.as_ref().is_none_or(|method| *method == head.method)
            && self.headers.iter().all(|(name, value)| {
                head.headers.get_all(name).iter().any(|sent| sent.as_bytes() == value.as_bytes())
            })
    }
}

enum Pattern {
    All,
    Exact(String),
    Suffix(String),
}

fn host_pattern(pattern: &str) -> Result<Pattern, String> {
    if pattern == "*" {
        return Ok(Pattern::All);
    }
    let (name, wildcard) = match pattern.strip_prefix("*.") {
        Some(suffix) => (suffix, true),
        None => (pattern, false),
    };
    let read = authority::parse(name.as_bytes(), "hosts")
        .map_err(|_| format!("hosts: `{pattern}` is neither a host, `*.suffix` nor `*`"))?;
    if read.port.is_some() {
        return Err(format!("hosts: `{pattern}` has a port; `ports` is the place for it"));
    }
    match wildcard {
        true if read.host.starts_with('[') => {
            Err(format!("hosts: `{pattern}` puts a wildcard before an address"))
        }
        true => Ok(Pattern::Suffix(read.host)),
        false => Ok(Pattern::Exact(read.host)),
    }
}

fn compile(route: &Route) -> Result<Compiled, String> {
    if route.backends.is_empty() {
        return Err("backends: there is none".into());
    }
    if let Some(backend) = route.backends.iter().position(|backend| backend.cluster.is_empty()) {
        return Err(format!("backends[{backend}].cluster: the name is empty"));
    }
    if route.backends.iter().all(|backend| backend.weight == 0) {
        return Err("backends: the weights sum to 0".into());
    }
    if route.ports.contains(&0) {
        return Err("ports: 0 is no port".into());
    }
    if route.timeout_ms == Some(0) {
        return Err("timeoutMs: 0 would let nothing pass".into());
    }
    let alternatives = route
        .matches
        .iter()
        .enumerate()
        .map(|(index, one)| alternative(one).map_err(|problem| format!("matches[{index}].{problem}")));
    Ok(Compiled {
        route: CompiledRoute {
            name: route.name.as_str().into(),
            backends: route.backends.clone().into(),
            timeout_ms: route.timeout_ms,
        },
        ports: route.ports.clone(),
        alternatives: alternatives.collect::<Result<_, _>>()?,
    })
}

fn alternative(one: &RouteMatch) -> Result<Alternative, String> {
    let path = one.path.as_ref().map(path).transpose()?;
    let method = one
        .method
        .as_ref()
        .map(|method| {
            Method::from_bytes(method.as_bytes()).map_err(|_| format!("method: `{method}` is no token"))
        })
        .transpose()?;
    let headers = one
        .headers
        .iter()
        .map(|header| {
            HeaderName::from_bytes(header.name.as_bytes())
                .map(|name| (name, header.value.clone()))
                .map_err(|_| format!("headers: `{}` is no header name", header.name))
        })
        .collect::<Result<_, _>>()?;
    Ok(Alternative { path, method, headers })
}

/// A path that is not canonical would never match: say so, and how it would be written.
fn path(path: &PathMatch) -> Result<Path, String> {
    let (PathMatch::Exact(text) | PathMatch::Prefix(text)) = path;
    match crate::path::normalise(text, crate::EncodedSlash::Keep) {
        Ok(normal) if normal == *text => {}
        Ok(normal) => {
            return Err(format!("path: `{text}` is not canonical and would never match; write `{normal}`"));
        }
        Err(malformed) => {
            return Err(format!("path: `{text}` is refused in requests ({})", malformed.cause.as_str()));
        }
    }
    Ok(match path {
        PathMatch::Exact(text) => Path::Exact(text.clone()),
        PathMatch::Prefix(text) => Path::Prefix(text.strip_suffix('/').unwrap_or(text).to_owned()),
    })
}

#[cfg(test)]
mod tests;
