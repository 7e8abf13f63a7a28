//! The server's side of one delta ADS stream, without I/O and without a clock.
//!
//! Promises: it knows for every resource which version the client has or was sent; a push is the difference between
//! that and the snapshot. What a hostile client can make it hold is bounded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ads::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource, ResourceError, ResourceName};
use envoy_types::pb::envoy::service::discovery::v3 as ads;
use envoy_types::pb::google::{protobuf::Any, rpc};
use tonic::{Code, Status};

use crate::client::cut;
use crate::fragment::Encoded;
use crate::kind::Kind;
use crate::limits::{
    NAME_BYTES, OUTSTANDING_RESPONSES, REQUEST_NAMES, RESPONSE_RESOURCES, RESPONSE_TARGET_BYTES,
};
use crate::snapshot::Snapshot;

/// Refusals that wait to be read before the stream is closed: each holds as many names as one request.
const WAITING_REFUSALS: usize = 4;

/// What a client did that others want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Acked { version: String },
    Nacked { version: String, error: String },
    Refused { name: String },
}

/// A response that waits for its place on the wire.
#[derive(Debug)]
struct Planned {
    type_url: String,
    version: String,
    resources: Vec<Arc<Encoded>>,
    removed: Vec<String>,
    refused: Vec<String>,
    /// Whether it carries the manifest, whose answer is the policy's.
    manifest: bool,
}

/// What was sent under a nonce.
#[derive(Debug)]
struct Sent {
    version: String,
    manifest: bool,
}

/// One type of one stream.
#[derive(Debug, Default)]
struct Subscription {
    opened: bool,
    wildcard: bool,
    names: BTreeSet<String>,
    /// What the client has, or was sent.
    versions: BTreeMap<String, String>,
}

impl Subscription {
    fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }
}

/// The state of one stream.
#[derive(Debug)]
pub(crate) struct StreamState {
    /// The name of its manifest.
    name: String,
    subscriptions: BTreeMap<Kind, Subscription>,
    queue: VecDeque<Planned>,
    sent: BTreeMap<u64, Sent>,
    nonce: u64,
    /// The version the client enforces, as far as it said so.
    held: Option<String>,
    /// The version whose ACK was told.
    reported: Option<String>,
}

impl StreamState {
    /// A stream of the workload whose manifest is called `name`.
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            subscriptions: BTreeMap::new(),
            queue: VecDeque::new(),
            sent: BTreeMap::new(),
            nonce: 0,
            held: None,
            reported: None,
        }
    }

    /// Reads one request. The error closes the stream.
    pub(crate) fn on_request(
        &mut self,
        request: DeltaDiscoveryRequest,
        snapshot: Option<&Snapshot>,
    ) -> Result<Vec<Event>, Status> {
        check(&request)?;
        let mut events = Vec::new();
        let DeltaDiscoveryRequest {
            type_url,
            resource_names_subscribe,
            resource_names_unsubscribe,
            initial_resource_versions,
            response_nonce,
            error_detail,
            ..
        } = request;
        let Some(kind) = Kind::from_type_url(&type_url) else {
            // A newer sidecar may ask for types this version does not serve: refused by name, the stream goes on.
            self.refuse(type_url, resource_names_subscribe, &mut events)?;
            return Ok(events);
        };
        // A nonce that is not ours, or already answered, says nothing about any version.
        let answered = response_nonce.parse().ok().and_then(|nonce: u64| self.sent.remove(&nonce));
        if let Some(Sent { version, manifest }) = answered {
            match error_detail {
                Some(error) => events.push(Event::Nacked { version, error: cut(error.message) }),
                None if manifest => {
                    self.held = Some(version.clone());
                    self.reported = self.held.clone();
                    events.push(Event::Acked { version });
                }
                None => {}
            }
        }
        let subscription = self.subscriptions.entry(kind).or_default();
        if !subscription.opened {
            subscription.opened = true;
            // Only the first request of a type may say what the client has (xDS, delta).
            subscription.versions.extend(initial_resource_versions);
            // The manifest never comes by wildcard: its only name is the workload's own.
            subscription.wildcard = resource_names_subscribe.is_empty() && kind != Kind::Manifest;
            if kind == Kind::Manifest {
                self.held = subscription.versions.get(&self.name).cloned();
            }
        }
        for name in resource_names_unsubscribe {
            subscription.names.remove(&name);
            subscription.versions.remove(&name);
            subscription.wildcard &= name != "*";
        }
        let mut refused = Vec::new();
        for name in resource_names_subscribe {
            let own = match kind {
                Kind::Manifest => name == self.name,
                _ => snapshot.is_some_and(|s| s.fragments.contains_key(&(kind, name.clone()))),
            };
            match name.as_str() {
                "*" if kind != Kind::Manifest => subscription.wildcard = true,
                _ if own => {
                    // Subscribing again asks for the resource again.
                    if !subscription.names.insert(name.clone()) {
                        subscription.versions.remove(&name);
                    }
                }
                _ => refused.push(name),
            }
        }
        self.refuse(type_url, refused, &mut events)?;
        Ok(events)
    }

    fn refuse(
        &mut self,
        type_url: String,
        names: Vec<String>,
        events: &mut Vec<Event>,
    ) -> Result<(), Status> {
        if names.is_empty() {
            return Ok(());
        }
        let waiting = self.queue.iter().filter(|planned| !planned.refused.is_empty()).count();
        if waiting >= WAITING_REFUSALS {
            return Err(Status::resource_exhausted("refusals are not being read"));
        }
        events.extend(names.iter().cloned().map(|name| Event::Refused { name }));
        self.queue.push_back(Planned {
            type_url,
            version: String::new(),
            resources: Vec::new(),
            removed: Vec::new(),
            refused: names,
            manifest: false,
        });
        Ok(())
    }

    /// Plans what brings the client from what it has to `snapshot`, unless it is still busy with something older. An
    /// ACK is the answer if there is nothing to send, since the client reconnected with just this version.
    /// Fails if too many responses went unanswered.
    pub(crate) fn plan(&mut self, snapshot: Option<&Snapshot>) -> Result<Option<Event>, Status> {
        if self.sent.len() + self.queue.len() > OUTSTANDING_RESPONSES {
            return Err(Status::resource_exhausted("too many responses without ACK or NACK"));
        }
        let busy =
            self.sent.values().any(|sent| sent.manifest) || self.queue.iter().any(|planned| planned.manifest);
        if busy {
            return Ok(None);
        }
        let version = snapshot.map(|snapshot| snapshot.version.clone()).unwrap_or_default();
        if let Some(snapshot) = snapshot {
            for kind in Kind::FRAGMENTS {
                self.plan_fragments(kind, snapshot, &version);
            }
            self.plan_manifest(snapshot);
        }
        for kind in Kind::FRAGMENTS.into_iter().chain([Kind::Manifest]) {
            self.plan_removals(kind, snapshot, &version);
        }
        let known = self.subscriptions.get(&Kind::Manifest).and_then(|s| s.versions.get(&self.name));
        let in_force = snapshot.is_some() && known == Some(&version) && self.held.as_ref() == known;
        if !in_force || self.reported.as_ref() == known {
            return Ok(None);
        }
        self.reported = Some(version.clone());
        Ok(Some(Event::Acked { version }))
    }

    fn plan_fragments(&mut self, kind: Kind, snapshot: &Snapshot, version: &str) {
        let Some(subscription) = self.subscriptions.get_mut(&kind) else { return };
        let mut part: Vec<Arc<Encoded>> = Vec::new();
        let mut bytes = 0;
        let mut parts = Vec::new();
        let first = (kind, String::new());
        for ((_, name), fragment) in snapshot.fragments.range(first..).take_while(|((of, _), _)| *of == kind)
        {
            if !subscription.wants(name) || subscription.versions.get(name) == Some(&fragment.hash) {
                continue;
            }
            subscription.versions.insert(name.clone(), fragment.hash.clone());
            let full = bytes + fragment.bytes.len() > RESPONSE_TARGET_BYTES;
            if !part.is_empty() && (full || part.len() >= RESPONSE_RESOURCES) {
                parts.push(std::mem::take(&mut part));
                bytes = 0;
            }
            bytes += fragment.bytes.len();
            part.push(fragment.clone());
        }
        parts.push(part);
        for resources in parts.into_iter().filter(|part| !part.is_empty()) {
            self.queue.push_back(Planned {
                type_url: kind.type_url().to_owned(),
                version: version.to_owned(),
                resources,
                removed: Vec::new(),
                refused: Vec::new(),
                manifest: false,
            });
        }
    }

    fn plan_manifest(&mut self, snapshot: &Snapshot) {
        let Some(subscription) = self.subscriptions.get_mut(&Kind::Manifest) else { return };
        let current = subscription.versions.get(&self.name) == Some(&snapshot.version);
        if current || !subscription.wants(&self.name) {
            return;
        }
        subscription.versions.insert(self.name.clone(), snapshot.version.clone());
        self.queue.push_back(Planned {
            type_url: Kind::Manifest.type_url().to_owned(),
            version: snapshot.version.clone(),
            resources: vec![snapshot.manifest.clone()],
            removed: Vec::new(),
            refused: Vec::new(),
            manifest: true,
        });
    }

    fn plan_removals(&mut self, kind: Kind, snapshot: Option<&Snapshot>, version: &str) {
        let Some(subscription) = self.subscriptions.get_mut(&kind) else { return };
        let own = &self.name;
        let exists = |name: &str| match kind {
            Kind::Manifest => snapshot.is_some() && name == own,
            _ => snapshot.is_some_and(|s| s.fragments.contains_key(&(kind, name.to_owned()))),
        };
        let removed: Vec<String> =
            subscription.versions.keys().filter(|name| !exists(name)).cloned().collect();
        if removed.is_empty() {
            return;
        }
        for name in &removed {
            subscription.versions.remove(name);
        }
        self.queue.push_back(Planned {
            type_url: kind.type_url().to_owned(),
            version: version.to_owned(),
            resources: Vec::new(),
            removed,
            refused: Vec::new(),
            manifest: false,
        });
    }

    /// Whether a response waits to be sent.
    pub(crate) fn has_response(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The next response. Only now is it put together, so that a waiting stream holds no copies.
    pub(crate) fn next_response(&mut self) -> Option<DeltaDiscoveryResponse> {
        let Planned { type_url, version, resources, removed, refused, manifest } = self.queue.pop_front()?;
        self.nonce += 1;
        self.sent.insert(self.nonce, Sent { version: version.clone(), manifest });
        Some(DeltaDiscoveryResponse {
            system_version_info: version,
            resources: resources.iter().map(|encoded| resource(encoded)).collect(),
            // A client that does not know `resource_errors` learns that the resource does not exist for it.
            removed_resources: removed.into_iter().chain(refused.iter().cloned()).collect(),
            resource_errors: refused.into_iter().map(refusal).collect(),
            type_url,
            nonce: self.nonce.to_string(),
            ..DeltaDiscoveryResponse::default()
        })
    }
}

fn resource(encoded: &Encoded) -> Resource {
    Resource {
        name: encoded.name.clone(),
        version: encoded.hash.clone(),
        resource: Some(Any { type_url: encoded.kind.type_url().to_owned(), value: encoded.bytes.clone() }),
        ..Resource::default()
    }
}

fn refusal(name: String) -> ResourceError {
    ResourceError {
        resource_name: Some(ResourceName { name, ..ResourceName::default() }),
        error_detail: Some(rpc::Status {
            code: Code::PermissionDenied as i32,
            message: "not a resource of this workload".to_owned(),
            details: Vec::new(),
        }),
    }
}

/// The limits of one request, and what this server does not do.
fn check(request: &DeltaDiscoveryRequest) -> Result<(), Status> {
    let names = request.resource_names_subscribe.iter().chain(&request.resource_names_unsubscribe);
    let versions = &request.initial_resource_versions;
    if names.clone().count() > REQUEST_NAMES || versions.len() > REQUEST_NAMES {
        return Err(Status::resource_exhausted(format!("more than {REQUEST_NAMES} names in one request")));
    }
    let texts = names.chain(versions.keys()).chain(versions.values());
    if texts.chain([&request.type_url, &request.response_nonce]).any(|text| text.len() > NAME_BYTES) {
        return Err(Status::resource_exhausted(format!("a name of more than {NAME_BYTES} bytes")));
    }
    if !request.resource_locators_subscribe.is_empty() || !request.resource_locators_unsubscribe.is_empty() {
        return Err(Status::unimplemented("resource locators are not served; subscribe by name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
