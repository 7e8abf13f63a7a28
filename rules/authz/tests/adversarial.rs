//! Attacks on authorization, named by class and number. Each asserts the refusal and, beside it, that the same policy
//! lets the harmless neighbour pass, so that no test is met by refusing everything.
//!
//! Where the reading of the head refuses an input before authorization sees it, `palisade-http` tests that; here the
//! decision must hold even if such a path came through.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod exchange;

use exchange::{WEB, allow, allowed, connection, deny, get, head, with_header};
use palisade_authz::AuthorizationEngine;
use palisade_model::RequestHead;
use serde_json::json;

fn deny_paths(paths: &[&str]) -> AuthorizationEngine {
    deny(json!([{"to": [{"operation": {"paths": paths}}]}]))
}

fn passes(engine: &AuthorizationEngine, head: &RequestHead) -> bool {
    allowed(&engine.http(&connection(WEB), head))
}

#[test]
fn path_5_6_8_a_deny_takes_every_reading_of_a_path() {
    for paths in [["/admin"], ["/admin*"], ["/{*}"]] {
        let engine = deny_paths(&paths);
        for path in ["/admin", "/x%2F..%2Fadmin", "/%5Cadmin", "/x/..;/admin", "/admin;x=y", "/..%5Cadmin"] {
            assert!(!passes(&engine, &get(path)), "{paths:?} let {path} pass");
        }
        assert!(passes(&engine, &get("/public/%20/x")), "{paths:?}");
    }
}

#[test]
fn path_8_an_allow_does_not_take_a_path_that_climbs_out() {
    let engine = allow(json!([{"to": [{"operation": {"paths": ["/public/*", "/odd%2Fname"]}}]}]));
    for path in ["/public/..;/admin", "/public/..%2Fadmin", "/public/%5C..%5C..%5Cadmin"] {
        assert!(!passes(&engine, &get(path)), "{path}");
    }
    for path in ["/public/a", "/public/a%2Fb", "/public/a;v=1", "/odd%2Fname"] {
        assert!(passes(&engine, &get(path)), "{path}");
    }
}

#[test]
fn path_8_a_deny_of_all_but_one_tree_is_not_escaped() {
    let engine = deny(json!([{"to": [{"operation": {"notPaths": ["/public/*"]}}]}]));
    assert!(!passes(&engine, &get("/public/..;/admin")));
    assert!(!passes(&engine, &get("/admin")));
    assert!(passes(&engine, &get("/public/a")));
}

#[test]
fn path_10_the_query_is_not_part_of_an_exact_path() {
    let mut request = get("/admin");
    request.query = Some("x".into());
    assert!(!passes(&deny_paths(&["/admin"]), &request));
    request.path = "/other".into();
    assert!(passes(&deny_paths(&["/admin"]), &request));
}

#[test]
fn path_17_a_template_never_crosses_a_slash_hidden_or_not() {
    let engine = allow(json!([{"to": [{"operation": {"paths": ["/users/{*}"]}}]}]));
    assert!(passes(&engine, &get("/users/ann")));
    assert!(passes(&engine, &get("/users/*")));
    for path in ["/users/ann/keys", "/users/ann%2Fkeys", "/users/ann%5Ckeys", "/users/"] {
        assert!(!passes(&engine, &get(path)), "{path}");
    }
}

#[test]
fn host_20_21_case_and_port_do_not_change_the_host() {
    for pattern in ["A.com", "a.com", "a.*", "*.COM"] {
        let engine = deny(json!([{"to": [{"operation": {"hosts": [pattern]}}]}]));
        for authority in ["a.com", "a.com:80", "a.com:8080"] {
            assert!(!passes(&engine, &head("GET", authority, "/")), "{pattern} let {authority} pass");
        }
        assert!(passes(&engine, &head("GET", "b.net:80", "/")), "{pattern}");
    }
}

#[test]
fn host_21_a_pattern_with_a_port_takes_only_that_port_written_or_implied() {
    for (pattern, taken, left) in [
        ("a.com:80", ["a.com:80", "a.com"].as_slice(), ["a.com:81", "b.com"].as_slice()),
        ("a.com:*", ["a.com:80", "a.com", "a.com:9"].as_slice(), ["a.company:80"].as_slice()),
        ("*:8080", ["b.com:8080"].as_slice(), ["b.com", "b.com:18080"].as_slice()),
    ] {
        let engine = deny(json!([{"to": [{"operation": {"hosts": [pattern]}}]}]));
        for authority in taken {
            assert!(!passes(&engine, &head("GET", authority, "/")), "{pattern} let {authority} pass");
        }
        for authority in left {
            assert!(passes(&engine, &head("GET", authority, "/")), "{pattern} took {authority}");
        }
    }
}

#[test]
fn host_20_not_hosts_are_no_way_around() {
    let engine = allow(json!([{"to": [{"operation": {"notHosts": ["Admin.shop"]}}]}]));
    for authority in ["admin.shop", "admin.shop:80"] {
        assert!(!passes(&engine, &head("GET", authority, "/")), "{authority}");
    }
    assert!(passes(&engine, &head("GET", "shop", "/")));
}

#[test]
fn headers_26_a_second_value_cannot_hide_from_a_deny() {
    let engine = deny(json!([{"when": [{"key": "request.headers[x-role]", "values": ["admin"]}]}]));
    let lines =
        |values: &[&[u8]]| values.iter().fold(get("/"), |head, value| with_header(head, "x-role", value));
    for values in [
        [b"admin".as_slice(), b"user"].as_slice(),
        [b"user".as_slice(), b"admin"].as_slice(),
        [b"user, admin".as_slice()].as_slice(),
        [b"user,admin ,x".as_slice()].as_slice(),
    ] {
        assert!(!passes(&engine, &lines(values)), "{values:?}");
    }
    assert!(passes(&engine, &lines(&[b"user", b"administrator"])));
}

#[test]
fn headers_26_a_deny_of_all_but_one_value_wants_only_that_value() {
    let engine = deny(json!([{"when": [{"key": "request.headers[x-role]", "notValues": ["user"]}]}]));
    let user = with_header(get("/"), "x-role", b"user");
    assert!(passes(&engine, &user));
    assert!(!passes(&engine, &with_header(user, "x-role", b"admin")));
    assert!(!passes(&engine, &get("/")));
}

#[test]
fn headers_28_values_that_are_not_utf8_match_as_bytes() {
    let engine = deny(json!([{"when": [{"key": "request.headers[x-a]", "values": ["evil*"]}]}]));
    assert!(!passes(&engine, &with_header(get("/"), "x-a", b"evil\xff\xfe")));
    assert!(passes(&engine, &with_header(get("/"), "x-a", b"\xff\xfe")));
}

#[test]
fn headers_30_an_underscore_does_not_hide_from_a_deny_nor_satisfy_an_allow() {
    let condition = json!([{"when": [{"key": "request.headers[x-role]", "values": ["admin"]}]}]);
    let request = with_header(get("/"), "x_role", b"admin");
    assert!(!passes(&deny(condition.clone()), &request));
    assert!(!passes(&allow(condition.clone()), &request));
    assert!(passes(&deny(condition), &with_header(get("/"), "x_rule", b"admin")));
}

#[test]
fn identity_61_another_trust_domain_is_another_principal() {
    let engine = allow(json!([{"from": [{"source": {"principals": [WEB]}}]}]));
    assert!(!allowed(&engine.http(&connection("evil.domain/ns/shop/sa/web"), &get("/"))));
    assert!(passes(&engine, &get("/")));
}

#[test]
fn translation_69_metacharacters_are_literal_in_every_field() {
    let engine = allow(json!([{
        "from": [{"source": {"namespaces": ["s.op", "sh.*"]}}],
        "to": [{"operation": {"hosts": ["p.yments.shop"], "paths": ["/a.c", "/(x)+"], "methods": ["G.T"]}}],
        "when": [{"key": "request.headers[x-a]", "values": ["v.1", "[a-z]+"]}],
    }]));
    let head = with_header(head("GET", "payments.shop", "/abc"), "x-a", b"vX1");
    assert!(!passes(&engine, &head));
    for field in [json!({"paths": ["/(x)+"]}), json!({"hosts": ["a.b"]}), json!({"methods": ["G.T"]})] {
        let engine = deny(json!([{"to": [{"operation": field}]}]));
        assert!(passes(&engine, &exchange::head("GET", "aXb", "/x")), "{field}");
    }
    let literal = deny(json!([{"to": [{"operation": {"paths": ["/(x)+"]}}]}]));
    assert!(!passes(&literal, &get("/(x)+")));
}

#[test]
fn translation_70_a_dot_in_a_name_takes_only_a_dot() {
    for source in [
        json!({"principals": ["td/ns/a.b/sa/c"]}),
        json!({"namespaces": ["a.b"]}),
        json!({"serviceAccounts": ["a.b/c"]}),
    ] {
        let engine = allow(json!([{"from": [{"source": source}]}]));
        assert!(allowed(&engine.http(&connection("td/ns/a.b/sa/c"), &get("/"))), "{source}");
        assert!(!allowed(&engine.http(&connection("td/ns/aXb/sa/c"), &get("/"))), "{source}");
    }
}

#[test]
fn translation_72_l7_field_on_tcp_allow() {
    for to in
        [json!({"methods": ["GET"]}), json!({"notPaths": ["/x"]}), json!({"hosts": ["*"], "ports": ["8080"]})]
    {
        let engine = allow(json!([{"to": [{"operation": to}]}]));
        assert!(!allowed(&engine.tcp(&connection(WEB))), "{to}");
    }
    let l4 = allow(json!([{"to": [{"operation": {"ports": ["8080"]}}]}]));
    assert!(allowed(&l4.tcp(&connection(WEB))));
}

#[test]
fn translation_72_l7_field_on_tcp_deny() {
    let engine = deny(json!([{
        "from": [{"source": {"principals": [WEB]}}],
        "to": [{"operation": {"ports": ["8080"], "methods": ["DELETE"], "notPaths": ["/x"]}}],
        "when": [{"key": "request.headers[x-a]", "values": ["1"]}],
    }]));
    assert!(!allowed(&engine.tcp(&connection(WEB))), "the HTTP part is dropped, the rest is enforced");
    assert!(allowed(&engine.tcp(&connection(exchange::INTRUDER))));
    let mut other_port = connection(WEB);
    other_port.local = "10.0.0.1:9090".parse().unwrap();
    assert!(allowed(&engine.tcp(&other_port)));
}

#[test]
fn translation_76_two_policies_of_one_name_stay_two() {
    let mut other = exchange::policy("ALLOW", json!([{"to": [{"operation": {"methods": ["PUT"]}}]}]));
    other.metadata.namespace = "istio-system".into();
    let own = exchange::policy("ALLOW", json!([{"to": [{"operation": {"methods": ["GET"]}}]}]));
    let engine = exchange::engine(&[other, own]);
    assert!(passes(&engine, &get("/")) && passes(&engine, &head("PUT", "a", "/")));
    assert!(!passes(&engine, &head("POST", "a", "/")));
}
