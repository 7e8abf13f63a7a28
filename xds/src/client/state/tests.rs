//! Tests of the module above.
use envoy_types::pb::google::protobuf::Any;
use palisade_model::documents::{AuthorizationPolicy, AuthorizationPolicySpec, Metadata};
use proptest::prelude::*;

use super::*;

fn web() -> WorkloadId {
    WorkloadId::local("shop", "web")
}

fn policy(names: &[&str]) -> Policy {
    let authorization = names.iter().map(|name| AuthorizationPolicy {
        api_version: "security.istio.io/v1".into(),
        kind: "AuthorizationPolicy".into(),
        metadata: Metadata { name: (*name).into(), namespace: "shop".into(), ..Metadata::default() },
        spec: AuthorizationPolicySpec::default(),
    });
    Policy { authorization: authorization.collect(), ..Policy::empty(web()) }
}

fn responses(policy: &Policy) -> [ads::DeltaDiscoveryResponse; 2] {
    let (manifest, _, fragments) = split(policy).unwrap();
    [fragments, vec![manifest]].map(|resources| ads::DeltaDiscoveryResponse {
        type_url: resources[0].kind.type_url().into(),
        nonce: "n".into(),
        resources: resources
            .into_iter()
            .map(|encoded| ads::Resource {
                name: encoded.name,
                version: encoded.hash,
                resource: Some(Any { type_url: encoded.kind.type_url().into(), value: encoded.bytes }),
                ..ads::Resource::default()
            })
            .collect(),
        ..ads::DeltaDiscoveryResponse::default()
    })
}

fn state() -> ClientState {
    ClientState::new(web(), Vec::new(), None).unwrap()
}

#[test]
fn the_fragments_of_an_accepted_policy_are_not_held_twice() {
    let mut state = state();
    for response in responses(&policy(&["a", "b"])) {
        state.on_response(response);
    }
    assert_eq!(state.received.len(), 2);
    state.on_outcome(Ok(()));
    assert!(state.received.is_empty());
    assert_eq!(state.received_bytes, 0);

    // A policy that shares one of them is put together from what is in force and what came.
    let wanted = policy(&["b", "c"]);
    let [mut fragments, manifest] = responses(&wanted);
    fragments.resources.retain(|resource| resource.name.ends_with("/c"));
    state.on_response(fragments);
    let offer = state.on_response(manifest).offer.expect("it is complete");
    assert_eq!(*offer.policy, wanted);
}

#[test]
fn a_newer_manifest_waits_for_the_outcome_of_the_one_that_is_compiled() {
    let mut state = state();
    for response in responses(&policy(&["a"])) {
        state.on_response(response);
    }
    let second = policy(&["a", "b"]);
    for response in responses(&second) {
        let actions = state.on_response(response);
        assert!(actions.offer.is_none(), "one at a time");
    }
    let actions = state.on_outcome(Ok(()));
    assert_eq!(actions.requests.len(), 1, "the first is acknowledged");
    assert_eq!(*actions.offer.unwrap().policy, second);
}

#[test]
fn versions_in_the_first_request_are_bounded_below_at_and_over_the_budget() {
    let entry = |index: usize| (format!("{index:0>92}"), "v".repeat(100));
    let fits = INITIAL_VERSION_BYTES / 200;
    for (count, wanted) in [(fits - 1, fits - 1), (fits, fits), (fits + 1, fits)] {
        assert_eq!(within_budget((0..count).map(entry).collect()).count(), wanted);
    }
}

#[test]
fn what_is_held_is_bounded_under_at_and_over_the_limit() {
    for (free, taken) in [(1isize, true), (0, true), (-1, false)] {
        let mut state = state();
        let [fragments, _] = responses(&policy(&["a"]));
        let bytes = fragments.resources[0].resource.as_ref().unwrap().value.len();
        state.received_bytes = (POLICY_BYTES - bytes).checked_add_signed(-free).unwrap();
        let actions = state.on_response(fragments);
        assert_eq!(actions.requests[0].error_detail.is_none(), taken, "{free}");
    }
}

#[test]
fn resources_and_removals_of_a_response_are_bounded_under_at_and_over_the_limit() {
    let answer = |resources: usize, removals: usize| {
        let response = ads::DeltaDiscoveryResponse {
            type_url: Kind::Route.type_url().into(),
            resources: vec![ads::Resource::default(); resources],
            removed_resources: vec!["x".into(); removals],
            ..ads::DeltaDiscoveryResponse::default()
        };
        let error = state().on_response(response).requests.remove(0).error_detail;
        error.is_some_and(|status| status.message.contains("in one response"))
    };
    for (extra, over) in [(-1isize, false), (0, false), (1, true)] {
        assert_eq!(answer(RESPONSE_RESOURCES.checked_add_signed(extra).unwrap(), 0), over);
        assert_eq!(answer(0, FRAGMENTS.checked_add_signed(extra).unwrap()), over);
    }
}

#[test]
fn a_reported_error_is_cut_over_its_limit() {
    use crate::limits::ERROR_BYTES;
    for (bytes, kept) in
        [(ERROR_BYTES - 1, ERROR_BYTES - 1), (ERROR_BYTES, ERROR_BYTES), (ERROR_BYTES + 1, ERROR_BYTES)]
    {
        assert_eq!(request::cut("x".repeat(bytes)).len(), kept);
    }
    assert_eq!(request::cut(format!("x{}", "ü".repeat(ERROR_BYTES))).len(), ERROR_BYTES - 1);
}

/// What a hostile or broken server may send, built from few names so that events meet.
fn response() -> impl Strategy<Value = ads::DeltaDiscoveryResponse> {
    let good =
        [responses(&policy(&["a", "b"])), responses(&policy(&["a"])), responses(&policy(&["c"]))].concat();
    let kind = prop::sample::select(vec![Kind::Manifest, Kind::AuthorizationPolicy, Kind::Route]);
    let name = prop::sample::select(vec!["default/default/shop/web", "AuthorizationPolicy/shop/a", "x", ""]);
    let bytes = prop::collection::vec(any::<u8>(), 0..20);
    (prop::sample::select(good), kind, name, bytes, 0u8..8).prop_map(
        |(mut response, kind, name, bytes, how)| {
            match how {
                0 => response.type_url = kind.type_url().into(),
                1 => response.resources[0].name = name.into(),
                2 => response.resources[0].version = name.into(),
                3 => response.resources[0].resource = None,
                4 => response.resources[0].resource.as_mut().unwrap().value = bytes,
                5 => response.removed_resources = vec![name.into()],
                _ => {}
            }
            response
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_a_server_sends_only_an_accepted_offer_changes_the_version(
        steps in prop::collection::vec((response(), 0u8..6), 1..30),
    ) {
        let mut state = state();
        state.on_connected();
        for (response, then) in steps {
            let before = state.version().map(str::to_owned);
            let answered = response.nonce.clone();
            let actions = state.on_response(response);
            prop_assert!(actions.requests.iter().all(|request| request.response_nonce == answered));
            prop_assert_eq!(state.version(), before.as_deref());
            match then {
                0 => { state.on_outcome(Ok(())); }
                1 => {
                    state.on_outcome(Err("no".into()));
                    prop_assert_eq!(state.version(), before.as_deref());
                }
                2 => { state.on_connected(); }
                3 => { state.on_completion_timeout(); }
                _ => {}
            }
            let held: usize = state.received.values().map(|received| received.bytes).sum();
            prop_assert_eq!(held, state.received_bytes);
            if let Some(accepted) = &state.accepted {
                prop_assert_eq!(&split(&accepted.policy).unwrap().1, &accepted.version);
            }
        }
    }
}
