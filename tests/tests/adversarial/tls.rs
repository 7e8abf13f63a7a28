//! Who may speak to an inbound listener, and as whom.

use std::io::{Read, Write};

use rcgen::{BasicConstraints, DnType, ExtendedKeyUsagePurpose, IsCa, SanType};
use serde_json::json;
use tempfile::TempDir;

use crate::authority::{Authority, Leaf, tls_client};
use crate::stage::{Client, GOOD, Origin, Stage, policy};

/// An inbound listener that takes `cluster.local/ns/shop/sa/web` only.
pub fn inbound(authority: &Authority, origin: Origin, protocol: &str) -> Stage {
    let dir = TempDir::new().unwrap();
    let mut policy = policy(origin.address);
    policy["identity"] = authority.identity(&dir);
    policy["listeners"] = json!([{
        "name": "inbound", "address": "127.0.0.1:0",
        "role": {"inbound": {"application": origin.address, "protocol": protocol}},
    }]);
    policy["routes"] = json!([]);
    policy["clusters"] = json!([]);
    policy["authorization"] = json!([policy["authorization"][0], {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "callers", "namespace": "shop"},
        "spec": {"action": "ALLOW", "rules": [
            {"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/web", "cluster.local/ns/a.b/sa/c"]}}]},
        ]},
    }]);
    Stage::playing(origin, &policy, dir)
}

/// What a caller with this certificate gets: a status, or none if the handshake or the connection ended.
fn call(stage: &Stage, leaf: &Leaf) -> Option<u16> {
    let stream = tls_client(stage.edge, Authority::client(leaf, &["http/1.1"]), "web.shop").ok()?;
    let mut client = Client::over(stream);
    client.try_send(GOOD).ok()?;
    client.answer().map(|answer| answer.status)
}

/// None of these certificates makes a caller; a good one does.
fn nobody(authority: &Authority, leaves: &[(&str, Leaf)]) {
    let stage = inbound(authority, Origin::ok(), "http");
    for (name, leaf) in leaves {
        assert_eq!(call(&stage, leaf), None, "{name}");
    }
    assert_eq!(stage.origin.text(), "");
    assert_eq!(call(&stage, &authority.leaf(|_| {})), Some(200), "a good certificate");
    assert!(stage.metrics().contains("cause=\"tls_handshake\""), "the refusals are counted");
}

#[test]
fn tls_58_a_san_with_a_nul_is_no_identity() {
    let authority = Authority::new("cluster.local");
    let nul = authority.named(&["spiffe://cluster.local/ns/shop/sa/web\0/x"]);
    let nul_in_the_domain = authority.named(&["spiffe://cluster.local\0.evil/ns/shop/sa/web"]);
    nobody(&authority, &[("NUL", nul), ("NUL in the domain", nul_in_the_domain)]);
}

#[test]
fn tls_60_a_wildcard_or_a_second_uri_is_no_identity() {
    let authority = Authority::new("cluster.local");
    let good = "spiffe://cluster.local/ns/shop/sa/web";
    nobody(
        &authority,
        &[
            ("wildcard", authority.named(&["spiffe://cluster.local/ns/shop/sa/*"])),
            ("wildcard domain", authority.named(&["spiffe://*/ns/shop/sa/web"])),
            ("two URIs", authority.named(&[good, "spiffe://cluster.local/ns/shop/sa/boss"])),
            ("the same URI twice", authority.named(&[good, good])),
            ("no URI", authority.ordinary("web.shop")),
            (
                "the common name",
                authority.leaf(|params| {
                    params.subject_alt_names.clear();
                    params.distinguished_name.push(DnType::CommonName, good);
                }),
            ),
            ("another scheme", authority.named(&["https://cluster.local/ns/shop/sa/web"])),
            (
                "e-mail",
                authority.leaf(|params| {
                    params.subject_alt_names =
                        vec![SanType::Rfc822Name("web@cluster.local".try_into().unwrap())];
                }),
            ),
        ],
    );
}

#[test]
fn tls_61_another_trust_domain_is_nobody_here() {
    let authority = Authority::new("cluster.local");
    let foreign = Authority::new("foreign.example");
    let impostor = Authority::new("cluster.local");
    nobody(
        &authority,
        &[
            ("signed by theirs, named theirs", foreign.leaf(|_| {})),
            ("signed by theirs, named ours", foreign.named(&["spiffe://cluster.local/ns/shop/sa/web"])),
            ("signed by ours, named theirs", authority.named(&["spiffe://foreign.example/ns/shop/sa/web"])),
            ("another root of our name", impostor.leaf(|_| {})),
            ("case", authority.named(&["spiffe://CLUSTER.LOCAL/ns/shop/sa/web"])),
        ],
    );
}

#[test]
fn tls_62_a_spiffe_path_that_climbs_is_no_identity() {
    let authority = Authority::new("cluster.local");
    let names = [
        "spiffe://cluster.local/ns/shop/sa/x/../web",
        "spiffe://cluster.local/ns/shop/sa/./web",
        "spiffe://cluster.local/ns/shop//sa/web",
        "spiffe://cluster.local/ns/shop/sa/web/",
        "spiffe://cluster.local/ns/shop/sa/we%62",
        "spiffe://cluster.local/ns/shop/sa/web?x",
        "spiffe://cluster.local/ns/shop/sa/web#x",
        "spiffe://user@cluster.local/ns/shop/sa/web",
        "spiffe://cluster.local:443/ns/shop/sa/web",
        "SPIFFE://cluster.local/ns/shop/sa/web/x",
        "spiffe://cluster.local/ns/shop/sa/web,spiffe://cluster.local/ns/shop/sa/boss",
    ];
    let leaves: Vec<_> = names.iter().map(|name| (*name, authority.named(&[name]))).collect();
    nobody(&authority, &leaves);
}

#[test]
fn tls_64_a_leaf_that_may_sign_or_is_out_of_date_or_of_another_use_is_no_identity() {
    let authority = Authority::new("cluster.local");
    let now = time::OffsetDateTime::now_utc();
    let hours = time::Duration::hours;
    nobody(
        &authority,
        &[
            ("CA", authority.leaf(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
            (
                "expired",
                authority.leaf(|params| {
                    params.not_before = now - hours(3);
                    params.not_after = now - hours(2);
                }),
            ),
            (
                "not yet valid",
                authority.leaf(|params| {
                    params.not_before = now + hours(2);
                    params.not_after = now + hours(3);
                }),
            ),
            (
                "server only",
                authority.leaf(|params| {
                    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                }),
            ),
        ],
    );
}

#[test]
fn tls_65_plain_bytes_and_a_client_without_certificate_get_nothing() {
    let authority = Authority::new("cluster.local");
    let stage = inbound(&authority, Origin::ok(), "http");
    for bytes in
        [GOOD.as_bytes(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03garbage garbage garbage garbage"]
    {
        let mut client = Client::connect(stage.edge);
        client.send(bytes);
        let rest = client.rest();
        assert!(!rest.contains("HTTP"), "{rest:?}");
    }
    let tls = tls_client(stage.edge, authority.ordinary_client(), "web.shop");
    if let Ok(mut tls) = tls {
        // TLS 1.3 tells the client only with its first read.
        let _ = tls.write_all(GOOD.as_bytes());
        assert_eq!(tls.read(&mut [0; 100]).unwrap_or(0), 0);
    }
    assert_eq!(stage.origin.text(), "");
    assert_eq!(call(&stage, &authority.leaf(|_| {})), Some(200));
    assert!(stage.metrics().contains("cause=\"plaintext\""));
}

#[test]
fn tls_66_no_session_is_resumed() {
    let authority = Authority::new("cluster.local");
    let stage = inbound(&authority, Origin::ok(), "http");
    let config = Authority::client(&authority.leaf(|_| {}), &["http/1.1"]);
    for _ in 0..3 {
        // One configuration remembers sessions between connections, if it is given tickets.
        let mut client = Client::over(tls_client(stage.edge, config.clone(), "web.shop").unwrap());
        client.send(GOOD);
        assert_eq!(client.answer().unwrap().status, 200);
        let connection = &client.stream.conn;
        assert_eq!(connection.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(connection.tls13_tickets_received(), 0);
        assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    }
}

#[test]
fn translation_69_and_70_a_dot_or_a_star_in_a_policy_means_itself() {
    let authority = Authority::new("cluster.local");
    let stage = inbound(&authority, Origin::ok(), "http");
    let as_named = |name: &str| call(&stage, &authority.named(&[name]));
    assert_eq!(as_named("spiffe://cluster.local/ns/a.b/sa/c"), Some(200));
    assert_ne!(as_named("spiffe://cluster.local/ns/aXb/sa/c"), Some(200), "a dot is a dot");
    assert_ne!(as_named("spiffe://clusterXlocal/ns/shop/sa/web"), Some(200));
    assert_eq!(as_named("spiffe://cluster.local/ns/shop/sa/webX"), Some(403));
    assert_eq!(as_named("spiffe://cluster.local/ns/shop/sa/we"), Some(403));
    assert_eq!(stage.origin.count(), 1);
}

#[test]
fn translation_69_metacharacters_in_paths_hosts_and_values_mean_themselves() {
    let stage = Stage::with(Origin::ok(), |policy| {
        policy["authorization"][0]["spec"] = json!({"action": "ALLOW", "rules": [
            {"to": [{"operation": {"paths": ["/a.c", "/(x)", "/q+", "/good"]}}]},
            {"to": [{"operation": {"hosts": ["a.b.example"]}}]},
            {"when": [{"key": "request.headers[x-key]", "values": [".+", "a|b", "^x$"]}]},
        ]});
    });
    let ask = |target: &str, host: &str, key: &str| {
        let mut client = Client::connect(stage.edge);
        client.send(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nx-key: {key}\r\n\r\n"));
        client.answer().unwrap().status
    };
    let denied = [
        ("/abc", "shop.example", "n"),
        ("/x", "shop.example", "n"),
        ("/q", "shop.example", "n"),
        ("/n", "aXb.example", "n"),
        ("/n", "shop.example", "anything"),
        ("/n", "shop.example", "a"),
        ("/n", "shop.example", "x"),
    ];
    for (target, host, key) in denied {
        assert_eq!(ask(target, host, key), 403, "{target} {host} {key}");
    }
    assert_eq!(stage.origin.count(), 0);
    for (target, host, key) in [
        ("/a.c", "shop.example", "n"),
        ("/(x)", "shop.example", "n"),
        ("/q+", "shop.example", "n"),
        ("/n", "a.b.example", "n"),
        ("/n", "shop.example", ".+"),
        ("/n", "shop.example", "^x$"),
    ] {
        assert_eq!(ask(target, host, key), 200, "{target} {host} {key}");
    }
}

#[test]
fn translation_72_http_fields_on_a_tcp_port_close_where_they_deny_and_never_open_where_they_allow() {
    let authority = Authority::new("cluster.local");
    let leaf = authority.leaf(|_| {});
    let reach = |stage: &Stage| {
        let stream = tls_client(stage.edge, Authority::client(&leaf, &[]), "web.shop");
        let Ok(stream) = stream else { return false };
        let mut client = Client::over(stream);
        client.try_send(GOOD).is_ok() && client.answer().is_some()
    };
    // The DENY rules of the set have HTTP fields only: without them they deny everything.
    let denied = inbound(&authority, Origin::ok(), "tcp");
    assert!(!reach(&denied));
    assert_eq!(denied.origin.text(), "");
    for (allow, open) in [
        (json!([{"to": [{"operation": {"paths": ["/good"]}}]}]), false),
        (json!([{"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/web"]}}]}]), true),
    ] {
        let dir = TempDir::new().unwrap();
        let origin = Origin::ok();
        let mut policy = policy(origin.address);
        policy["identity"] = authority.identity(&dir);
        let role = json!({"inbound": {"application": origin.address, "protocol": "tcp"}});
        policy["listeners"] = json!([{"name": "inbound", "address": "127.0.0.1:0", "role": role}]);
        policy["routes"] = json!([]);
        policy["authorization"][0]["spec"] = json!({"action": "ALLOW", "rules": allow});
        let stage = Stage::playing(origin, &policy, dir);
        assert_eq!(reach(&stage), open);
        assert_eq!(stage.origin.count(), usize::from(open));
    }
}
