//! The demo's documents in miniature, and builders of others.

#![allow(dead_code)]

use palisade_index::{Index, Problem, Settings};
use palisade_model::documents::Document;
use palisade_model::{Policy, WorkloadId};
use serde_json::{Value, from_value, json};

pub fn document(value: Value) -> Document {
    let kind = value["kind"].as_str().unwrap().to_owned();
    match kind.as_str() {
        "AuthorizationPolicy" => Document::AuthorizationPolicy(from_value(value).unwrap()),
        "RuleSet" => Document::RuleSet(from_value(value).unwrap()),
        "WafPolicy" => Document::WafPolicy(from_value(value).unwrap()),
        "Gateway" => Document::Gateway(from_value(value).unwrap()),
        "HTTPRoute" => Document::HttpRoute(from_value(value).unwrap()),
        "WorkloadEntry" => Document::WorkloadEntry(from_value(value).unwrap()),
        "ServiceEntry" => Document::ServiceEntry(from_value(value).unwrap()),
        other => panic!("{other}"),
    }
}

fn of(api_version: &str, kind: &str, full_name: &str, spec: Value) -> Document {
    let (namespace, name) = full_name.split_once('/').unwrap();
    document(json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    }))
}

pub fn authorization(full_name: &str, spec: Value) -> Document {
    of("security.istio.io/v1", "AuthorizationPolicy", full_name, spec)
}

pub fn waf(full_name: &str, spec: Value) -> Document {
    of("palisade.dev/v1alpha1", "WafPolicy", full_name, spec)
}

pub fn rule_set(full_name: &str, text: &str) -> Document {
    let spec = json!({"sources": [{"name": "test.conf", "text": text}]});
    of("palisade.dev/v1alpha1", "RuleSet", full_name, spec)
}

pub fn http_route(full_name: &str, spec: Value) -> Document {
    of("gateway.networking.k8s.io/v1", "HTTPRoute", full_name, spec)
}

pub fn service(full_name: &str, spec: Value) -> Document {
    of("networking.istio.io/v1", "ServiceEntry", full_name, spec)
}

pub fn gateway(listeners: Value) -> Document {
    document(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "shop", "annotations": {"palisade.dev/workload": "gateway"}},
        "spec": {"gatewayClassName": "palisade", "listeners": listeners},
    }))
}

pub fn workload(full_name: &str, address: &str) -> Document {
    let name = full_name.split_once('/').unwrap().1;
    let spec = json!({
        "address": address, "serviceAccount": name, "labels": {"app": name},
        "ports": {"http": 15006, "ledger": 15007},
    });
    of("networking.istio.io/v1", "WorkloadEntry", full_name, spec)
}

pub fn mesh_service(name: &str) -> Document {
    let mut ports = vec![json!({"number": 8080, "protocol": "HTTP", "name": "http"})];
    if name == "payments" {
        ports.push(json!({"number": 5432, "protocol": "TCP", "name": "ledger"}));
    }
    service(
        &format!("shop/{name}"),
        json!({
            "hosts": [format!("{name}.shop")], "ports": ports,
            "workloadSelector": {"labels": {"app": name}},
        }),
    )
}

/// shop → payments, shop → catalog, an intruder, and a gateway in front.
pub fn demo() -> Vec<Document> {
    let mut documents = vec![
        workload("shop/shop", "127.0.1.1"),
        workload("shop/payments", "127.0.1.2"),
        workload("shop/catalog", "127.0.1.3"),
        workload("shop/intruder", "127.0.1.4"),
        workload("shop/gateway", "127.0.1.5"),
        gateway(json!([{"name": "web", "port": 8000, "protocol": "HTTP"}])),
        http_route(
            "shop/shop",
            json!({
                "parentRefs": [{"name": "edge"}],
                "rules": [{"backendRefs": [{"name": "shop", "port": 8080}]}],
            }),
        ),
    ];
    documents.extend(["shop", "payments", "catalog"].map(mesh_service));
    for (callee, caller) in [("payments", "shop"), ("catalog", "shop"), ("shop", "gateway")] {
        let principal = format!("cluster.local/ns/shop/sa/{caller}");
        documents.push(authorization(
            &format!("shop/{callee}"),
            json!({
                "selector": {"matchLabels": {"app": callee}},
                "rules": [{"from": [{"source": {"principals": [principal]}}]}],
            }),
        ));
    }
    documents
}

pub fn build(documents: Vec<Document>) -> (Index, Vec<Problem>) {
    Index::build(documents, &Settings::default())
}

/// The index of documents that have no problem.
pub fn clean(documents: Vec<Document>) -> Index {
    let (index, problems) = build(documents);
    assert!(problems.is_empty(), "{problems:?}");
    index
}

pub fn policy(index: &Index, name: &str) -> Policy {
    index.policy(&WorkloadId::local("shop", name)).unwrap()
}

pub fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}
