//! The counters, in Prometheus' exposition format.
//!
//! Promises: labels are bounded (names of listeners, principals of the mesh, causes of a closed list, statuses); a
//! connection keeps its last series at hand, so that a usual request takes no family's lock.

use std::sync::{Arc, Mutex, PoisonError};

use http::Version;
use palisade_model::record::{ResponseFacts, VerdictFacts};
use palisade_model::{Direction, WorkloadId};
use palisade_rules::Judgement;
use palisade_telemetry::{Kind, Metric};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{AuditFile, Sink};
use crate::deny::{Refusal, Upstream};
use crate::downstream::Downstream;

/// Labels of an exchange, as Istio's dashboards read them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ExchangeLabels {
    reporter: &'static str,
    source_principal: Arc<str>,
    destination_workload: Arc<str>,
    destination_workload_namespace: Arc<str>,
    request_protocol: &'static str,
    response_code: u16,
    response_flags: &'static str,
    connection_security_policy: &'static str,
}

/// Labels of an opaque connection, as Istio's dashboards read them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TcpLabels {
    reporter: &'static str,
    source_principal: Arc<str>,
    destination_workload: Arc<str>,
    destination_workload_namespace: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabels {
    listener: String,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    listener: String,
    verdict: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabels {
    version: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DropLabels {
    signal: &'static str,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MatchLabels {
    phase: u8,
    mode: &'static str,
}

/// The counters of one set of labels.
#[derive(Clone, Debug)]
struct Series {
    labels: ExchangeLabels,
    requests: Counter,
    verdicts: Counter,
    duration: Histogram,
    request_bytes: Histogram,
    response_bytes: Histogram,
}

/// A connection's last series.
#[derive(Debug, Default)]
pub struct SeriesCache {
    last: Mutex<Option<Series>>,
    principal: std::sync::OnceLock<Arc<str>>,
}

type Histograms = Family<ExchangeLabels, Histogram, fn() -> Histogram>;

/// All counters of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    workload: Arc<str>,
    namespace: Arc<str>,
    unknown: Arc<str>,
    requests: Family<VerdictLabels, Counter>,
    denials: Family<CauseLabels, Counter>,
    staged_denials: Family<ListenerLabels, Counter>,
    waf_matches: Family<MatchLabels, Counter>,
    parse_errors: Family<CauseLabels, Counter>,
    upstream_errors: Family<UpstreamLabels, Counter>,
    connections: Family<ListenerLabels, Gauge>,
    policy: Family<VersionLabels, Gauge>,
    updates: Family<OutcomeLabels, Counter>,
    dropped: Family<DropLabels, Counter>,
    sampled: Counter,
    audit_written: Counter,
    audit_dropped: Family<UpstreamLabels, Counter>,
    buffered: Gauge,
    svid_expiry: Gauge,
    istio_requests: Family<ExchangeLabels, Counter>,
    duration: Histograms,
    request_bytes: Histograms,
    response_bytes: Histograms,
    tcp_received: Family<TcpLabels, Counter>,
    tcp_sent: Family<TcpLabels, Counter>,
    tcp_opened: Family<TcpLabels, Counter>,
    tcp_closed: Family<TcpLabels, Counter>,
    /// Whether a stream to the control plane is open.
    pub control_plane: Gauge,
}

/// What is read at the moment of a scrape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now<'a> {
    /// The version of the policy in force.
    pub version: &'a str,
    /// Body bytes held.
    pub buffered: usize,
    /// Seconds until the SVID expires.
    pub svid_expiry: Option<i64>,
}

/// Milliseconds; from what a loopback call takes to the time limit of a response.
const DURATION_BUCKETS: [f64; 14] =
    [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 60_000.0];
/// Bytes; from nothing to a large download.
const SIZE_BUCKETS: [f64; 8] =
    [0.0, 256.0, 1_024.0, 8_192.0, 65_536.0, 1_048_576.0, 16_777_216.0, 1_073_741_824.0];

fn durations() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

fn sizes() -> Histogram {
    Histogram::new(SIZE_BUCKETS)
}

impl Metrics {
    /// All at zero.
    pub fn new(workload: &WorkloadId) -> Self {
        let metrics = Self {
            registry: Mutex::default(),
            workload: workload.name.as_str().into(),
            namespace: workload.namespace.as_str().into(),
            unknown: "unknown".into(),
            requests: Family::default(),
            denials: Family::default(),
            staged_denials: Family::default(),
            waf_matches: Family::default(),
            parse_errors: Family::default(),
            upstream_errors: Family::default(),
            connections: Family::default(),
            policy: Family::default(),
            updates: Family::default(),
            dropped: Family::default(),
            sampled: Counter::default(),
            audit_written: Counter::default(),
            audit_dropped: Family::default(),
            buffered: Gauge::default(),
            svid_expiry: Gauge::default(),
            istio_requests: Family::default(),
            duration: Family::new_with_constructor(durations as fn() -> Histogram),
            request_bytes: Family::new_with_constructor(sizes as fn() -> Histogram),
            response_bytes: Family::new_with_constructor(sizes as fn() -> Histogram),
            tcp_received: Family::default(),
            tcp_sent: Family::default(),
            tcp_opened: Family::default(),
            tcp_closed: Family::default(),
            control_plane: Gauge::default(),
        };
        metrics.register();
        metrics.begin();
        metrics
    }

    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        macro_rules! add {
            ($metric:ident, $field:ident) => {
                let help = Metric::$metric.help().trim_end_matches('.');
                registry.register(Metric::$metric.registered_name(), help, self.$field.clone());
            };
        }
        add!(Requests, requests);
        add!(Denials, denials);
        add!(StagedDenials, staged_denials);
        add!(WafMatches, waf_matches);
        add!(HttpParseErrors, parse_errors);
        add!(UpstreamErrors, upstream_errors);
        add!(ConnectionsActive, connections);
        add!(PolicyInfo, policy);
        add!(PolicyUpdates, updates);
        add!(TelemetryDropped, dropped);
        add!(TelemetrySampled, sampled);
        add!(AuditWritten, audit_written);
        add!(AuditDropped, audit_dropped);
        add!(BufferedBytes, buffered);
        add!(SvidExpiry, svid_expiry);
        add!(ControlPlaneConnected, control_plane);
        add!(IstioRequests, istio_requests);
        add!(IstioRequestDuration, duration);
        add!(IstioRequestBytes, request_bytes);
        add!(IstioResponseBytes, response_bytes);
        add!(IstioTcpReceivedBytes, tcp_received);
        add!(IstioTcpSentBytes, tcp_sent);
        add!(IstioTcpOpened, tcp_opened);
        add!(IstioTcpClosed, tcp_closed);
    }

    /// What has closed labels is there from the start, at zero: a rate needs the value before the first event.
    fn begin(&self) {
        for fault in Upstream::ALL {
            self.upstream_errors.get_or_create(&UpstreamLabels { cause: fault.as_str() }).inc_by(0);
        }
        for outcome in ["accepted", "rejected"] {
            self.updates.get_or_create(&OutcomeLabels { outcome }).inc_by(0);
        }
        for (phase, mode) in (1..=5).flat_map(|phase| ["block", "detect"].map(|mode| (phase, mode))) {
            self.waf_matches.get_or_create(&MatchLabels { phase, mode }).inc_by(0);
        }
        for kind in Kind::ALL {
            self.dropped(kind, (0, 0));
        }
        for cause in ["queue", "write"] {
            self.audit_dropped.get_or_create(&UpstreamLabels { cause }).inc_by(0);
        }
    }

    /// What an exporter dropped: because the queue was full, and because nobody took it.
    fn dropped(&self, kind: Kind, (queue, delivery): (u64, u64)) {
        let signal = kind.as_str();
        for (cause, count) in [("queue", queue), ("delivery", delivery)] {
            raise(&self.dropped.get_or_create(&DropLabels { signal, cause }), count);
        }
    }

    /// Brings the counters of telemetry up to what its sink counted.
    pub fn exported(&self, sink: &dyn Sink) {
        Kind::ALL.into_iter().for_each(|kind| self.dropped(kind, sink.dropped(kind)));
        raise(&self.sampled, sink.sampled());
    }

    /// Brings the counters of the audit log up to what its file counted.
    pub fn audited(&self, audit: &AuditFile) {
        raise(&self.audit_written, audit.written());
        let (queue, write) = audit.dropped();
        for (cause, count) in [("queue", queue), ("write", write)] {
            raise(&self.audit_dropped.get_or_create(&UpstreamLabels { cause }), count);
        }
    }

    /// What the WAF and the staged policy said of an exchange.
    pub fn judged(&self, listener: &str, judgement: &Judgement) {
        for found in &judgement.matches {
            let mode = if found.detect_only { "detect" } else { "block" };
            self.waf_matches.get_or_create(&MatchLabels { phase: found.phase, mode }).inc();
        }
        if matches!(judgement.staged, Some(VerdictFacts::Deny(_))) {
            self.staged_denials.get_or_create(&ListenerLabels { listener: listener.to_owned() }).inc();
        }
    }

    /// The exposition text, with what is read now.
    pub fn text(&self, now: Now<'_>) -> String {
        self.policy.clear();
        self.policy.get_or_create(&VersionLabels { version: now.version.to_owned() }).set(1);
        self.buffered.set(i64::try_from(now.buffered).unwrap_or(i64::MAX));
        self.svid_expiry.set(now.svid_expiry.unwrap_or_default());
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }

    /// One refusal.
    pub fn refused(&self, listener: &str, refusal: &Refusal) {
        let labels = CauseLabels { listener: listener.to_owned(), cause: refusal.as_str() };
        match refusal {
            Refusal::Malformed(_) => {
                self.parse_errors.get_or_create(&labels).inc();
            }
            Refusal::Upstream(fault) => {
                self.upstream_errors.get_or_create(&UpstreamLabels { cause: fault.as_str() }).inc();
            }
            Refusal::Denied(_) | Refusal::Connection(_) | Refusal::Limit(_) | Refusal::Transport(_) => {}
        }
        self.denials.get_or_create(&labels).inc();
    }

    /// How often a cause was refused on a listener.
    pub fn refusals(&self, listener: &str, cause: &'static str) -> u64 {
        self.denials.get_or_create(&CauseLabels { listener: listener.to_owned(), cause }).get()
    }

    /// A policy arrived and was, or was not, put in force.
    pub fn policy_arrived(&self, accepted: bool) {
        let outcome = if accepted { "accepted" } else { "rejected" };
        self.updates.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// A connection opened (1) or closed (-1).
    pub fn connection(&self, listener: &str, change: i64) {
        self.connections.get_or_create(&ListenerLabels { listener: listener.to_owned() }).inc_by(change);
    }

    /// An opaque connection began.
    pub fn splicing(&self, downstream: &Downstream) {
        self.tcp_opened.get_or_create(&self.tcp_labels(downstream)).inc();
    }

    /// An opaque connection ended.
    pub fn spliced(&self, downstream: &Downstream, received: u64, sent: u64) {
        let labels = self.tcp_labels(downstream);
        self.tcp_received.get_or_create(&labels).inc_by(received);
        self.tcp_sent.get_or_create(&labels).inc_by(sent);
        self.tcp_closed.get_or_create(&labels).inc();
    }

    /// One exchange ended.
    pub fn exchanged(
        &self,
        downstream: &Downstream,
        version: Option<Version>,
        response: &ResponseFacts,
        refusal: Option<&Refusal>,
    ) {
        let labels = self.labels(downstream, version, response, refusal);
        let mut last = downstream.series.last.lock().unwrap_or_else(PoisonError::into_inner);
        let series = match &*last {
            Some(series) if series.labels == labels => series,
            _ => last.insert(self.series(labels, &downstream.connection.listener, refusal.is_some())),
        };
        series.requests.inc();
        series.verdicts.inc();
        series.duration.observe(response.duration_us as f64 / 1_000.0);
        series.request_bytes.observe(response.request_bytes as f64);
        series.response_bytes.observe(response.response_bytes as f64);
    }

    fn series(&self, labels: ExchangeLabels, listener: &str, refused: bool) -> Series {
        let verdict =
            VerdictLabels { listener: listener.to_owned(), verdict: if refused { "deny" } else { "permit" } };
        Series {
            requests: self.istio_requests.get_or_create_owned(&labels),
            verdicts: self.requests.get_or_create_owned(&verdict),
            duration: self.duration.get_or_create_owned(&labels),
            request_bytes: self.request_bytes.get_or_create_owned(&labels),
            response_bytes: self.response_bytes.get_or_create_owned(&labels),
            labels,
        }
    }

    fn labels(
        &self,
        downstream: &Downstream,
        version: Option<Version>,
        response: &ResponseFacts,
        refusal: Option<&Refusal>,
    ) -> ExchangeLabels {
        let TcpLabels { reporter, source_principal, destination_workload, destination_workload_namespace } =
            self.tcp_labels(downstream);
        let mutual = downstream.connection.principal.is_some();
        ExchangeLabels {
            reporter,
            source_principal,
            destination_workload,
            destination_workload_namespace,
            request_protocol: protocol(version),
            response_code: response.status,
            response_flags: refusal.map_or("-", Refusal::as_str),
            connection_security_policy: if mutual { "mutual_tls" } else { "none" },
        }
    }

    fn tcp_labels(&self, downstream: &Downstream) -> TcpLabels {
        let connection = &downstream.connection;
        let principal = downstream.series.principal.get_or_init(|| {
            connection.principal.as_ref().map_or_else(|| "unknown".into(), |peer| peer.to_string().into())
        });
        let outbound = connection.direction == Direction::Outbound;
        let own = |name: &Arc<str>| if outbound { self.unknown.clone() } else { name.clone() };
        TcpLabels {
            reporter: if outbound { "source" } else { "destination" },
            source_principal: principal.clone(),
            destination_workload: own(&self.workload),
            destination_workload_namespace: own(&self.namespace),
        }
    }
}

/// Brings a counter up to what somebody else counted.
fn raise(counter: &Counter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

fn protocol(version: Option<Version>) -> &'static str {
    match version {
        Some(Version::HTTP_2) => "http2",
        Some(_) => "http",
        None => "unknown",
    }
}
