//! The real programs together: hot swap under load, restarts without the control plane, bad documents.
//!
//! Long counts run in full with `PALISADE_SOAK=1` (`cargo xtask soak`); the tests run a stated fraction.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing
)]

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use palisade_tests::house::House;
use palisade_tests::load::{self, Load, Outcome};
use palisade_tests::process::{programs, wait_until};
use palisade_tests::{http as client, process};

/// One house at a time: each takes the first free ports it finds.
static ONE_HOUSE: Mutex<()> = Mutex::new(());

struct Running {
    house: House,
    _one: std::sync::MutexGuard<'static, ()>,
    _dir: tempfile::TempDir,
}

fn start() -> Running {
    let one = ONE_HOUSE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let house = House::start(&programs().unwrap(), dir.path()).unwrap();
    Running { house, _one: one, _dir: dir }
}

fn gateway(house: &House) -> SocketAddr {
    SocketAddr::from((house.member("gateway").unwrap().address, house.ports.gateway))
}

/// How many swaps the full count has.
const SWAPS: u32 = 1_000;
/// How many the tests run: enough to meet every interleaving of slow bodies and swaps many times.
const SWAPS_IN_TESTS: u32 = 50;

/// The rules of a version ([`palisade_tests::load::rules`]) as a RuleSet document.
fn versioned_rules(version: u32) -> String {
    let rules = load::rules(version).replace('\n', "\n      ");
    format!(
        "apiVersion: palisade.dev/v1alpha1\nkind: RuleSet\nmetadata: {{name: demo-rules, namespace: shop}}\nspec:\n  sources:\n  \
         - name: versioned.conf\n    text: |\n      {rules}\n"
    )
}

#[test]
fn soak_policy_changes_under_load_lose_no_request_and_mix_no_versions() {
    let soak = std::env::var_os("PALISADE_SOAK").is_some();
    let swaps = if soak { SWAPS } else { SWAPS_IN_TESTS };
    let mut running = start();
    let house = &mut running.house;
    let address = gateway(house);
    let load = Load::start(address).unwrap();
    let mut times: Vec<Duration> = Vec::new();
    for version in 1..=swaps {
        let begun = Instant::now();
        house.put("RuleSet", "demo-rules", &versioned_rules(version)).unwrap();
        let probe = format!("/version-{version}");
        wait_until(&format!("version {version} is enforced"), 20, || {
            Ok(client::send(address, "GET", &probe, &[], "")?.status == 418)
        })
        .unwrap();
        times.push(begun.elapsed());
        house.check().unwrap();
    }
    let Outcome { answered, wrong } = load.end().unwrap();
    times.sort();
    println!(
        "{swaps} of {SWAPS} swaps, {answered} requests; PUT to enforced: median {:?}, worst {:?}",
        times[times.len() / 2],
        times[times.len() - 1]
    );
    assert!(wrong.is_empty(), "{} of {answered} exchanges went wrong: {:?}", wrong.len(), wrong.first());
    assert!(answered > u64::from(swaps), "the load was under way during the swaps: {answered} requests");
}

#[test]
fn sidecars_serve_and_restart_while_the_control_plane_is_away() {
    let mut running = start();
    let house = &mut running.house;
    let address = gateway(house);
    assert!(house.program("control-plane").unwrap().stop(), "the control plane ends by itself");
    let served = |house: &House| client::send(gateway(house), "GET", "/products", &[], "").unwrap();
    assert_eq!(served(house).status, 200, "proxies serve without the control plane");

    for name in ["shop-proxy", "gateway-proxy"] {
        assert!(house.program(name).unwrap().restart().unwrap(), "{name} ends by itself");
    }
    let mut last = String::new();
    process::wait_until("restarted proxies serve from their state directories", 20, || {
        last = format!("{:?}", client::send(address, "GET", "/products", &[], ""));
        Ok(last.contains("status: 200"))
    })
    .unwrap_or_else(|error| {
        let logs = ["shop-proxy", "gateway-proxy"].map(|name| house.program(name).unwrap().log_tail());
        panic!("{error}; last answer {last}; logs:\n{}", logs.join("\n---\n"))
    });
    let out = SocketAddr::from((house.member("intruder").unwrap().address, house.ports.outbound));
    let denied = client::send(out, "GET", "/", &[("host", "shop.shop")], "").unwrap();
    assert_eq!(denied.status, 403, "the last good policy is enforced after the restart: {}", denied.body);
}

#[test]
fn a_bad_document_is_refused_with_its_place_and_changes_nothing() {
    let mut running = start();
    let house = &mut running.house;
    let put = |house: &House, kind: &str, name: &str, body: &str| {
        house.rest_call("PUT", &format!("/api/v1/documents/{kind}/shop/{name}"), body).unwrap()
    };
    let unknown_field = "apiVersion: palisade.dev/v1alpha1\nkind: WafPolicy\nmetadata: {name: edge, namespace: shop}\n\
                         spec:\n  ruleSet: demo-rules\n  paranoia: 2\n";
    let answer = put(house, "WafPolicy", "edge", unknown_field);
    assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.body);
    assert!(
        answer.body.contains("paranoia") && answer.body.contains("6"),
        "names field and line: {}",
        answer.body
    );

    let bad_rule = versioned_rules(1).replace("@streq /version-1", "@rx (unclosed");
    let answer = put(house, "RuleSet", "demo-rules", &bad_rule);
    assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.body);
    assert!(answer.body.contains("versioned.conf:6"), "names file and line: {}", answer.body);

    let unknown_kind = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: edge, namespace: shop}\n";
    let answer = put(house, "ConfigMap", "edge", unknown_kind);
    assert!((400..500).contains(&answer.status) && answer.body.contains("ConfigMap"), "{}", answer.body);

    let injection =
        client::send(gateway(house), "GET", "/products?q=1%27%20OR%20%271%27%3D%271", &[], "").unwrap();
    assert_eq!(injection.status, 403, "the last good rules are in force");
}

#[test]
fn a_client_cannot_claim_an_identity_in_a_header() {
    let mut running = start();
    let house = &mut running.house;
    let claim = [
        ("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/shop/sa/admin"),
        ("x-palisade-principal", "admin"),
    ];
    let answer = client::send(gateway(house), "GET", "/whoami", &claim, "").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(!answer.body.contains("sa/admin"), "the claim reached the application: {}", answer.body);
    assert!(answer.body.contains("sa/gateway"), "the application sees who really called: {}", answer.body);
}
