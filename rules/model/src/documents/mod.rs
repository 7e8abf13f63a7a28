//! What users write: Kubernetes-shaped documents, the same from a directory, the REST API or a custom resource.
//!
//! Each type refuses unknown fields. `spec`s taken from Istio and the Gateway API keep their field names and
//! meanings; fields of those that Palisade does not enforce are absent here, so that writing one is an error that
//! names it. `validate` methods say what the types alone cannot.

mod authorization_policy;
mod gateway;
mod inventory;
mod rule_set;
mod waf_policy;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use authorization_policy::{
    Action, AuthorizationPolicy, AuthorizationPolicySpec, Condition, From, Operation, Rule, Selector, Source,
    To,
};
pub use gateway::{
    AllowedRoutes, BackendRef, CertificateRef, Gateway, GatewayListener, GatewaySpec, GatewayTls,
    HttpHeaderMatch, HttpPathMatch, HttpPathMatchType, HttpRoute, HttpRouteMatch, HttpRouteRule,
    HttpRouteSpec, HttpRouteTimeouts, ParentRef, RouteNamespaces,
};
pub use inventory::{
    ServiceEndpoint, ServiceEntry, ServiceEntrySpec, ServicePort, WorkloadEntry, WorkloadEntrySpec,
    WorkloadSelector,
};
pub use rule_set::{RuleSet, RuleSetSpec, SourceFile};
pub use waf_policy::{
    AuditLog, BodyLimit, BodyReading, Exclusion, GroupMode, Mode, OverLimit, Streams, Thresholds, Unknown,
    WafPolicy, WafPolicySpec,
};

/// `metadata` of every document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Unique for its kind and namespace.
    pub name: String,
    /// The namespace; `default` if absent.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

fn default_namespace() -> String {
    "default".to_owned()
}

/// Any document, by its `kind`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Document {
    /// `security.istio.io/v1`
    AuthorizationPolicy(AuthorizationPolicy),
    /// `palisade.dev/v1alpha1`
    RuleSet(RuleSet),
    /// `palisade.dev/v1alpha1`
    WafPolicy(WafPolicy),
    /// `gateway.networking.k8s.io/v1`
    Gateway(Gateway),
    /// `gateway.networking.k8s.io/v1`
    HttpRoute(HttpRoute),
    /// `networking.istio.io/v1`
    WorkloadEntry(WorkloadEntry),
    /// `networking.istio.io/v1`
    ServiceEntry(ServiceEntry),
}

/// The kinds that are accepted, with the API version each must have.
pub const KINDS: [(&str, &str); 7] = [
    ("AuthorizationPolicy", "security.istio.io/v1"),
    ("RuleSet", "palisade.dev/v1alpha1"),
    ("WafPolicy", "palisade.dev/v1alpha1"),
    ("Gateway", "gateway.networking.k8s.io/v1"),
    ("HTTPRoute", "gateway.networking.k8s.io/v1"),
    ("WorkloadEntry", "networking.istio.io/v1"),
    ("ServiceEntry", "networking.istio.io/v1"),
];

impl Document {
    /// The document's `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AuthorizationPolicy(_) => "AuthorizationPolicy",
            Self::RuleSet(_) => "RuleSet",
            Self::WafPolicy(_) => "WafPolicy",
            Self::Gateway(_) => "Gateway",
            Self::HttpRoute(_) => "HTTPRoute",
            Self::WorkloadEntry(_) => "WorkloadEntry",
            Self::ServiceEntry(_) => "ServiceEntry",
        }
    }

    /// The document's `metadata`.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::AuthorizationPolicy(document) => &document.metadata,
            Self::RuleSet(document) => &document.metadata,
            Self::WafPolicy(document) => &document.metadata,
            Self::Gateway(document) => &document.metadata,
            Self::HttpRoute(document) => &document.metadata,
            Self::WorkloadEntry(document) => &document.metadata,
            Self::ServiceEntry(document) => &document.metadata,
        }
    }
}

/// What makes a document invalid although it parses: a field path and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// E.g. `spec.rules[0].from[0].source.principals[1]`.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl std::error::Error for FieldError {}
