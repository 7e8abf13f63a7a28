//! The client against servers that speak the protocol by hand.

use std::net::SocketAddr;
use std::pin::Pin;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use envoy_types::pb::google::protobuf::Any;
use palisade_xds::{Kind, limits};
use sha2::Digest;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Empty, Stream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::stage::*;

type Stream2<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// One stream of a client, in the test's hands.
struct Raw {
    requests: Streaming<DeltaDiscoveryRequest>,
    responses: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
}

struct ByHand(mpsc::Sender<Raw>);

#[tonic::async_trait]
impl AggregatedDiscoveryService for ByHand {
    type StreamAggregatedResourcesStream = Empty<Result<DiscoveryResponse, Status>>;
    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented(""))
    }

    type DeltaAggregatedResourcesStream = Stream2<DeltaDiscoveryResponse>;
    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (responses, stream) = mpsc::channel(32);
        let _ = self.0.send(Raw { requests: request.into_inner(), responses }).await;
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

async fn by_hand() -> (SocketAddr, mpsc::Receiver<Raw>, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, streams) = mpsc::channel(4);
    let task = tokio::spawn(async move {
        let service = AggregatedDiscoveryServiceServer::new(ByHand(sender));
        let _ = Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await;
    });
    (address, streams, task)
}

impl Raw {
    async fn request(&mut self) -> DeltaDiscoveryRequest {
        within(self.requests.message()).await.unwrap().expect("the client is there")
    }

    /// Sends a response and gives the client's answer: none for ACK, else the reason.
    async fn judge(&mut self, mut response: DeltaDiscoveryResponse, nonce: &str) -> Option<String> {
        response.nonce = nonce.into();
        self.responses.send(Ok(response)).await.unwrap();
        self.answer(nonce).await
    }

    async fn answer(&mut self, nonce: &str) -> Option<String> {
        let request = self.request().await;
        assert_eq!(request.response_nonce, nonce);
        request.error_detail.map(|status| status.message)
    }
}

fn response(kind: Kind, name: &str, version: &str, type_url: &str, value: Vec<u8>) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        type_url: kind.type_url().into(),
        resources: vec![Resource {
            name: name.into(),
            version: version.into(),
            resource: Some(Any { type_url: type_url.into(), value }),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A real server's responses for `policy`, to be replayed and damaged: one of fragments, one of the manifest.
async fn real_responses(count: usize, revision: usize) -> (DeltaDiscoveryResponse, DeltaDiscoveryResponse) {
    use envoy_types::pb::envoy::config::core::v3::Node;
    use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
    let stage = Stage::new().await;
    stage.cache.set_policy(&policy(count, revision)).unwrap();
    let subscribe = |kind: Kind, name: String| DeltaDiscoveryRequest {
        node: Some(Node { id: web().to_string(), ..Default::default() }),
        type_url: kind.type_url().into(),
        resource_names_subscribe: vec![name],
        ..Default::default()
    };
    let requests =
        [subscribe(Kind::AuthorizationPolicy, "*".into()), subscribe(Kind::Manifest, web().to_string())];
    let mut client = AggregatedDiscoveryServiceClient::new(stage.channel().await);
    let stream = tokio_stream::StreamExt::chain(tokio_stream::iter(requests), tokio_stream::pending());
    let mut responses = client.delta_aggregated_resources(stream).await.unwrap().into_inner();
    let fragments = within(responses.message()).await.unwrap().unwrap();
    let manifest = within(responses.message()).await.unwrap().unwrap();
    (fragments, manifest)
}

#[tokio::test]
async fn the_first_requests_say_who_asks_what_it_can_do_and_the_manifest_comes_last() {
    let (address, mut streams, task) = by_hand().await;
    let _sidecar = Sidecar::new(address, &web(), Some(policy(2, 0).into()));
    let mut raw = within(streams.recv()).await.unwrap();
    let first = raw.request().await;
    let node = first.node.unwrap();
    assert_eq!(node.id, web().to_string());
    assert!(format!("{:?}", node.metadata).contains("authorization/v1"));
    let mut last = None;
    let mut versions = first.initial_resource_versions.len();
    for _ in 0..Kind::FRAGMENTS.len() {
        let request = raw.request().await;
        versions += request.initial_resource_versions.len();
        last = Some(request);
    }
    let last = last.unwrap();
    assert_eq!(last.type_url, Kind::Manifest.type_url());
    assert_eq!(last.resource_names_subscribe, [web().to_string()]);
    assert_eq!(versions, 3, "two fragments and the manifest are held");
    task.abort();
}

#[tokio::test]
async fn malformed_resources_are_a_nack_that_names_them_and_the_stream_goes_on() {
    let (address, mut streams, task) = by_hand().await;
    let mut sidecar = Sidecar::new(address, &web(), None);
    let mut raw = within(streams.recv()).await.unwrap();
    for _ in 0..=Kind::FRAGMENTS.len() {
        raw.request().await;
    }
    let (fragments, manifest) = real_responses(1, 0).await;
    let good = fragments.resources[0].clone();
    let value = good.resource.clone().unwrap().value;
    let own = Kind::AuthorizationPolicy;
    let url = own.type_url();

    let mut unknown = fragments.clone();
    unknown.type_url = "type.googleapis.com/palisade.v9.Policy".into();
    let mut no_content = fragments.clone();
    no_content.resources[0].resource = None;
    let mut too_many = fragments.clone();
    too_many.resources = vec![good.clone(); limits::RESPONSE_RESOURCES + 1];
    let garbage = vec![0xff; 40];
    let digest = sha2::Sha256::digest(&garbage);
    let garbage_hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let long = "n".repeat(limits::NAME_BYTES + 1);
    let cases = [
        (unknown, "palisade.v9.Policy"),
        (no_content, "has no content"),
        (too_many, "resources in one response"),
        (response(own, &good.name, &good.version, "type.googleapis.com/x.Y", value.clone()), "x.Y"),
        (response(own, &good.name, "0000", url, value.clone()), "content hash"),
        (response(own, &good.name, &garbage_hash, url, garbage), "malformed"),
        (response(own, "AuthorizationPolicy/shop/other", &good.version, url, value.clone()), "is named"),
        (response(own, &long, &good.version, url, value.clone()), "too long"),
        (response(Kind::Route, &good.name, &good.version, Kind::Route.type_url(), value.clone()), "policy-0"),
        (
            response(Kind::Manifest, "default/default/shop/other", "1", url, value.clone()),
            "only the manifest",
        ),
        (
            response(Kind::Manifest, &web().to_string(), "1", Kind::Manifest.type_url(), vec![0xff]),
            "malformed",
        ),
    ];
    for (index, (response, word)) in cases.into_iter().enumerate() {
        let reason = raw.judge(response, &format!("bad-{index}")).await.unwrap_or_else(|| panic!("{word}"));
        assert!(reason.contains(word), "{word:?} is not in {reason:?}");
        assert!(reason.len() <= limits::ERROR_BYTES);
    }
    let mut two = manifest.clone();
    two.resources.push(two.resources[0].clone());
    assert!(raw.judge(two, "two").await.is_some());

    // After all of that the good policy is taken.
    assert_eq!(raw.judge(fragments, "good").await, None);
    let mut manifest = manifest;
    manifest.nonce = "manifest".into();
    raw.responses.send(Ok(manifest)).await.unwrap();
    let update = sidecar.update().await;
    assert_eq!(*update.policy, policy(1, 0));
    update.accept();
    assert_eq!(raw.answer("manifest").await, None);
    task.abort();
}

#[tokio::test]
async fn a_manifest_before_its_fragments_waits_for_them_and_one_without_them_is_refused_in_time() {
    let (address, mut streams, task) = by_hand().await;
    let mut sidecar = Sidecar::new(address, &web(), None);
    let mut raw = within(streams.recv()).await.unwrap();
    for _ in 0..=Kind::FRAGMENTS.len() {
        raw.request().await;
    }
    let (fragments, manifest) = real_responses(2, 0).await;
    // Never completed: refused when its time is over, with the name of what is missing.
    let reason = raw.judge(manifest.clone(), "alone").await.unwrap();
    assert!(reason.contains("AuthorizationPolicy/shop/policy-0"), "{reason}");
    assert!(sidecar.updates.try_recv().is_err());

    // A damaged fragment dooms the manifest that names it.
    let mut damaged = fragments.clone();
    damaged.resources[1].resource.as_mut().unwrap().value.push(0);
    assert!(raw.judge(damaged, "damaged").await.is_some());
    let reason = raw.judge(manifest.clone(), "doomed").await.unwrap();
    assert!(reason.contains("content hash"), "{reason}");

    assert_eq!(raw.judge(fragments, "whole").await, None);
    let mut manifest = manifest;
    manifest.nonce = "again".into();
    raw.responses.send(Ok(manifest)).await.unwrap();
    sidecar.update().await.accept();
    assert_eq!(raw.answer("again").await, None);
    task.abort();
}
