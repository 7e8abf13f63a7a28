//! The programs of the demo: started in order, watched, ended in order.
//!
//! ```text
//!   curl ─▶ gateway 127.0.0.10 ═mTLS═▶ shop 127.0.0.11 ═mTLS═▶ payments 127.0.0.12
//!                                                      ═mTLS═▶ catalog  127.0.0.13
//!              intruder 127.0.0.14 ═mTLS═╳ payments (nobody allowed it)
//!   every proxy ◀═ policies, certificates ═ control plane ◀─ REST ─ curl
//! ```

pub mod documents;
pub mod steps;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::http::{self, Answer};
use crate::process::{Program, wait_until};

/// A workload of the demo.
pub struct Member {
    /// Its name, service account and label `app`.
    pub name: &'static str,
    /// Its loopback address.
    pub address: Ipv4Addr,
    /// Whether an application stands behind it.
    pub application: bool,
}

/// Who takes part.
pub const MEMBERS: [Member; 5] = [
    Member { name: "gateway", address: Ipv4Addr::new(127, 0, 0, 10), application: false },
    Member { name: "shop", address: Ipv4Addr::new(127, 0, 0, 11), application: true },
    Member { name: "payments", address: Ipv4Addr::new(127, 0, 0, 12), application: true },
    Member { name: "catalog", address: Ipv4Addr::new(127, 0, 0, 13), application: true },
    Member { name: "intruder", address: Ipv4Addr::new(127, 0, 0, 14), application: true },
];

/// The port of each purpose; the same on every address.
pub struct Ports {
    /// The gateway's plain HTTP.
    pub gateway: u16,
    /// A sidecar's way in, HTTP.
    pub inbound: u16,
    /// A sidecar's way in, TCP.
    pub inbound_tcp: u16,
    /// A sidecar's way out, HTTP.
    pub outbound: u16,
    /// A sidecar's way out to the ledger, TCP.
    pub outbound_tcp: u16,
    /// A proxy's admin.
    pub admin: u16,
    /// The application, HTTP.
    pub application: u16,
    /// The application, TCP.
    pub application_tcp: u16,
    /// The control plane's gRPC.
    pub grpc: u16,
    /// The control plane's REST.
    pub rest: u16,
}

impl Ports {
    fn at(base: u16) -> Self {
        Self {
            gateway: base + 80,
            inbound: base + 43,
            inbound_tcp: base + 44,
            outbound: base + 1,
            outbound_tcp: base + 54,
            admin: base,
            application: base + 90,
            application_tcp: base + 91,
            grpc: base + 12,
            rest: base + 85,
        }
    }

    /// The first hundred ports from 18000 up that nobody uses.
    fn free() -> Result<Self> {
        'bases: for base in (18_000..28_000).step_by(100) {
            let ports = Self::at(base);
            for member in &MEMBERS {
                for port in base..base + 100 {
                    if TcpListener::bind((member.address, port)).is_err() {
                        continue 'bases;
                    }
                }
            }
            return Ok(ports);
        }
        bail!("no hundred free ports between 18000 and 28000 on 127.0.0.10-14")
    }
}

/// Everything that runs.
pub struct House {
    /// The ports in use.
    pub ports: Ports,
    token: String,
    programs: Vec<Program>,
    state: PathBuf,
    binaries: PathBuf,
}

/// Where the control plane listens.
const CONTROL_PLANE: Ipv4Addr = Ipv4Addr::LOCALHOST;

impl House {
    /// Starts everything in order and waits until every proxy is ready.
    pub fn start(binaries: &Path, state: &Path) -> Result<Self> {
        std::fs::create_dir_all(state.join("documents"))?;
        let mut house = Self {
            ports: Ports::free()?,
            token: String::new(),
            programs: Vec::new(),
            state: state.to_owned(),
            binaries: binaries.to_owned(),
        };
        // 1. The documents of the inventory and the allowlists lie in a directory.
        house.write_documents()?;
        // 2. The control plane, its first token, and the rules of the edge over REST.
        house.start_control_plane()?;
        house.put("RuleSet", "demo-rules", &documents::rule_set())?;
        house.put("WafPolicy", "edge", &documents::waf_policy("block"))?;
        // 3. The applications, then a proxy beside each, and the gateway.
        for member in &MEMBERS {
            if member.application {
                house.start_application(member)?;
            }
            house.start_proxy(member)?;
        }
        // 4. Everybody has an identity and a policy.
        for member in &MEMBERS {
            house.wait_ready(member)?;
        }
        Ok(house)
    }

    fn write_documents(&self) -> Result<()> {
        let dir = self.state.join("documents");
        std::fs::write(dir.join("inventory.yaml"), documents::inventory(&self.ports))?;
        std::fs::write(dir.join("authorization.yaml"), documents::authorization(&self.ports))?;
        std::fs::write(dir.join("gateway.yaml"), documents::gateway(&self.ports))?;
        Ok(())
    }

    fn start_control_plane(&mut self) -> Result<()> {
        let token_file = self.state.join("admin-token");
        let mut command = Command::new(self.binaries.join("palisade"));
        command.arg("serve").arg("--state-dir").arg(self.state.join("control-plane"));
        command.arg("--documents").arg(self.state.join("documents"));
        command.args(["--listen-grpc", &SocketAddr::from((CONTROL_PLANE, self.ports.grpc)).to_string()]);
        command.args(["--listen-rest", &self.rest().to_string()]);
        command.args(["--trust-domain", "cluster.local"]).arg("--admin-token-file").arg(&token_file);
        self.run("control-plane", command)?;
        wait_until("the control plane is ready", 30, || {
            self.check()?;
            Ok(http::send(self.rest(), "GET", "/readyz", &[], "").is_ok_and(|answer| answer.status == 200))
        })?;
        self.token = std::fs::read_to_string(&token_file).context("the first admin token")?.trim().to_owned();
        Ok(())
    }

    fn start_application(&mut self, member: &Member) -> Result<()> {
        let address = |port: u16| SocketAddr::from((member.address, port)).to_string();
        let mut command = Command::new(self.binaries.join("demo-app"));
        command.args(["--name", member.name, "--listen", &address(self.ports.application)]);
        command.args(["--listen-tcp", &address(self.ports.application_tcp)]);
        command.args(["--outbound", &address(self.ports.outbound)]);
        self.run(member.name, command)
    }

    fn start_proxy(&mut self, member: &Member) -> Result<()> {
        let name = member.name;
        let join_token = self.state.join(format!("{name}.join-token"));
        let request = serde_json::json!({"namespace": "shop", "workload": name, "uses": 1}).to_string();
        let answer = self.rest_call("POST", "/api/v1/join-tokens", &request)?;
        ensure!(answer.status < 300, "join token of {name}: {} {}", answer.status, answer.body);
        let token = answer.json()?.get("token").and_then(|token| token.as_str().map(str::to_owned));
        std::fs::write(&join_token, token.context("the answer has a token")?)?;

        let bootstrap = self.state.join(format!("{name}.bootstrap.yaml"));
        std::fs::write(&bootstrap, self.bootstrap(member))?;
        let mut command = Command::new(self.binaries.join("palisade-proxy"));
        command.args(["--control-plane", &SocketAddr::from((CONTROL_PLANE, self.ports.grpc)).to_string()]);
        command.arg("--join-token-file").arg(&join_token);
        command.args(["--workload", &format!("shop/{name}")]);
        command.arg("--state-dir").arg(self.state.join(format!("{name}.state")));
        command.arg("--config").arg(&bootstrap);
        self.run(&format!("{name}-proxy"), command)
    }

    /// A proxy's own listeners. The gateway's come with its policy.
    fn bootstrap(&self, member: &Member) -> String {
        let address = |port: u16| SocketAddr::from((member.address, port));
        let mut text = format!("admin: {}\n", address(self.ports.admin));
        if !member.application {
            return text;
        }
        let listener = |name: &str, port: u16, role: String| {
            format!("- name: {name}\n  address: {}\n  role: {role}\n", address(port))
        };
        let inbound = |port: u16, protocol: &str| {
            format!("{{inbound: {{application: \"{}\", protocol: {protocol}}}}}", address(port))
        };
        text += "listeners:\n";
        text += &listener("inbound", self.ports.inbound, inbound(self.ports.application, "http"));
        text +=
            &listener("inbound-ledger", self.ports.inbound_tcp, inbound(self.ports.application_tcp, "tcp"));
        text += &listener("outbound", self.ports.outbound, "outboundHttp".to_owned());
        let ledger = "{outboundTcp: {cluster: \"payments.shop:5432\"}}".to_owned();
        text + &listener("outbound-ledger", self.ports.outbound_tcp, ledger)
    }

    fn run(&mut self, name: &str, command: Command) -> Result<()> {
        let log = self.state.join(format!("{name}.log"));
        self.programs.push(Program::start(name, command, &log)?);
        Ok(())
    }

    /// A running program by name: `control-plane`, `shop`, `shop-proxy`, …
    pub fn program(&mut self, name: &str) -> Result<&mut Program> {
        self.programs
            .iter_mut()
            .find(|program| program.name == name)
            .with_context(|| format!("no program is called {name}"))
    }

    /// Waits until a member's proxy has an identity and a policy.
    pub fn wait_ready(&mut self, member: &Member) -> Result<()> {
        let admin = self.admin(member);
        let what = format!("the proxy of {} is ready", member.name);
        wait_until(&what, 30, || {
            self.check()?;
            Ok(http::send(admin, "GET", "/readyz", &[], "").is_ok_and(|answer| answer.status == 200))
        })
    }

    /// Fails if a program has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        self.programs.iter_mut().try_for_each(Program::check)
    }

    /// Ends everything, last started first. Gives whether nothing had to be killed.
    pub fn stop(&mut self) -> bool {
        let mut ended_well = true;
        while let Some(mut program) = self.programs.pop() {
            if !program.stop() {
                println!("{} did not end by itself", program.name);
                ended_well = false;
            }
        }
        ended_well
    }

    /// Where REST is.
    pub fn rest(&self) -> SocketAddr {
        SocketAddr::from((CONTROL_PLANE, self.ports.rest))
    }

    /// The admin token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A member by name.
    pub fn member(&self, name: &str) -> Result<&'static Member> {
        MEMBERS.iter().find(|member| member.name == name).with_context(|| format!("nobody is called {name}"))
    }

    fn admin(&self, member: &Member) -> SocketAddr {
        SocketAddr::from((member.address, self.ports.admin))
    }

    /// A REST call with the admin token.
    pub fn rest_call(&self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let authorization = format!("Bearer {}", self.token);
        let kind = if body.starts_with('{') { "application/json" } else { "application/yaml" };
        http::send(
            self.rest(),
            method,
            path,
            &[("authorization", &authorization), ("content-type", kind)],
            body,
        )
    }

    /// Puts a document of namespace `shop`.
    pub fn put(&self, kind: &str, name: &str, document: &str) -> Result<()> {
        let answer = self.rest_call("PUT", &format!("/api/v1/documents/{kind}/shop/{name}"), document)?;
        ensure!(answer.status < 300, "PUT {kind} {name}: {} {}", answer.status, answer.body);
        Ok(())
    }

    /// What runs where.
    pub fn describe(&self) -> String {
        let mut text =
            format!("\ncontrol plane   REST http://{}   gRPC 127.0.0.1:{}\n", self.rest(), self.ports.grpc);
        for member in &MEMBERS {
            let Member { name, address, application } = member;
            text += &if *application {
                format!(
                    "{name:<15} application {address}:{}   sidecar in {address}:{} (mTLS only)   out {address}:{}   admin {address}:{}\n",
                    self.ports.application, self.ports.inbound, self.ports.outbound, self.ports.admin
                )
            } else {
                format!(
                    "{name:<15} http://{address}:{}   admin {address}:{}\n",
                    self.ports.gateway, self.ports.admin
                )
            };
        }
        text + &format!("state and logs  {}\n", self.state.display())
    }
}
