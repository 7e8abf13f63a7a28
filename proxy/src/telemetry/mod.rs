//! What is told of traffic: exactly one record per exchange, counters, and one log line per refusal.
//!
//! Promises: a refusal's counter, event and log line are one call; the path of a permitted request makes a record only
//! if somebody takes records; logs are bounded per second, counters never are. It does not export: a [`Sink`] does.

mod audit;
mod ending;
pub mod export;
mod metrics;
mod span;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use palisade_model::audit::AuditRecord;
use palisade_model::record::{ConnectionFacts, Inspection, RECORD_VERSION, ResponseFacts, VerdictFacts};
use palisade_model::{Connection, Denial, Reason, RequestRecord, WorkloadId};
use palisade_telemetry::Kind;

pub use audit::{AuditFile, AuditFileError};
pub use ending::Ending;
pub use export::OtlpSink;
pub use metrics::{Metrics, Now, SeriesCache};
pub use span::Span;

use crate::deny::Refusal;
use crate::downstream::Downstream;
use crate::reference::Reference;

/// Log lines of refusals per second; under a flood the counters say the rest.
pub const LOGGED_REFUSALS_PER_SECOND: u64 = 100;

/// Takes records, e.g. to export them. Must not block.
pub trait Sink: Send + Sync + std::fmt::Debug {
    /// Takes one record.
    fn record(&self, record: RequestRecord);

    /// Whether records of permitted exchanges are wanted too.
    fn wants_flows(&self) -> bool;

    /// Whether spans of exchanges in sampled traces are wanted.
    fn wants_spans(&self) -> bool {
        false
    }

    /// Takes the record of an exchange in a sampled trace, as a span and, if `event`, as a record too.
    fn span(&self, record: RequestRecord, _span: Span, event: bool) {
        if event {
            self.record(record);
        }
    }

    /// Whether lines of the audit log are wanted.
    fn wants_audit(&self) -> bool {
        false
    }

    /// Takes a line of the audit log, with the exchange's place in a sampled trace.
    fn audit(&self, _record: AuditRecord, _span: Option<Span>) {}

    /// What was dropped of one kind: because the queue was full, and because nobody took it.
    fn dropped(&self, _kind: Kind) -> (u64, u64) {
        (0, 0)
    }

    /// Denials that were not told because another stands for them.
    fn sampled(&self) -> u64 {
        0
    }
}

/// Records, counters and logs of the process.
#[derive(Debug)]
pub struct Telemetry {
    /// The counters.
    pub metrics: Metrics,
    sink: Option<Arc<dyn Sink>>,
    audit_file: Option<Arc<AuditFile>>,
    access_log: bool,
    logged: AtomicU64,
}

impl Telemetry {
    /// Counters only, unless there is a sink or an access log is asked for.
    pub fn new(workload: &WorkloadId, sink: Option<Arc<dyn Sink>>, access_log: bool) -> Self {
        let metrics = Metrics::new(workload);
        Self { metrics, sink, audit_file: None, access_log, logged: AtomicU64::new(0) }
    }

    /// With an audit log in a file.
    pub fn with_audit(mut self, audit: Option<Arc<AuditFile>>) -> Self {
        self.audit_file = audit;
        self
    }

    /// Whether anybody keeps an audit log: in a file, or where the sink sends it.
    pub fn audits(&self) -> bool {
        self.audit_file.is_some() || self.audit_sink().is_some()
    }

    fn audit_sink(&self) -> Option<&Arc<dyn Sink>> {
        self.sink.as_ref().filter(|sink| sink.wants_audit())
    }

    /// Writes a line of the audit log.
    fn audit(&self, record: AuditRecord, span: Option<Span>) {
        match (self.audit_sink(), &self.audit_file) {
            (Some(sink), Some(file)) => {
                sink.audit(record.clone(), span);
                file.write(record);
            }
            (Some(sink), None) => sink.audit(record, span),
            (None, Some(file)) => file.write(record),
            (None, None) => {}
        }
    }

    /// Whether anybody takes records of permitted exchanges.
    pub fn wants_flows(&self) -> bool {
        self.access_log || self.sink.as_ref().is_some_and(|sink| sink.wants_flows())
    }

    /// Whether anybody takes spans.
    pub fn wants_spans(&self) -> bool {
        self.sink.as_ref().is_some_and(|sink| sink.wants_spans())
    }

    /// The exposition text of the counters.
    pub fn exposition(&self, now: Now<'_>) -> String {
        if let Some(sink) = &self.sink {
            self.metrics.exported(sink.as_ref());
        }
        if let Some(audit) = &self.audit_file {
            self.metrics.audited(audit);
        }
        self.metrics.text(now)
    }

    /// Whether refusals are told to anybody but counters and logs, with the request's headers.
    pub fn wants_headers(&self) -> bool {
        self.sink.is_some() || self.audits()
    }

    /// A connection ended before it carried an exchange.
    pub fn refused_connection(
        &self,
        workload: &WorkloadId,
        policy_version: &str,
        connection: &Connection,
        refusal: &Refusal,
    ) {
        self.metrics.refused(&connection.listener, refusal);
        let reference = Reference::next().text();
        self.log(refusal, &reference, connection);
        let Some(sink) = &self.sink else { return };
        sink.record(RequestRecord {
            version: RECORD_VERSION,
            reference: reference.to_string(),
            time_ms: epoch_ms(),
            workload: workload.clone(),
            policy_version: policy_version.to_owned(),
            connection: connection_facts(connection),
            request: None,
            verdict: VerdictFacts::Deny(denial_of(refusal)),
            staged: None,
            matches: Vec::new(),
            inspection: Inspection::None,
            response_inspection: Inspection::None,
            response: None,
        });
    }

    /// An opaque connection that was spliced has ended.
    pub fn spliced(&self, downstream: &Downstream, policy_version: &str, response: ResponseFacts) {
        let facts = self.sink.as_ref().filter(|sink| sink.wants_flows());
        self.metrics.spliced(downstream, response.request_bytes, response.response_bytes);
        let Some(sink) = facts else { return };
        sink.record(RequestRecord {
            version: RECORD_VERSION,
            reference: Reference::next().text().to_string(),
            time_ms: epoch_ms(),
            workload: downstream.plane.workload.clone(),
            policy_version: policy_version.to_owned(),
            connection: connection_facts(&downstream.connection),
            request: None,
            verdict: VerdictFacts::Permit,
            staged: None,
            matches: Vec::new(),
            inspection: Inspection::Uninspected { why: "tcp".into() },
            response_inspection: Inspection::None,
            response: Some(response),
        });
    }

    fn log(&self, refusal: &Refusal, reference: &str, connection: &Connection) {
        if !self.may_log() {
            return;
        }
        tracing::info!(
            target: "palisade::denial",
            cause = refusal.as_str(),
            reference,
            listener = connection.listener,
            peer = %connection.peer,
            principal = connection.principal.as_ref().map(tracing::field::display),
            explanation = refusal.explanation(),
            "refused"
        );
    }

    /// At most so many lines per second: the upper half of the word is the second, the lower half its count.
    fn may_log(&self) -> bool {
        let second = epoch_ms() / 1_000;
        let mut allowed = false;
        let _ = self.logged.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let count = if word >> 32 == second & 0xffff_ffff { word & 0xffff_ffff } else { 0 };
            allowed = count < LOGGED_REFUSALS_PER_SECOND;
            Some((second & 0xffff_ffff) << 32 | (count + u64::from(allowed)))
        });
        allowed
    }
}

/// Milliseconds since the epoch.
pub fn epoch_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The denial an event carries for a refusal.
pub fn denial_of(refusal: &Refusal) -> Denial {
    let reason = match refusal {
        Refusal::Denied(refused) => return refused.denial.clone(),
        Refusal::Connection(denial) => return Denial::clone(denial),
        Refusal::Malformed(_) => Reason::Malformed,
        Refusal::Limit(_) => Reason::Limit,
        Refusal::Upstream(_) => Reason::Upstream,
        Refusal::Transport(_) => Reason::Transport,
    };
    let mut denial = Denial::new(reason, None, refusal.explanation());
    denial.status = refusal.status();
    denial
}

/// The connection's part of a record.
pub fn connection_facts(connection: &Connection) -> ConnectionFacts {
    ConnectionFacts {
        listener: connection.listener.clone(),
        direction: connection.direction,
        peer: connection.peer.to_string(),
        client: connection.client.to_string(),
        local: connection.local.to_string(),
        principal: connection.principal.as_ref().map(ToString::to_string),
        sni: connection.sni.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_of_refusals_are_bounded_per_second_at_under_and_over() {
        let telemetry = Telemetry::new(&WorkloadId::local("shop", "web"), None, false);
        let second = (epoch_ms() / 1_000) & 0xffff_ffff;
        telemetry.logged.store(second << 32 | (LOGGED_REFUSALS_PER_SECOND - 1), Ordering::Relaxed);
        // The clock may pass into the next second between two calls, where everything is allowed again.
        let (at, over) = (telemetry.may_log(), telemetry.may_log());
        assert!(at);
        assert!(!over || (epoch_ms() / 1_000) & 0xffff_ffff != second);
    }
}
