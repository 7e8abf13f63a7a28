//! What one document alone shows to be wrong, and where the error says it stands.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod house;

use house::{authorization, clean, demo, document, gateway, http_route, service, waf};
use palisade_index::{NAME_BYTES, validate};
use palisade_model::documents::Document;
use serde_json::{Value, json};

fn errors(document: &Document) -> Vec<String> {
    let errors = validate(document, &clean(demo())).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

fn refused_at(document: &Document, path: &str) {
    let found = errors(document);
    assert_eq!(found.len(), 1, "{path}: {found:?}");
    assert!(found[0].starts_with(&format!("{path}: ")), "{} is not at {path}", found[0]);
}

#[test]
fn every_document_of_the_demo_is_admitted() {
    let index = clean(demo());
    for document in demo() {
        assert_eq!(validate(&document, &index), Ok(()), "{} {}", document.kind(), document.metadata().name);
    }
}

#[test]
fn envelopes_are_checked_for_every_kind() {
    for (field, value) in [
        ("apiVersion", json!("v1")),
        ("metadata.name", json!("Upper")),
        ("metadata.name", json!("")),
        ("metadata.name", json!("-a")),
        ("metadata.namespace", json!("a/b")),
    ] {
        for document in demo() {
            let mut changed = serde_json::to_value(&document).unwrap();
            match field.split_once('.') {
                Some((outer, inner)) => changed[outer][inner] = value.clone(),
                None => changed[field] = value.clone(),
            }
            let found = errors(&house::document(changed));
            assert!(
                found.iter().any(|error| error.starts_with(&format!("{field}: "))),
                "{} {field} {value}: {found:?}",
                document.kind()
            );
        }
    }
}

#[test]
fn a_name_has_a_longest_length() {
    for (length, admitted) in [(NAME_BYTES - 1, true), (NAME_BYTES, true), (NAME_BYTES + 1, false)] {
        let name = format!("shop/{}", "a".repeat(length));
        assert_eq!(errors(&authorization(&name, json!({}))).is_empty(), admitted, "{length}");
    }
}

#[test]
fn an_http_field_on_a_port_declared_tcp_is_refused() {
    let with = |port: &str| {
        let operation = json!({"ports": [port], "methods": ["GET"]});
        let spec = json!({"selector": {"matchLabels": {"app": "payments"}}, "rules": [{"to": [{"operation": operation}]}]});
        authorization("shop/p", spec)
    };
    for tcp in ["5432", "15007"] {
        refused_at(&with(tcp), "spec.rules[0].to[0].operation.methods");
    }
    for http in ["8080", "15006", "7777"] {
        assert!(errors(&with(http)).is_empty(), "{http}");
    }
    let everywhere = json!({"rules": [{"to": [{"operation": {"ports": ["5432"], "paths": ["/a"]}}]}]});
    refused_at(&authorization("istio-system/p", everywhere.clone()), "spec.rules[0].to[0].operation.paths");
    assert!(errors(&authorization("other/p", everywhere)).is_empty(), "no TCP port is declared there");
}

#[test]
fn impossible_services_are_refused() {
    let port = json!({"number": 80, "protocol": "HTTP", "name": "http"});
    let with = |field: &str, value: Value| {
        let mut spec = json!({"hosts": ["a.shop"], "ports": [port]});
        spec[field] = value;
        service("shop/s", spec)
    };
    refused_at(&with("hosts", json!([])), "spec.hosts");
    refused_at(&with("hosts", json!(["a b"])), "spec.hosts[0]");
    refused_at(&with("hosts", json!(["*.a"])), "spec.hosts[0]");
    refused_at(&with("ports", json!([])), "spec.ports");
    refused_at(
        &with("ports", json!([{"number": 0, "protocol": "HTTP", "name": "x"}])),
        "spec.ports[0].number",
    );
    refused_at(
        &with("ports", json!([{"number": 1, "protocol": "UDP", "name": "x"}])),
        "spec.ports[0].protocol",
    );
    refused_at(&with("ports", json!([port, port])), "spec.ports[1]");
    refused_at(&with("endpoints", json!([{"address": "a.example"}])), "spec.endpoints[0].address");
    let mut both = json!({"hosts": ["a.shop"], "ports": [port], "workloadSelector": {"labels": {}}});
    both["endpoints"] = json!([{"address": "192.0.2.1"}]);
    refused_at(&service("shop/s", both), "spec.endpoints");
}

#[test]
fn impossible_workloads_are_refused() {
    for (field, value, path) in [
        ("address", json!("payments.shop"), "spec.address"),
        ("serviceAccount", json!("a/b"), "spec.serviceAccount"),
        ("ports", json!({"http": 0}), "spec.ports[http]"),
    ] {
        let mut changed = serde_json::to_value(house::workload("shop/w", "127.0.0.1")).unwrap();
        changed["spec"][field] = value;
        refused_at(&document(changed), path);
    }
}

#[test]
fn impossible_gateways_are_refused() {
    let with = |field: &str, value: Value| {
        let mut listener = json!({"name": "web", "port": 80, "protocol": "HTTP"});
        listener[field] = value;
        gateway(json!([listener]))
    };
    refused_at(&gateway(json!([])), "spec.listeners");
    refused_at(&with("port", json!(0)), "spec.listeners[0].port");
    refused_at(&with("hostname", json!("a..b")), "spec.listeners[0].hostname");
    refused_at(&with("protocol", json!("TCP")), "spec.listeners[0].protocol");
    refused_at(&with("protocol", json!("HTTPS")), "spec.listeners[0].tls");
    refused_at(&with("tls", json!({"certificateRefs": [{"name": "a"}]})), "spec.listeners[0].tls");
    refused_at(
        &with("allowedRoutes", json!({"namespaces": {"from": "Selector"}})),
        "spec.listeners[0].allowedRoutes.namespaces.from",
    );
    let https = |tls: Value| gateway(json!([{"name": "web", "port": 443, "protocol": "HTTPS", "tls": tls}]));
    refused_at(&https(json!({"certificateRefs": []})), "spec.listeners[0].tls.certificateRefs");
    refused_at(
        &https(json!({"mode": "Passthrough", "certificateRefs": [{"name": "a"}]})),
        "spec.listeners[0].tls.mode",
    );
    for name in ["../key", "", ".hidden", "a/b"] {
        refused_at(
            &https(json!({"certificateRefs": [{"name": name}]})),
            "spec.listeners[0].tls.certificateRefs[0].name",
        );
    }
    let twice = json!([{"name": "web", "port": 80, "protocol": "HTTP"}, {"name": "web", "port": 81, "protocol": "HTTP"}]);
    refused_at(&gateway(twice), "spec.listeners[1].name");
    let mut annotated =
        serde_json::to_value(gateway(json!([{"name": "web", "port": 80, "protocol": "HTTP"}]))).unwrap();
    annotated["spec"]["gatewayClassName"] = json!("nginx");
    refused_at(&document(annotated.clone()), "spec.gatewayClassName");
    annotated["spec"]["gatewayClassName"] = json!("palisade");
    for (annotation, value) in [("trusted-hops", "many"), ("proxy-protocol", "yes"), ("trusted-hop", "1")] {
        let name = format!("palisade.dev/{annotation}");
        let mut changed = annotated.clone();
        changed["metadata"]["annotations"][&name] = json!(value);
        refused_at(&document(changed), &format!("metadata.annotations[{name}]"));
    }
}

#[test]
fn impossible_routes_are_refused() {
    let backend = json!([{"name": "shop", "port": 8080}]);
    let with = |matched: Value| {
        http_route(
            "shop/r",
            json!({"parentRefs": [{"name": "edge"}], "rules": [{"matches": [matched], "backendRefs": backend}]}),
        )
    };
    for matched in [
        json!({"path": {"value": "a"}}),
        json!({"path": {"value": "/a/../b"}}),
        json!({"path": {"type": "Exact", "value": "/a//b"}}),
        json!({"method": "GE T"}),
        json!({"headers": [{"name": "a b", "value": "1"}]}),
    ] {
        refused_at(&with(matched), "spec.rules[0].matches[0]");
    }
    let rule = |rule: Value| http_route("shop/r", json!({"parentRefs": [{"name": "edge"}], "rules": [rule]}));
    refused_at(&rule(json!({"backendRefs": []})), "spec.rules[0].backendRefs");
    refused_at(
        &rule(json!({"backendRefs": [{"name": "shop", "port": 1, "weight": 0}]})),
        "spec.rules[0].backendRefs",
    );
    refused_at(
        &rule(json!({"backendRefs": [{"name": "shop", "port": 0}]})),
        "spec.rules[0].backendRefs[0].port",
    );
    refused_at(
        &rule(json!({"backendRefs": backend, "timeouts": {"request": "soon"}})),
        "spec.rules[0].timeouts.request",
    );
    refused_at(&http_route("shop/r", json!({"parentRefs": [], "rules": []})), "spec.parentRefs");
    let hosts = json!({"parentRefs": [{"name": "edge"}], "hostnames": ["a.b", "a.*"], "rules": []});
    refused_at(&http_route("shop/r", hosts), "spec.hostnames[1]");
}

#[test]
fn impossible_waf_policies_are_refused() {
    let with = |field: &str, value: Value| {
        let mut spec = json!({"ruleSet": "rules"});
        spec[field] = value;
        waf("shop/w", spec)
    };
    assert!(errors(&with("mode", json!("detect"))).is_empty());
    refused_at(&with("ruleSet", json!("")), "spec.ruleSet");
    refused_at(&with("paranoiaLevel", json!(5)), "spec.paranoiaLevel");
    refused_at(&with("groups", json!([{"mode": "off"}])), "spec.groups[0]");
    refused_at(&with("groups", json!([{"mode": "off", "ids": "9-1"}])), "spec.groups[0].ids");
    refused_at(&with("exclusions", json!([{"target": "ARGS"}])), "spec.exclusions[0]");
    refused_at(&with("exclusions", json!([{"ids": "x"}])), "spec.exclusions[0].ids");
    refused_at(&with("requestBody", json!({"maxBytes": usize::MAX})), "spec.requestBody.maxBytes");
}

#[test]
fn a_rule_set_that_does_not_parse_is_refused() {
    assert!(!errors(&house::rule_set("shop/rules", "SecRule ARGS \"@nosuch x\" \"id:1\"")).is_empty());
    let mut empty = serde_json::to_value(house::rule_set("shop/rules", "")).unwrap();
    empty["spec"]["sources"] = json!([]);
    refused_at(&document(empty), "spec.sources");
}

#[test]
fn a_rule_set_and_the_policy_that_names_it_are_compiled_as_in_a_sidecar() {
    let rules = "SecRuleEngine On\nSecRequestBodyAccess On\n\
                 SecRule ARGS \"@detectSQLi\" \"id:100,phase:2,deny,status:403,log,msg:'SQL',tag:'attack-sqli'\"\n";
    let set = house::rule_set("shop/rules", rules);
    assert!(errors(&set).is_empty(), "{:?}", errors(&set));
    let mut documents = demo();
    documents.push(set);
    let index = clean(documents);
    let spec = json!({
        "selector": {"matchLabels": {"app": "gateway"}}, "ruleSet": "rules",
        "groups": [{"tag": "attack-sqli", "mode": "detect"}],
    });
    assert_eq!(validate(&waf("shop/edge", spec), &index), Ok(()));
    let found = errors(&house::rule_set(
        "shop/rules",
        &format!("{rules}SecRule ARGS \"@rx (\" \"id:101,phase:2,deny\"\n"),
    ));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("test.conf:4"), "the place in the rule file is named: {}", found[0]);
}
