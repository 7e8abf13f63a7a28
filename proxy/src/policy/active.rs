//! What one exchange is judged and sent by: engines, clusters and limits of one policy, swapped as one value.
//!
//! Promises: whoever loads an [`Active`] has one consistent policy; [`Current::changed`] wakes after every swap.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use palisade_http::head::HeadLimits;
use palisade_model::{Limits, Policy, WorkloadId};
use palisade_rules::{CompileError, Engine, Snapshot};
use tokio::sync::watch;

use crate::upstream::{Cluster, Pools};

/// One compiled policy with everything that acts by it.
#[derive(Debug)]
pub struct Active {
    /// The engines.
    pub snapshot: Snapshot,
    /// The policy it was compiled from; none before the first.
    pub policy: Option<Arc<Policy>>,
    /// The limits of reading heads.
    pub head_limits: HeadLimits,
    clusters: HashMap<Box<str>, Arc<Cluster>>,
}

impl Active {
    /// Compiles a policy. `previous` lends what has not changed and what transactions remember; `pools` keep upstream connections over swaps.
    pub fn compile(
        policy: Arc<Policy>,
        version: &str,
        previous: Option<&Self>,
        pools: &Pools,
    ) -> Result<Self, CompileError> {
        let before = previous.map(|active| active.snapshot.enforced().as_ref());
        let engine = Engine::compile(&policy, version, before)?;
        let clusters = policy
            .clusters
            .iter()
            .map(|cluster| (cluster.name.clone().into_boxed_str(), Arc::new(Cluster::new(cluster, pools))))
            .collect();
        let head_limits = HeadLimits::from(engine.limits());
        let state = previous.map(|active| active.snapshot.state().clone()).unwrap_or_default();
        let snapshot = Snapshot::new(Arc::new(engine), None).with_state(state);
        Ok(Self { snapshot, policy: Some(policy), head_limits, clusters })
    }

    /// The same with a staged engine, which records what it would have decided and decides nothing.
    pub fn stage(self, staged: Arc<Engine>) -> Self {
        let state = self.snapshot.state().clone();
        let snapshot = Snapshot::new(self.snapshot.enforced().clone(), Some(staged)).with_state(state);
        Self { snapshot, ..self }
    }

    /// What a given engine alone asks for: no clusters, no policy text.
    pub fn bare(engine: Engine) -> Self {
        let head_limits = HeadLimits::from(engine.limits());
        let snapshot = Snapshot::new(Arc::new(engine), None);
        Self { snapshot, policy: None, head_limits, clusters: HashMap::new() }
    }

    /// The cluster of a name.
    pub fn cluster(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.clusters.get(name)
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        self.snapshot.enforced().limits()
    }

    /// The version of the policy.
    pub fn version(&self) -> &Arc<str> {
        self.snapshot.enforced().version()
    }

    /// A limit in milliseconds as a duration.
    pub fn duration(&self, limit: impl FnOnce(&Limits) -> u64) -> Duration {
        Duration::from_millis(limit(self.limits()))
    }
}

/// The policy in force, and the bell that rings when it is another one.
#[derive(Debug)]
pub struct Current {
    active: ArcSwap<Active>,
    swaps: watch::Sender<u64>,
}

impl Current {
    /// Refuses everything until a policy is stored.
    pub fn no_policy(workload: WorkloadId) -> Self {
        Self {
            active: ArcSwap::from_pointee(Active::bare(Engine::no_policy(workload))),
            swaps: watch::Sender::new(0),
        }
    }

    /// The policy in force now. One exchange calls this once.
    pub fn load(&self) -> Arc<Active> {
        self.active.load_full()
    }

    /// Puts another policy in force and wakes whoever re-judges open connections.
    pub fn store(&self, active: Active) {
        self.active.store(Arc::new(active));
        self.swaps.send_modify(|swaps| *swaps += 1);
    }

    /// Puts in force what holds until there is a first policy; it does not count as one.
    pub fn store_before_policy(&self, active: Active) {
        self.active.store(Arc::new(active));
    }

    /// How often a policy was put in force.
    pub fn swaps(&self) -> u64 {
        *self.swaps.borrow()
    }

    /// Changes with every swap.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.swaps.subscribe()
    }
}
