//! Policies as they are served: one snapshot per workload, fragments shared by content.
//!
//! Promises: what is served is complete and refers only to itself; a policy that is not is refused and the one before
//! stays; equal fragments of different workloads exist once. It does not compile policies.

mod policy;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use palisade_model::{Policy, WorkloadId};
use tokio::sync::watch;

use crate::error::WireError;
use crate::fragment::Encoded;
use crate::kind::Kind;

pub(crate) use policy::{Index, assemble, check_manifest, split};

/// Why a policy is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy of {workload}: {error}")]
pub struct SnapshotError {
    /// Whose policy it is.
    pub workload: WorkloadId,
    /// What is wrong with it.
    #[source]
    pub error: Box<WireError>,
}

/// What one workload is served.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The policy's version.
    pub version: String,
    /// The encoded manifest.
    pub manifest: Arc<Encoded>,
    /// Every fragment it names, by kind and name.
    pub fragments: std::collections::BTreeMap<(Kind, String), Arc<Encoded>>,
}

/// The policies of all workloads. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct SnapshotCache {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    workloads: HashMap<WorkloadId, watch::Sender<Option<Arc<Snapshot>>>>,
    /// Fragments by name and hash; an entry lives as long as a snapshot holds its fragment.
    fragments: HashMap<(Kind, String, String), Weak<Encoded>>,
}

impl SnapshotCache {
    /// A cache without policies.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves `policy` to its workload from now on, and says its version (its content hash).
    ///
    /// Fails if it cannot be sent or names what it does not hold (a route's cluster, a WafPolicy's rule set); then the
    /// policy before stays in place.
    pub fn set_policy(&self, policy: &Policy) -> Result<String, SnapshotError> {
        let workload = policy.workload.clone();
        let (manifest, version, fragments) = split(policy)
            .map_err(|error| SnapshotError { workload: workload.clone(), error: Box::new(error) })?;
        let mut shared = self.lock();
        let fragments = fragments
            .into_iter()
            .map(|fragment| {
                let fragment = shared.intern(fragment);
                ((fragment.kind, fragment.name.clone()), fragment)
            })
            .collect();
        let snapshot =
            Arc::new(Snapshot { version: version.clone(), manifest: Arc::new(manifest), fragments });
        let sender = shared.workloads.entry(workload).or_default();
        sender.send_if_modified(|current| {
            let changed = current.as_ref().is_none_or(|before| before.version != snapshot.version);
            if changed {
                *current = Some(snapshot);
            }
            changed
        });
        shared.fragments.retain(|_, fragment| fragment.strong_count() > 0);
        Ok(version)
    }

    /// Serves `workload` nothing any more. Its sidecar keeps its last good policy.
    pub fn remove_policy(&self, workload: &WorkloadId) {
        let mut shared = self.lock();
        if let Some(sender) = shared.workloads.get(workload) {
            sender.send_replace(None);
        }
        shared.forget_idle(workload);
        shared.fragments.retain(|_, fragment| fragment.strong_count() > 0);
    }

    /// The version served to `workload`.
    pub fn version(&self, workload: &WorkloadId) -> Option<String> {
        let shared = self.lock();
        let snapshot = shared.workloads.get(workload)?.borrow().clone();
        snapshot.map(|snapshot| snapshot.version.clone())
    }

    /// How many different fragments are held.
    pub fn fragment_count(&self) -> usize {
        self.lock().fragments.values().filter(|fragment| fragment.strong_count() > 0).count()
    }

    pub(crate) fn watch(&self, workload: &WorkloadId) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.lock().workloads.entry(workload.clone()).or_default().subscribe()
    }

    /// Drops the entry of a workload that has neither policy nor stream.
    pub(crate) fn release(&self, workload: &WorkloadId) {
        self.lock().forget_idle(workload);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing under the lock panics half-way; a poisoned lock still guards whole data.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn intern(&mut self, fragment: Encoded) -> Arc<Encoded> {
        let key = (fragment.kind, fragment.name.clone(), fragment.hash.clone());
        if let Some(known) = self.fragments.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let fragment = Arc::new(fragment);
        self.fragments.insert(key, Arc::downgrade(&fragment));
        fragment
    }

    fn forget_idle(&mut self, workload: &WorkloadId) {
        let idle = |sender: &watch::Sender<Option<Arc<Snapshot>>>| {
            sender.receiver_count() == 0 && sender.borrow().is_none()
        };
        if self.workloads.get(workload).is_some_and(idle) {
            self.workloads.remove(workload);
        }
    }
}

#[cfg(test)]
mod tests;
