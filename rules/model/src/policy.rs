//! What one workload is asked to enforce: the source form that is rendered, sent, stored and compiled.
//!
//! ```text
//!   documents × inventory ──index──▶ Policy ──rules::Engine::compile──▶ Engine
//! ```
//! A policy names everything it needs; nothing is looked up elsewhere when it is compiled.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::documents::{AuthorizationPolicy, RuleSet, WafPolicy};
use crate::{Limits, Principal, Protocol, WorkloadId};

/// The policy of one workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Whose policy it is.
    pub workload: WorkloadId,
    /// What it must be able to do to enforce this; an unknown name refuses the whole policy.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub required_features: BTreeSet<String>,
    /// Whether traffic passes while no policy could be compiled. Never implied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fail_open: bool,
    /// The root namespace: policies in it select workloads of every namespace (Istio's meaning).
    #[serde(default = "root_namespace")]
    pub root_namespace: String,
    /// The AuthorizationPolicies that select this workload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization: Vec<AuthorizationPolicy>,
    /// The WafPolicies that select this workload; at most one is in force (the oldest name wins, others are refused by the index).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waf: Vec<WafPolicy>,
    /// The rule sets they name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule_sets: Vec<RuleSet>,
    /// The listeners of a gateway. A sidecar's listeners are local to it (its bootstrap), never sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<Listener>,
    /// Where outbound and gateway requests go, in order of precedence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// The destinations that routes name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<Cluster>,
    /// Limits that differ from the defaults.
    #[serde(default)]
    pub limits: Limits,
}

/// Istio's name for the mesh-wide namespace.
pub const ROOT_NAMESPACE: &str = "istio-system";

fn root_namespace() -> String {
    ROOT_NAMESPACE.to_owned()
}

/// The features this version understands (see [`Policy::required_features`]).
pub const FEATURES: [&str; 6] =
    ["authorization/v1", "waf/v1", "waf-bodies/v1", "waf-audit/v1", "routes/v1", "gateway/v1"];

impl Policy {
    /// A policy that asks for nothing.
    pub fn empty(workload: WorkloadId) -> Self {
        Self {
            workload,
            required_features: BTreeSet::new(),
            fail_open: false,
            root_namespace: root_namespace(),
            authorization: Vec::new(),
            waf: Vec::new(),
            rule_sets: Vec::new(),
            listeners: Vec::new(),
            routes: Vec::new(),
            clusters: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// One listening socket and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// Unique in its process; routes and events name it.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it is for.
    pub role: ListenerRole,
}

/// What a listener is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ListenerRole {
    /// mTLS in, authorization and WAF, then the application.
    #[serde(rename_all = "camelCase")]
    Inbound {
        /// Where the application listens.
        application: SocketAddr,
        /// The port policies see (`to.operation.ports`, `destination.port`); the listener's own port if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
        /// What the application speaks.
        #[serde(default)]
        protocol: Protocol,
    },
    /// The workload's own HTTP calls, routed by authority.
    OutboundHttp,
    /// The workload's own TCP calls to one cluster.
    #[serde(rename_all = "camelCase")]
    OutboundTcp {
        /// The cluster's name.
        cluster: String,
    },
    /// The edge.
    #[serde(rename_all = "camelCase")]
    Gateway {
        /// Ordinary TLS: names of certificates in the gateway's certificate directory, chosen by SNI. Empty: plain HTTP.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        certificates: Vec<String>,
        /// How the client's address is decided.
        #[serde(default)]
        client_address: ClientAddress,
    },
}

/// How a gateway decides who the client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientAddress {
    /// How many proxies in front of us append to `x-forwarded-for`; 0 trusts the socket only.
    #[serde(default)]
    pub trusted_hops: u8,
    /// Whether every connection begins with a PROXY protocol header (v1 or v2). Without one it is closed.
    #[serde(default)]
    pub proxy_protocol: bool,
}

/// One routing rule: the first that matches decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// Unique; events name it.
    pub name: String,
    /// The listeners it applies to by name; empty = every outbound HTTP listener.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
    /// Hosts: exact, `*.suffix`, or empty for all. Compared with the canonical host, without port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Ports of the authority this route takes; empty = any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// Any of these must match; empty = all requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<RouteMatch>,
    /// Where to send it, by weight.
    pub backends: Vec<WeightedCluster>,
    /// Milliseconds for the whole exchange up to the response head; the process limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// One alternative of a route: all of its conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteMatch {
    /// Condition on the canonical path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
    /// The method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Headers with their exact values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
}

/// A condition on the canonical path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PathMatch {
    /// The whole path.
    Exact(String),
    /// Whole segments from the start (Gateway API `PathPrefix`): `/a` takes `/a` and `/a/b`, not `/ab`.
    Prefix(String),
}

/// A header that must have one value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderMatch {
    /// Case-insensitive name.
    pub name: String,
    /// Exact value.
    pub value: String,
}

/// A destination with its share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WeightedCluster {
    /// The cluster's name.
    pub cluster: String,
    /// Its share of the sum of weights; 0 takes nothing.
    #[serde(default = "one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

/// A destination: addresses that serve the same thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// Unique, e.g. `payments.shop:8080`.
    pub name: String,
    /// Where it is.
    pub endpoints: Vec<Endpoint>,
    /// What it speaks. `Auto` and `Http` mean HTTP/1.1, `Http2` and `Grpc` HTTP/2.
    #[serde(default)]
    pub protocol: Protocol,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: UpstreamTls,
}

/// One address of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// Its address.
    pub address: SocketAddr,
    /// Its share; 0 takes nothing.
    #[serde(default = "one")]
    pub weight: u32,
}

/// How an upstream connection is protected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UpstreamTls {
    /// Not at all: an application on the same host, or an upstream outside the mesh.
    #[default]
    None,
    /// mTLS with our SVID; the server must prove one of these principals.
    Mesh(Vec<Principal>),
}
