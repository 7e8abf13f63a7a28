//! The server's I/O: one task per stream.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ads::aggregated_discovery_service_server::AggregatedDiscoveryService;
use ads::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3 as ads;
use envoy_types::pb::google::protobuf::value;
use palisade_model::WorkloadId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Empty, Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::stream::{Event, StreamState};
use super::{Authorize, StatusSink};
use crate::client::FEATURES_FIELD;
use crate::kind::parse_workload;
use crate::limits::{FIRST_MESSAGE_SECONDS, NAME_BYTES};
use crate::snapshot::SnapshotCache;

/// Responses between the stream's task and the connection: one is on its way while the next is put together. A depth of
/// a queue, not a limit of what a peer may do: a response is only made once there is room for it.
const READY_RESPONSES: usize = 2;
/// Features of one sidecar that are kept.
const FEATURES: usize = 64;

/// The delta ADS service; made by [`super::service()`].
pub struct AdsService {
    cache: SnapshotCache,
    authorize: Arc<dyn Authorize>,
    sink: Arc<dyn StatusSink>,
}

impl std::fmt::Debug for AdsService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdsService").finish_non_exhaustive()
    }
}

impl AdsService {
    pub(super) fn new(
        cache: SnapshotCache,
        authorize: Arc<dyn Authorize>,
        sink: Arc<dyn StatusSink>,
    ) -> Self {
        Self { cache, authorize, sink }
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for AdsService {
    type StreamAggregatedResourcesStream = Empty<Result<DiscoveryResponse, Status>>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("only the delta variant is served"))
    }

    type DeltaAggregatedResourcesStream =
        Pin<Box<dyn Stream<Item = Result<DeltaDiscoveryResponse, Status>> + Send>>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (_, peer, mut requests) = request.into_parts();
        let first = first_message(&mut requests).await?;
        let node = first.node.clone().unwrap_or_default();
        let workload = parse_workload(&node.id).filter(|_| node.id.len() <= NAME_BYTES).ok_or_else(|| {
            Status::invalid_argument("the first message's node id is not cluster/tenant/namespace/name")
        })?;
        self.authorize.authorize(&peer, &workload)?;

        let (responses, stream) = mpsc::channel(READY_RESPONSES);
        let open = OpenStream {
            cache: self.cache.clone(),
            sink: self.sink.clone(),
            state: StreamState::new(workload.to_string()),
            workload,
        };
        tokio::spawn(async move {
            open.sink.connected(&open.workload, &features(&node));
            let mut open = open;
            if let Err(status) = open.serve(first, requests, &responses).await {
                tracing::info!(workload = %open.workload, %status, "stream of a sidecar ended");
                // The peer may be gone; then nobody reads the reason.
                let _ = responses.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// What says whose policy is asked for; it has to come in time.
async fn first_message(
    requests: &mut (impl Stream<Item = Result<DeltaDiscoveryRequest, Status>> + Unpin),
) -> Result<DeltaDiscoveryRequest, Status> {
    let wait = Duration::from_secs(FIRST_MESSAGE_SECONDS);
    let first = tokio::time::timeout(wait, requests.next()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("no first message"))?;
    first.unwrap_or_else(|| Err(Status::invalid_argument("no first message")))
}

/// A stream whose peer is known. Its drop says that it ended, whatever ended it.
struct OpenStream {
    cache: SnapshotCache,
    sink: Arc<dyn StatusSink>,
    state: StreamState,
    workload: WorkloadId,
}

impl OpenStream {
    async fn serve(
        &mut self,
        first: DeltaDiscoveryRequest,
        mut requests: Streaming<DeltaDiscoveryRequest>,
        responses: &mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
    ) -> Result<(), Status> {
        let mut snapshots = self.cache.watch(&self.workload);
        let mut request = Some(first);
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            if let Some(request) = request.take() {
                let events = self.state.on_request(request, snapshot.as_deref())?;
                self.report(events);
            }
            let confirmed = self.state.plan(snapshot.as_deref())?;
            self.report(confirmed.into_iter().collect());
            tokio::select! {
                permit = responses.reserve(), if self.state.has_response() => match permit {
                    Ok(permit) => if let Some(response) = self.state.next_response() {
                        permit.send(Ok(response));
                    },
                    Err(_) => return Ok(()),
                },
                message = requests.message() => match message? {
                    Some(message) => request = Some(message),
                    None => return Ok(()),
                },
                changed = snapshots.changed() => if changed.is_err() {
                    return Err(Status::unavailable("the control plane is shutting down"));
                },
                () = responses.closed() => return Ok(()),
            }
        }
    }

    fn report(&self, events: Vec<Event>) {
        let mut refused = events.iter().filter(|event| matches!(event, Event::Refused { .. }));
        if let Some(Event::Refused { name }) = refused.next() {
            let count = 1 + refused.count();
            tracing::warn!(workload = %self.workload, resource = name, count, "resources refused");
        }
        for event in events {
            match event {
                Event::Acked { version } => self.sink.acked(&self.workload, &version),
                Event::Nacked { version, error } => self.sink.nacked(&self.workload, &version, &error),
                Event::Refused { name } => self.sink.refused(&self.workload, &name),
            }
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.sink.disconnected(&self.workload);
        self.cache.release(&self.workload);
    }
}

/// What the sidecar says it can do.
fn features(node: &Node) -> Vec<String> {
    let list = node.metadata.as_ref().and_then(|metadata| metadata.fields.get(FEATURES_FIELD));
    let Some(value::Kind::ListValue(list)) = list.and_then(|value| value.kind.as_ref()) else {
        return Vec::new();
    };
    let texts = list.values.iter().filter_map(|value| match &value.kind {
        Some(value::Kind::StringValue(text)) if text.len() <= NAME_BYTES => Some(text.clone()),
        _ => None,
    });
    texts.take(FEATURES).collect()
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};
    use tonic::Code;

    use super::*;

    #[test]
    fn features_and_their_names_are_kept_up_to_their_limits() {
        let kept = |count: usize, bytes: usize| {
            let text = |_| Value { kind: Some(value::Kind::StringValue("f".repeat(bytes))) };
            let list = ListValue { values: (0..count).map(text).collect() };
            let value = Value { kind: Some(value::Kind::ListValue(list)) };
            let fields = [(FEATURES_FIELD.to_owned(), value)].into();
            features(&Node { metadata: Some(Struct { fields }), ..Node::default() }).len()
        };
        assert_eq!([FEATURES - 1, FEATURES, FEATURES + 1].map(|count| kept(count, 1)), [63, 64, 64]);
        assert_eq!([NAME_BYTES - 1, NAME_BYTES, NAME_BYTES + 1].map(|bytes| kept(2, bytes)), [2, 2, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_message_may_come_until_the_limit_and_not_after_it() {
        let limit = Duration::from_secs(FIRST_MESSAGE_SECONDS);
        let tick = Duration::from_millis(1);
        for (after, code) in
            [(Duration::ZERO, None), (limit - tick, None), (limit + tick, Some(Code::DeadlineExceeded))]
        {
            let (sender, requests) = mpsc::channel(1);
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                let _ = sender.send(Ok(DeltaDiscoveryRequest::default())).await;
            });
            let begun = tokio::time::Instant::now();
            let first = first_message(&mut ReceiverStream::new(requests)).await;
            assert_eq!(first.err().map(|status| status.code()), code, "{after:?}");
            assert_eq!(begun.elapsed(), after.min(limit));
        }
        let closed = first_message(&mut tokio_stream::empty()).await;
        assert_eq!(closed.unwrap_err().code(), Code::InvalidArgument);
    }
}
