//! The sidecar's end: one delta ADS stream that yields complete policies and reports what became of them.
//!
//! ```text
//!   Client::run ── PolicyUpdate ──▶ compile off the data path ── accept() / reject(reason) ──▶ ACK / NACK
//! ```
//! Promises: it reconnects with backoff and jitter for ever; after a reconnect only differences are sent; an update
//! that is dropped without an answer is a rejection. It does not compile, keep anything on disk, or make channels:
//! the caller's closure is asked for one for each connection, so that it can use the current SVID. The caller sets
//! connect timeout and HTTP/2 keep-alive on it.

mod backoff;
mod driver;
mod request;
pub(crate) mod state;

use std::sync::Arc;
use std::time::Duration;

use palisade_model::{Policy, WorkloadId};
use tokio::sync::{oneshot, watch};

use crate::error::WireError;
use crate::limits::COMPLETION_SECONDS;
use state::ClientState;

pub(crate) use request::{FEATURES_FIELD, cut};

/// A policy that arrived whole. It must be answered; dropping it rejects it.
#[derive(Debug)]
pub struct PolicyUpdate {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Its content hash.
    pub version: String,
    answer: oneshot::Sender<Outcome>,
}

/// What became of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is enforced.
    Accepted,
    /// It is not, and why; at most [`crate::limits::ERROR_BYTES`] are reported.
    Rejected(String),
}

impl PolicyUpdate {
    /// It is enforced from now on: ACK.
    pub fn accept(self) {
        self.answer(Outcome::Accepted);
    }

    /// It is not enforced, the one before stays: NACK.
    pub fn reject(self, reason: impl Into<String>) {
        self.answer(Outcome::Rejected(reason.into()));
    }

    /// Accepts or rejects.
    pub fn answer(self, outcome: Outcome) {
        // The client may have ended; then nobody asks.
        let _ = self.answer.send(outcome);
    }
}

/// What the admin shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientStatus {
    /// Whether a stream is open and has answered.
    pub connected: bool,
    /// The version in force.
    pub version: Option<String>,
    /// The version that was last rejected, and why; none once a later one was accepted.
    pub rejected: Option<(String, String)>,
    /// Why the last connection ended.
    pub last_error: Option<String>,
    /// Whether the control plane has no policy for this workload any more; the last good one stays in force.
    pub withdrawn: bool,
}

/// Times of the client.
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions {
    /// The first wait after a lost connection.
    pub backoff_min: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// How long a manifest may wait for its fragments.
    pub completion: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            // A control plane that restarts is back in a second; 10,000 sidecars must not come at once (jitter).
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            completion: Duration::from_secs(COMPLETION_SECONDS),
        }
    }
}

/// The client of one workload; see [`Client::run`].
#[derive(Debug)]
pub struct Client {
    state: ClientState,
    options: ClientOptions,
    status: watch::Sender<ClientStatus>,
    answer: Option<oneshot::Receiver<Outcome>>,
    offer: Option<state::Offer>,
}

impl Client {
    /// A client of `workload`'s policy. `last_good` is what is enforced already: it is not asked for again, and not
    /// offered again.
    ///
    /// Fails if the workload's name cannot be sent, or `last_good` is not its policy.
    pub fn new(
        workload: WorkloadId,
        last_good: Option<Arc<Policy>>,
        options: ClientOptions,
    ) -> Result<Self, WireError> {
        let features = palisade_model::policy::FEATURES.map(str::to_owned).to_vec();
        Self::with_features(workload, features, last_good, options)
    }

    /// A client that advertises other features than this version's (for tests of version skew).
    pub fn with_features(
        workload: WorkloadId,
        features: Vec<String>,
        last_good: Option<Arc<Policy>>,
        options: ClientOptions,
    ) -> Result<Self, WireError> {
        if crate::kind::parse_workload(&workload.to_string()).as_ref() != Some(&workload) {
            return Err(WireError::inconsistent(
                workload.to_string(),
                "cluster, tenant, namespace and name must be there and without a slash",
            ));
        }
        let state = ClientState::new(workload, features, last_good)?;
        let status = ClientStatus { version: state.version().map(str::to_owned), ..Default::default() };
        Ok(Self { state, options, status: watch::Sender::new(status), answer: None, offer: None })
    }

    /// The client's status from now on.
    pub fn status(&self) -> watch::Receiver<ClientStatus> {
        self.status.subscribe()
    }
}
