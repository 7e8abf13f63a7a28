//! Which documents make a workload's policy, and that nothing but the documents does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod house;

use house::{authorization, build, clean, demo, policy, rule_set, service, texts, waf, workload};
use palisade_index::{Index, Settings, version_of};
use palisade_model::documents::Document;
use palisade_model::policy::UpstreamTls;
use palisade_model::{Protocol, WorkloadId};
use palisade_rules::Engine;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn every_policy_of_the_demo_compiles_in_a_sidecar() {
    let index = clean(demo());
    assert_eq!(index.workloads().count(), 5);
    for id in index.workloads() {
        let policy = index.policy(id).unwrap();
        Engine::compile(&policy, &version_of(&policy), None).unwrap();
    }
}

#[test]
fn a_workload_has_the_policies_of_its_namespace_that_select_it() {
    let mut documents = demo();
    documents.push(authorization("other/payments", json!({})));
    documents.push(authorization("shop/everyone", json!({"action": "DENY", "rules": [{}]})));
    documents.push(workload("other/payments", "127.0.1.9"));
    let index = clean(documents);
    let names = |policy: palisade_model::Policy| -> Vec<String> {
        let name = |policy: palisade_model::documents::AuthorizationPolicy| {
            format!("{}/{}", policy.metadata.namespace, policy.metadata.name)
        };
        policy.authorization.into_iter().map(name).collect()
    };
    assert_eq!(names(policy(&index, "payments")), ["shop/everyone", "shop/payments"]);
    assert_eq!(names(policy(&index, "intruder")), ["shop/everyone"]);
    let other = index.policy(&WorkloadId::local("other", "payments")).unwrap();
    assert_eq!(names(other), ["other/payments"]);
}

#[test]
fn translation_78_the_root_namespace_selects_everywhere_and_an_empty_selector_everything() {
    let mut documents = demo();
    documents.push(workload("other/lone", "127.0.1.9"));
    documents
        .push(authorization("istio-system/all", json!({"selector": {}, "action": "DENY", "rules": [{}]})));
    let labelled = json!({"selector": {"matchLabels": {"app": "lone"}}, "action": "DENY", "rules": [{}]});
    documents.push(authorization("istio-system/lone", labelled));
    let index = clean(documents);
    for id in index.workloads() {
        let names: Vec<_> =
            index.policy(id).unwrap().authorization.into_iter().map(|policy| policy.metadata.name).collect();
        assert!(names.contains(&"all".to_owned()), "{id}");
        assert_eq!(names.contains(&"lone".to_owned()), id.name == "lone", "{id}");
    }
}

#[test]
fn the_identity_of_a_workload_is_its_namespace_and_service_account() {
    let settings = Settings { trust_domain: "corp.example".into(), ..Settings::default() };
    let (index, _) = Index::build(demo(), &settings);
    let id = WorkloadId::local("shop", "payments");
    assert_eq!(index.principal(&id).unwrap().to_string(), "corp.example/ns/shop/sa/payments");
    assert_eq!(index.workload_labels(&id).unwrap()["app"], "payments");
    assert!(index.policy(&WorkloadId::local("shop", "nobody")).is_none());
}

#[test]
fn a_call_goes_to_the_callees_sidecar_and_wants_its_identity() {
    let policy = policy(&clean(demo()), "shop");
    let cluster = policy.clusters.iter().find(|cluster| cluster.name == "payments.shop:8080").unwrap();
    assert_eq!(cluster.endpoints[0].address, "127.0.1.2:15006".parse().unwrap());
    assert_eq!(cluster.tls, UpstreamTls::Mesh(vec!["cluster.local/ns/shop/sa/payments".parse().unwrap()]));
    let route = policy.routes.iter().find(|route| route.name == "payments.shop:8080").unwrap();
    assert_eq!(
        (route.hosts.as_slice(), route.ports.as_slice()),
        (["payments.shop".to_owned()].as_slice(), [8080, 80].as_slice())
    );
    let ledger = policy.clusters.iter().find(|cluster| cluster.name == "payments.shop:5432").unwrap();
    assert_eq!(
        (ledger.endpoints[0].address, ledger.protocol),
        ("127.0.1.2:15007".parse().unwrap(), Protocol::Tcp)
    );
    assert!(policy.routes.iter().all(|route| route.name != ledger.name), "a TCP port has no HTTP route");
    assert!(policy.listeners.is_empty(), "a sidecar's listeners are its own");
}

#[test]
fn a_service_without_a_selector_is_outside_the_mesh() {
    let mut documents = demo();
    documents.push(service(
        "shop/bank",
        json!({
            "hosts": ["API.bank.example"],
            "ports": [{"number": 80, "protocol": "HTTP", "name": "http", "targetPort": 8443}],
            "endpoints": [{"address": "192.0.2.7"}, {"address": "192.0.2.6", "ports": {"http": 9000}}],
        }),
    ));
    let policy = policy(&clean(documents), "payments");
    let cluster = policy.clusters.iter().find(|cluster| cluster.name == "api.bank.example:80").unwrap();
    let addresses: Vec<_> = cluster.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
    assert_eq!(addresses, ["192.0.2.6:9000", "192.0.2.7:8443"]);
    assert_eq!(cluster.tls, UpstreamTls::None);
    let route = policy.routes.iter().find(|route| route.name == cluster.name).unwrap();
    assert_eq!((&route.hosts[0], route.ports.as_slice()), (&"api.bank.example".to_owned(), [80].as_slice()));
}

#[test]
fn a_selector_that_takes_nobody_is_a_mesh_cluster_that_trusts_nobody() {
    let mut documents = demo();
    documents.retain(|document| document.metadata().name != "catalog" || document.kind() != "WorkloadEntry");
    let (index, problems) = build(documents);
    let found = texts(&problems);
    assert!(
        found.contains(
            &"warning: ServiceEntry shop/catalog: spec.workloadSelector: selects no workload".into()
        )
    );
    assert!(
        found.contains(
            &"warning: AuthorizationPolicy shop/catalog: spec.selector: selects no workload".into()
        )
    );
    let policy = policy(&index, "shop");
    let cluster = policy.clusters.iter().find(|cluster| cluster.name == "catalog.shop:8080").unwrap();
    assert!(cluster.endpoints.is_empty());
    assert_eq!(cluster.tls, UpstreamTls::Mesh(vec![]));
}

#[test]
fn features_are_required_when_they_are_used() {
    let mut documents = demo();
    documents
        .push(waf("shop/edge", json!({"ruleSet": "rules", "selector": {"matchLabels": {"app": "gateway"}}})));
    documents.push(rule_set("shop/rules", ""));
    let index = clean(documents);
    let features = |name: &str| policy(&index, name).required_features.into_iter().collect::<Vec<_>>();
    assert_eq!(features("payments"), ["authorization/v1", "routes/v1"]);
    assert_eq!(features("intruder"), ["routes/v1"]);
    assert_eq!(features("gateway"), ["gateway/v1", "routes/v1", "waf/v1"]);
    let mut documents = demo();
    let spec = json!({"ruleSet": "rules", "auditLog": {"matchedBytes": true}});
    documents.extend([waf("shop/all", spec), rule_set("shop/rules", "")]);
    let audited = policy(&clean(documents), "payments").required_features;
    assert!(audited.contains("waf-audit/v1"), "an older sidecar would show less than was asked");
    let gateway = policy(&index, "gateway");
    assert_eq!((gateway.waf.len(), gateway.rule_sets.len()), (1, 1));
}

#[test]
fn two_waf_policies_on_one_workload_are_an_error_that_names_both() {
    let mut documents = demo();
    documents.push(waf("shop/b", json!({"ruleSet": "rules"})));
    documents.push(waf("shop/a", json!({"ruleSet": "rules", "selector": {"matchLabels": {"app": "shop"}}})));
    documents.push(rule_set("shop/rules", ""));
    let (index, problems) = build(documents);
    let errors: Vec<_> =
        problems.iter().filter(|problem| problem.is_error()).map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "error: WafPolicy shop/b: spec.selector: selects shop/shop, which WafPolicy shop/a also selects; one must be narrowed"
        ]
    );
    assert_eq!(policy(&index, "shop").waf[0].metadata.name, "a", "the first name wins");
}

#[test]
fn a_missing_rule_set_is_a_warning_and_the_policy_does_not_compile_without_it() {
    let mut documents = demo();
    documents.push(waf("shop/edge", json!({"ruleSet": "other/rules"})));
    let (index, problems) = build(documents);
    assert_eq!(problems.len(), 1);
    assert!(texts(&problems)[0].starts_with("warning: WafPolicy shop/edge: spec.ruleSet: "));
    let policy = policy(&index, "shop");
    assert!(
        Engine::compile(&policy, "v", None).is_err(),
        "a sidecar must not drop what it was asked to inspect"
    );
}

#[test]
fn two_documents_of_one_name_are_an_error_and_both_restrict() {
    let mut documents = demo();
    documents.push(authorization("shop/payments", json!({"action": "DENY", "rules": [{}]})));
    let (index, problems) = build(documents);
    assert!(texts(&problems)[0].starts_with("error: AuthorizationPolicy shop/payments: metadata.name: "));
    assert_eq!(policy(&index, "payments").authorization.len(), 2);
}

#[test]
fn one_host_and_port_has_one_service() {
    let mut documents = demo();
    let ports = json!([{"number": 8080, "protocol": "HTTP", "name": "http"}]);
    documents.push(service(
        "shop/twin",
        json!({"hosts": ["x.shop", "Payments.shop"], "ports": ports, "endpoints": []}),
    ));
    let (_, problems) = build(documents);
    assert_eq!(
        texts(&problems),
        [
            "error: ServiceEntry shop/twin: spec.hosts[1]: Payments.shop:8080 is also ServiceEntry shop/payments"
        ]
    );
}

#[test]
fn rules_that_never_decide_are_warned_of() {
    let mut documents = demo();
    let rule = json!({"to": [{"operation": {"methods": ["GET"]}}]});
    documents.push(authorization("shop/twice", json!({"rules": [rule, rule, {}, {"to": rule["to"]}]})));
    let (_, problems) = build(documents);
    assert_eq!(
        texts(&problems),
        [
            "warning: AuthorizationPolicy shop/twice: spec.rules[1]: never decides: it is the same as rules[0]",
            "warning: AuthorizationPolicy shop/twice: spec.rules[3]: never decides: rules[2] matches everything",
        ]
    );
}

#[test]
fn a_rule_is_compared_with_two_hundred_before_it_and_not_with_the_one_after_those() {
    let rule = |number: usize| json!({"to": [{"operation": {"paths": [format!("/{number}")]}}]});
    let rules: Vec<_> = (0..=200).chain([198, 199, 200]).map(rule).collect();
    let mut documents = demo();
    documents.push(authorization("shop/long", json!({"rules": rules})));
    let (_, problems) = build(documents);
    assert_eq!(
        texts(&problems),
        [(201, 198), (202, 199)].map(|(rule, twin)| format!(
            "warning: AuthorizationPolicy shop/long: spec.rules[{rule}]: never decides: it is the same as rules[{twin}]"
        ))
    );
}

#[test]
fn a_version_changes_with_the_policy_and_only_with_it() {
    let index = clean(demo());
    let payments = policy(&index, "payments");
    let version = version_of(&payments);
    assert_eq!(version.len(), 64);
    let mut documents = demo();
    documents.push(authorization("other/far", json!({})));
    documents.push(workload("other/far", "127.0.1.9"));
    assert_eq!(version_of(&policy(&clean(documents), "payments")), version, "another namespace's policy");
    let mut documents = demo();
    documents.push(authorization("shop/near", json!({})));
    assert_ne!(version_of(&policy(&clean(documents), "payments")), version);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_documents_in_any_order_give_the_same_policies(
        documents in Just(conflicting()).prop_shuffle(),
    ) {
        let (expected, expected_problems) = build(conflicting());
        let (index, problems) = build(documents);
        prop_assert_eq!(problems, expected_problems);
        prop_assert!(index.workloads().eq(expected.workloads()));
        for id in expected.workloads() {
            prop_assert_eq!(index.policy(id), expected.policy(id));
        }
    }
}

#[test]
fn a_policy_may_name_the_rule_set_that_comes_with_palisade() {
    let mut documents = demo();
    documents.retain(|document| document.kind() != "WafPolicy" && document.kind() != "RuleSet");
    documents.push(waf("shop/edge", json!({"ruleSet": "palisade-default"})));
    let (index, problems) = build(documents.clone());
    assert_eq!(problems, [], "nothing is missing");
    let given = policy(&index, "payments").rule_sets;
    assert_eq!(given, [palisade_loader::default_rules::rule_set("shop")]);
    // A document of that name goes before it.
    documents.push(rule_set("shop/palisade-default", "SecRuleEngine On"));
    let given = policy(&clean(documents), "payments").rule_sets;
    assert_eq!(given[0].spec.sources[0].text, "SecRuleEngine On");
}

/// The demo with conflicts, which must be settled the same way in any order.
fn conflicting() -> Vec<Document> {
    let mut documents = demo();
    documents.push(workload("shop/payments", "127.0.1.77"));
    documents.push(waf("shop/b", json!({"ruleSet": "rules"})));
    documents.push(waf("shop/a", json!({"ruleSet": "rules"})));
    documents.push(rule_set("shop/rules", "SecRuleEngine On"));
    documents.push(rule_set("shop/rules", "SecRuleEngine Off"));
    documents
}
