//! `cargo xtask bench proxy`: `palisade-proxy` beside nginx and Envoy, plain and with mutual TLS.
//!
//! Palisade enforces a policy of 20 rules; Envoy has 20 RBAC policies in the plain and mTLS legs; nginx has none. The
//! WAF is off. Before a leg counts, the policy is shown to act: the denied path answers 403.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use palisade_tests::{http, process};

use super::engine::build;
use super::leg::{Contender, Shape, compare, ratios};
use super::{cpu, peers};

/// Rules of the policy.
const RULES: u32 = 20;

/// Runs the bench. Argument: `--quick` for short legs.
pub fn run(arguments: &[String]) -> Result<bool> {
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let root = process::root()?;
    let dir = root.join("target/bench/proxy");
    std::fs::create_dir_all(&dir)?;
    build(
        &["build", "--release", "--package", "palisade-benches", "--package", "palisade-proxy", "--bins"],
        &root,
    )?;
    let programs = root.join("target/release");
    let load = programs.join("bench-load");
    let identity = dir.join("identity");
    let mut certificates = Command::new(programs.join("bench-certificates"));
    ensure!(certificates.arg("--dir").arg(&identity).status()?.success(), "bench-certificates failed");

    let origin = peers::free_address()?;
    let mut command = Command::new(programs.join("bench-origin"));
    command.args(["--listen", &origin.to_string()]);
    let _origin = peers::start("origin", command, origin, &dir)?;
    let (seconds, rounds) = if quick { (1.0, 2) } else { (4.0, 5) };
    let plain = Shape::plain(seconds, 32);

    let mut contenders = vec![palisade(&programs, &dir, origin, None)?];
    denies(&contenders)?;
    let idle = cpu::resident_mib(contenders.first().map_or(0, |ours| ours.program.id()))?;
    contenders.extend(peers::nginx(&dir, peers::free_address()?, origin, None)?);
    contenders.extend(peers::envoy(&dir, peers::free_address()?, origin, None, RULES)?);
    compare("plain HTTP/1.1 keep-alive, 32 connections, 1 KiB", &mut contenders, &load, plain, rounds)?;
    ratios(&contenders, "palisade");
    drop(contenders);

    let mut contenders = vec![palisade(&programs, &dir, origin, Some(&identity))?];
    contenders.extend(peers::nginx(&dir, peers::free_address()?, origin, Some(&identity))?);
    contenders.extend(peers::envoy(&dir, peers::free_address()?, origin, Some(&identity), RULES)?);
    let mutual = Shape { identity: Some(&identity), ..plain };
    compare("mutual TLS 1.3 keep-alive, 32 connections, 1 KiB", &mut contenders, &load, mutual, rounds)?;
    ratios(&contenders, "palisade-mtls");
    for contender in &mut contenders {
        contender.legs.clear();
    }
    let handshakes = Shape { reconnect: true, connections: 8, ..mutual };
    compare("full mutual TLS 1.3 handshakes, one request each", &mut contenders, &load, handshakes, rounds)?;
    ratios(&contenders, "palisade-mtls");
    println!("\npalisade-proxy idle: {idle:.1} MiB resident");
    Ok(true)
}

/// palisade-proxy with one worker: a gateway listener, or with `identity` a sidecar's way in.
fn palisade(programs: &Path, dir: &Path, origin: SocketAddr, identity: Option<&Path>) -> Result<Contender> {
    let name = if identity.is_some() { "palisade-mtls" } else { "palisade" };
    let (listen, admin) = (peers::free_address()?, peers::free_address()?);
    let role = match identity {
        None => "{gateway: {}}".to_owned(),
        Some(_) => format!("{{inbound: {{application: \"{origin}\", protocol: http}}}}"),
    };
    let mut text = format!(
        "apiVersion: palisade.dev/v1alpha1\nkind: Policy\nworkload: {{namespace: bench, name: server}}\nadmin: \"{admin}\"\n\
         listeners: [{{name: bench, address: \"{listen}\", role: {role}}}]\n\
         routes: [{{name: all, listeners: [bench], backends: [{{cluster: origin}}]}}]\n\
         clusters: [{{name: origin, endpoints: [{{address: \"{origin}\"}}]}}]\n\
         authorization:\n- apiVersion: security.istio.io/v1\n  kind: AuthorizationPolicy\n  \
         metadata: {{name: bench, namespace: bench}}\n  spec:\n    action: DENY\n    rules:\n"
    );
    for number in 0..RULES {
        text += &format!("    - to: [{{operation: {{paths: [\"/denied/{number}/*\"]}}}}]\n");
    }
    if let Some(identity) = identity {
        let file = |name: &str| identity.join(name).display().to_string();
        text += &format!(
            "identity: {{certificate: \"{}\", key: \"{}\", trustBundle: \"{}\", trustDomain: cluster.local}}\n",
            file("server.pem"),
            file("server.key"),
            file("root.pem")
        );
    }
    let file = dir.join(format!("{name}.yaml"));
    std::fs::write(&file, text)?;
    let mut command = Command::new(programs.join("palisade-proxy"));
    command.arg("--policy").arg(&file).args(["--workers", "1"]);
    peers::start(name, command, listen, dir)
}

/// The policy acts: a proxy that judges nothing would be fast for the wrong reason.
fn denies(contenders: &[Contender]) -> Result<()> {
    for contender in contenders {
        let answer = http::send(contender.address, "GET", "/denied/7/x", &[("host", "bench.local")], "")?;
        ensure!(answer.status == 403, "{}: the denied path answered {}", contender.name, answer.status);
    }
    Ok(())
}
