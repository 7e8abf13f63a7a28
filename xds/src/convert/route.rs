//! `Route`.

use palisade_model::policy::{HeaderMatch, PathMatch, Route, RouteMatch, WeightedCluster};

use super::{Converted, FromProto, ToProto, each, number};
use crate::generated as pb;

impl ToProto for Route {
    type Message = pb::Route;

    fn to_proto(&self) -> Converted<Self::Message> {
        Ok(pb::Route {
            name: self.name.clone(),
            listeners: self.listeners.clone(),
            hosts: self.hosts.clone(),
            ports: self.ports.iter().copied().map(u32::from).collect(),
            matches: self.matches.iter().cloned().map(match_to_proto).collect(),
            backends: self
                .backends
                .iter()
                .map(|backend| pb::WeightedCluster {
                    cluster: backend.cluster.clone(),
                    weight: backend.weight,
                })
                .collect(),
            timeout_ms: self.timeout_ms,
        })
    }
}

impl FromProto for Route {
    type Message = pb::Route;

    fn from_proto(message: Self::Message) -> Converted<Self> {
        let pb::Route { name, listeners, hosts, ports, matches, backends, timeout_ms } = message;
        Ok(Self {
            name,
            listeners,
            hosts,
            ports: each("ports", ports, |port| number("", port))?,
            matches: matches.into_iter().map(match_from_proto).collect(),
            backends: backends
                .into_iter()
                .map(|pb::WeightedCluster { cluster, weight }| WeightedCluster { cluster, weight })
                .collect(),
            timeout_ms,
        })
    }
}

fn match_to_proto(route_match: RouteMatch) -> pb::RouteMatch {
    let RouteMatch { path, method, headers } = route_match;
    pb::RouteMatch {
        path: path.map(|path| match path {
            PathMatch::Exact(text) => pb::route_match::Path::PathExact(text),
            PathMatch::Prefix(text) => pb::route_match::Path::PathPrefix(text),
        }),
        method,
        headers: headers
            .into_iter()
            .map(|HeaderMatch { name, value }| pb::HeaderMatch { name, value })
            .collect(),
    }
}

/// An unset path is a legal message ("any path"). A kind of path this version does not know looks the same here, and
/// is caught when the fragment is encoded again and compared (`Fragment::decode`).
fn match_from_proto(route_match: pb::RouteMatch) -> RouteMatch {
    let pb::RouteMatch { path, method, headers } = route_match;
    RouteMatch {
        path: path.map(|path| match path {
            pb::route_match::Path::PathExact(text) => PathMatch::Exact(text),
            pb::route_match::Path::PathPrefix(text) => PathMatch::Prefix(text),
        }),
        method,
        headers: headers
            .into_iter()
            .map(|pb::HeaderMatch { name, value }| HeaderMatch { name, value })
            .collect(),
    }
}
