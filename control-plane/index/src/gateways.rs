//! Gateways → listeners: one per port of the workload that the gateway's annotation names.
//!
//! Several Gateway listeners of one port (other hostnames, other certificates) are one socket: they become one
//! listener under the first one's name, with the certificates of all. Their hostnames stay apart in the routes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use palisade_model::documents::{Document, Gateway, GatewayListener, HttpRoute};
use palisade_model::policy::{ClientAddress, Listener, ListenerRole};

use crate::inventory::{Inventory, Workload};
use crate::{DocumentRef, Problem};

/// Names the workloads that run a gateway: WorkloadEntries of its namespace, separated by commas.
pub const WORKLOAD_ANNOTATION: &str = "palisade.dev/workload";
/// How many proxies before the gateway append to `x-forwarded-for`.
pub const TRUSTED_HOPS_ANNOTATION: &str = "palisade.dev/trusted-hops";
/// `true`: every connection begins with a PROXY protocol header.
pub const PROXY_PROTOCOL_ANNOTATION: &str = "palisade.dev/proxy-protocol";

/// The gateways that a workload runs.
pub(crate) fn of_workload<'a>(inventory: &'a Inventory, workload: &Workload) -> Vec<&'a Gateway> {
    let metadata = &workload.entry.metadata;
    inventory
        .gateways
        .values()
        .filter(|gateway| {
            gateway.metadata.namespace == metadata.namespace
                && workloads(gateway).any(|name| name == metadata.name)
        })
        .collect()
}

/// The names in the annotation.
pub(crate) fn workloads(gateway: &Gateway) -> impl Iterator<Item = &str> {
    let annotation = gateway.metadata.annotations.get(WORKLOAD_ANNOTATION);
    annotation.into_iter().flat_map(|names| names.split(',')).map(str::trim).filter(|name| !name.is_empty())
}

/// How the gateway decides who the client is. Wrong annotations are refused by admission; here they trust nobody.
pub(crate) fn client_address(gateway: &Gateway) -> Result<ClientAddress, (&'static str, String)> {
    let mut client = ClientAddress::default();
    if let Some(hops) = gateway.metadata.annotations.get(TRUSTED_HOPS_ANNOTATION) {
        client.trusted_hops = hops
            .parse()
            .map_err(|_| (TRUSTED_HOPS_ANNOTATION, format!("{hops:?} is not a number from 0 to 255")))?;
    }
    if let Some(wanted) = gateway.metadata.annotations.get(PROXY_PROTOCOL_ANNOTATION) {
        client.proxy_protocol = wanted
            .parse()
            .map_err(|_| (PROXY_PROTOCOL_ANNOTATION, format!("{wanted:?} is neither true nor false")))?;
    }
    Ok(client)
}

/// The listeners of a workload's gateways, by port.
pub(crate) fn listeners(gateways: &[&Gateway], workload: &Workload) -> Vec<Listener> {
    let mut by_port: BTreeMap<u16, Listener> = BTreeMap::new();
    for gateway in gateways {
        let client_address = client_address(gateway).unwrap_or_default();
        for listener in &gateway.spec.listeners {
            let own = certificates(listener);
            let merged = by_port.entry(listener.port).or_insert_with(|| Listener {
                name: full_name(gateway, listener),
                address: SocketAddr::new(workload.address, listener.port),
                role: ListenerRole::Gateway { certificates: Vec::new(), client_address },
            });
            if let ListenerRole::Gateway { certificates, .. } = &mut merged.role {
                let new: Vec<_> = own.into_iter().filter(|name| !certificates.contains(name)).collect();
                certificates.extend(new);
            }
        }
    }
    by_port.into_values().collect()
}

/// The name of the listener that serves this one's port.
pub(crate) fn serving_name(gateways: &[&Gateway], port: u16) -> Option<String> {
    let all = gateways
        .iter()
        .flat_map(|gateway| gateway.spec.listeners.iter().map(move |listener| (gateway, listener)));
    all.filter(|(_, listener)| listener.port == port)
        .map(|(gateway, listener)| full_name(gateway, listener))
        .next()
}

fn full_name(gateway: &Gateway, listener: &GatewayListener) -> String {
    format!("{}/{}", gateway.metadata.name, listener.name)
}

fn certificates(listener: &GatewayListener) -> Vec<String> {
    let references = listener.tls.iter().flat_map(|tls| &tls.certificate_refs);
    references.map(|reference| reference.name.clone()).collect()
}

/// The listeners of a gateway that a route attaches to.
pub(crate) fn attached<'a>(
    gateway: &'a Gateway,
    route: &'a HttpRoute,
) -> impl Iterator<Item = &'a GatewayListener> {
    let own = &route.metadata.namespace;
    gateway.spec.listeners.iter().filter(move |listener| {
        let from_all = listener
            .allowed_routes
            .as_ref()
            .and_then(|allowed| allowed.namespaces.as_ref())
            .is_some_and(|namespaces| namespaces.from.as_deref() == Some("All"));
        (from_all || *own == gateway.metadata.namespace)
            && route.spec.parent_refs.iter().any(|parent| {
                parent.name == gateway.metadata.name
                    && *parent.namespace.as_ref().unwrap_or(own) == gateway.metadata.namespace
                    && parent.section_name.as_ref().is_none_or(|section| *section == listener.name)
            })
    })
}

/// What only several gateways or their workloads show.
pub(crate) fn problems(inventory: &Inventory, problems: &mut Vec<Problem>) {
    for gateway in inventory.gateways.values() {
        let reference = DocumentRef::of(&Document::Gateway(gateway.clone()));
        let path = format!("metadata.annotations[{WORKLOAD_ANNOTATION}]");
        if workloads(gateway).next().is_none() {
            problems.push(Problem::warning(
                reference.clone(),
                path.clone(),
                "names no workload: nothing runs this gateway",
            ));
        }
        for name in workloads(gateway) {
            let known = inventory.workloads.values().any(|workload| {
                workload.entry.metadata.name == name
                    && workload.entry.metadata.namespace == gateway.metadata.namespace
            });
            if !known {
                let text = format!("there is no WorkloadEntry {name} in this namespace");
                problems.push(Problem::warning(reference.clone(), path.clone(), text));
            }
        }
    }
    for workload in inventory.workloads.values() {
        let gateways = of_workload(inventory, workload);
        let mut tls_of_port: BTreeMap<u16, bool> = BTreeMap::new();
        for gateway in &gateways {
            for (index, listener) in gateway.spec.listeners.iter().enumerate() {
                let tls = listener.protocol == "HTTPS";
                if *tls_of_port.entry(listener.port).or_insert(tls) != tls {
                    let reference = DocumentRef::of(&Document::Gateway((*gateway).clone()));
                    let text = format!("port {} is HTTP in one listener and HTTPS in another", listener.port);
                    problems.push(Problem::error(
                        reference,
                        format!("spec.listeners[{index}].protocol"),
                        text,
                    ));
                }
            }
        }
    }
}
