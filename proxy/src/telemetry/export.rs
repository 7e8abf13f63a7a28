//! The way out over OTLP: events, spans, and the values of the counters every so often.
//!
//! Promises: nothing here waits; what the exporter's queue has no room for is dropped and counted. In plaintext it
//! leaves only to a collector on this machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use palisade_model::RequestRecord;
use palisade_model::audit::AuditRecord;
use palisade_telemetry::{Exporter, Kind};
use tonic::transport::{Channel, Endpoint};

use super::{Now, Sink, Span};
use crate::plane::Plane;

/// How often the values of the counters leave: what Prometheus scrapes at by default is 15 s to 60 s.
pub const METRICS_INTERVAL: Duration = Duration::from_secs(15);

/// Exports records as OTLP logs and spans.
#[derive(Debug)]
pub struct OtlpSink {
    exporter: Exporter,
    flows: bool,
    audits: bool,
}

impl OtlpSink {
    /// `flows`: whether permitted exchanges are exported too.
    pub fn new(exporter: Exporter, flows: bool) -> Arc<Self> {
        Arc::new(Self { exporter, flows, audits: false })
    }

    /// For a collector: the audit log too. The control plane keeps events alone, and rejects its lines.
    pub fn with_audit(exporter: Exporter, flows: bool) -> Arc<Self> {
        Arc::new(Self { exporter, flows, audits: true })
    }
}

impl Sink for OtlpSink {
    fn record(&self, record: RequestRecord) {
        let now_ms = record.time_ms;
        // What is dropped is counted by the exporter.
        let _ = self.exporter.event(record, None, now_ms);
    }

    fn wants_flows(&self) -> bool {
        self.flows
    }

    fn wants_spans(&self) -> bool {
        true
    }

    fn span(&self, record: RequestRecord, span: Span, event: bool) {
        let now_ms = record.time_ms;
        // What is dropped is counted by the exporter.
        if event {
            let _ = self.exporter.event(record.clone(), Some(span.context), now_ms);
        }
        let _ = self.exporter.span(record, &span.context, Some(span.parent));
    }

    fn wants_audit(&self) -> bool {
        self.audits
    }

    fn audit(&self, record: AuditRecord, span: Option<Span>) {
        // What is dropped is counted by the exporter.
        let _ = self.exporter.audit(record, span.map(|span| span.context));
    }

    fn dropped(&self, kind: Kind) -> (u64, u64) {
        self.exporter.dropped_of(kind)
    }

    fn sampled(&self) -> u64 {
        self.exporter.sampled()
    }
}

/// The exposition text of a plane's counters, with what is read now.
pub fn exposition(plane: &Plane) -> String {
    let active = plane.current.load();
    let svid_expiry = plane.identity().map(|identity| {
        let now = i64::try_from(since_epoch().as_secs()).unwrap_or(i64::MAX);
        identity.store().current().facts().not_after.saturating_sub(now)
    });
    let now = Now { version: active.version(), buffered: plane.buffered.used(), svid_expiry };
    plane.telemetry.exposition(now)
}

/// Exports the values of the counters at once, then every `interval`, until it is dropped.
pub async fn metrics(plane: Arc<Plane>, exporter: Exporter, interval: Duration) {
    let nanoseconds = || u64::try_from(since_epoch().as_nanos()).unwrap_or(u64::MAX);
    let start_ns = nanoseconds();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // What is dropped is counted by the exporter.
        let _ = exporter.exposition(&exposition(&plane), start_ns, nanoseconds());
    }
}

/// Makes plaintext channels to a collector on this machine; none if the address is another machine's.
pub fn collector(address: SocketAddr) -> Option<impl FnMut() -> ConnectFuture + Send> {
    if !address.ip().is_loopback() {
        return None;
    }
    let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
    Some(move || {
        let endpoint = endpoint.clone();
        Box::pin(async move { endpoint.connect().await }) as ConnectFuture
    })
}

/// A channel under way.
pub type ConnectFuture =
    std::pin::Pin<Box<dyn Future<Output = Result<Channel, tonic::transport::Error>> + Send>>;

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
