//! ServiceEntries → the clusters and routes of a workload's own calls.
//!
//! A cluster is one port of one service, named `<first host>:<port>`. Its endpoints are the sidecars of the workloads
//! that its selector takes, and must prove one of their principals; or addresses outside the mesh, without TLS.
//! Every HTTP port has a route by authority; the first HTTP port also takes requests that name no port (or 80), unless
//! the service declares port 80 itself. TCP ports have a cluster only: their listener is the sidecar's own.
//!
//! Every workload is sent every service in this version: more than it may call, never less. What it may call is
//! decided by the callee's sidecar.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use palisade_model::Protocol;
use palisade_model::documents::{Document, ServiceEntry, ServicePort};
use palisade_model::policy::{Cluster, Endpoint, Route, UpstreamTls, WeightedCluster};

use crate::inventory::Inventory;
use crate::{DocumentRef, Problem};

/// The port of plain HTTP, which a request means that names none.
const HTTP_PORT: u16 = 80;

/// All clusters by name, and the routes of outbound listeners.
#[derive(Clone, Debug, Default)]
pub(crate) struct Services {
    pub(crate) clusters: BTreeMap<String, Cluster>,
    pub(crate) routes: Vec<Route>,
}

impl Services {
    pub(crate) fn read(inventory: &Inventory, problems: &mut Vec<Problem>) -> Self {
        let mut services = Self::default();
        let mut owners: BTreeMap<(String, u16), &ServiceEntry> = BTreeMap::new();
        for service in inventory.services.values() {
            let reference = DocumentRef::of(&Document::ServiceEntry(service.clone()));
            for (index, host) in service.spec.hosts.iter().enumerate() {
                for port in &service.spec.ports {
                    let key = (host.to_ascii_lowercase(), port.number);
                    if let Some(other) = owners.get(&key) {
                        let (namespace, name) = (&other.metadata.namespace, &other.metadata.name);
                        let text = format!("{host}:{} is also ServiceEntry {namespace}/{name}", port.number);
                        problems.push(Problem::error(
                            reference.clone(),
                            format!("spec.hosts[{index}]"),
                            text,
                        ));
                    }
                    owners.entry(key).or_insert(service);
                }
            }
            let first_http = service.spec.ports.iter().find(|port| is_http(port)).map(|port| port.number);
            let declares_80 = service.spec.ports.iter().any(|port| port.number == HTTP_PORT);
            for port in &service.spec.ports {
                let Some(cluster) = cluster(service, port, inventory) else { continue };
                if is_http(port) && !services.clusters.contains_key(&cluster.name) {
                    let mut ports = vec![port.number];
                    if first_http == Some(port.number) && !declares_80 {
                        ports.push(HTTP_PORT);
                    }
                    services.routes.push(route(service, &cluster.name, ports));
                }
                services.clusters.entry(cluster.name.clone()).or_insert(cluster);
            }
        }
        // A port that was written decides before a port that was implied.
        services.routes.sort_by_key(|route| route.ports.len());
        services
    }
}

fn route(service: &ServiceEntry, cluster: &str, ports: Vec<u16>) -> Route {
    Route {
        name: cluster.to_owned(),
        listeners: Vec::new(),
        hosts: service.spec.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        ports,
        matches: Vec::new(),
        backends: vec![WeightedCluster { cluster: cluster.to_owned(), weight: 1 }],
        timeout_ms: None,
    }
}

/// The name of a service's cluster.
pub(crate) fn cluster_name(service: &ServiceEntry, port: u16) -> Option<String> {
    service.spec.hosts.first().map(|host| format!("{}:{port}", host.to_ascii_lowercase()))
}

fn cluster(service: &ServiceEntry, port: &ServicePort, inventory: &Inventory) -> Option<Cluster> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    let mut principals = BTreeSet::new();
    if let Some(selector) = &service.spec.workload_selector {
        for (_, workload) in inventory.selected(&service.metadata.namespace, &selector.labels) {
            let address = SocketAddr::new(workload.address, port_on(&workload.entry.spec.ports, port));
            endpoints.push(Endpoint { address, weight: workload.entry.spec.weight.unwrap_or(1) });
            principals.insert(workload.principal.clone());
        }
    }
    for endpoint in &service.spec.endpoints {
        // An address that is not one is refused by admission.
        let Ok(address) = endpoint.address.parse::<IpAddr>() else { continue };
        let address = SocketAddr::new(address, port_on(&endpoint.ports, port));
        endpoints.push(Endpoint { address, weight: 1 });
    }
    endpoints.sort_by_key(|endpoint| endpoint.address);
    let tls = match service.spec.workload_selector {
        Some(_) => UpstreamTls::Mesh(principals.into_iter().collect()),
        None => UpstreamTls::None,
    };
    Some(Cluster { name: cluster_name(service, port.number)?, endpoints, protocol: protocol(port)?, tls })
}

fn port_on(named: &BTreeMap<String, u16>, port: &ServicePort) -> u16 {
    named.get(&port.name).copied().or(port.target_port).unwrap_or(port.number)
}

/// What a port speaks; none if its protocol is unknown.
pub(crate) fn protocol(port: &ServicePort) -> Option<Protocol> {
    match port.protocol.as_str() {
        "HTTP" => Some(Protocol::Http),
        "HTTP2" => Some(Protocol::Http2),
        "GRPC" => Some(Protocol::Grpc),
        "TCP" => Some(Protocol::Tcp),
        _ => None,
    }
}

fn is_http(port: &ServicePort) -> bool {
    matches!(protocol(port), Some(Protocol::Http | Protocol::Http2 | Protocol::Grpc))
}

/// The ports that are declared TCP, and nowhere HTTP, for workloads that these labels select: the service's number
/// and the ports the workloads' sidecars listen on.
pub(crate) fn tcp_ports(
    inventory: &Inventory,
    namespaces: Option<&str>,
    labels: &BTreeMap<String, String>,
) -> BTreeSet<u16> {
    let (mut tcp, mut http) = (BTreeSet::new(), BTreeSet::new());
    for service in inventory.services.values() {
        let own = &service.metadata.namespace;
        let Some(selector) = &service.spec.workload_selector else { continue };
        if namespaces.is_some_and(|namespace| namespace != own) {
            continue;
        }
        for (_, workload) in inventory.selected(own, &selector.labels) {
            if !labels.iter().all(|(name, value)| workload.entry.spec.labels.get(name) == Some(value)) {
                continue;
            }
            for port in &service.spec.ports {
                let set = if is_http(port) { &mut http } else { &mut tcp };
                set.extend([port.number, port_on(&workload.entry.spec.ports, port)]);
            }
        }
    }
    tcp.difference(&http).copied().collect()
}
