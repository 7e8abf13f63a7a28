//! What sidecars say about their policies: who is connected, what each enforces, what each refused.
//!
//! Promises: the stream that reports never waits; the last word of each sidecar survives a restart. When too much is
//! said at once, the memory stays right and what the database misses is logged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use palisade_model::WorkloadId;
use palisade_store::{NewAuditEntry, Outcome, SidecarStatus, Store};
use palisade_xds::server::StatusSink;
use tokio::sync::mpsc;

use crate::clock::now_ms;

/// Words that wait to be written: as many sidecars may come back at once. A word is at most some KiB.
const QUEUE: usize = 4096;

/// One sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sidecar {
    /// How many streams it has open.
    pub streams: usize,
    /// What it can do, as it said when it connected.
    pub features: Vec<String>,
    /// What it last said.
    pub status: Option<SidecarStatus>,
}

/// All sidecars. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sidecars {
    known: Arc<Mutex<BTreeMap<WorkloadId, Sidecar>>>,
    writes: mpsc::Sender<Write>,
    counts: Arc<Counts>,
}

/// What was said since the start.
#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    rejected: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug)]
enum Write {
    Status(SidecarStatus),
    Audit(NewAuditEntry),
}

impl Sidecars {
    /// Takes up where the store left off.
    pub async fn open(store: Store) -> Result<Self, palisade_store::StoreError> {
        let mut known: BTreeMap<WorkloadId, Sidecar> = BTreeMap::new();
        for status in store.sidecars().await? {
            let workload = status.workload.clone();
            known.entry(workload).or_default().status = Some(status);
        }
        let (writes, mut waiting) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            while let Some(write) = waiting.recv().await {
                let done = match &write {
                    Write::Status(status) => store.report_sidecar(status).await,
                    Write::Audit(entry) => store.audit(entry).await,
                };
                if let Err(error) = done {
                    tracing::warn!(%error, "a sidecar's word could not be written");
                }
            }
        });
        let known = Arc::new(Mutex::new(known));
        Ok(Self { known, writes, counts: Arc::default() })
    }

    /// Every sidecar that ever spoke.
    pub fn all(&self) -> BTreeMap<WorkloadId, Sidecar> {
        self.lock().clone()
    }

    /// How many streams are open.
    pub fn streams(&self) -> usize {
        self.lock().values().map(|sidecar| sidecar.streams).sum()
    }

    /// How many sidecars have a stream open.
    pub fn connected_count(&self) -> usize {
        self.lock().values().filter(|sidecar| sidecar.streams > 0).count()
    }

    /// Policies that were enforced, policies that were refused by sidecars, and resources sidecars asked for that are
    /// not their own, since the start.
    pub fn counts(&self) -> (u64, u64, u64) {
        let Counts { accepted, rejected, refused } = &*self.counts;
        (accepted.load(Ordering::Relaxed), rejected.load(Ordering::Relaxed), refused.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<WorkloadId, Sidecar>> {
        // Nothing panics while it is held; if something did, the map is still whole.
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn say(&self, workload: &WorkloadId, version: &str, acked: bool, error: &str) {
        let status = SidecarStatus {
            workload: workload.clone(),
            version: version.to_owned(),
            acked,
            error: error.to_owned(),
            last_seen_ms: now_ms(),
        };
        self.lock().entry(workload.clone()).or_default().status = Some(status.clone());
        self.write(Write::Status(status));
    }

    fn write(&self, write: Write) {
        if self.writes.try_send(write).is_err() {
            tracing::warn!("a sidecar's word is not in the database: too many wait");
        }
    }
}

impl StatusSink for Sidecars {
    fn connected(&self, workload: &WorkloadId, features: &[String]) {
        tracing::info!(%workload, "sidecar connected");
        let mut known = self.lock();
        let sidecar = known.entry(workload.clone()).or_default();
        sidecar.streams += 1;
        sidecar.features = features.to_vec();
    }

    fn acked(&self, workload: &WorkloadId, version: &str) {
        tracing::debug!(%workload, version, "policy enforced");
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        self.say(workload, version, true, "");
    }

    fn nacked(&self, workload: &WorkloadId, version: &str, error: &str) {
        tracing::warn!(%workload, version, error, "policy refused by the sidecar, which keeps its last good one");
        self.counts.rejected.fetch_add(1, Ordering::Relaxed);
        self.say(workload, version, false, error);
    }

    fn refused(&self, workload: &WorkloadId, resource: &str) {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        self.write(Write::Audit(NewAuditEntry {
            time_ms: now_ms(),
            actor: format!("sidecar {workload}"),
            action: "ads.subscribe".to_owned(),
            object: resource.to_owned(),
            outcome: Outcome::Refused,
            detail: "not its own".to_owned(),
        }));
    }

    fn disconnected(&self, workload: &WorkloadId) {
        tracing::info!(%workload, "sidecar disconnected");
        if let Some(sidecar) = self.lock().get_mut(workload) {
            sidecar.streams = sidecar.streams.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_up_to_the_limit_wait_and_over_it_the_memory_alone_is_right() {
        let store = Store::memory().await.unwrap();
        let sidecars = Sidecars::open(store.clone()).await.unwrap();
        let web = WorkloadId::local("shop", "web");
        // Nothing is awaited between, so nothing is written yet.
        for (word, room) in (1..QUEUE).rev().chain([0, 0]).enumerate() {
            sidecars.acked(&web, &word.to_string());
            assert_eq!(sidecars.writes.capacity(), room);
        }
        let version = sidecars.all().remove(&web).and_then(|sidecar| sidecar.status).unwrap().version;
        assert_eq!(version, QUEUE.to_string(), "the last word, which is not in the queue");
        while sidecars.writes.capacity() < QUEUE {
            tokio::task::yield_now().await;
        }
        // The last that waited is written after its place is free.
        let kept = || async { store.sidecars().await.unwrap().pop().unwrap().version };
        while kept().await == (QUEUE - 2).to_string() {
            tokio::task::yield_now().await;
        }
        assert_eq!(kept().await, (QUEUE - 1).to_string());
    }
}
