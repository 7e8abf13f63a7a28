//! `WorkloadEntry` and `ServiceEntry` (Istio `networking.istio.io/v1`): what runs outside Kubernetes, as inventory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Metadata;

/// One workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadEntry {
    /// `networking.istio.io/v1`
    pub api_version: String,
    /// `WorkloadEntry`
    pub kind: String,
    /// Name and namespace.
    pub metadata: Metadata,
    /// What it is.
    pub spec: WorkloadEntrySpec,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadEntrySpec {
    /// The IP address its sidecar listens on.
    pub address: String,
    /// Port names and the ports its sidecar listens on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, u16>,
    /// Labels for selectors. They come from here, never from the sidecar.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its service account; its identity is made of it.
    pub service_account: String,
    /// Its share among the endpoints of a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

/// One service: hosts, ports, and what serves them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceEntry {
    /// `networking.istio.io/v1`
    pub api_version: String,
    /// `ServiceEntry`
    pub kind: String,
    /// Name and namespace.
    pub metadata: Metadata,
    /// What it is.
    pub spec: ServiceEntrySpec,
}

/// What it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceEntrySpec {
    /// The names callers use.
    pub hosts: Vec<String>,
    /// The ports callers use.
    pub ports: Vec<ServicePort>,
    /// The workloads of its namespace that serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<WorkloadSelector>,
    /// Addresses outside the mesh that serve it. Not with `workloadSelector`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<ServiceEndpoint>,
}

/// One port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePort {
    /// The number callers use.
    pub number: u16,
    /// `HTTP`, `HTTP2`, `GRPC`, `TCP`.
    pub protocol: String,
    /// Its name; matched with the names in `WorkloadEntry.spec.ports`.
    pub name: String,
    /// The port on the endpoint, if no endpoint names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_port: Option<u16>,
}

/// Labels of the workloads that serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadSelector {
    /// All of them.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// An address outside the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceEndpoint {
    /// An IP address.
    pub address: String,
    /// Port names and numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, u16>,
}
