//! One new policy: compiled off the data path, its listeners bound, then put in force at once.
//!
//! Promises: one update at a time; whatever is wrong with it, the policy before stays in force and the answer says
//! what; an update that is in force is kept in the state directory, if there is one.

use std::sync::{Arc, OnceLock};

use palisade_model::Policy;
use palisade_model::policy::Listener;
use palisade_rules::{CompileError, Engine};
use tokio::sync::Mutex;

use super::Active;
use super::state_dir::StateDir;
use crate::listener::{BindError, ListenerSet};
use crate::plane::Plane;

/// Why a policy was not taken.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// It is another workload's.
    #[error("this is the policy of {0}, and this process guards {1}")]
    OtherWorkload(String, String),
    /// It does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A listener of it cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The compiler broke.
    #[error("the policy could not be compiled: {0}")]
    Broken(String),
}

/// Takes policies, one after the other.
#[derive(Debug)]
pub struct Updater {
    plane: Arc<Plane>,
    /// The listeners that are the process's own, whatever the policy.
    own: Vec<Listener>,
    listeners: Mutex<ListenerSet>,
    state_dir: Option<StateDir>,
    needs_identity: bool,
    staged: OnceLock<Arc<Engine>>,
}

impl Updater {
    /// For a process with these listeners of its own. `needs_identity`: whether it is not ready without one.
    pub fn new(
        plane: Arc<Plane>,
        own: Vec<Listener>,
        state_dir: Option<StateDir>,
        needs_identity: bool,
    ) -> Arc<Self> {
        let (listeners, staged) = (Mutex::default(), OnceLock::new());
        Arc::new(Self { plane, own, listeners, state_dir, needs_identity, staged })
    }

    /// Stages a policy beside every policy that is put in force from now on. Once; it decides nothing.
    pub fn stage(&self, policy: &Policy, version: &str) -> Result<(), UpdateError> {
        if policy.workload != self.plane.workload {
            let (theirs, ours) = (policy.workload.to_string(), self.plane.workload.to_string());
            return Err(UpdateError::OtherWorkload(theirs, ours));
        }
        if self.staged.set(Arc::new(Engine::compile(policy, version, None)?)).is_err() {
            tracing::warn!(version, "a policy is staged already");
        }
        Ok(())
    }

    /// Whether the process is not ready without an identity.
    pub fn needs_identity(&self) -> bool {
        self.needs_identity
    }

    /// Opens the process's own listeners, whatever the policy is or will be. Those of a policy in force stay.
    pub async fn open_own(&self) -> Result<(), BindError> {
        let mut listeners = self.listeners.lock().await;
        let active = self.plane.current.load();
        let theirs = active.policy.as_ref().map(|policy| policy.listeners.as_slice()).unwrap_or_default();
        let wanted: Vec<Listener> = self.own.iter().chain(theirs).cloned().collect();
        let prepared = listeners.prepare(&wanted, &self.plane)?;
        listeners.open(prepared, &self.plane);
        Ok(())
    }

    /// Puts a policy in force.
    pub async fn put(&self, policy: Arc<Policy>, version: &str) -> Result<(), UpdateError> {
        let result = self.try_put(policy, version).await;
        let metrics = &self.plane.telemetry.metrics;
        match &result {
            Ok(()) => {
                metrics.policy_arrived(true);
                tracing::info!(version, "policy in force");
            }
            Err(error) => {
                metrics.policy_arrived(false);
                tracing::warn!(version, %error, "policy refused; the one before stays in force");
            }
        }
        result
    }

    async fn try_put(&self, policy: Arc<Policy>, version: &str) -> Result<(), UpdateError> {
        if policy.workload != self.plane.workload {
            let (theirs, ours) = (policy.workload.to_string(), self.plane.workload.to_string());
            return Err(UpdateError::OtherWorkload(theirs, ours));
        }
        // The lock is held to the end: one update at a time.
        let mut listeners = self.listeners.lock().await;
        let (before, pools) = (self.plane.current.load(), self.plane.pools.clone());
        let (text, name) = (policy.clone(), version.to_owned());
        let compiled =
            tokio::task::spawn_blocking(move || Active::compile(text, &name, Some(&before), &pools)).await;
        let mut active = compiled.map_err(|error| UpdateError::Broken(error.to_string()))??;
        if let Some(staged) = self.staged.get() {
            active = active.stage(staged.clone());
        }
        let wanted: Vec<Listener> = self.own.iter().chain(&policy.listeners).cloned().collect();
        let prepared = listeners.prepare(&wanted, &self.plane)?;
        for note in active.snapshot.enforced().notes() {
            tracing::info!(note, "the rule set asks for what has no effect here");
        }
        self.plane.current.store(active);
        listeners.open(prepared, &self.plane);
        drop(listeners);
        if let Some(state_dir) = &self.state_dir
            && let Err(error) = state_dir.keep_policy(&policy, version)
        {
            tracing::warn!(%error, "the policy is in force but could not be kept for a restart");
        }
        Ok(())
    }

    /// Names and addresses of open listeners.
    pub async fn addresses(&self) -> Vec<(String, std::net::SocketAddr)> {
        self.listeners.lock().await.addresses()
    }

    /// What the policy is put in force on.
    pub fn plane(&self) -> &Arc<Plane> {
        &self.plane
    }
}
