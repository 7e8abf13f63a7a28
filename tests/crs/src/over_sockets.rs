//! A stage against a real `palisade-proxy`: bytes on a connection of their own, and what the proxy's logs say of it.
//!
//! The logs name the client's port, and so tell which lines belong to which stage; no marker requests are needed, and
//! stages of different tests run side by side. Ids come from the access log, since rules with `noauditlog` are only there;
//! what the rules' `logdata` shows comes from the audit log, which alone may hold matched bytes.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use palisade_model::record::RuleMatch;
use palisade_tests::origin::Origin;
use palisade_tests::proxy::{self, Proxy};
use palisade_tests::rule_set::CoreRuleSet;
use palisade_tests::wire;
use serde_json::Value;
use tempfile::TempDir;

use crate::expect::Outcome;
use crate::log::Line;
use crate::run::Runner;
use crate::{backend, settings};

/// How long an answer may take; the suite's own runner waits as long.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long where no answer is expected.
const NO_PATIENCE: Duration = Duration::from_secs(2);
/// How long the log may lag behind an answer.
const LAG: Duration = Duration::from_secs(10);
/// How long it may lag where there was no answer, and so perhaps no exchange.
const SHORT_LAG: Duration = Duration::from_millis(500);

/// A proxy with the rules, in front of the backend.
pub struct OverSockets {
    proxy: Proxy,
    _directory: TempDir,
}

impl OverSockets {
    /// Starts it.
    pub fn start(binary: &Path, crs: &CoreRuleSet) -> Result<Self> {
        let directory = TempDir::new()?;
        let rules = directory.path().join("crs");
        let include = settings::lay_out(crs, &rules)?;
        let origin = Origin::forgetful(backend::answer)?;
        let mut policy = proxy::gateway(origin.address);
        proxy::protect(&mut policy, settings::waf_policy(), &rules, &include);
        let proxy = Proxy::start(binary, &policy, directory.path())?;
        Ok(Self { proxy, _directory: directory })
    }
}

impl Runner for OverSockets {
    fn run(&self, bytes: &[u8], answered: bool) -> Result<Outcome> {
        let patience = if answered { PATIENCE } else { NO_PATIENCE };
        let exchange = wire::exchange(self.proxy.edge, bytes, patience)?;
        let lag = if exchange.answer.is_ok() { LAG } else { SHORT_LAG };
        let mut log = Vec::new();
        for record in self.proxy.records(exchange.client, lag)? {
            let matches = record.get("matches").cloned().unwrap_or(Value::Null);
            let matches: Vec<RuleMatch> = serde_json::from_value(matches).context("the record's matches")?;
            log.extend(matches.iter().map(Line::of));
        }
        if !log.is_empty() {
            log.extend(self.proxy.audited(exchange.client, lag)?.iter().flat_map(Line::audited));
        }
        Ok(Outcome { answer: exchange.answer, log })
    }
}
