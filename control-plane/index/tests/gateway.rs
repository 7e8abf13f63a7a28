//! Listeners and routes of a gateway.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod house;

use house::{build, clean, demo, document, gateway, http_route, policy, service, texts};
use palisade_index::version_of;
use palisade_model::documents::Document;
use palisade_model::policy::{ClientAddress, ListenerRole};
use palisade_rules::Engine;
use serde_json::{Value, json};

/// The demo with another gateway and other routes.
fn edge(listeners: Value, routes: Vec<Document>) -> Vec<Document> {
    let mut documents = demo();
    documents.retain(|document| !matches!(document.kind(), "Gateway" | "HTTPRoute"));
    documents.push(gateway(listeners));
    documents.extend(routes);
    documents
}

fn plain() -> Value {
    json!([{"name": "web", "port": 8000, "protocol": "HTTP"}])
}

fn to(name: &str) -> Value {
    json!([{"name": name, "port": 8080}])
}

#[test]
fn a_gateway_listens_on_the_address_of_its_workload_and_routes_to_services() {
    let policy = policy(&clean(demo()), "gateway");
    assert_eq!(policy.listeners.len(), 1);
    assert_eq!(policy.listeners[0].name, "edge/web");
    assert_eq!(policy.listeners[0].address, "127.0.1.5:8000".parse().unwrap());
    let role = ListenerRole::Gateway { certificates: vec![], client_address: ClientAddress::default() };
    assert_eq!(policy.listeners[0].role, role);
    assert_eq!(policy.routes.len(), 1);
    assert_eq!(policy.routes[0].listeners, ["edge/web"]);
    assert_eq!(policy.routes[0].backends[0].cluster, "shop.shop:8080");
    assert_eq!(policy.clusters.iter().map(|cluster| &cluster.name).collect::<Vec<_>>(), ["shop.shop:8080"]);
}

#[test]
fn routes_are_in_the_gateway_apis_order_of_precedence() {
    let rule = |matches: Value| json!({"matches": [matches], "backendRefs": to("shop")});
    let path = |kind: &str, value: &str| json!({"path": {"type": kind, "value": value}});
    let mut with_method = path("PathPrefix", "/a/b");
    with_method["method"] = json!("GET");
    let mut with_header = path("PathPrefix", "/a/b");
    with_header["headers"] = json!([{"name": "x-a", "value": "1"}]);
    let all = json!({"parentRefs": [{"name": "edge"}], "rules": [
        rule(json!({})), rule(path("PathPrefix", "/a")), rule(path("PathPrefix", "/a/b")), rule(with_header),
        rule(with_method), rule(path("Exact", "/a")),
    ]});
    let mut exact_host = all.clone();
    exact_host["hostnames"] = json!(["x.shop.example", "*.shop.example", "*.example"]);
    exact_host["rules"] = json!([rule(json!({}))]);
    let routes = vec![http_route("shop/all", all), http_route("shop/hosts", exact_host)];
    let policy = policy(&clean(edge(plain(), routes)), "gateway");
    let names: Vec<_> = policy.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "shop/hosts rules[0].matches[0] x.shop.example",
            "shop/hosts rules[0].matches[0] *.shop.example",
            "shop/hosts rules[0].matches[0] *.example",
            "shop/all rules[5].matches[0] *",
            "shop/all rules[4].matches[0] *",
            "shop/all rules[3].matches[0] *",
            "shop/all rules[2].matches[0] *",
            "shop/all rules[1].matches[0] *",
            "shop/all rules[0].matches[0] *",
        ]
    );
    Engine::compile(&policy, &version_of(&policy), None).unwrap();
}

#[test]
fn listeners_of_one_port_are_one_socket_with_all_certificates_and_their_hosts_stay_apart() {
    let tls = |name: &str, hostname: &str| {
        json!({"name": name, "hostname": hostname, "port": 8443, "protocol": "HTTPS",
               "tls": {"certificateRefs": [{"name": name}, {"name": "shared"}]}})
    };
    let route = json!({
        "parentRefs": [{"name": "edge", "sectionName": "b"}], "rules": [{"backendRefs": to("shop")}],
    });
    let listeners = json!([tls("a", "*.a.example"), tls("b", "*.b.example")]);
    let policy = policy(&clean(edge(listeners, vec![http_route("shop/r", route)])), "gateway");
    assert_eq!(policy.listeners.len(), 1);
    assert_eq!(policy.listeners[0].name, "edge/a");
    let ListenerRole::Gateway { certificates, .. } = &policy.listeners[0].role else { panic!("role") };
    assert_eq!(certificates, &["a", "shared", "b"]);
    assert_eq!(
        (policy.routes[0].listeners[0].as_str(), policy.routes[0].hosts.as_slice()),
        ("edge/a", ["*.b.example".to_owned()].as_slice())
    );
}

#[test]
fn plain_and_tls_on_one_port_are_an_error() {
    let listeners = json!([
        {"name": "a", "hostname": "a.example", "port": 8443, "protocol": "HTTP"},
        {"name": "b", "hostname": "b.example", "port": 8443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "b"}]}},
    ]);
    let (_, problems) = build(edge(listeners, vec![]));
    assert_eq!(
        texts(&problems),
        [
            "error: Gateway shop/edge: spec.listeners[1].protocol: port 8443 is HTTP in one listener and HTTPS in another"
        ]
    );
}

#[test]
fn a_route_of_another_namespace_attaches_only_where_all_may() {
    let route = || {
        let parent = json!({"name": "edge", "namespace": "shop"});
        let backend = json!({"name": "shop", "namespace": "shop", "port": 8080});
        vec![http_route("other/r", json!({"parentRefs": [parent], "rules": [{"backendRefs": [backend]}]}))]
    };
    let (index, problems) = build(edge(plain(), route()));
    assert!(policy(&index, "gateway").routes.is_empty());
    assert!(texts(&problems)[0].starts_with("warning: HTTPRoute other/r: spec.parentRefs[0]: no listener"));
    let open = json!([{"name": "web", "port": 8000, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}]);
    assert_eq!(policy(&clean(edge(open, route())), "gateway").routes.len(), 1);
}

#[test]
fn hosts_of_route_and_listener_are_intersected() {
    let listeners = json!([{"name": "web", "hostname": "*.shop.example", "port": 8000, "protocol": "HTTP"}]);
    let route = |hostnames: Value| {
        let spec = json!({"parentRefs": [{"name": "edge"}], "hostnames": hostnames, "rules": [{"backendRefs": to("shop")}]});
        vec![http_route("shop/r", spec)]
    };
    let hosts = |documents: Vec<Document>| -> Vec<String> {
        let routes = policy(&build(documents).0, "gateway").routes;
        routes.into_iter().flat_map(|route| route.hosts).collect()
    };
    assert_eq!(hosts(edge(listeners.clone(), route(json!([])))), ["*.shop.example"]);
    assert_eq!(
        hosts(edge(listeners.clone(), route(json!(["a.shop.example", "b.example"])))),
        ["a.shop.example"]
    );
    let (index, problems) = build(edge(listeners, route(json!(["b.example"]))));
    assert!(policy(&index, "gateway").routes.is_empty());
    assert!(texts(&problems)[0].contains("none of the route's hostnames"));
}

#[test]
fn an_unknown_backend_keeps_its_route_and_has_no_endpoint() {
    let spec = json!({"parentRefs": [{"name": "edge"}], "rules": [
        {"matches": [{"path": {"value": "/admin"}}], "backendRefs": [{"name": "nobody", "port": 1}]},
        {"matches": [{"path": {"value": "/ledger"}}], "backendRefs": [{"name": "payments", "port": 5432}]},
        {"backendRefs": to("shop.shop"), "timeouts": {"request": "1m30s"}},
    ]});
    let (index, problems) = build(edge(plain(), vec![http_route("shop/r", spec)]));
    assert_eq!(
        texts(&problems),
        [
            "warning: HTTPRoute shop/r: spec.rules[0].backendRefs[0]: no service has nobody:1 as an HTTP port",
            "warning: HTTPRoute shop/r: spec.rules[1].backendRefs[0]: no service has payments:5432 as an HTTP port",
        ]
    );
    let policy = policy(&index, "gateway");
    assert_eq!(policy.routes.len(), 3);
    assert_eq!(policy.routes[2].timeout_ms, Some(90_000));
    for route in &policy.routes[..2] {
        let cluster =
            policy.clusters.iter().find(|cluster| cluster.name == route.backends[0].cluster).unwrap();
        assert!(cluster.endpoints.is_empty(), "{}", cluster.name);
    }
    Engine::compile(&policy, "v", None).unwrap();
}

#[test]
fn weights_and_several_backends_are_kept() {
    let spec = json!({"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [
        {"name": "shop", "port": 8080, "weight": 9}, {"name": "catalog", "port": 8080},
    ]}]});
    let policy = policy(&clean(edge(plain(), vec![http_route("shop/r", spec)])), "gateway");
    let backends: Vec<_> =
        policy.routes[0].backends.iter().map(|backend| (backend.cluster.as_str(), backend.weight)).collect();
    assert_eq!(backends, [("shop.shop:8080", 9), ("catalog.shop:8080", 1)]);
}

#[test]
fn annotations_say_how_the_client_is_known() {
    let mut documents = edge(json!([]), vec![]);
    documents.retain(|document| document.kind() != "Gateway");
    documents.push(document(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "shop", "annotations": {
            "palisade.dev/workload": "gateway", "palisade.dev/trusted-hops": "2", "palisade.dev/proxy-protocol": "true",
        }},
        "spec": {"gatewayClassName": "palisade", "listeners": plain()},
    })));
    let policy = policy(&clean(documents), "gateway");
    let ListenerRole::Gateway { client_address, .. } = &policy.listeners[0].role else { panic!("role") };
    assert_eq!(*client_address, ClientAddress { trusted_hops: 2, proxy_protocol: true });
}

#[test]
fn a_gateway_that_nothing_runs_is_warned_of() {
    let mut documents = demo();
    documents.retain(|document| document.metadata().name != "gateway");
    documents.push(service(
        "shop/extra",
        json!({
            "hosts": ["extra.shop"], "ports": [{"number": 80, "protocol": "HTTP", "name": "http"}],
        }),
    ));
    let (_, problems) = build(documents);
    assert_eq!(
        texts(&problems),
        [
            "warning: Gateway shop/edge: metadata.annotations[palisade.dev/workload]: there is no WorkloadEntry gateway in this namespace"
        ]
    );
}
