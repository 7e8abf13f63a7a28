//! Documents × inventory → one Policy per workload: a pure function without I/O.
//!
//! ```text
//!   documents ─▶ inventory ─┬─ selectors ─▶ authorization, waf, rule sets ─┐
//!                           ├─ services  ─▶ clusters, outbound routes ─────┼─▶ Policy ─▶ version
//!                           └─ gateways  ─▶ listeners, gateway routes ─────┘
//! ```
//! Promises: the same documents in any order give the same policies; a restriction is never dropped because something
//! about it is wrong (what does not compile is refused here as a problem and there as a NACK). It does not publish,
//! store or read files, and knows no wire format.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod admission;
mod gateways;
mod http_routes;
mod inventory;
mod problem;
mod services;
mod warnings;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use palisade_model::documents::{AuthorizationPolicy, Document, RuleSet, Selector, WafPolicy};
use palisade_model::identity::DEFAULT_PART;
use palisade_model::policy::ROOT_NAMESPACE;
use palisade_model::{Policy, Principal, WorkloadId};

use crate::inventory::{Inventory, Workload};
use crate::services::Services;

pub use crate::admission::{NAME_BYTES, validate};
pub use crate::gateways::{PROXY_PROTOCOL_ANNOTATION, TRUSTED_HOPS_ANNOTATION, WORKLOAD_ANNOTATION};
pub use crate::problem::{DocumentRef, Problem, Severity};
pub use palisade_loader::version_of;

/// What is the same for all workloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The trust domain of every workload's principal.
    pub trust_domain: String,
    /// Policies in it select workloads of every namespace.
    pub root_namespace: String,
    /// The cluster whose inventory this is.
    pub cluster: String,
    /// The tenant whose inventory this is.
    pub tenant: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trust_domain: "cluster.local".to_owned(),
            root_namespace: ROOT_NAMESPACE.to_owned(),
            cluster: DEFAULT_PART.to_owned(),
            tenant: DEFAULT_PART.to_owned(),
        }
    }
}

/// All documents, resolved.
#[derive(Clone, Debug)]
pub struct Index {
    settings: Settings,
    inventory: Inventory,
    services: Services,
}

impl Index {
    /// Resolves documents. The problems are those that several documents show together, and names and identities
    /// that cannot be read; what one document alone shows is [`validate`]'s.
    pub fn build(documents: Vec<Document>, settings: &Settings) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let inventory = Inventory::read(documents, settings, &mut problems);
        let services = Services::read(&inventory, &mut problems);
        let index = Self { settings: settings.clone(), inventory, services };
        warnings::policies(&index, &mut problems);
        gateways::problems(&index.inventory, &mut problems);
        http_routes::problems(&index.inventory, &index.services, &mut problems);
        (index, problems)
    }

    /// Every workload, in order.
    pub fn workloads(&self) -> impl Iterator<Item = &WorkloadId> {
        self.inventory.workloads.keys()
    }

    /// A workload's labels, which come from the inventory and never from its sidecar.
    pub fn workload_labels(&self, workload: &WorkloadId) -> Option<&BTreeMap<String, String>> {
        Some(&self.inventory.workloads.get(workload)?.entry.spec.labels)
    }

    /// The identity a workload is given.
    pub fn principal(&self, workload: &WorkloadId) -> Option<&Principal> {
        Some(&self.inventory.workloads.get(workload)?.principal)
    }

    /// What a workload is asked to enforce.
    pub fn policy(&self, id: &WorkloadId) -> Option<Policy> {
        let workload = self.inventory.workloads.get(id)?;
        let mut policy = Policy::empty(id.clone());
        policy.root_namespace.clone_from(&self.settings.root_namespace);
        policy.authorization = self.authorization(workload).cloned().collect();
        if let Some(waf) = self.waf(workload).next() {
            policy.rule_sets = self.rule_set(waf).map(Cow::into_owned).into_iter().collect();
            policy.waf = vec![waf.clone()];
        }
        let gateways = gateways::of_workload(&self.inventory, workload);
        if gateways.is_empty() {
            policy.routes.clone_from(&self.services.routes);
            policy.clusters = self.services.clusters.values().cloned().collect();
        } else {
            policy.listeners = gateways::listeners(&gateways, workload);
            (policy.routes, policy.clusters) =
                http_routes::routes(&self.inventory, &self.services, &gateways);
        }
        policy.required_features = required_features(&policy);
        Some(policy)
    }

    fn authorization(&self, workload: &Workload) -> impl Iterator<Item = &AuthorizationPolicy> {
        self.inventory.authorization.iter().filter(|policy| {
            self.applies(&policy.metadata.namespace, policy.spec.selector.as_ref(), workload)
        })
    }

    /// The WafPolicies that select a workload; the first is in force, the others are a problem.
    fn waf(&self, workload: &Workload) -> impl Iterator<Item = &WafPolicy> {
        self.inventory.waf.iter().filter(|policy| {
            self.applies(&policy.metadata.namespace, policy.spec.selector.as_ref(), workload)
        })
    }

    /// The document that a policy names, else the rule set that comes with Palisade if it asks for that.
    fn rule_set(&self, policy: &WafPolicy) -> Option<Cow<'_, RuleSet>> {
        let own = policy.metadata.namespace.as_str();
        let (namespace, name) = policy.spec.rule_set.split_once('/').unwrap_or((own, &policy.spec.rule_set));
        match self.inventory.rule_sets.get(&(namespace.to_owned(), name.to_owned())) {
            Some(rule_set) => Some(Cow::Borrowed(rule_set)),
            None => palisade_loader::default_rules::wanted_by(policy).map(Cow::Owned),
        }
    }

    fn applies(&self, namespace: &str, selector: Option<&Selector>, workload: &Workload) -> bool {
        (namespace == workload.entry.metadata.namespace || namespace == self.settings.root_namespace)
            && selector.is_none_or(|selector| selector.selects(&workload.entry.spec.labels))
    }
}

/// What a sidecar must understand to enforce this policy.
fn required_features(policy: &Policy) -> BTreeSet<String> {
    let used = [
        ("authorization/v1", !policy.authorization.is_empty()),
        ("waf/v1", !policy.waf.is_empty()),
        ("waf-bodies/v1", policy.waf.iter().any(|waf| !waf.spec.bodies.is_default())),
        ("waf-audit/v1", policy.waf.iter().any(|waf| !waf.spec.audit_log.is_default())),
        ("routes/v1", !policy.routes.is_empty() || !policy.clusters.is_empty()),
        ("gateway/v1", !policy.listeners.is_empty()),
    ];
    used.into_iter().filter(|(_, used)| *used).map(|(name, _)| name.to_owned()).collect()
}
