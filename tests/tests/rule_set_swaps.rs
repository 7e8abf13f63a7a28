//! Rule sets are swapped in a real `palisade-proxy` while traffic flows: no request is lost, none is judged by a mix of
//! two versions, and memory does not grow.
//!
//! Long counts run in full with `PALISADE_SOAK=1` (`cargo xtask soak`); the tests run a stated fraction. With the Core
//! Rule Set (`PALISADE_CRS`, or `shared/crs` beside the repository) all of it is swapped, otherwise a small rule set,
//! and the output says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use palisade_tests::http as client;
use palisade_tests::load::{Load, Outcome, rules};
use palisade_tests::process::{Program, programs, root, wait_until};

/// How many swaps the full count has.
const SWAPS: u32 = 1_000;
/// How many the tests run.
const SWAPS_IN_TESTS: u32 = 8;
/// Swaps after which memory is looked at first: by then the allocator has what two rule sets at once need.
const WARM_UP: u32 = 4;
/// What the process may grow by after that. Keeping but one rule set of all swaps would take 8 MiB.
const GROWTH_KIB: u64 = 24 * 1024;
/// What each further swap may add on average; the allocator's fragments settle slowly.
const GROWTH_KIB_PER_SWAP: u64 = 16;

fn free_port() -> u16 {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn core_rule_set() -> Option<PathBuf> {
    let beside = root().unwrap().join("../shared/crs");
    let found = std::env::var_os("PALISADE_CRS").map_or(beside, PathBuf::from);
    found.join("rules").is_dir().then_some(found)
}

/// A proxy with a rule set below `dir`, in front of a demo application.
struct Stage {
    proxy: Program,
    _app: Program,
    edge: SocketAddr,
    version_file: PathBuf,
}

impl Stage {
    fn start(dir: &Path) -> Self {
        let rule_files = dir.join("set");
        fs::create_dir(&rule_files).unwrap();
        let mut include = vec!["version.conf"];
        if let Some(crs) = core_rule_set() {
            fs::copy(crs.join("crs-setup.conf.example"), rule_files.join("crs-setup.conf")).unwrap();
            for file in fs::read_dir(crs.join("rules")).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), rule_files.join(file.file_name())).unwrap();
            }
            include.extend(["crs-setup.conf", "RE*.conf"]);
        } else {
            println!("not run with the Core Rule Set: set PALISADE_CRS to a directory with rules/");
        }
        let version_file = rule_files.join("version.conf");
        fs::write(&version_file, rules(0)).unwrap();
        let (edge, app) = (free_port(), free_port());
        let policy = format!(
            "apiVersion: palisade.dev/v1alpha1\nkind: Policy\nworkload: {{namespace: shop, name: web}}\n\
             listeners: [{{name: edge, address: \"127.0.0.1:{edge}\", role: {{gateway: {{}}}}}}]\n\
             routes: [{{name: all, listeners: [edge], backends: [{{cluster: web}}]}}]\n\
             clusters: [{{name: web, endpoints: [{{address: \"127.0.0.1:{app}\"}}], protocol: http}}]\n\
             waf:\n- apiVersion: palisade.dev/v1alpha1\n  kind: WafPolicy\n  metadata: {{name: web, namespace: shop}}\n  \
             spec: {{ruleSet: rules, paranoiaLevel: 1}}\n\
             ruleSetPaths: [{{name: rules, namespace: shop, directory: set, include: {include:?}}}]\n"
        );
        let policy_file = dir.join("policy.yaml");
        fs::write(&policy_file, policy).unwrap();
        let bin = programs().unwrap();
        let mut command = Command::new(bin.join("demo-app"));
        command.args(["--name", "web", "--listen", &format!("127.0.0.1:{app}")]);
        let app = Program::start("demo-app", command, &dir.join("app.log")).unwrap();
        let mut command = Command::new(bin.join("palisade-proxy"));
        command.arg("--policy").arg(&policy_file);
        let proxy = Program::start("palisade-proxy", command, &dir.join("proxy.log")).unwrap();
        let edge = SocketAddr::from((Ipv4Addr::LOCALHOST, edge));
        Self { proxy, _app: app, edge, version_file }
    }

    fn wait_for(&mut self, version: u32) {
        let (edge, probe) = (self.edge, format!("/version-{version}"));
        let proxy = &mut self.proxy;
        wait_until(&format!("version {version} is enforced"), 60, || {
            proxy.check()?;
            Ok(client::send(edge, "GET", &probe, &[], "").is_ok_and(|answer| answer.status == 418))
        })
        .unwrap_or_else(|error| panic!("{error}\n{}", self.proxy.log_tail()));
    }

    /// Resident memory of the proxy.
    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.proxy.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

#[test]
fn soak_rule_sets_are_swapped_under_load_without_losing_a_request_or_memory() {
    let soak = std::env::var_os("PALISADE_SOAK").is_some();
    let swaps = if soak { SWAPS } else { SWAPS_IN_TESTS };
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::start(dir.path());
    stage.wait_for(0);
    let load = Load::start(stage.edge).unwrap();
    let mut warm = 0;
    for version in 1..=swaps {
        fs::write(&stage.version_file, rules(version)).unwrap();
        stage.wait_for(version);
        if version == WARM_UP {
            warm = stage.resident_kib();
        }
    }
    let Outcome { answered, wrong } = load.end().unwrap();
    let end = stage.resident_kib();
    println!("{swaps} of {SWAPS} swaps, {answered} requests; resident {warm} KiB, at the end {end} KiB");
    assert!(wrong.is_empty(), "{} of {answered} exchanges went wrong: {:?}", wrong.len(), wrong.first());
    assert!(answered > u64::from(swaps), "the load was under way during the swaps: {answered} requests");
    let may_grow = GROWTH_KIB + GROWTH_KIB_PER_SWAP * u64::from(swaps - WARM_UP);
    assert!(end <= warm + may_grow, "memory grew from {warm} to {end} KiB, more than {may_grow} KiB");
}

#[test]
fn a_rule_set_that_changes_while_the_one_before_is_compiled_is_put_in_force_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::start(dir.path());
    stage.wait_for(0);
    for version in [1, 3, 5] {
        fs::write(&stage.version_file, rules(version)).unwrap();
        // The proxy looks four times a second, so it has begun with it by then; compiling the Core Rule Set takes longer.
        std::thread::sleep(Duration::from_millis(300 + 40 * u64::from(version)));
        fs::write(&stage.version_file, rules(version + 1)).unwrap();
        stage.wait_for(version + 1);
    }
}
