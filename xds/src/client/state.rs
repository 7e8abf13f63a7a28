//! The client's side of one delta ADS stream, without I/O and without a clock.
//!
//! Promises: a policy is offered only when its manifest and every fragment are there with the right hashes; the
//! manifest's response is answered only when the offer was accepted or rejected, everything else at once; a rejected
//! policy leaves the accepted one, and its version, where they are. Fragments of the accepted policy are not held
//! twice: they are taken from it. What it holds is bounded by [`crate::limits`].

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3 as ads;
use palisade_model::{Policy, WorkloadId};

use super::request;
use crate::convert::{FragmentRef, Manifest, excerpt};
use crate::error::WireError;
use crate::fragment::{Fragment, decode, decode_manifest};
use crate::kind::Kind;
use crate::limits::{FRAGMENTS, INITIAL_VERSION_BYTES, NAME_BYTES, POLICY_BYTES, RESPONSE_RESOURCES};
use crate::snapshot::{Index, assemble, check_manifest, split};

/// What to do after an event.
#[derive(Debug, Default)]
pub(crate) struct Actions {
    /// To be sent, in order.
    pub requests: Vec<ads::DeltaDiscoveryRequest>,
    /// To be compiled; answered by [`ClientState::on_outcome`].
    pub offer: Option<Offer>,
}

/// A policy that is complete.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub policy: Arc<Policy>,
    pub version: String,
}

#[derive(Debug)]
struct Accepted {
    policy: Arc<Policy>,
    version: String,
    index: Index,
}

#[derive(Debug)]
struct Received {
    /// The version it came with.
    hash: String,
    bytes: usize,
    /// The error is why it was refused.
    fragment: Result<Fragment, String>,
}

#[derive(Debug)]
struct Waiting {
    manifest: Manifest,
    nonce: String,
}

#[derive(Debug)]
struct Offered {
    offer: Offer,
    index: Index,
    /// The response to answer; none if its stream is gone.
    nonce: Option<String>,
}

/// The state of one client, over all its connections.
#[derive(Debug)]
pub(crate) struct ClientState {
    workload: WorkloadId,
    /// The manifest's resource name.
    name: String,
    features: Vec<String>,
    accepted: Option<Accepted>,
    received: BTreeMap<(Kind, String), Received>,
    received_bytes: usize,
    waiting: Option<Waiting>,
    offered: Option<Offered>,
    rejected: Option<(String, String)>,
    withdrawn: bool,
}

impl ClientState {
    /// A client that can do `features`, with the policy it already enforces, if it has one.
    pub(crate) fn new(
        workload: WorkloadId,
        features: Vec<String>,
        last_good: Option<Arc<Policy>>,
    ) -> Result<Self, WireError> {
        let accepted = match last_good {
            None => None,
            Some(policy) if policy.workload != workload => {
                return Err(WireError::inconsistent(
                    workload.to_string(),
                    format!("the last good policy is that of {}", policy.workload),
                ));
            }
            Some(policy) => {
                let (_, version, fragments) = split(&policy)?;
                let references: Vec<_> = fragments
                    .into_iter()
                    .map(|fragment| FragmentRef {
                        kind: fragment.kind,
                        name: fragment.name,
                        hash: fragment.hash,
                    })
                    .collect();
                Some(Accepted { policy, version, index: Index::new(&references) })
            }
        };
        Ok(Self {
            name: workload.to_string(),
            workload,
            features,
            accepted,
            received: BTreeMap::new(),
            received_bytes: 0,
            waiting: None,
            offered: None,
            rejected: None,
            withdrawn: false,
        })
    }

    /// The version in force.
    pub(crate) fn version(&self) -> Option<&str> {
        self.accepted.as_ref().map(|accepted| accepted.version.as_str())
    }

    /// The version that was last rejected, and why; none once a later one was accepted.
    pub(crate) fn rejected(&self) -> Option<&(String, String)> {
        self.rejected.as_ref()
    }

    /// Whether the control plane has no policy for us any more.
    pub(crate) fn withdrawn(&self) -> bool {
        self.withdrawn
    }

    /// Whether a manifest waits for fragments.
    pub(crate) fn incomplete(&self) -> bool {
        self.waiting.is_some() && self.offered.is_none()
    }

    /// The first requests of a new stream: fragments before the manifest, so that they are there when it comes.
    pub(crate) fn on_connected(&mut self) -> Vec<ads::DeltaDiscoveryRequest> {
        self.waiting = None;
        if let Some(offered) = &mut self.offered {
            offered.nonce = None;
        }
        // What was refused is asked for again; it may have been damaged on its way.
        self.received.retain(|_, received| received.fragment.is_ok());
        self.received_bytes = self.received.values().map(|received| received.bytes).sum();

        let mut versions: BTreeMap<Kind, BTreeMap<String, String>> = BTreeMap::new();
        // If an offer is still being compiled, only what we hold whether it is accepted or not may be claimed.
        let offered = self.offered.as_ref().map(|offered| &offered.index);
        let accepted = self.accepted.iter().flat_map(|accepted| accepted.index.versions());
        let accepted = accepted
            .filter(|(kind, name, hash)| offered.is_none_or(|offered| offered.holds(*kind, name, hash)));
        let received = self.received.iter().map(|((kind, name), r)| (*kind, name.as_str(), r.hash.as_str()));
        for (kind, name, hash) in accepted.chain(received) {
            versions.entry(kind).or_default().insert(name.to_owned(), hash.to_owned());
        }
        let mut requests: Vec<_> = Kind::FRAGMENTS
            .iter()
            .map(|kind| {
                let known = versions.remove(kind).unwrap_or_default();
                request::subscribe(*kind, "*".to_owned(), within_budget(known))
            })
            .collect();
        // Which version is in force is open while one is being compiled.
        let version = self.version().filter(|_| self.offered.is_none());
        let known = version.map(|version| (self.name.clone(), version.to_owned()));
        requests.push(request::subscribe(Kind::Manifest, self.name.clone(), known));
        if let Some(first) = requests.first_mut() {
            first.node = Some(request::node(&self.workload, &self.features));
        }
        requests
    }

    /// Reads one response.
    pub(crate) fn on_response(&mut self, response: ads::DeltaDiscoveryResponse) -> Actions {
        let mut actions = Actions::default();
        let verdict = match Kind::from_type_url(&response.type_url) {
            None => Err(format!("{} is not a type this version knows", excerpt(&response.type_url))),
            Some(_) if response.resources.len() > RESPONSE_RESOURCES => {
                Err(format!("{} resources in one response", response.resources.len()))
            }
            Some(_) if response.removed_resources.len() > FRAGMENTS => {
                Err(format!("{} removals in one response", response.removed_resources.len()))
            }
            Some(Kind::Manifest) => return self.on_manifest(response),
            Some(kind) => self.on_fragments(kind, response.resources, response.removed_resources),
        };
        actions.requests.push(request::answer(response.type_url, response.nonce, verdict));
        self.complete(&mut actions);
        actions
    }

    fn on_fragments(
        &mut self,
        kind: Kind,
        resources: Vec<ads::Resource>,
        removed: Vec<String>,
    ) -> Result<(), String> {
        for name in removed {
            if let Some(gone) = self.received.remove(&(kind, name)) {
                self.received_bytes -= gone.bytes;
            }
        }
        let mut errors = Vec::new();
        for resource in resources {
            let (name, hash) = (resource.name.clone(), resource.version.clone());
            if name.len() > NAME_BYTES || hash.len() > NAME_BYTES {
                errors.push(format!("{}: name or version is too long", excerpt(&name)));
                continue;
            }
            let (fragment, bytes) = match self.read_fragment(kind, resource) {
                Ok((fragment, bytes)) => (Ok(fragment), bytes),
                Err(error) => {
                    errors.push(error.clone());
                    (Err(error), 0)
                }
            };
            self.received_bytes += bytes;
            let received = Received { hash, bytes, fragment };
            if let Some(before) = self.received.insert((kind, name), received) {
                self.received_bytes -= before.bytes;
            }
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(errors.join("; ")),
        }
    }

    fn read_fragment(&self, kind: Kind, resource: ads::Resource) -> Result<(Fragment, usize), String> {
        let ads::Resource { name, version, resource: content, .. } = resource;
        let Some(content) = content else {
            return Err(format!("{}: has no content", excerpt(&name)));
        };
        if content.type_url != kind.type_url() {
            return Err(format!("{}: is a {}, not a {kind}", excerpt(&name), excerpt(&content.type_url)));
        }
        let bytes = content.value.len();
        let replaced = self.received.get(&(kind, name.clone())).map_or(0, |before| before.bytes);
        if self.received_bytes - replaced + bytes > POLICY_BYTES || self.received.len() >= 2 * FRAGMENTS {
            return Err(format!("{}: the fragments held are over the limit", excerpt(&name)));
        }
        decode(kind, &name, &version, &content.value, &self.workload.namespace)
            .map(|fragment| (fragment, bytes))
            .map_err(|error| error.to_string())
    }

    fn on_manifest(&mut self, response: ads::DeltaDiscoveryResponse) -> Actions {
        let mut actions = Actions::default();
        let ads::DeltaDiscoveryResponse { resources, removed_resources, type_url, nonce, .. } = response;
        if removed_resources.contains(&self.name) {
            self.withdrawn = true;
        }
        let manifest = match self.read_manifest(resources) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => {
                actions.requests.push(request::answer(type_url, nonce, Ok(())));
                return actions;
            }
            Err((version, error)) => {
                self.rejected = Some((version, error.clone()));
                actions.requests.push(request::answer(type_url, nonce, Err(error)));
                return actions;
            }
        };
        self.withdrawn = false;
        if let Some(offered) = &mut self.offered
            && offered.offer.version == manifest.version
        {
            // The same policy over a new stream: its outcome answers this response.
            offered.nonce = Some(nonce);
            return actions;
        }
        if self.offered.is_none() && self.version() == Some(&manifest.version) {
            self.waiting = None;
            actions.requests.push(request::answer(type_url, nonce, Ok(())));
            return actions;
        }
        if let Some(before) = self.waiting.replace(Waiting { manifest, nonce }) {
            let error = Err("superseded before it was complete".to_owned());
            actions.requests.push(request::answer(type_url, before.nonce, error));
        }
        self.complete(&mut actions);
        actions
    }

    /// The manifest of a response; none if it has none. The error names the version refused.
    fn read_manifest(&self, resources: Vec<ads::Resource>) -> Result<Option<Manifest>, (String, String)> {
        let mut resources = resources.into_iter();
        let Some(resource) = resources.next() else { return Ok(None) };
        let version = excerpt(&resource.version);
        let refuse = |error: String| (version.clone(), error);
        if resources.next().is_some() || resource.name != self.name {
            return Err(refuse(format!("only the manifest of {} was asked for", self.name)));
        }
        let content = resource.resource.ok_or_else(|| refuse("the manifest has no content".to_owned()))?;
        if content.type_url != Kind::Manifest.type_url() {
            return Err(refuse(format!("{} is not a manifest", excerpt(&content.type_url))));
        }
        let manifest = decode_manifest(&resource.name, &resource.version, &content.value)
            .and_then(|manifest| check_manifest(&manifest).map(|()| manifest))
            .map_err(|error| refuse(error.to_string()))?;
        let known = |feature: &&String| !self.features.contains(feature);
        let features: Vec<_> = manifest.required_features.iter().filter(known).cloned().collect();
        match features.is_empty() {
            true => Ok(Some(manifest)),
            false => Err(refuse(WireError::Features { features }.to_string())),
        }
    }

    /// Offers the waiting policy if it is complete, or refuses it if it cannot become so.
    fn complete(&mut self, actions: &mut Actions) {
        if self.offered.is_some() {
            return;
        }
        let Some(waiting) = self.waiting.take() else { return };
        if self.version() == Some(&waiting.manifest.version) {
            let type_url = Kind::Manifest.type_url().to_owned();
            actions.requests.push(request::answer(type_url, waiting.nonce, Ok(())));
            return;
        }
        let bad = waiting.manifest.fragments.iter().find_map(|wanted| {
            let received = self.received.get(&(wanted.kind, wanted.name.clone()))?;
            (received.hash == wanted.hash).then_some(received.fragment.as_ref().err()?.clone())
        });
        if let Some(error) = bad {
            return self.refuse(waiting, error, actions);
        }
        if !waiting.manifest.fragments.iter().all(|wanted| self.has(wanted)) {
            self.waiting = Some(waiting);
            return;
        }
        match assemble(&waiting.manifest, |wanted| self.find(wanted)) {
            Err(error) => self.refuse(waiting, error.to_string(), actions),
            Ok(policy) => {
                let Waiting { manifest, nonce } = waiting;
                let offer = Offer { policy: Arc::new(policy), version: manifest.version };
                let index = Index::new(&manifest.fragments);
                self.offered = Some(Offered { offer: offer.clone(), index, nonce: Some(nonce) });
                actions.offer = Some(offer);
            }
        }
    }

    fn has(&self, wanted: &FragmentRef) -> bool {
        match self.received.get(&(wanted.kind, wanted.name.clone())) {
            Some(received) if received.hash == wanted.hash => received.fragment.is_ok(),
            _ => self
                .accepted
                .as_ref()
                .is_some_and(|accepted| accepted.index.holds(wanted.kind, &wanted.name, &wanted.hash)),
        }
    }

    fn find(&self, wanted: &FragmentRef) -> Option<Fragment> {
        let received = self.received.get(&(wanted.kind, wanted.name.clone()));
        match received.filter(|received| received.hash == wanted.hash) {
            Some(received) => received.fragment.as_ref().ok().cloned(),
            None => {
                let accepted = self.accepted.as_ref()?;
                accepted.index.find(&accepted.policy, wanted)
            }
        }
    }

    fn refuse(&mut self, waiting: Waiting, error: String, actions: &mut Actions) {
        self.rejected = Some((waiting.manifest.version, error.clone()));
        let type_url = Kind::Manifest.type_url().to_owned();
        actions.requests.push(request::answer(type_url, waiting.nonce, Err(error)));
    }

    /// The fragments of a manifest did not come in time.
    pub(crate) fn on_completion_timeout(&mut self) -> Actions {
        let mut actions = Actions::default();
        if self.offered.is_none()
            && let Some(waiting) = self.waiting.take()
        {
            let missing = waiting.manifest.fragments.iter().filter(|wanted| !self.has(wanted));
            let names: Vec<_> = missing.take(3).map(|wanted| wanted.name.as_str()).collect();
            let error = format!("fragments did not come in time, among them {}", names.join(", "));
            self.refuse(waiting, error, &mut actions);
        }
        actions
    }

    /// What became of the offered policy.
    pub(crate) fn on_outcome(&mut self, outcome: Result<(), String>) -> Actions {
        let mut actions = Actions::default();
        let Some(Offered { offer, index, nonce }) = self.offered.take() else { return actions };
        match &outcome {
            Ok(()) => {
                // What the accepted policy holds is not held again.
                self.received.retain(|(kind, name), received| !index.holds(*kind, name, &received.hash));
                self.received_bytes = self.received.values().map(|received| received.bytes).sum();
                self.accepted = Some(Accepted { policy: offer.policy, version: offer.version, index });
                self.rejected = None;
            }
            Err(reason) => self.rejected = Some((offer.version, reason.clone())),
        }
        if let Some(nonce) = nonce {
            let type_url = Kind::Manifest.type_url().to_owned();
            actions.requests.push(request::answer(type_url, nonce, outcome));
        }
        self.complete(&mut actions);
        actions
    }
}

/// As many versions as one request may carry.
fn within_budget(versions: BTreeMap<String, String>) -> impl Iterator<Item = (String, String)> {
    let mut left = INITIAL_VERSION_BYTES;
    versions.into_iter().take_while(move |(name, version)| {
        // Eight bytes a map entry cost at most on the wire beside the two texts, up to names of 16 KiB.
        let cost = name.len() + version.len() + 8;
        let fits = left >= cost;
        left = left.saturating_sub(cost);
        fits
    })
}

#[cfg(test)]
mod tests;
