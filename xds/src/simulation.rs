//! Client and server state machines against each other in memory, under random events: whatever happens on the way,
//! the client ends with the policy that is served.

use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use palisade_model::policy::{Cluster, Route, UpstreamTls, WeightedCluster};
use palisade_model::{Policy, Protocol, WorkloadId};
use proptest::prelude::*;

use crate::client::state::{Actions, ClientState, Offer};
use crate::server::stream::{Event, StreamState};
use crate::snapshot::SnapshotCache;

fn web() -> WorkloadId {
    WorkloadId::local("shop", "web")
}

/// Clusters by their bits, each with one of two contents, and a route to the first.
fn policy(bits: u8, content: u8) -> Policy {
    let names = (0..4).filter(|bit| bits & (1 << bit) != 0);
    let clusters: Vec<_> = names
        .map(|bit| Cluster {
            name: bit.to_string(),
            endpoints: Vec::new(),
            protocol: if content & (1 << bit) != 0 { Protocol::Http } else { Protocol::Http2 },
            tls: UpstreamTls::None,
        })
        .collect();
    let routes = clusters.iter().take(1).map(|cluster| Route {
        name: "r".into(),
        listeners: Vec::new(),
        hosts: Vec::new(),
        ports: Vec::new(),
        matches: Vec::new(),
        backends: vec![WeightedCluster { cluster: cluster.name.clone(), weight: 1 }],
        timeout_ms: None,
    });
    Policy { routes: routes.collect(), clusters, ..Policy::empty(web()) }
}

struct World {
    cache: SnapshotCache,
    client: ClientState,
    server: StreamState,
    offer: Option<Offer>,
    accepted: Option<Arc<Policy>>,
    acked: Vec<String>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            cache: SnapshotCache::new(),
            client: ClientState::new(web(), Vec::new(), None).unwrap(),
            server: StreamState::new(web().to_string()),
            offer: None,
            accepted: None,
            acked: Vec::new(),
        };
        world.connect();
        world
    }

    fn connect(&mut self) {
        self.server = StreamState::new(web().to_string());
        let requests = self.client.on_connected();
        self.request(requests);
    }

    fn request(&mut self, requests: Vec<DeltaDiscoveryRequest>) {
        let snapshot = self.cache.watch(&web()).borrow().clone();
        for request in requests {
            for event in self.server.on_request(request, snapshot.as_deref()).unwrap() {
                self.note(event);
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Acked { version } => self.acked.push(version),
            Event::Nacked { .. } => {}
            Event::Refused { name } => panic!("{name} is the client's own"),
        }
    }

    /// One response from server to client, if there is one.
    fn step(&mut self) -> bool {
        let snapshot = self.cache.watch(&web()).borrow().clone();
        if let Some(event) = self.server.plan(snapshot.as_deref()).unwrap() {
            self.note(event);
        }
        let Some(response) = self.server.next_response() else { return false };
        let actions = self.client.on_response(response);
        self.take(actions);
        true
    }

    fn take(&mut self, actions: Actions) {
        if actions.offer.is_some() {
            self.offer = actions.offer;
        }
        self.request(actions.requests);
    }

    fn answer(&mut self, accept: bool) -> bool {
        let Some(offer) = self.offer.take() else { return false };
        if accept {
            self.accepted = Some(offer.policy);
        }
        let actions = self.client.on_outcome(if accept { Ok(()) } else { Err("no".into()) });
        self.take(actions);
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_happens_on_the_way_the_client_ends_with_what_is_served(
        events in prop::collection::vec((0u8..10, any::<u8>(), any::<u8>()), 0..60),
        last in (any::<u8>(), any::<u8>()),
    ) {
        let mut world = World::new();
        for (event, bits, content) in events {
            match event {
                0 | 1 => { world.cache.set_policy(&policy(bits, content)).unwrap(); }
                2 => world.cache.remove_policy(&web()),
                3 => world.connect(),
                4 => { world.answer(false); }
                5 => { world.answer(true); }
                _ => { world.step(); }
            }
            // What is enforced is always a whole policy somebody served, with the version the client says.
            if let Some(accepted) = &world.accepted {
                let version = crate::snapshot::split(accepted).unwrap().1;
                prop_assert_eq!(world.client.version(), Some(version.as_str()));
            }
        }
        // A policy that was rejected is not sent again on the same stream: a new one ends that.
        world.connect();
        let wanted = policy(last.0, last.1);
        let version = world.cache.set_policy(&wanted).unwrap();
        while world.step() || world.answer(true) {}
        prop_assert!(!world.client.incomplete());
        prop_assert_eq!(world.accepted.as_deref(), Some(&wanted));
        prop_assert_eq!(world.acked.last(), Some(&version));
    }
}
