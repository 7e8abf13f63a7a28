//! The counters, in Prometheus' exposition format.
//!
//! Promises: labels are bounded (names of listeners, principals of the mesh, causes of a closed list, statuses); a
//! connection keeps its last series at hand, so that a usual request takes no family's lock.

use std::sync::{Arc, Mutex, PoisonError};

use palisade_model::record::{RequestFacts, ResponseFacts};
use palisade_model::{Direction, WorkloadId};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::deny::Refusal;
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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    listener: String,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: String,
}

/// The counters of one set of labels.
#[derive(Clone, Debug)]
struct Series {
    labels: ExchangeLabels,
    requests: Counter,
    duration: Histogram,
}

/// A connection's last series.
#[derive(Debug, Default)]
pub struct SeriesCache {
    last: Mutex<Option<Series>>,
    principal: std::sync::OnceLock<Arc<str>>,
}

/// All counters of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    workload: Arc<str>,
    namespace: Arc<str>,
    requests: Family<ExchangeLabels, Counter>,
    duration: Family<ExchangeLabels, Histogram, fn() -> Histogram>,
    refusals: Family<RefusalLabels, Counter>,
    connections: Family<ListenerLabels, Gauge>,
    tcp_received: Family<ListenerLabels, Counter>,
    tcp_sent: Family<ListenerLabels, Counter>,
    /// Policies put in force.
    pub swaps: Counter,
    /// Policies that could not be compiled.
    pub rejected: Counter,
}

/// Milliseconds; from what a loopback call takes to the time limit of a response.
const DURATION_BUCKETS: [f64; 14] =
    [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 60_000.0];

fn durations() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

impl Metrics {
    /// All at zero.
    pub fn new(workload: &WorkloadId) -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        let duration = Family::new_with_constructor(durations as fn() -> Histogram);
        let refusals = Family::default();
        let connections = Family::default();
        let (tcp_received, tcp_sent) = (Family::default(), Family::default());
        let (swaps, rejected) = (Counter::default(), Counter::default());
        registry.register("istio_requests", "Exchanges", requests.clone());
        registry.register(
            "istio_request_duration_milliseconds",
            "Time from a request's head to the end of its response",
            duration.clone(),
        );
        registry.register("palisade_refusals", "Refusals by cause", refusals.clone());
        registry.register("palisade_connections", "Open connections", connections.clone());
        registry.register(
            "istio_tcp_received_bytes",
            "Bytes from clients of opaque connections",
            tcp_received.clone(),
        );
        registry.register("istio_tcp_sent_bytes", "Bytes to clients of opaque connections", tcp_sent.clone());
        registry.register("palisade_policy_swaps", "Policies put in force", swaps.clone());
        registry.register("palisade_policy_rejected", "Policies that were not taken", rejected.clone());
        Self {
            registry: Mutex::new(registry),
            workload: workload.name.as_str().into(),
            namespace: workload.namespace.as_str().into(),
            requests,
            duration,
            refusals,
            connections,
            tcp_received,
            tcp_sent,
            swaps,
            rejected,
        }
    }

    /// The exposition text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }

    /// One refusal.
    pub fn refused(&self, listener: &str, cause: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { listener: listener.to_owned(), cause }).inc();
    }

    /// How often a cause was refused on a listener.
    pub fn refusals(&self, listener: &str, cause: &'static str) -> u64 {
        self.refusals.get_or_create(&RefusalLabels { listener: listener.to_owned(), cause }).get()
    }

    /// A connection opened (1) or closed (-1).
    pub fn connection(&self, listener: &str, change: i64) {
        self.connections.get_or_create(&ListenerLabels { listener: listener.to_owned() }).inc_by(change);
    }

    /// An opaque connection ended.
    pub fn spliced(&self, listener: &str, received: u64, sent: u64) {
        let labels = ListenerLabels { listener: listener.to_owned() };
        self.tcp_received.get_or_create(&labels).inc_by(received);
        self.tcp_sent.get_or_create(&labels).inc_by(sent);
    }

    /// One exchange ended.
    pub fn exchanged(
        &self,
        downstream: &Downstream,
        request: Option<&RequestFacts>,
        response: &ResponseFacts,
        refusal: Option<&Refusal>,
    ) {
        let labels = self.labels(downstream, request, response, refusal);
        let mut last = downstream.series.last.lock().unwrap_or_else(PoisonError::into_inner);
        let series = match &*last {
            Some(series) if series.labels == labels => series,
            _ => last.insert(Series {
                requests: self.requests.get_or_create_owned(&labels),
                duration: self.duration.get_or_create_owned(&labels),
                labels,
            }),
        };
        series.requests.inc();
        series.duration.observe(response.duration_us as f64 / 1_000.0);
    }

    fn labels(
        &self,
        downstream: &Downstream,
        request: Option<&RequestFacts>,
        response: &ResponseFacts,
        refusal: Option<&Refusal>,
    ) -> ExchangeLabels {
        let connection = &downstream.connection;
        let principal = downstream.series.principal.get_or_init(|| {
            connection.principal.as_ref().map_or_else(|| "unknown".into(), |peer| peer.to_string().into())
        });
        let outbound = connection.direction == Direction::Outbound;
        ExchangeLabels {
            reporter: if outbound { "source" } else { "destination" },
            source_principal: principal.clone(),
            destination_workload: if outbound { Arc::from("unknown") } else { self.workload.clone() },
            destination_workload_namespace: if outbound {
                Arc::from("unknown")
            } else {
                self.namespace.clone()
            },
            request_protocol: protocol(request),
            response_code: response.status,
            response_flags: refusal.map_or("-", Refusal::as_str),
            connection_security_policy: if connection.principal.is_some() { "mutual_tls" } else { "none" },
        }
    }
}

fn protocol(request: Option<&RequestFacts>) -> &'static str {
    match request.map(|facts| facts.protocol.as_str()) {
        Some("HTTP/2.0") => "http2",
        Some(_) => "http",
        None => "unknown",
    }
}
