//! A proxy with rules, in front of an origin that remembers.

use std::time::Duration;

use palisade_tests::origin::{Origin, Received, Reply};
use palisade_tests::process::program;
use palisade_tests::proxy::{self, Proxy};
use palisade_tests::rule_set::CoreRuleSet;
use palisade_tests::wire::{self, Answer};
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// A query that two rules of CRS's level 1 find: 942100 and more, a score of 5 at least.
pub const SQLI: &str = "q=1%27%20OR%20%271%27=%271";
pub const XSS: &str = "q=%3Cscript%3Ealert(1)%3C/script%3E";

/// The bodies of CRS's tests need somebody who reads them, as in any set-up of it.
const PROCESSORS: &str = "SecRequestBodyAccess On\nSecResponseBodyAccess On\n\
    SecResponseBodyMimeType text/plain text/html text/xml application/json\n\
    SecRule REQUEST_HEADERS:Content-Type \"@beginsWith application/json\" \
    \"id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n";

pub struct Stage {
    pub proxy: Proxy,
    pub origin: Origin,
    policy: Value,
    directory: TempDir,
}

/// What came of a request.
pub struct Seen {
    pub answer: Answer,
    pub record: Value,
    /// The requests that the origin was sent meanwhile.
    pub reached: Vec<Received>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let targets: Vec<&str> = self.reached.iter().map(|received| received.target.as_str()).collect();
        write!(f, "matched {:?}, {}, reached {targets:?}", self.ids(), self.record["verdict"])
    }
}

impl Seen {
    pub fn status(&self) -> u16 {
        self.answer.status
    }

    /// Rules that matched.
    pub fn ids(&self) -> Vec<u64> {
        let matches = self.record["matches"].as_array().unwrap();
        matches.iter().map(|found| found["id"].as_u64().unwrap()).collect()
    }

    /// The rule that refused it.
    pub fn refused_by(&self) -> Option<u64> {
        self.record.pointer("/verdict/denial/rule/id").and_then(Value::as_u64)
    }

    pub fn reason(&self) -> Option<&str> {
        self.record.pointer("/verdict/denial/reason").and_then(Value::as_str)
    }

    /// It was refused by this rule, and the origin saw nothing.
    #[track_caller]
    pub fn is_refused_by(&self, rule: u64) {
        assert_eq!((self.status(), self.refused_by()), (403, Some(rule)), "{self:?}");
        assert!(self.reached.is_empty(), "the origin saw {:?}", self.reached);
    }

    /// It was let through.
    #[track_caller]
    pub fn passes(&self) {
        assert_eq!((self.status(), self.reached.len()), (200, 1), "{self:?}");
    }
}

impl Stage {
    /// With a few rules, in front of an origin that says `ok`.
    pub fn with_rules(rules: &str, spec: Value) -> Self {
        Self::answering(rules, spec, |_| Reply::new(200, "text/plain", "ok"))
    }

    pub fn answering(
        rules: &str,
        spec: Value,
        play: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let directory = TempDir::new().unwrap();
        let place = directory.path().join("rules");
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("rules.conf"), rules).unwrap();
        Self::start(directory, spec, &["rules.conf".to_owned()], play)
    }

    /// With CRS, rules before its set-up and after its last; none if there is no CRS.
    pub fn with_crs(
        before: &str,
        after: &str,
        spec: Value,
        play: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Option<Self> {
        let (crs, _) = CoreRuleSet::for_tests()?;
        let directory = TempDir::new().unwrap();
        let before = format!("{PROCESSORS}{before}\n");
        let include = crs.lay_out(&directory.path().join("rules"), &before, after).unwrap();
        Some(Self::start(directory, spec, &include, play))
    }

    fn start(
        directory: TempDir,
        spec: Value,
        include: &[String],
        play: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let origin = Origin::start(play).unwrap();
        let mut policy = proxy::gateway(origin.address);
        proxy::protect(&mut policy, spec, &directory.path().join("rules"), include);
        let binary = program("palisade-proxy").unwrap();
        let proxy = Proxy::start(&binary, &policy, directory.path()).unwrap();
        Self { proxy, origin, policy, directory }
    }

    /// Puts another spec of the WafPolicy in force.
    pub fn swap(&mut self, spec: Value) {
        let mut spec = spec;
        spec["ruleSet"] = "rules".into();
        self.policy["waf"][0]["spec"] = spec;
        self.proxy.replace(&self.policy).unwrap();
    }

    /// Puts other rules in force.
    pub fn swap_rules(&mut self, rules: &str) {
        std::fs::write(self.directory.path().join("rules/rules.conf"), rules).unwrap();
        // The version of a policy is that of its content; the file itself says what changed.
        self.policy["routes"][0]["name"] = format!("all-{}", rules.len()).into();
        self.proxy.replace(&self.policy).unwrap();
    }

    /// Sends bytes and waits for the record. One at a time: what the origin saw is told apart by order.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Seen {
        let before = self.origin.received().len();
        let exchange = wire::exchange(self.proxy.edge, bytes.as_ref(), PATIENCE).unwrap();
        let record = self.proxy.record(exchange.client).unwrap();
        let answer = exchange.answer.unwrap_or_else(|why| panic!("no answer: {why}"));
        let reached = self.origin.received()[before..].to_vec();
        Seen { answer, record, reached }
    }

    pub fn get(&self, target: &str) -> Seen {
        self.send(get(target))
    }

    pub fn form(&self, target: &str, body: &str) -> Seen {
        self.send(post(target, "application/x-www-form-urlencoded", body))
    }
}

/// What a browser sends, so that CRS finds nothing to say of it.
const BROWSER: &str = "host: shop.example\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 \
    Firefox/128.0\r\naccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    accept-language: en-US,en;q=0.5\r\nconnection: close\r\n";

pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\n{BROWSER}\r\n")
}

pub fn post(target: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\n{BROWSER}content-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// A policy that blocks.
pub fn block() -> Value {
    json!({"mode": "block", "responseBody": {"maxBytes": 524_288, "over": "inspectPrefix"}})
}
