//! A `palisade-proxy` of its own for one test: started with a policy file, read by its access log, ended with us.
//!
//! The log is read as it grows, by whoever waits for a line; nothing here sleeps longer than [`POLL`].

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::http;
use crate::process::{Program, wait_until};

/// How long a waiting reader of the log rests before it looks again.
pub const POLL: Duration = Duration::from_millis(1);

/// What stands before a record in the access log.
const RECORD: &str = "palisade::access: record=";

/// A running proxy.
pub struct Proxy {
    /// Where its first listener is.
    pub edge: SocketAddr,
    /// Where its admin pages are.
    pub admin: SocketAddr,
    file: PathBuf,
    program: Mutex<Program>,
    log: Mutex<Log>,
    audit: Mutex<Log>,
}

impl Proxy {
    /// Starts `binary` with a policy. Everything it needs and writes lies in `directory`, which must be there.
    pub fn start(binary: &Path, policy: &Value, directory: &Path) -> Result<Self> {
        let file = directory.join("policy.json");
        std::fs::write(&file, policy.to_string())?;
        let (log, audit) = (directory.join("log"), directory.join("audit.log"));
        let mut command = Command::new(binary);
        command.arg("--policy").arg(&file).arg("--access-log").arg("--audit-log").arg(&audit);
        let mut program = Program::start("palisade-proxy", command, &log)?;
        let mut admin: Option<SocketAddr> = None;
        // Compiling a large rule set in an unoptimised build on a busy machine takes its time.
        wait_until("the proxy says where its admin pages are", 120, || {
            program.check()?;
            let text = std::fs::read_to_string(&log)?;
            let line = text.lines().find(|line| line.contains("admin pages"));
            admin = line.and_then(|line| line.split("address=").nth(1)).and_then(|at| at.trim().parse().ok());
            Ok(admin.is_some())
        })?;
        let admin = admin.context("it was just found")?;
        let config = http::send(admin, "GET", "/config", &[], "")?.json()?;
        let edge = config.pointer("/listeners/0/address").and_then(Value::as_str);
        let edge = edge.with_context(|| format!("no listener in {config}"))?.parse()?;
        let log = Mutex::new(Log::open(&log, RECORD, "/connection/peer")?);
        let audit = Mutex::new(Log::open(&audit, "", "/A/peer")?);
        Ok(Self { edge, admin, file, program: Mutex::new(program), log, audit })
    }

    /// Fails if the proxy has ended by itself.
    pub fn check(&self) -> Result<()> {
        self.program.lock().unwrap_or_else(PoisonError::into_inner).check()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.program.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// The text of its counters.
    pub fn metrics(&self) -> Result<String> {
        Ok(http::send(self.admin, "GET", "/metrics", &[], "")?.body)
    }

    /// The version of the policy in force.
    pub fn version(&self) -> Result<String> {
        let page = http::send(self.admin, "GET", "/policy", &[], "")?.json()?;
        let version = page.get("version").and_then(Value::as_str);
        Ok(version.with_context(|| format!("no version in {page}"))?.to_owned())
    }

    /// Replaces the policy file; gives back when the proxy enforces it.
    pub fn replace(&self, policy: &Value) -> Result<()> {
        let before = self.version()?;
        std::fs::write(&self.file, policy.to_string())?;
        wait_until("the new policy is in force", 120, || {
            self.check()?;
            Ok(self.version()? != before)
        })
    }

    /// The records of the exchanges of one client connection, which are then forgotten. Waits for the first of them,
    /// but not longer than `patience`.
    pub fn records(&self, client: SocketAddr, patience: Duration) -> Result<Vec<Value>> {
        self.wait(&self.log, client, patience)
    }

    /// The same from the audit log, which has what the policy's `auditLog` says.
    pub fn audited(&self, client: SocketAddr, patience: Duration) -> Result<Vec<Value>> {
        self.wait(&self.audit, client, patience)
    }

    fn wait(&self, log: &Mutex<Log>, client: SocketAddr, patience: Duration) -> Result<Vec<Value>> {
        let deadline = Instant::now() + patience;
        loop {
            {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.read()?;
                if let Some(found) = log.records.remove(&client) {
                    return Ok(found);
                }
            }
            if Instant::now() > deadline {
                self.check()?;
                return Ok(Vec::new());
            }
            std::thread::sleep(POLL);
        }
    }

    /// The one record of a connection that carried one exchange.
    pub fn record(&self, client: SocketAddr) -> Result<Value> {
        let mut records = self.records(client, Duration::from_secs(10))?;
        match (records.pop(), records.is_empty()) {
            (Some(record), true) => Ok(record),
            (found, _) => bail!("{} records for {client}", records.len() + usize::from(found.is_some())),
        }
    }
}

/// A log, read as far as it was written.
struct Log {
    file: File,
    /// What stands before a record in a line; lines without it are passed over.
    before: &'static str,
    /// Where a record says who the client was.
    peer: &'static str,
    /// A line that is not whole yet.
    tail: Vec<u8>,
    /// By client.
    records: HashMap<SocketAddr, Vec<Value>>,
}

impl Log {
    fn open(path: &Path, before: &'static str, peer: &'static str) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        Ok(Self { file, before, peer, tail: Vec::new(), records: HashMap::new() })
    }

    fn read(&mut self) -> Result<()> {
        self.file.read_to_end(&mut self.tail)?;
        let Some(end) = self.tail.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        let rest = self.tail.split_off(end + 1);
        let lines = std::mem::replace(&mut self.tail, rest);
        for line in lines.split(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(line);
            let Some((_, record)) = line.split_once(self.before).filter(|(_, record)| !record.is_empty())
            else {
                continue;
            };
            let record: Value = serde_json::from_str(record).with_context(|| format!("in {line}"))?;
            let peer = record.pointer(self.peer).and_then(Value::as_str).unwrap_or_default();
            let peer: SocketAddr = peer.parse().with_context(|| format!("the peer in {line}"))?;
            self.records.entry(peer).or_default().push(record);
        }
        Ok(())
    }
}

/// A gateway in front of one origin, without a WAF.
pub fn gateway(origin: SocketAddr) -> Value {
    json!({
        "apiVersion": "palisade.dev/v1alpha1",
        "kind": "Policy",
        "workload": {"namespace": "shop", "name": "web"},
        "admin": "127.0.0.1:0",
        "listeners": [{"name": "edge", "address": "127.0.0.1:0", "role": {"gateway": {}}}],
        "routes": [{"name": "all", "listeners": ["edge"], "backends": [{"cluster": "origin"}]}],
        "clusters": [{"name": "origin", "endpoints": [{"address": origin}], "protocol": "http"}],
    })
}

/// Puts a WafPolicy with this spec before it, and a rule set of these files below `directory`.
pub fn protect(policy: &mut Value, spec: Value, directory: &Path, include: &[String]) {
    let mut spec = spec;
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("ruleSet".into(), "rules".into());
    }
    let waf = json!([{
        "apiVersion": "palisade.dev/v1alpha1",
        "kind": "WafPolicy",
        "metadata": {"name": "waf", "namespace": "shop"},
        "spec": spec,
    }]);
    let paths = json!([{"name": "rules", "namespace": "shop", "directory": directory, "include": include}]);
    if let Some(policy) = policy.as_object_mut() {
        policy.insert("waf".into(), waf);
        policy.insert("ruleSetPaths".into(), paths);
    }
}
