//! Tests of the module above.

use palisade_model::policy::{Cluster, UpstreamTls};
use palisade_model::{Policy, Protocol, WorkloadId};

use super::*;
use crate::snapshot::SnapshotCache;

fn web() -> WorkloadId {
    WorkloadId::local("shop", "web")
}

fn snapshot(clusters: &[&str]) -> Arc<Snapshot> {
    let clusters = clusters.iter().map(|name| Cluster {
        name: (*name).into(),
        endpoints: Vec::new(),
        protocol: Protocol::Http,
        tls: UpstreamTls::None,
    });
    let cache = SnapshotCache::new();
    cache.set_policy(&Policy { clusters: clusters.collect(), ..Policy::empty(web()) }).unwrap();
    cache.watch(&web()).borrow().clone().unwrap()
}

fn subscribe(kind: Kind, names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.type_url().into(),
        resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn answer(response: &DeltaDiscoveryResponse) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn drain(state: &mut StreamState) -> Vec<DeltaDiscoveryResponse> {
    std::iter::from_fn(|| state.next_response()).collect()
}

#[test]
fn a_change_is_sent_as_additions_then_the_manifest_then_removals() {
    let (one, two) = (snapshot(&["a", "b"]), snapshot(&["b", "c"]));
    let mut state = StreamState::new(web().to_string());
    state.on_request(subscribe(Kind::Cluster, &["*"]), Some(&one)).unwrap();
    state.on_request(subscribe(Kind::Manifest, &[&web().to_string()]), Some(&one)).unwrap();
    state.plan(Some(&one)).unwrap();
    let first = drain(&mut state);
    assert_eq!(first.len(), 2);
    // The manifest is not answered: nothing newer is sent.
    state.plan(Some(&two)).unwrap();
    assert!(!state.has_response());
    let events = state.on_request(answer(&first[1]), Some(&two)).unwrap();
    assert_eq!(events, [Event::Acked { version: one.version.clone() }]);

    state.plan(Some(&two)).unwrap();
    let responses = drain(&mut state);
    let kinds: Vec<_> = responses.iter().map(|r| Kind::from_type_url(&r.type_url).unwrap()).collect();
    assert_eq!(kinds, [Kind::Cluster, Kind::Manifest, Kind::Cluster]);
    assert_eq!(responses[0].resources.len(), 1);
    assert_eq!(responses[0].resources[0].name, "Cluster/shop/c");
    assert_eq!(responses[2].removed_resources, ["Cluster/shop/a"]);
}

#[test]
fn an_unsubscribed_resource_is_no_longer_sent_and_one_asked_for_again_is() {
    let one = snapshot(&["a", "b"]);
    let mut state = StreamState::new(web().to_string());
    state.on_request(subscribe(Kind::Cluster, &["Cluster/shop/a"]), Some(&one)).unwrap();
    state.plan(Some(&one)).unwrap();
    assert_eq!(drain(&mut state)[0].resources.len(), 1);
    state.on_request(subscribe(Kind::Cluster, &["Cluster/shop/a"]), Some(&one)).unwrap();
    state.plan(Some(&one)).unwrap();
    assert_eq!(drain(&mut state)[0].resources.len(), 1, "asked for again");
    let unsubscribe = DeltaDiscoveryRequest {
        type_url: Kind::Cluster.type_url().into(),
        resource_names_unsubscribe: vec!["Cluster/shop/a".into()],
        ..DeltaDiscoveryRequest::default()
    };
    state.on_request(unsubscribe, Some(&one)).unwrap();
    state.plan(Some(&one)).unwrap();
    assert!(!state.has_response());
}

#[test]
fn refusals_that_nobody_reads_close_the_stream_over_the_limit() {
    let mut state = StreamState::new(web().to_string());
    for at in 0..WAITING_REFUSALS {
        assert!(state.on_request(subscribe(Kind::Route, &["x"]), None).is_ok(), "{at}");
    }
    let error = state.on_request(subscribe(Kind::Route, &["x"]), None).unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    drain(&mut state);
    assert!(state.on_request(subscribe(Kind::Route, &["x"]), None).is_ok(), "they were read");
}

#[test]
fn initial_versions_count_only_in_the_first_request_of_a_type() {
    let one = snapshot(&["a"]);
    let version = one.fragments.values().next().unwrap().hash.clone();
    let mut request = subscribe(Kind::Cluster, &["*"]);
    request.initial_resource_versions = [("Cluster/shop/a".to_owned(), version)].into();
    let mut state = StreamState::new(web().to_string());
    state.on_request(subscribe(Kind::Cluster, &["Cluster/shop/a"]), Some(&one)).unwrap();
    state.on_request(request.clone(), Some(&one)).unwrap();
    state.plan(Some(&one)).unwrap();
    assert_eq!(drain(&mut state).len(), 1);

    let mut state = StreamState::new(web().to_string());
    state.on_request(request, Some(&one)).unwrap();
    state.plan(Some(&one)).unwrap();
    assert!(drain(&mut state).is_empty(), "it is held already");
}
