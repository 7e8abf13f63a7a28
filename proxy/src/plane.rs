//! What every connection of the process shares.
//!
//! One value, made by whoever starts the process (the binary or a test) and passed by `Arc`. It decides nothing.

use std::sync::Arc;

use palisade_model::WorkloadId;

use crate::drain::Drain;
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
    /// The workload's identity; none where no mesh is joined.
    pub identity: Option<Identity>,
    /// Records, counters and logs.
    pub telemetry: Telemetry,
    /// The way out.
    pub drain: Arc<Drain>,
    /// Open downstream connections.
    pub connections: Arc<Gauge>,
    /// Body bytes held over all requests.
    pub buffered: Arc<Gauge>,
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
            identity,
            telemetry,
            drain: Arc::default(),
            connections: Arc::default(),
            buffered: Arc::default(),
        })
    }
}
