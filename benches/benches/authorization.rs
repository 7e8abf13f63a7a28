//! Authorization decisions with 10 to 10,000 rules: an allowed caller, a denied one, and the plain walk beside.
//!
//! Each bench asserts what was decided, so that a fast wrong answer is not a good one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use divan::{Bencher, black_box};
use http::{HeaderMap, Method, Version};
use palisade_authz::{AuthorizationEngine, Decision};
use palisade_model::documents::{
    Action, AuthorizationPolicy, AuthorizationPolicySpec, From, Metadata, Operation, Rule, Source, To,
};
use palisade_model::{Authority, Connection, Direction, Principal, RawHead, RequestHead, Scheme};

fn main() {
    divan::main();
}

const RULES: [usize; 4] = [10, 100, 1_000, 10_000];

/// One ALLOW policy with `rules` rules, each for another caller and another path.
fn engine(rules: usize) -> AuthorizationEngine {
    let rules = (0..rules)
        .map(|number| Rule {
            from: vec![From {
                source: Source {
                    principals: vec![format!("cluster.local/ns/bank/sa/caller-{number}")],
                    ..Source::default()
                },
            }],
            to: vec![To {
                operation: Operation {
                    methods: vec!["GET".into()],
                    paths: vec![format!("/accounts/{number}/*")],
                    ..Operation::default()
                },
            }],
            when: Vec::new(),
        })
        .collect();
    let policy = AuthorizationPolicy {
        api_version: "security.istio.io/v1".into(),
        kind: "AuthorizationPolicy".into(),
        metadata: Metadata { name: "callers".into(), namespace: "bank".into(), ..Metadata::default() },
        spec: AuthorizationPolicySpec { selector: None, action: Action::Allow, rules },
    };
    AuthorizationEngine::compile(&[policy]).unwrap()
}

fn connection(account: &str) -> Connection {
    Connection {
        listener: "inbound".into(),
        direction: Direction::Inbound,
        peer: "127.0.0.1:40000".parse().unwrap(),
        client: "127.0.0.1:40000".parse().unwrap(),
        local: "127.0.0.2:8443".parse().unwrap(),
        principal: Some(Principal::new("cluster.local", "bank", account).unwrap()),
        sni: None,
        tls: true,
    }
}

fn head(path: &str) -> RequestHead {
    RequestHead {
        method: Method::GET,
        scheme: Scheme::Https,
        authority: Authority { host: "accounts.bank".into(), port: None },
        path: path.into(),
        query: None,
        headers: HeaderMap::new(),
        upgrade: None,
        expect_continue: false,
        version: Version::HTTP_11,
        raw: RawHead::default(),
    }
}

#[divan::bench(args = RULES)]
fn allowed(bencher: Bencher<'_, '_>, rules: usize) {
    let engine = engine(rules);
    let last = rules - 1;
    let (connection, head) =
        (connection(&format!("caller-{last}")), head(&format!("/accounts/{last}/balance")));
    assert!(matches!(engine.http(&connection, &head), Decision::Allow(Some(_))));
    bencher.bench(|| engine.http(black_box(&connection), black_box(&head)));
}

#[divan::bench(args = RULES)]
fn denied(bencher: Bencher<'_, '_>, rules: usize) {
    let engine = engine(rules);
    let (connection, head) = (connection("intruder"), head("/accounts/1/balance"));
    assert!(matches!(engine.http(&connection, &head), Decision::Deny(_)));
    bencher.bench(|| engine.http(black_box(&connection), black_box(&head)));
}

#[divan::bench(args = RULES)]
fn allowed_by_the_plain_walk(bencher: Bencher<'_, '_>, rules: usize) {
    let engine = engine(rules);
    let last = rules - 1;
    let (connection, head) =
        (connection(&format!("caller-{last}")), head(&format!("/accounts/{last}/balance")));
    assert!(matches!(engine.decide_slowly(&connection, Some(&head)), Decision::Allow(Some(_))));
    bencher.bench(|| engine.decide_slowly(black_box(&connection), Some(black_box(&head))));
}
