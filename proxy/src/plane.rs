//! What every connection of the process shares.
//!
//! One value, made by whoever starts the process (the binary or a test) and passed by `Arc`. It decides nothing.

use std::sync::{Arc, OnceLock};

use palisade_model::WorkloadId;

use crate::certificates::Certificates;
use crate::drain::Drain;
use crate::judging::Judging;
use crate::limits::Gauge;
use crate::policy::Current;
use crate::telemetry::Telemetry;
use crate::tls::Identity;
use crate::upstream::Pools;

/// The shared state of one data plane.
#[derive(Debug)]
pub struct Plane {
    /// Whose traffic it guards.
    pub workload: WorkloadId,
    /// The policy in force.
    pub current: Current,
    /// Upstream connections; they outlive policies.
    pub pools: Arc<Pools>,
    identity: OnceLock<Identity>,
    /// Ordinary certificates of a gateway.
    pub certificates: Arc<Certificates>,
    /// Records, counters and logs.
    pub telemetry: Telemetry,
    /// The way out.
    pub drain: Arc<Drain>,
    /// Open downstream connections.
    pub connections: Arc<Gauge>,
    /// Body bytes held over all requests.
    pub buffered: Arc<Gauge>,
    /// Where long judgements run.
    pub judging: Arc<Judging>,
}

impl Plane {
    /// A plane without a policy: everything is refused until one is stored in `current`.
    pub fn new(workload: WorkloadId, identity: Option<Identity>, telemetry: Telemetry) -> Arc<Self> {
        let pools = Arc::new(Pools::default());
        let current = Current::no_policy(workload.clone());
        Arc::new(Self {
            workload,
            current,
            pools,
            identity: identity.map_or_else(OnceLock::new, OnceLock::from),
            certificates: Arc::default(),
            telemetry,
            drain: Arc::default(),
            connections: Arc::default(),
            buffered: Arc::default(),
            judging: Arc::default(),
        })
    }

    /// The workload's identity; none where no mesh is joined, or not yet.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.get()
    }

    /// The mesh was joined. Once: a later SVID is a rotation of the identity's store.
    pub fn join(&self, identity: Identity) {
        if self.identity.set(identity).is_err() {
            tracing::warn!("this process has an identity already");
        }
    }
}
