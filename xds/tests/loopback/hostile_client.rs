//! The server against clients that speak the protocol by hand.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, ResourceLocator,
};
use palisade_model::WorkloadId;
use palisade_xds::{Kind, limits};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::stage::*;

struct Raw {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl Raw {
    async fn open(stage: &Stage, first: DeltaDiscoveryRequest) -> Result<Self, Status> {
        let (requests, stream) = mpsc::channel(32);
        requests.send(first).await.unwrap();
        let mut client = AggregatedDiscoveryServiceClient::new(stage.channel().await)
            .max_decoding_message_size(limits::RESPONSE_BYTES);
        let responses =
            within(client.delta_aggregated_resources(ReceiverStream::new(stream))).await?.into_inner();
        Ok(Self { requests, responses })
    }

    async fn send(&self, request: DeltaDiscoveryRequest) {
        self.requests.send(request).await.unwrap();
    }

    async fn next(&mut self) -> Result<DeltaDiscoveryResponse, Status> {
        within(self.responses.message()).await.map(|message| message.expect("the stream is open"))
    }

    async fn ack(&self, response: &DeltaDiscoveryResponse) {
        self.send(DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..Default::default()
        })
        .await;
    }
}

fn node() -> Option<Node> {
    Some(Node { id: web().to_string(), ..Default::default() })
}

fn subscribe(kind: Kind, names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        node: node(),
        type_url: kind.type_url().into(),
        resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn changing_one_of_a_thousand_fragments_sends_one_fragment_and_then_the_manifest() {
    let mut stage = Stage::new().await;
    stage.cache.set_policy(&policy(1000, 0)).unwrap();
    let mut raw = Raw::open(&stage, subscribe(Kind::AuthorizationPolicy, &["*"])).await.unwrap();
    let mut got = 0;
    while got < 1000 {
        let response = raw.next().await.unwrap();
        got += response.resources.len();
        raw.ack(&response).await;
    }
    raw.send(subscribe(Kind::Manifest, &[&web().to_string()])).await;
    let manifest = raw.next().await.unwrap();
    assert_eq!(manifest.type_url, Kind::Manifest.type_url());
    raw.ack(&manifest).await;
    assert!(matches!(stage.next_status().await, Seen::Acked(_)));

    stage.cache.set_policy(&policy(1000, 1)).unwrap();
    let fragment = raw.next().await.unwrap();
    let names: Vec<_> = fragment.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["AuthorizationPolicy/shop/policy-0"]);
    assert_eq!(raw.next().await.unwrap().type_url, Kind::Manifest.type_url());
}

#[tokio::test]
async fn a_reconnect_with_versions_is_sent_only_what_changed_and_what_is_gone() {
    let stage = Stage::new().await;
    stage.cache.set_policy(&policy(10, 0)).unwrap();
    let mut raw = Raw::open(&stage, subscribe(Kind::AuthorizationPolicy, &["*"])).await.unwrap();
    let all = raw.next().await.unwrap();
    assert_eq!(all.resources.len(), 10);
    drop(raw);

    stage.cache.set_policy(&policy(9, 1)).unwrap();
    let mut again = subscribe(Kind::AuthorizationPolicy, &["*"]);
    again.initial_resource_versions =
        all.resources.iter().map(|resource| (resource.name.clone(), resource.version.clone())).collect();
    let mut raw = Raw::open(&stage, again).await.unwrap();
    let changed = raw.next().await.unwrap();
    assert_eq!(changed.resources.len(), 1);
    assert_eq!(changed.resources[0].name, "AuthorizationPolicy/shop/policy-0");
    assert!(changed.removed_resources.is_empty());
    let removed = raw.next().await.unwrap();
    assert!(removed.resources.is_empty());
    assert_eq!(removed.removed_resources, ["AuthorizationPolicy/shop/policy-9"]);
}

#[tokio::test]
async fn resources_of_another_workload_are_refused_by_name_and_counted() {
    let mut stage = Stage::new().await;
    let other = WorkloadId::local("shop", "payments");
    let mut foreign = policy(1, 0);
    foreign.workload = other.clone();
    foreign.authorization = vec![authorization("secret", 0)];
    stage.cache.set_policy(&foreign).unwrap();
    stage.cache.set_policy(&policy(1, 0)).unwrap();

    let asked = ["AuthorizationPolicy/shop/secret", "AuthorizationPolicy/shop/policy-0"];
    let mut raw = Raw::open(&stage, subscribe(Kind::AuthorizationPolicy, &asked)).await.unwrap();
    raw.send(subscribe(Kind::Manifest, &[&other.to_string(), "*"])).await;
    raw.send(DeltaDiscoveryRequest {
        type_url: "type.googleapis.com/envoy.config.cluster.v3.Cluster".into(),
        resource_names_subscribe: vec!["anything".into()],
        ..Default::default()
    })
    .await;
    let mut served = Vec::new();
    let mut refused = Vec::new();
    while served.is_empty() || refused.len() < 4 {
        let response = raw.next().await.unwrap();
        served.extend(response.resources.into_iter().map(|resource| resource.name));
        for error in response.resource_errors {
            assert_eq!(error.error_detail.unwrap().code, Code::PermissionDenied as i32);
            let name = error.resource_name.unwrap().name;
            assert!(response.removed_resources.contains(&name));
            refused.push(name);
        }
    }
    assert_eq!(served, ["AuthorizationPolicy/shop/policy-0"]);
    let wanted = ["AuthorizationPolicy/shop/secret", &other.to_string(), "*", "anything"];
    assert_eq!(refused, wanted);
    for name in wanted {
        assert_eq!(stage.next_status().await, Seen::Refused(name.into()));
    }
}

#[tokio::test]
async fn large_policies_come_in_several_responses_each_within_the_limit() {
    let stage = Stage::new().await;
    let mut large = policy(40, 0);
    for policy in &mut large.authorization {
        policy.metadata.annotations.insert("padding".into(), "x".repeat(100 * 1024));
    }
    stage.cache.set_policy(&large).unwrap();
    let mut raw = Raw::open(&stage, subscribe(Kind::AuthorizationPolicy, &["*"])).await.unwrap();
    let (mut got, mut responses) = (0, 0);
    while got < 40 {
        let response = raw.next().await.unwrap();
        let bytes: usize =
            response.resources.iter().map(|resource| resource.resource.as_ref().unwrap().value.len()).sum();
        assert!(bytes <= limits::RESPONSE_TARGET_BYTES, "{bytes}");
        got += response.resources.len();
        responses += 1;
        raw.ack(&response).await;
    }
    assert_eq!((got, responses), (40, 4));
}

#[tokio::test]
async fn a_stale_or_invented_nonce_acknowledges_nothing() {
    let mut stage = Stage::new().await;
    let version = stage.cache.set_policy(&policy(1, 0)).unwrap();
    let mut raw = Raw::open(&stage, subscribe(Kind::Manifest, &[&web().to_string()])).await.unwrap();
    let manifest = raw.next().await.unwrap();
    for nonce in ["", "0", "999", "-1", "x"] {
        let mut forged = manifest.clone();
        forged.nonce = nonce.into();
        raw.ack(&forged).await;
    }
    raw.ack(&manifest).await;
    raw.ack(&manifest).await;
    raw.send(subscribe(Kind::Manifest, &["marker"])).await;
    assert_eq!(stage.next_status().await, Seen::Acked(version));
    assert_eq!(stage.next_status().await, Seen::Refused("marker".into()));
}

#[tokio::test]
async fn malformed_first_messages_close_the_stream_with_a_reason() {
    let stage = Stage::new().await;
    for id in ["", "web", "a/b/c", "a/b/c/d/e", "a//c/d"] {
        let mut first = subscribe(Kind::Manifest, &["*"]);
        first.node = Some(Node { id: id.into(), ..Default::default() });
        let error = Raw::open(&stage, first).await.err().expect("it must be refused");
        assert_eq!(error.code(), Code::InvalidArgument, "{id:?}");
    }
    let mut first = subscribe(Kind::Manifest, &["*"]);
    first.node = None;
    assert_eq!(Raw::open(&stage, first).await.err().unwrap().code(), Code::InvalidArgument);
    let mut first = subscribe(Kind::Manifest, &["*"]);
    first.node = Some(Node { id: "default/default/shop/stranger".into(), ..Default::default() });
    assert_eq!(Raw::open(&stage, first).await.err().unwrap().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn what_is_over_a_limit_or_not_served_closes_the_stream() {
    let stage = Stage::new().await;
    let long = "x".repeat(limits::NAME_BYTES + 1);
    let many: Vec<String> = (0..=limits::REQUEST_NAMES).map(|index| index.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut locator = subscribe(Kind::Manifest, &[]);
    locator.resource_locators_subscribe = vec![ResourceLocator::default()];
    for (request, code) in [
        (subscribe(Kind::Route, &[&long]), Code::ResourceExhausted),
        (subscribe(Kind::Route, &many), Code::ResourceExhausted),
        (locator, Code::Unimplemented),
    ] {
        let mut raw = Raw::open(&stage, request).await.unwrap();
        assert_eq!(raw.next().await.unwrap_err().code(), code);
    }
    // At the limits it is only refused by name.
    let mut raw = Raw::open(&stage, subscribe(Kind::Route, &many[1..])).await.unwrap();
    assert_eq!(raw.next().await.unwrap().resource_errors.len(), limits::REQUEST_NAMES);
    raw.send(subscribe(Kind::Route, &[&long[1..]])).await;
    assert_eq!(raw.next().await.unwrap().removed_resources, [&long[1..]]);

    let huge = "x".repeat(limits::REQUEST_BYTES);
    let error = match Raw::open(&stage, subscribe(Kind::Route, &[&huge])).await {
        Err(error) => error,
        Ok(mut raw) => raw.next().await.unwrap_err(),
    };
    assert_eq!(error.code(), Code::OutOfRange, "{error}");
}

#[tokio::test]
async fn responses_that_are_never_answered_close_the_stream() {
    let stage = Stage::new().await;
    let mut raw = Raw::open(&stage, subscribe(Kind::Route, &["first"])).await.unwrap();
    let mut answered = 0;
    let error = loop {
        // Each refusal is read, none is acknowledged.
        match raw.next().await {
            Ok(_) => answered += 1,
            Err(error) => break error,
        }
        let _ = raw.requests.send(subscribe(Kind::Route, &["again"])).await;
    };
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    assert_eq!(answered, limits::OUTSTANDING_RESPONSES);
}

#[tokio::test]
async fn the_state_of_the_world_variant_is_not_served() {
    let stage = Stage::new().await;
    let mut client = AggregatedDiscoveryServiceClient::new(stage.channel().await);
    let requests = tokio_stream::once(DiscoveryRequest::default());
    let error = client.stream_aggregated_resources(requests).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
}
