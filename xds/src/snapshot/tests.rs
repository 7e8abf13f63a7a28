//! Tests of the module above.
use std::collections::BTreeMap;

use palisade_model::audit::AuditEngine;
use palisade_model::documents::*;
use palisade_model::policy::{
    ClientAddress, Cluster, Endpoint, HeaderMatch, Listener, ListenerRole, PathMatch, Route, RouteMatch,
    UpstreamTls, WeightedCluster,
};
use palisade_model::{Limits, Policy, Protocol, WorkloadId};
use proptest::prelude::*;

use super::*;
use crate::convert::FragmentRef;
use crate::fragment::{Fragment, decode, decode_manifest};
use crate::limits::{FRAGMENT_BYTES, FRAGMENTS};

/// A policy with every kind of fragment and every variant of every enum.
pub(crate) fn full_policy(workload: WorkloadId) -> Policy {
    let metadata = |name: &str| Metadata {
        name: name.into(),
        namespace: workload.namespace.clone(),
        labels: BTreeMap::from([("a".into(), "1".into()), ("b".into(), "2".into())]),
        annotations: BTreeMap::from([("note".into(), "ü".into())]),
    };
    let text = |text: &str| vec![text.to_owned(), format!("{text}2")];
    let rule = Rule {
        from: vec![palisade_model::documents::From {
            source: Source {
                principals: text("td/ns/a/sa/b"),
                not_principals: text("p"),
                namespaces: text("n"),
                not_namespaces: text("nn"),
                service_accounts: text("s"),
                not_service_accounts: text("ns"),
                ip_blocks: text("10.0.0.0/8"),
                not_ip_blocks: text("10.1.0.0/16"),
            },
        }],
        to: vec![To {
            operation: Operation {
                hosts: text("h"),
                not_hosts: text("nh"),
                ports: text("80"),
                not_ports: text("81"),
                methods: text("GET"),
                not_methods: text("PUT"),
                paths: text("/a/{**}"),
                not_paths: text("/b"),
            },
        }],
        when: vec![Condition { key: "source.ip".into(), values: text("v"), not_values: text("w") }],
    };
    let authorization = |name: &str, action, selector, rules| AuthorizationPolicy {
        api_version: "security.istio.io/v1".into(),
        kind: "AuthorizationPolicy".into(),
        metadata: metadata(name),
        spec: AuthorizationPolicySpec { selector, action, rules },
    };
    let waf = |name: &str, mode, over| WafPolicy {
        api_version: "palisade.dev/v1alpha1".into(),
        kind: "WafPolicy".into(),
        metadata: metadata(name),
        spec: WafPolicySpec {
            selector: Some(Selector::default()),
            rule_set: "crs".into(),
            mode,
            groups: vec![GroupMode { tag: Some("t".into()), ids: None, mode: Mode::Detect }],
            paranoia_level: Some(3),
            thresholds: Some(Thresholds { inbound: 5, outbound: 4 }),
            exclusions: vec![Exclusion { ids: Some("1-2".into()), tag: None, target: Some("ARGS:x".into()) }],
            request_body: BodyLimit { max_bytes: 0, over },
            response_body: Some(BodyLimit::RESPONSE),
            bodies: BodyReading {
                unknown_types: Unknown::Uninspected,
                unknown_encodings: Unknown::InspectRaw,
                unknown_charsets: Unknown::Reject,
                grpc: Streams::Reject,
                event_streams: Streams::Uninspected,
                web_sockets: Streams::Reject,
                upload_bytes: 7,
            },
            audit_log: AuditLog {
                engine: (name != "w1").then_some(AuditEngine::On),
                parts: (name == "w2").then(|| "ABZ".into()),
                headers: true,
                uri: name == "w3",
                matched_bytes: true,
                bodies: name == "w3",
            },
        },
    };
    let cluster = |name: &str, protocol, tls| Cluster {
        name: name.into(),
        endpoints: vec![
            Endpoint { address: "127.0.0.1:80".parse().unwrap(), weight: 0 },
            Endpoint { address: "[::1]:65535".parse().unwrap(), weight: 7 },
        ],
        protocol,
        tls,
    };
    let listener =
        |name: &str, role| Listener { name: name.into(), address: "0.0.0.0:0".parse().unwrap(), role };
    let principal = "cluster.local/ns/shop/sa/web".parse().unwrap();
    Policy {
        required_features: ["waf/v1".to_owned(), "authorization/v1".to_owned()].into(),
        fail_open: true,
        root_namespace: "root".into(),
        authorization: vec![
            authorization("z", Action::Deny, Some(Selector::default()), vec![rule, Rule::default()]),
            authorization("a", Action::Allow, None, vec![]),
        ],
        waf: vec![
            waf("w1", Mode::Off, OverLimit::Reject),
            waf("w2", Mode::Block, OverLimit::InspectPrefix),
            waf("w3", Mode::Detect, OverLimit::Reject),
        ],
        rule_sets: vec![RuleSet {
            api_version: "palisade.dev/v1alpha1".into(),
            kind: "RuleSet".into(),
            metadata: metadata("crs"),
            spec: RuleSetSpec {
                sources: vec![SourceFile { name: "a.conf".into(), text: "SecRuleEngine On".into() }],
                data: BTreeMap::from([("words.data".into(), "x\ny".into())]),
            },
        }],
        listeners: vec![
            listener(
                "edge",
                ListenerRole::Gateway {
                    certificates: text("c"),
                    client_address: ClientAddress { trusted_hops: 255, proxy_protocol: true },
                },
            ),
            listener(
                "in",
                ListenerRole::Inbound {
                    application: "127.0.0.1:8080".parse().unwrap(),
                    port: Some(65535),
                    protocol: Protocol::Grpc,
                },
            ),
            listener("http", ListenerRole::OutboundHttp),
            listener("tcp", ListenerRole::OutboundTcp { cluster: "c1".into() }),
        ],
        routes: vec![
            Route {
                name: "second first".into(),
                listeners: vec!["edge".into()],
                hosts: text("*.example.com"),
                ports: vec![0, 65535],
                matches: vec![
                    RouteMatch::default(),
                    RouteMatch {
                        path: Some(PathMatch::Exact(String::new())),
                        method: Some("GET".into()),
                        headers: vec![HeaderMatch { name: "x".into(), value: String::new() }],
                    },
                    RouteMatch { path: Some(PathMatch::Prefix("/a".into())), method: None, headers: vec![] },
                ],
                backends: vec![WeightedCluster { cluster: "c1".into(), weight: 0 }],
                timeout_ms: Some(0),
            },
            Route {
                name: "a".into(),
                listeners: vec![],
                hosts: vec![],
                ports: vec![],
                matches: vec![],
                backends: vec![WeightedCluster { cluster: "c2".into(), weight: 1 }],
                timeout_ms: None,
            },
        ],
        clusters: vec![
            cluster("c2", Protocol::Auto, UpstreamTls::None),
            cluster("c1", Protocol::Http, UpstreamTls::Mesh(vec![principal])),
            cluster("c3", Protocol::Http2, UpstreamTls::Mesh(vec![])),
            cluster("c4", Protocol::Tcp, UpstreamTls::None),
        ],
        limits: Limits { header_bytes: 1, streams_per_connection: 2, buffered_bytes: 3, ..Limits::default() },
        ..Policy::empty(workload)
    }
}

/// Sends a policy through bytes.
fn round_trip(policy: &Policy) -> Result<Policy, WireError> {
    let (manifest, version, fragments) = split(policy)?;
    let manifest = decode_manifest(&manifest.name, &version, &manifest.bytes)?;
    let namespace = &policy.workload.namespace;
    let mut read: BTreeMap<(Kind, String), Fragment> = BTreeMap::new();
    for fragment in &fragments {
        let decoded = decode(fragment.kind, &fragment.name, &fragment.hash, &fragment.bytes, namespace)?;
        read.insert((fragment.kind, fragment.name.clone()), decoded);
    }
    assemble(&manifest, |wanted: &FragmentRef| read.get(&(wanted.kind, wanted.name.clone())).cloned())
}

#[test]
fn a_policy_with_everything_survives_the_wire() {
    let policy = full_policy(WorkloadId::local("shop", "web"));
    assert_eq!(round_trip(&policy), Ok(policy));
}

#[test]
fn an_empty_policy_survives_the_wire() {
    let policy = Policy::empty(WorkloadId::local("shop", "web"));
    assert_eq!(round_trip(&policy), Ok(policy));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_texts_and_orders_survive_the_wire(
        texts in prop::collection::vec(".{0,12}", 1..6),
        name in "[a-z0-9.-]{1,20}",
        count in 0usize..12,
        deny in any::<bool>(),
        number in any::<u32>(),
        port in any::<u16>(),
    ) {
        let mut policy = full_policy(WorkloadId::local("shop", &name));
        for index in 0..count {
            let mut next = policy.authorization[0].clone();
            next.metadata.name = format!("{}-{index}", (index * 7) % 12);
            next.spec.action = if deny { Action::Deny } else { Action::Allow };
            next.spec.rules[0].to[0].operation.paths = texts.clone();
            next.spec.rules[0].from[0].source.principals = texts.iter().rev().cloned().collect();
            policy.authorization.insert(index / 2, next);
        }
        policy.rule_sets[0].spec.sources[0].text = texts.concat();
        policy.rule_sets[0].spec.data = texts.iter().map(|text| (text.clone(), name.clone())).collect();
        policy.clusters[0].endpoints[0].weight = number;
        policy.routes[0].ports = vec![port];
        policy.limits.h2_pending_resets = number as usize;
        prop_assert_eq!(round_trip(&policy).unwrap(), policy);
    }

    #[test]
    fn bytes_from_anywhere_are_an_error_or_a_fragment_never_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let version = crate::fragment::hash(&bytes);
        for kind in Kind::FRAGMENTS {
            let _ = decode(kind, "Route/shop/a", &version, &bytes, "shop");
        }
        let _ = decode_manifest("default/default/shop/web", &version, &bytes);
    }

    #[test]
    fn one_changed_byte_is_never_accepted(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let policy = full_policy(WorkloadId::local("shop", "web"));
        let (manifest, version, fragments) = split(&policy).unwrap();
        for fragment in &fragments {
            let mut bytes = fragment.bytes.clone();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(decode(fragment.kind, &fragment.name, &fragment.hash, &bytes, "shop").is_err());
        }
        let mut bytes = manifest.bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(decode_manifest(&manifest.name, &version, &bytes).is_err());
    }
}

/// An unknown field, a field of the wrong type, an unspecified enum: the hash is right, the content is not understood.
#[test]
fn a_fragment_that_says_more_than_this_version_knows_is_refused() {
    use prost::Message;
    let policy = full_policy(WorkloadId::local("shop", "web"));
    let (_, _, fragments) = split(&policy).unwrap();
    for fragment in &fragments {
        let mut bytes = fragment.bytes.clone();
        // Field 1000, a string: what a newer control plane may add.
        bytes.extend([0xc2, 0x3e, 0x01, b'x']);
        let version = crate::fragment::hash(&bytes);
        let error = decode(fragment.kind, &fragment.name, &version, &bytes, "shop").unwrap_err();
        assert_eq!(error, WireError::NotUnderstood { resource: fragment.name.clone() });
    }
    let authorization = fragments.iter().find(|f| f.kind == Kind::AuthorizationPolicy).unwrap();
    let mut message = crate::generated::AuthorizationPolicy::decode(authorization.bytes.as_slice()).unwrap();
    for action in [0, 3, -1] {
        message.action = action;
        let bytes = message.encode_to_vec();
        let error = decode(
            Kind::AuthorizationPolicy,
            &authorization.name,
            &crate::fragment::hash(&bytes),
            &bytes,
            "shop",
        )
        .unwrap_err();
        assert!(error.to_string().contains("action"), "{error}");
    }
    let cluster = fragments.iter().find(|f| f.kind == Kind::Cluster).unwrap();
    let mut message = crate::generated::Cluster::decode(cluster.bytes.as_slice()).unwrap();
    message.tls = None;
    message.endpoints[1].address = "nowhere".into();
    let refuse = |message: &crate::generated::Cluster| {
        let bytes = message.encode_to_vec();
        decode(Kind::Cluster, &cluster.name, &crate::fragment::hash(&bytes), &bytes, "shop")
            .unwrap_err()
            .to_string()
    };
    assert!(refuse(&message).contains("tls: is missing"), "{}", refuse(&message));
    message.tls = Some(crate::generated::cluster::Tls::Plaintext(crate::generated::Plaintext {}));
    assert!(refuse(&message).contains("endpoints[1].address"), "{}", refuse(&message));
}

#[test]
fn a_manifest_that_names_an_unknown_type_or_a_name_twice_is_refused() {
    use crate::convert::ToProto;
    use prost::Message;
    let policy = full_policy(WorkloadId::local("shop", "web"));
    let (manifest, version, _) = split(&policy).unwrap();
    let manifest = decode_manifest(&manifest.name, &version, &manifest.bytes).unwrap();
    let mut message = manifest.to_proto().unwrap();
    message.fragments[2].type_url = "type.googleapis.com/palisade.v1.ApiPolicy".into();
    let error = decode_manifest("default/default/shop/web", &version, &message.encode_to_vec()).unwrap_err();
    assert!(error.to_string().contains("fragments[2].type_url"), "{error}");

    let mut twice = manifest.clone();
    twice.fragments.push(twice.fragments[0].clone());
    assert!(check_manifest(&manifest).is_ok());
    assert!(check_manifest(&twice).is_err());
}

#[test]
fn a_policy_that_names_what_it_does_not_hold_is_not_served_and_the_one_before_stays() {
    let cache = SnapshotCache::new();
    let workload = WorkloadId::local("shop", "web");
    let good = full_policy(workload.clone());
    let version = cache.set_policy(&good).unwrap();

    let mut no_cluster = good.clone();
    no_cluster.clusters.retain(|cluster| cluster.name != "c2");
    let mut no_rule_set = good.clone();
    no_rule_set.rule_sets.clear();
    let mut no_listener = good.clone();
    no_listener.routes[0].listeners.push("gone".into());
    let mut twice = good.clone();
    twice.authorization.push(good.authorization[0].clone());
    let mut foreign = good.clone();
    foreign.authorization[0].api_version = "security.istio.io/v2".into();
    for (bad, word) in [
        (no_cluster, "cluster c2"),
        (no_rule_set, "rule set crs"),
        (no_listener, "listener gone"),
        (twice, "named twice"),
        (foreign, "apiVersion"),
    ] {
        let error = cache.set_policy(&bad).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(cache.version(&workload), Some(version.clone()));
    }
}

#[test]
fn equal_fragments_of_two_workloads_are_held_once_and_go_with_their_last_user() {
    let cache = SnapshotCache::new();
    let (one, two) = (WorkloadId::local("shop", "web"), WorkloadId::local("shop", "api"));
    cache.set_policy(&full_policy(one.clone())).unwrap();
    let count = cache.fragment_count();
    assert!(count > 10);
    cache.set_policy(&full_policy(two.clone())).unwrap();
    assert_eq!(cache.fragment_count(), count);
    assert_ne!(cache.version(&one), cache.version(&two), "a version names its workload");

    let mut changed = full_policy(two.clone());
    changed.authorization[0].spec.rules.clear();
    cache.set_policy(&changed).unwrap();
    assert_eq!(cache.fragment_count(), count + 1);
    cache.remove_policy(&two);
    assert_eq!(cache.fragment_count(), count);
    cache.remove_policy(&one);
    assert_eq!(cache.fragment_count(), 0);
    assert_eq!(cache.version(&one), None);
}

#[test]
fn fragments_are_bounded_in_size_at_and_over_the_limit() {
    let mut policy = full_policy(WorkloadId::local("shop", "web"));
    let base = split(&policy).unwrap().2[0].bytes.len();
    let text = &mut policy.rule_sets[0].spec.sources[0].text;
    // Longer lengths take more bytes to write: three more for the text, three more for the file around it.
    *text = "x".repeat(FRAGMENT_BYTES - base + text.len() - 6);
    let at = split(&policy).unwrap().2[0].bytes.len();
    assert_eq!(at, FRAGMENT_BYTES);
    policy.rule_sets[0].spec.sources[0].text.push('x');
    let error = split(&policy).unwrap_err();
    assert!(matches!(error, WireError::TooLarge { found, .. } if found == FRAGMENT_BYTES + 1), "{error}");
}

#[test]
fn fragments_are_bounded_in_number_at_and_over_the_limit() {
    let policy = Policy::empty(WorkloadId::local("shop", "web"));
    let (manifest, version, _) = split(&policy).unwrap();
    let mut manifest = decode_manifest(&manifest.name, &version, &manifest.bytes).unwrap();
    let reference =
        |index: usize| FragmentRef { kind: Kind::Route, name: index.to_string(), hash: String::new() };
    manifest.fragments = (0..FRAGMENTS).map(reference).collect();
    assert!(check_manifest(&manifest).is_ok());
    manifest.fragments.push(reference(FRAGMENTS));
    assert!(matches!(check_manifest(&manifest), Err(WireError::TooLarge { unit: "fragments", .. })));
}

#[test]
fn a_workload_whose_name_holds_a_slash_cannot_be_sent() {
    let policy = Policy::empty(WorkloadId::local("shop", "web/api"));
    assert!(split(&policy).is_err());
}
