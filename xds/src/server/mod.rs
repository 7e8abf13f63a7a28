//! The control plane's end: a delta ADS service over a [`SnapshotCache`].
//!
//! Promises: a sidecar is served only its own workload's manifest and the fragments that manifest names; whatever
//! else it asks for is refused by name and counted. Fragments are sent before the manifest that names them, removals
//! after it. While a manifest is neither acknowledged nor refused, nothing newer is pushed on its stream, so a slow
//! sidecar skips versions instead of queueing them. It does not know certificates: [`Authorize`] does.

mod service;
pub(crate) mod stream;

use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use palisade_model::WorkloadId;
use tonic::{Extensions, Status};

use crate::limits::REQUEST_BYTES;
use crate::snapshot::SnapshotCache;

pub use service::AdsService;

/// Decides whose policy a peer may have.
pub trait Authorize: Send + Sync + 'static {
    /// `peer` are the extensions of the gRPC request (the TLS connection's certificate is in them); `claimed` is the
    /// workload the peer says it is, which proves nothing. `Ok` only if the peer may speak for `claimed`.
    fn authorize(&self, peer: &Extensions, claimed: &WorkloadId) -> Result<(), Status>;
}

impl<F> Authorize for F
where
    F: Fn(&Extensions, &WorkloadId) -> Result<(), Status> + Send + Sync + 'static,
{
    fn authorize(&self, peer: &Extensions, claimed: &WorkloadId) -> Result<(), Status> {
        self(peer, claimed)
    }
}

/// Is told what becomes of policies. Called from the stream's task: it must not block.
pub trait StatusSink: Send + Sync + 'static {
    /// A sidecar of `workload` opened a stream; `features` is what it can do.
    fn connected(&self, workload: &WorkloadId, features: &[String]);
    /// It enforces `version`.
    fn acked(&self, workload: &WorkloadId, version: &str);
    /// It refused `version`, or a fragment of it, and keeps what it had. `error` is the peer's text, bounded.
    fn nacked(&self, workload: &WorkloadId, version: &str, error: &str);
    /// It asked for `resource`, which is not its own. The name is the peer's text, bounded.
    fn refused(&self, workload: &WorkloadId, resource: &str);
    /// The stream ended.
    fn disconnected(&self, workload: &WorkloadId);
}

/// The service, for a tonic server. Message sizes are bounded by [`crate::limits`].
pub fn service(
    cache: SnapshotCache,
    authorize: Arc<dyn Authorize>,
    sink: Arc<dyn StatusSink>,
) -> AggregatedDiscoveryServiceServer<AdsService> {
    AggregatedDiscoveryServiceServer::new(AdsService::new(cache, authorize, sink))
        .max_decoding_message_size(REQUEST_BYTES)
}
