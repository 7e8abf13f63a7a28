//! The documents, sorted by kind and name: what every other part of the index reads.
//!
//! Promises: the same documents in any order give the same inventory. A document that occurs twice is an error, and
//! of those that could restrict something, both stay.

use std::collections::BTreeMap;
use std::net::IpAddr;

use palisade_model::documents::{
    AuthorizationPolicy, Document, Gateway, HttpRoute, Metadata, RuleSet, ServiceEntry, WafPolicy,
    WorkloadEntry,
};
use palisade_model::{Principal, WorkloadId};

use crate::{DocumentRef, Problem, Settings};

/// One workload of the inventory.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) entry: WorkloadEntry,
    pub(crate) principal: Principal,
    pub(crate) address: IpAddr,
}

/// Namespace and name.
pub(crate) type Name = (String, String);

/// All documents.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) workloads: BTreeMap<WorkloadId, Workload>,
    pub(crate) services: BTreeMap<Name, ServiceEntry>,
    pub(crate) gateways: BTreeMap<Name, Gateway>,
    pub(crate) http_routes: BTreeMap<Name, HttpRoute>,
    pub(crate) rule_sets: BTreeMap<Name, RuleSet>,
    pub(crate) authorization: Vec<AuthorizationPolicy>,
    pub(crate) waf: Vec<WafPolicy>,
}

impl Inventory {
    pub(crate) fn read(
        mut documents: Vec<Document>,
        settings: &Settings,
        problems: &mut Vec<Problem>,
    ) -> Self {
        documents.sort_by_cached_key(|document| {
            // The text settles the order of documents that wrongly have one name.
            (DocumentRef::of(document), serde_json::to_string(document).unwrap_or_default())
        });
        let mut previous: Option<DocumentRef> = None;
        let mut inventory = Self::default();
        for document in documents {
            let reference = DocumentRef::of(&document);
            if previous.as_ref() == Some(&reference) {
                problems.push(Problem::error(
                    reference.clone(),
                    "metadata.name",
                    "there are two documents of this name",
                ));
            }
            inventory.add(document, settings, problems);
            previous = Some(reference);
        }
        inventory
    }

    fn add(&mut self, document: Document, settings: &Settings, problems: &mut Vec<Problem>) {
        let reference = DocumentRef::of(&document);
        match document {
            Document::AuthorizationPolicy(document) => self.authorization.push(document),
            Document::WafPolicy(document) => self.waf.push(document),
            Document::RuleSet(document) => {
                self.rule_sets.entry(name(&document.metadata)).or_insert(document);
            }
            Document::Gateway(document) => {
                self.gateways.entry(name(&document.metadata)).or_insert(document);
            }
            Document::HttpRoute(document) => {
                self.http_routes.entry(name(&document.metadata)).or_insert(document);
            }
            Document::ServiceEntry(document) => {
                self.services.entry(name(&document.metadata)).or_insert(document);
            }
            Document::WorkloadEntry(document) => match workload(document, settings) {
                Ok((id, workload)) => {
                    self.workloads.entry(id).or_insert(workload);
                }
                Err((path, problem)) => problems.push(Problem::error(reference, path, problem)),
            },
        }
    }

    /// The workloads of a namespace that have these labels.
    pub(crate) fn selected(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> impl Iterator<Item = (&WorkloadId, &Workload)> {
        self.workloads.iter().filter(move |(id, workload)| {
            id.namespace == namespace
                && labels.iter().all(|(name, value)| workload.entry.spec.labels.get(name) == Some(value))
        })
    }

    /// A service by the name of its document or one of its hosts.
    pub(crate) fn service(&self, namespace: &str, wanted: &str) -> Option<&ServiceEntry> {
        self.services.get(&(namespace.to_owned(), wanted.to_owned())).or_else(|| {
            let mut of_namespace =
                self.services.values().filter(|service| service.metadata.namespace == namespace);
            of_namespace.find(|service| service.spec.hosts.iter().any(|host| host == wanted))
        })
    }
}

pub(crate) fn name(metadata: &Metadata) -> Name {
    (metadata.namespace.clone(), metadata.name.clone())
}

/// What an entry names: its workload with its identity, or the field that is wrong.
pub(crate) fn workload(
    entry: WorkloadEntry,
    settings: &Settings,
) -> Result<(WorkloadId, Workload), (&'static str, String)> {
    let (namespace, name) = (&entry.metadata.namespace, &entry.metadata.name);
    let principal = Principal::new(&settings.trust_domain, namespace, &entry.spec.service_account)
        .map_err(|error| ("spec.serviceAccount", error.to_string()))?;
    let address = entry
        .spec
        .address
        .parse::<IpAddr>()
        .map_err(|_| ("spec.address", format!("{:?} is not an IP address", entry.spec.address)))?;
    let id = WorkloadId {
        cluster: settings.cluster.clone(),
        tenant: settings.tenant.clone(),
        namespace: namespace.clone(),
        name: name.clone(),
    };
    Ok((id, Workload { entry, principal, address }))
}
