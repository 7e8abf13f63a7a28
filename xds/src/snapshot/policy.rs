//! A policy taken apart into manifest and fragments, and put together again.
//!
//! Promises: `assemble` gives back the policy `split` took apart, in order; both refuse what names something that is
//! not there.

use std::collections::{BTreeMap, BTreeSet};

use palisade_model::Policy;
use palisade_model::policy::ListenerRole;

use crate::convert::{FragmentRef, Manifest};
use crate::error::WireError;
use crate::fragment::{Encoded, Fragment, encode, encode_manifest};
use crate::kind::Kind;
use crate::limits::{FRAGMENTS, POLICY_BYTES};

/// The manifest as a resource, the policy's version, and every fragment.
pub(crate) fn split(policy: &Policy) -> Result<(Encoded, String, Vec<Encoded>), WireError> {
    check_references(policy)?;
    let namespace = &policy.workload.namespace;
    let mut fragments = Vec::new();
    for part in &policy.rule_sets {
        fragments.push(encode(part, namespace)?);
    }
    for part in &policy.waf {
        fragments.push(encode(part, namespace)?);
    }
    for part in &policy.authorization {
        fragments.push(encode(part, namespace)?);
    }
    for part in &policy.clusters {
        fragments.push(encode(part, namespace)?);
    }
    for part in &policy.routes {
        fragments.push(encode(part, namespace)?);
    }
    for part in &policy.listeners {
        fragments.push(encode(part, namespace)?);
    }
    let mut manifest = Manifest {
        workload: policy.workload.clone(),
        version: String::new(),
        fail_open: policy.fail_open,
        root_namespace: policy.root_namespace.clone(),
        required_features: policy.required_features.clone(),
        limits: policy.limits.clone(),
        fragments: fragments
            .iter()
            .map(|fragment| FragmentRef {
                kind: fragment.kind,
                name: fragment.name.clone(),
                hash: fragment.hash.clone(),
            })
            .collect(),
    };
    check_manifest(&manifest)?;
    let total: usize = fragments.iter().map(|fragment| fragment.bytes.len()).sum();
    limit(&manifest, total, POLICY_BYTES, "bytes")?;
    let bytes = encode_manifest(&mut manifest)?;
    let version = manifest.version;
    let name = policy.workload.to_string();
    Ok((Encoded { kind: Kind::Manifest, name, hash: version.clone(), bytes }, version, fragments))
}

/// What every manifest must fulfil, on both sides: bounded, each name once.
pub(crate) fn check_manifest(manifest: &Manifest) -> Result<(), WireError> {
    limit(manifest, manifest.fragments.len(), FRAGMENTS, "fragments")?;
    let mut names = BTreeSet::new();
    for fragment in &manifest.fragments {
        if !names.insert(fragment.name.as_str()) {
            return Err(WireError::inconsistent(
                manifest.workload.to_string(),
                format!("{} is named twice", crate::convert::excerpt(&fragment.name)),
            ));
        }
    }
    Ok(())
}

fn limit(manifest: &Manifest, found: usize, limit: usize, unit: &'static str) -> Result<(), WireError> {
    match found > limit {
        true => Err(WireError::TooLarge { resource: manifest.workload.to_string(), found, limit, unit }),
        false => Ok(()),
    }
}

/// Whether everything a policy names is in it.
fn check_references(policy: &Policy) -> Result<(), WireError> {
    let clusters: BTreeSet<_> = policy.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    let listeners: BTreeSet<_> = policy.listeners.iter().map(|listener| listener.name.as_str()).collect();
    let namespace = &policy.workload.namespace;
    let missing = |kind: Kind, name: &str, what: &str| {
        Err(WireError::inconsistent(
            format!("{kind}/{namespace}/{name}"),
            format!("names {what}, which the policy does not hold"),
        ))
    };
    for route in &policy.routes {
        for backend in &route.backends {
            if !clusters.contains(backend.cluster.as_str()) {
                return missing(Kind::Route, &route.name, &format!("cluster {}", backend.cluster));
            }
        }
        // A sidecar's listeners are local to it and unknown here; a gateway's are all in its policy.
        let foreign = route.listeners.iter().find(|name| !listeners.contains(name.as_str()));
        if let (Some(name), false) = (foreign, listeners.is_empty()) {
            return missing(Kind::Route, &route.name, &format!("listener {name}"));
        }
    }
    for listener in &policy.listeners {
        if let ListenerRole::OutboundTcp { cluster } = &listener.role
            && !clusters.contains(cluster.as_str())
        {
            return missing(Kind::Listener, &listener.name, &format!("cluster {cluster}"));
        }
    }
    for waf in &policy.waf {
        let own = format!("{}/{}", waf.metadata.namespace, waf.spec.rule_set);
        let held = policy.rule_sets.iter().any(|rule_set| {
            let full = format!("{}/{}", rule_set.metadata.namespace, rule_set.metadata.name);
            full == own || full == waf.spec.rule_set
        });
        if !held {
            return Err(WireError::inconsistent(
                format!("{}/{}/{}", Kind::WafPolicy, waf.metadata.namespace, waf.metadata.name),
                format!("names rule set {}, which the policy does not hold", waf.spec.rule_set),
            ));
        }
    }
    Ok(())
}

/// Where the fragments of an assembled policy are in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    places: BTreeMap<(Kind, String), (String, usize)>,
}

impl Index {
    /// The index of the policy assembled from these fragments.
    pub(crate) fn new(fragments: &[FragmentRef]) -> Self {
        let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
        let mut places = BTreeMap::new();
        for fragment in fragments {
            let place = counts.entry(fragment.kind).or_default();
            places.insert((fragment.kind, fragment.name.clone()), (fragment.hash.clone(), *place));
            *place += 1;
        }
        Self { places }
    }

    /// Kind, name and hash of every fragment.
    pub(crate) fn versions(&self) -> impl Iterator<Item = (Kind, &str, &str)> {
        self.places.iter().map(|((kind, name), (hash, _))| (*kind, name.as_str(), hash.as_str()))
    }

    /// Whether the fragment of this name has this hash.
    pub(crate) fn holds(&self, kind: Kind, name: &str, hash: &str) -> bool {
        let place = self.places.get(&(kind, name.to_owned()));
        place.is_some_and(|(held, _)| held == hash)
    }

    /// The fragment of this name in `policy`, if it has this hash.
    pub(crate) fn find(&self, policy: &Policy, wanted: &FragmentRef) -> Option<Fragment> {
        let (hash, place) = self.places.get(&(wanted.kind, wanted.name.clone()))?;
        if *hash != wanted.hash {
            return None;
        }
        match wanted.kind {
            Kind::RuleSet => policy.rule_sets.get(*place).cloned().map(Fragment::RuleSet),
            Kind::WafPolicy => policy.waf.get(*place).cloned().map(Fragment::WafPolicy),
            Kind::AuthorizationPolicy => {
                policy.authorization.get(*place).cloned().map(Fragment::AuthorizationPolicy)
            }
            Kind::Cluster => policy.clusters.get(*place).cloned().map(Fragment::Cluster),
            Kind::Route => policy.routes.get(*place).cloned().map(Fragment::Route),
            Kind::Listener => policy.listeners.get(*place).cloned().map(Fragment::Listener),
            Kind::Manifest => None,
        }
    }
}

/// Puts a policy together. `find` gives the fragment of a name and hash.
pub(crate) fn assemble(
    manifest: &Manifest,
    find: impl Fn(&FragmentRef) -> Option<Fragment>,
) -> Result<Policy, WireError> {
    let mut policy = Policy {
        fail_open: manifest.fail_open,
        root_namespace: manifest.root_namespace.clone(),
        required_features: manifest.required_features.clone(),
        limits: manifest.limits.clone(),
        ..Policy::empty(manifest.workload.clone())
    };
    for reference in &manifest.fragments {
        match find(reference) {
            Some(Fragment::RuleSet(part)) => policy.rule_sets.push(part),
            Some(Fragment::WafPolicy(part)) => policy.waf.push(part),
            Some(Fragment::AuthorizationPolicy(part)) => policy.authorization.push(part),
            Some(Fragment::Cluster(part)) => policy.clusters.push(part),
            Some(Fragment::Route(part)) => policy.routes.push(part),
            Some(Fragment::Listener(part)) => policy.listeners.push(part),
            None => {
                let name = manifest.workload.to_string();
                return Err(WireError::inconsistent(name, format!("{} is missing", reference.name)));
            }
        }
    }
    check_references(&policy).map(|()| policy)
}
