//! The policy file: the documented example, what is refused, and that what is rendered is read back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

use palisade_loader::limits::MAX_FILE_BYTES;
use palisade_loader::policy_file::{load, parse, render};
use palisade_loader::{PolicyFile, version_of};
use palisade_model::documents::{Metadata, RuleSet, RuleSetSpec, SourceFile};
use palisade_model::policy::{
    ClientAddress, Cluster, Endpoint, HeaderMatch, Listener, ListenerRole, PathMatch, Route, RouteMatch,
    UpstreamTls, WeightedCluster,
};
use palisade_model::{Policy, Protocol, WorkloadId};

const DOCUMENT: &str = include_str!("../../../docs/policy-file.md");

fn example() -> &'static str {
    DOCUMENT.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap()
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn example_files() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "policy.yaml", example());
    write(root.path(), "rules/setup.conf", "SecRuleEngine On\n");
    write(root.path(), "rules/rules/a.conf", "SecRule ARGS \"@pmFromFile a.data\" \"id:1\"\n");
    write(root.path(), "rules/rules/a.data", "attack\n");
    root
}

fn refused(text: &str) -> String {
    parse("p.yaml", text, Path::new("/nowhere")).unwrap_err().to_string()
}

const SMALL: &str = "\
apiVersion: palisade.dev/v1alpha1
kind: Policy
workload: {namespace: shop, name: web}
";

#[test]
fn the_documented_example_is_read_as_it_is_documented() {
    let root = example_files();
    let file = load(&root.path().join("policy.yaml")).unwrap();
    assert_eq!(file.policy.workload, WorkloadId::local("shop", "web"));
    assert_eq!(file.policy.listeners[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(file.admin.unwrap().port(), 9901);
    assert_eq!(file.version, version_of(&file.policy));
    assert_eq!(file.rule_set_directories, [root.path().join("rules")]);
    let rule_set = &file.policy.rule_sets[0];
    assert_eq!((rule_set.metadata.namespace.as_str(), rule_set.spec.sources.len()), ("shop", 2));
    assert_eq!(rule_set.spec.data["rules/a.data"], "attack\n");
}

#[test]
fn the_version_changes_with_a_rule_file_and_not_with_a_comment_in_the_policy() {
    let root = example_files();
    let path = root.path().join("policy.yaml");
    let before = load(&path).unwrap().version;
    write(root.path(), "policy.yaml", &format!("# a comment\n{}", example()));
    assert_eq!(load(&path).unwrap().version, before);
    write(root.path(), "rules/rules/a.data", "another\n");
    assert_ne!(load(&path).unwrap().version, before);
}

#[test]
fn every_field_is_documented_and_every_documented_field_exists() {
    let fields = |section: &str| -> Vec<&str> {
        let rows = DOCUMENT.split(section).nth(1).unwrap().split("\n## ").next().unwrap().lines();
        rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect()
    };
    let policy = serde_json::to_value(full()).unwrap();
    let mut expected: Vec<&String> = policy.as_object().unwrap().keys().collect();
    expected.sort();
    let mut documented = fields("## Fields of the policy");
    documented.sort_unstable();
    assert_eq!(documented, expected);
    let message = refused(&format!("{SMALL}zzz: 1\n"));
    for field in fields("## Fields of the process") {
        assert!(message.contains(&format!("`{field}`")) || message.contains(field), "{field}: {message}");
    }
}

/// A policy in which no field is absent.
fn full() -> Policy {
    let mut policy = Policy::empty(WorkloadId::local("shop", "web"));
    policy.required_features.insert("waf/v1".into());
    policy.fail_open = true;
    let gateway = ClientAddress { trusted_hops: 2, proxy_protocol: true };
    let inbound = ListenerRole::Inbound {
        application: "127.0.0.1:9000".parse().unwrap(),
        port: Some(8443),
        protocol: Protocol::Http2,
    };
    let roles = [
        ListenerRole::Gateway { certificates: vec!["*.example.org".into()], client_address: gateway },
        inbound,
        ListenerRole::OutboundHttp,
        ListenerRole::OutboundTcp { cluster: "db".into() },
    ];
    for (index, role) in roles.into_iter().enumerate() {
        let address = format!("[::1]:{}", 8000 + index).parse().unwrap();
        policy.listeners.push(Listener { name: format!("l{index}"), address, role });
    }
    let header = HeaderMatch { name: "x-a".into(), value: "no: \"yes\" #1\t\u{1f600}".into() };
    for path in [PathMatch::Prefix("/a".into()), PathMatch::Exact("/b c".into())] {
        let matches =
            vec![RouteMatch { path: Some(path), method: Some("GET".into()), headers: vec![header.clone()] }];
        policy.routes.push(Route {
            name: format!("r{}", policy.routes.len()),
            listeners: vec!["l0".into()],
            hosts: vec!["*.example.org".into(), "null".into(), "1e3".into()],
            ports: vec![443],
            matches,
            backends: vec![WeightedCluster { cluster: "db".into(), weight: 3 }],
            timeout_ms: Some(5),
        });
    }
    policy.clusters.push(Cluster {
        name: "db".into(),
        endpoints: vec![Endpoint { address: "127.0.0.2:5432".parse().unwrap(), weight: 2 }],
        protocol: Protocol::Tcp,
        tls: UpstreamTls::Mesh(vec!["cluster.local/ns/shop/sa/db".parse().unwrap()]),
    });
    policy.rule_sets.push(RuleSet {
        api_version: "palisade.dev/v1alpha1".into(),
        kind: "RuleSet".into(),
        metadata: Metadata { name: "r".into(), namespace: "shop".into(), ..Metadata::default() },
        spec: RuleSetSpec {
            sources: vec![SourceFile {
                name: "a.conf".into(),
                text: "SecRule ARGS \"@rx \\\\d: '#\" \\\n  \"id:1,\\\n  pass\"\n\n---\n\ttab  \r\n trailing \n\n".into(),
            }],
            data: [("a.data".to_owned(), "one\n\n#two\n: \n".to_owned())].into(),
        },
    });
    policy.authorization.push(
        serde_json::from_str(
            r#"{"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"a","labels":{"x":"y"}},
            "spec":{"action":"DENY","rules":[{"to":[{"operation":{"ports":["80"],"paths":["/*"]}}]}]}}"#,
        )
        .unwrap(),
    );
    policy.waf.push(
        serde_json::from_str(
            r#"{"apiVersion":"palisade.dev/v1alpha1","kind":"WafPolicy","metadata":{"name":"w"},
            "spec":{"ruleSet":"r","mode":"off","groups":[{"tag":"attack-sqli","mode":"detect"}],
            "responseBody":{"maxBytes":10,"over":"inspectPrefix"}}}"#,
        )
        .unwrap(),
    );
    policy
}

#[test]
fn what_is_rendered_is_read_back_as_the_same_policy() {
    for policy in [full(), Policy::empty(WorkloadId::local("shop", "web"))] {
        let text = render(&policy).unwrap();
        let file: PolicyFile =
            parse("p.yaml", &text, Path::new("")).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(file.policy, policy);
        assert_eq!(file.version, version_of(&policy));
    }
}

#[test]
fn a_malformed_file_is_refused_with_line_column_and_field() {
    for (text, parts) in [
        (format!("{SMALL}failopen: true\n"), vec!["p.yaml:4:1: failopen: ", "unknown field"]),
        (format!("{SMALL}failOpen: yes\n"), vec!["p.yaml:4:11: failOpen: "]),
        (format!("{SMALL}admin: localhost\n"), vec!["p.yaml:4:8: admin: "]),
        (format!("{SMALL}limits: {{uriBytes: -1}}\n"), vec!["p.yaml:4:20: limits.uriBytes: "]),
        (format!("{SMALL}routes: [\n"), vec!["p.yaml:"]),
        (
            SMALL.replace("kind: Policy", "kind: RuleSet"),
            vec!["p.yaml:2:7: kind: \"RuleSet\"", "kind: Policy"],
        ),
        (SMALL.replace("v1alpha1", "v2"), vec!["p.yaml:1:13: apiVersion: \"palisade.dev/v2\""]),
        (SMALL.replace("kind: Policy\n", ""), vec!["p.yaml:", "missing field", "kind"]),
        (String::new(), vec!["p.yaml:1:1: "]),
        (format!("{SMALL}---\n{SMALL}"), vec!["p.yaml:"]),
        (
            format!("{SMALL}ruleSetPaths: [{{name: a, directory: gone, include: []}}]\n"),
            vec!["/nowhere/gone: No such file"],
        ),
    ] {
        let message = refused(&text);
        for part in parts {
            assert!(message.contains(part), "{text}\n{message}");
        }
    }
}

#[test]
fn names_that_repeat_or_lead_nowhere_are_refused_with_their_field() {
    let listener = "{name: a, address: \"127.0.0.1:1\", role: outboundHttp}";
    let cluster = "{name: c, endpoints: []}";
    for (text, expected) in [
        (format!("listeners: [{listener}, {listener}]"), "p.yaml: listeners[1]: \"a\" is taken"),
        (format!("clusters: [{cluster}, {cluster}]"), "p.yaml: clusters[1]: \"c\" is taken"),
        (
            "routes: [{name: r, backends: [{cluster: x}]}]".into(),
            "p.yaml: routes[0].backends[0].cluster: no cluster is named \"x\"",
        ),
        (
            "routes: [{name: r, listeners: [l], backends: []}]".into(),
            "p.yaml: routes[0].listeners[0]: no listener",
        ),
        (
            "listeners: [{name: a, address: \"127.0.0.1:1\", role: {outboundTcp: {cluster: x}}}]".into(),
            "p.yaml: listeners[0].role.outboundTcp.cluster: no cluster",
        ),
        (
            "authorization: [{apiVersion: security.istio.io/v1, kind: RuleSet, metadata: {name: a}}]".into(),
            "p.yaml: authorization[0].kind: \"RuleSet\" stands where a AuthorizationPolicy is expected",
        ),
        (
            "ruleSets: [{apiVersion: v1, kind: RuleSet, metadata: {name: a}, spec: {sources: []}}]".into(),
            "p.yaml: ruleSets[0].apiVersion: \"v1\" is not the version of RuleSet",
        ),
    ] {
        let message = refused(&format!("{SMALL}{text}\n"));
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn a_missing_file_a_directory_an_endless_file_text_that_is_none_and_a_long_one_are_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    let message = |name: &str| load(&path(name)).unwrap_err().to_string();
    assert!(message("gone.yaml").contains("gone.yaml: No such file"));
    fs::create_dir(path("folder")).unwrap();
    assert!(message("folder").contains("folder: not a regular file"));
    std::os::unix::fs::symlink("/dev/zero", path("zero")).unwrap();
    assert!(message("zero").contains("zero: not a regular file"));
    fs::write(path("binary"), b"kind: \xff\n").unwrap();
    assert!(message("binary").contains("binary: not UTF-8 text: byte 6"));
    let padded = |length: usize| format!("{SMALL}#{}", "x".repeat(length - SMALL.len() - 1));
    fs::write(path("long"), padded(MAX_FILE_BYTES)).unwrap();
    assert!(load(&path("long")).is_ok());
    fs::write(path("longer"), padded(MAX_FILE_BYTES + 1)).unwrap();
    assert!(message("longer").contains("longer: 16777217 bytes; 16777216 are allowed"));
}

#[test]
fn a_policy_file_may_name_the_rule_set_that_comes_with_palisade() {
    let example = include_str!("../../../examples/protect.yaml");
    let read = parse("protect.yaml", example, Path::new("/nowhere")).unwrap();
    assert_eq!(read.policy.rule_sets, [palisade_loader::default_rules::rule_set("default")]);
    // What is rendered has the text in it, and is read back as the same.
    let again = parse("again.yaml", &render(&read.policy).unwrap(), Path::new("/nowhere")).unwrap();
    assert_eq!(again.version, read.version);
    // A rule set of that name in the file goes before it.
    let own = "ruleSets:\n- apiVersion: palisade.dev/v1alpha1\n  kind: RuleSet\n  metadata: {name: palisade-default, \
               namespace: default}\n  spec: {sources: [{name: a, text: SecRuleEngine On}]}\n";
    let read = parse("own.yaml", &format!("{example}{own}"), Path::new("/nowhere")).unwrap();
    assert_eq!((read.policy.rule_sets.len(), read.policy.rule_sets[0].spec.sources.len()), (1, 1));
}
