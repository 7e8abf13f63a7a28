//! Precedence, hosts, paths, and what the table refuses to compile.

use http::{Request, Version};
use palisade_model::Scheme;
use palisade_model::policy::HeaderMatch;
use proptest::prelude::*;

use super::*;
use crate::HeadLimits;

fn route(name: &str, hosts: &[&str]) -> Route {
    Route {
        name: name.into(),
        listeners: vec![],
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        ports: vec![],
        matches: vec![],
        backends: vec![WeightedCluster { cluster: "c".into(), weight: 1 }],
        timeout_ms: None,
    }
}

fn matching(name: &str, one: RouteMatch) -> Route {
    Route { matches: vec![one], ..route(name, &[]) }
}

fn head(method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> RequestHead {
    let mut request =
        Request::builder().method(method).uri(path).version(Version::HTTP_11).header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let parts = request.body(()).unwrap().into_parts().0;
    crate::head::canonical(parts, None, Scheme::Http, false, &HeadLimits::default()).unwrap().0
}

fn found(routes: &[Route], head: &RequestHead) -> Option<String> {
    let table = RouteTable::compile(routes).unwrap();
    table.find("any", true, head).map(|route| route.name.to_string())
}

fn by_host(routes: &[Route], host: &str) -> String {
    found(routes, &head("GET", host, "/", &[])).unwrap_or_default()
}

#[test]
fn the_first_route_in_order_decides() {
    let routes = [route("all", &[]), route("exact", &["a.b"])];
    assert_eq!(by_host(&routes, "a.b"), "all");
    let routes = [route("wild", &["*.b"]), route("exact", &["a.b"]), route("all", &["*"])];
    assert_eq!(by_host(&routes, "a.b"), "wild");
    let routes = [route("exact", &["a.b"]), route("wild", &["*.b"]), route("all", &[])];
    assert_eq!(by_host(&routes, "A.B."), "exact");
    assert_eq!(by_host(&routes, "x.a.b"), "wild");
    assert_eq!(by_host(&routes, "b"), "all");
    assert_eq!(by_host(&routes, "xb"), "all");
}

#[test]
fn a_wildcard_needs_a_label_and_takes_several() {
    let routes = [route("wild", &["*.Shop.Example"])];
    assert_eq!(by_host(&routes, "a.shop.example"), "wild");
    assert_eq!(by_host(&routes, "a.b.shop.example"), "wild");
    assert_eq!(by_host(&routes, "shop.example"), "");
    assert_eq!(by_host(&routes, "ashop.example"), "");
}

#[test]
fn routes_belong_to_their_listeners() {
    let named = Route { listeners: vec!["edge".into()], ..route("edge-route", &[]) };
    let table = RouteTable::compile(&[named, route("general", &[])]).unwrap();
    let head = head("GET", "a", "/", &[]);
    let find = |listener, outbound| table.find(listener, outbound, &head).map(|route| route.name.to_string());
    assert_eq!(find("edge", false).as_deref(), Some("edge-route"));
    assert_eq!(find("edge", true).as_deref(), Some("edge-route"));
    assert_eq!(find("other", true).as_deref(), Some("general"));
    assert_eq!(find("other", false), None);
}

#[test]
fn ports_are_those_of_the_authority_or_its_scheme() {
    let routes =
        [Route { ports: vec![8080], ..route("alt", &[]) }, Route { ports: vec![80], ..route("plain", &[]) }];
    assert_eq!(by_host(&routes, "a:8080"), "alt");
    assert_eq!(by_host(&routes, "a:80"), "plain");
    assert_eq!(by_host(&routes, "a"), "plain");
    assert_eq!(by_host(&routes, "a:81"), "");
}

#[test]
fn a_prefix_takes_whole_segments() {
    for prefix in ["/a", "/a/"] {
        let path = Some(PathMatch::Prefix(prefix.into()));
        let routes = [matching("p", RouteMatch { path, ..RouteMatch::default() })];
        for (path, taken) in [
            ("/a", true),
            ("/a/", true),
            ("/a/b", true),
            ("/ab", false),
            ("/", false),
            ("/A", false),
            ("/x/../a/b", true),
        ] {
            assert_eq!(found(&routes, &head("GET", "h", path, &[])).is_some(), taken, "{prefix} {path}");
        }
    }
    let all =
        [matching("p", RouteMatch { path: Some(PathMatch::Prefix("/".into())), ..RouteMatch::default() })];
    assert!(found(&all, &head("GET", "h", "/x/y", &[])).is_some());
    assert!(found(&all, &head("OPTIONS", "h", "*", &[])).is_some());
}

#[test]
fn path_10_an_exact_path_ignores_the_query() {
    let routes =
        [matching("p", RouteMatch { path: Some(PathMatch::Exact("/a".into())), ..RouteMatch::default() })];
    assert!(found(&routes, &head("GET", "h", "/a?x=1", &[])).is_some());
    assert!(found(&routes, &head("GET", "h", "/%61", &[])).is_some());
    assert!(found(&routes, &head("GET", "h", "/a/", &[])).is_none());
}

#[test]
fn all_conditions_of_one_match_and_any_match_of_a_route() {
    let post = RouteMatch { method: Some("POST".into()), ..RouteMatch::default() };
    let header = RouteMatch {
        path: Some(PathMatch::Exact("/a".into())),
        headers: vec![HeaderMatch { name: "X-Canary".into(), value: "yes".into() }],
        ..RouteMatch::default()
    };
    let routes = [Route { matches: vec![post, header], ..route("r", &[]) }];
    let takes =
        |method, path, headers: &[(&str, &str)]| found(&routes, &head(method, "h", path, headers)).is_some();
    assert!(takes("POST", "/x", &[]));
    assert!(takes("GET", "/a", &[("x-canary", "yes")]));
    assert!(takes("GET", "/a", &[("x-canary", "no"), ("x-canary", "yes")]), "any value may match");
    assert!(!takes("GET", "/a", &[("x-canary", "no, yes")]), "values are compared whole");
    assert!(!takes("GET", "/a", &[("x-canary", "YES")]));
    assert!(!takes("GET", "/b", &[("x-canary", "yes")]));
    assert!(!takes("POSTS", "/x", &[]), "methods are compared whole");
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_place() {
    let problem = |route: Route| RouteTable::compile(&[route]).unwrap_err().to_string();
    let with_path = |path| matching("r", RouteMatch { path: Some(path), ..RouteMatch::default() });
    let backends = |backends| Route { backends, ..route("r", &[]) };
    assert_eq!(problem(backends(vec![])), "routes[0] r: backends: there is none");
    let zero = WeightedCluster { cluster: "c".into(), weight: 0 };
    assert_eq!(problem(backends(vec![zero])), "routes[0] r: backends: the weights sum to 0");
    for host in ["", "*a.b", "a.*", "a..b", "*.*.b", "a b", "a@b", "*.", "*.[::1]", "a:80"] {
        assert!(problem(route("r", &[host])).starts_with("routes[0] r: hosts: "), "{host}");
    }
    assert!(problem(with_path(PathMatch::Exact("/a/../b".into()))).contains("write `/b`"));
    assert!(problem(with_path(PathMatch::Prefix("/%61".into()))).contains("write `/a`"));
    assert!(problem(with_path(PathMatch::Prefix("a".into()))).contains("refused in requests"));
    let method = RouteMatch { method: Some("G T".into()), ..RouteMatch::default() };
    assert!(problem(matching("r", method)).contains("matches[0].method"));
    let bad = HeaderMatch { name: "a b".into(), value: String::new() };
    assert!(
        problem(matching("r", RouteMatch { headers: vec![bad], ..RouteMatch::default() }))
            .contains("matches[0].headers")
    );
    assert!(problem(Route { ports: vec![0], ..route("r", &[]) }).contains("ports"));
    assert!(problem(Route { timeout_ms: Some(0), ..route("r", &[]) }).contains("timeoutMs"));
    let twice = RouteTable::compile(&[route("a", &[]), route("b", &[]), route("a", &[])]).unwrap_err();
    assert_eq!((twice.index, twice.problem.as_str()), (2, "the name is used twice"));
}

#[test]
fn a_thousand_hosts_are_one_look_up() {
    let routes: Vec<_> =
        (0..1_000).map(|index| route(&format!("r{index}"), &[&format!("h{index}.example")])).collect();
    let table = RouteTable::compile(&routes).unwrap();
    let mut candidates = 0;
    table.outbound.lists("h777.example", |list| candidates += list.len());
    assert_eq!(candidates, 1);
    assert_eq!(&*table.find("x", true, &head("GET", "h777.example", "/", &[])).unwrap().name, "r777");
}

/// The obvious reading of the contract, to compare the table with.
fn plainly<'a>(routes: &'a [Route], host: &str) -> Option<&'a str> {
    let takes = |pattern: &String| match pattern.strip_prefix("*.") {
        Some(suffix) => host.len() > suffix.len() + 1 && host.ends_with(&format!(".{suffix}")),
        None => pattern == "*" || pattern == host,
    };
    routes
        .iter()
        .find(|route| route.hosts.is_empty() || route.hosts.iter().any(takes))
        .map(|route| route.name.as_str())
}

proptest! {
    #[test]
    fn the_index_finds_what_a_walk_through_all_routes_finds(
        hosts in proptest::collection::vec(proptest::collection::vec("(\\*\\.)?[ab](\\.[ab]){0,2}|\\*", 0..3), 0..8),
        host in "[ab](\\.[ab]){0,3}",
    ) {
        let routes: Vec<_> = hosts
            .iter()
            .enumerate()
            .map(|(index, hosts)| route(&format!("r{index}"), &hosts.iter().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        let found = found(&routes, &head("GET", &host, "/", &[]));
        prop_assert_eq!(found.as_deref(), plainly(&routes, &host));
    }
}
