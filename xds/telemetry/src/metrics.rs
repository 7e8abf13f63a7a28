//! The enum of all metrics: name, help, unit, kind, labels. `docs/metrics.md` has one row each, checked by a test.
//!
//! Promises: label names are closed and their values bounded (listeners, principals of the mesh, causes of a closed
//! list); counters end in `_total`. It does not count: the programs register what they count under these names.

use opentelemetry_proto::tonic::metrics::v1 as otlp;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;

use crate::attribute::text;

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

impl MetricKind {
    /// The word in `docs/metrics.md`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Istio's labels of HTTP exchanges, as its dashboards read them.
const EXCHANGE: &[&str] = &[
    "reporter",
    "source_principal",
    "destination_workload",
    "destination_workload_namespace",
    "request_protocol",
    "response_code",
    "response_flags",
    "connection_security_policy",
];
/// Istio's labels of opaque connections.
const TCP: &[&str] =
    &["reporter", "source_principal", "destination_workload", "destination_workload_namespace"];

macro_rules! metrics {
    ($($variant:ident $name:literal $kind:ident $unit:literal $labels:expr, $help:literal;)*) => {
        /// Every metric Palisade exports.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Metric {
            $(#[doc = $help] $variant,)*
        }

        impl Metric {
            /// Every metric, for tables and tests.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The full name, as it is exposed.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it says, one sentence.
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }

            /// Its unit (UCUM, `1` for counts).
            pub fn unit(self) -> &'static str {
                match self { $(Self::$variant => $unit,)* }
            }

            /// How it behaves.
            pub fn kind(self) -> MetricKind {
                match self { $(Self::$variant => MetricKind::$kind,)* }
            }

            /// The names of its labels.
            pub fn labels(self) -> &'static [&'static str] {
                match self { $(Self::$variant => $labels,)* }
            }
        }
    };
}

metrics! {
    Requests "palisade_requests_total" Counter "1" &["listener", "verdict"], "Exchanges that were judged.";
    Denials "palisade_denials_total" Counter "1" &["listener", "cause"], "Exchanges and connections that were refused.";
    StagedDenials "palisade_staged_denials_total" Counter "1" &["listener"], "Exchanges that the staged policy would have refused.";
    ConnectionsActive "palisade_connections_active" Gauge "1" &["listener"], "Open downstream connections.";
    PolicyInfo "palisade_policy_info" Gauge "1" &["version"], "1 for the version of the policy in force.";
    PolicyUpdates "palisade_policy_updates_total" Counter "1" &["outcome"], "Policies that arrived, accepted or rejected.";
    ControlPlaneConnected "palisade_control_plane_connected" Gauge "1" &[], "1 while a stream to the control plane is open.";
    SvidExpiry "palisade_svid_expiry_seconds" Gauge "s" &[], "Seconds until the SVID in use expires; negative afterwards.";
    BufferedBytes "palisade_buffered_bytes" Gauge "By" &[], "Bytes of bodies held for inspection.";
    HttpParseErrors "palisade_http_parse_errors_total" Counter "1" &["listener", "cause"], "Messages that could not be read in exactly one way.";
    UpstreamErrors "palisade_upstream_errors_total" Counter "1" &["cause"], "Upstreams that could not be asked or did not answer properly.";
    WafMatches "palisade_waf_matches_total" Counter "1" &["phase", "mode"], "WAF rules that matched.";
    TelemetryDropped "palisade_telemetry_dropped_total" Counter "1" &["signal", "cause"], "Events, spans and metrics that were not exported.";
    TelemetrySampled "palisade_telemetry_sampled_total" Counter "1" &[], "Denials of a flood that another event stands for.";
    AuditWritten "palisade_audit_written_total" Counter "1" &[], "Lines of the audit log that were written.";
    AuditDropped "palisade_audit_dropped_total" Counter "1" &["cause"], "Lines of the audit log that were not written.";
    XdsConnections "palisade_xds_connections" Gauge "1" &[], "Open streams of sidecars to this control plane.";
    XdsResponses "palisade_xds_responses_total" Counter "1" &["outcome"], "Policies that sidecars acknowledged or refused.";
    XdsRefused "palisade_xds_refused_resources_total" Counter "1" &[], "Resources sidecars asked for that are not their own.";
    EventsReceived "palisade_events_received_total" Counter "1" &["outcome"], "Log records received from sidecars, accepted or rejected.";
    IstioRequests "istio_requests_total" Counter "1" EXCHANGE, "Exchanges (Istio standard metric).";
    IstioRequestDuration "istio_request_duration_milliseconds" Histogram "ms" EXCHANGE, "Time from a request's head to the end of its response (Istio standard metric).";
    IstioRequestBytes "istio_request_bytes" Histogram "By" EXCHANGE, "Size of request bodies (Istio standard metric).";
    IstioResponseBytes "istio_response_bytes" Histogram "By" EXCHANGE, "Size of response bodies (Istio standard metric).";
    IstioTcpSentBytes "istio_tcp_sent_bytes_total" Counter "By" TCP, "Bytes to clients of opaque connections (Istio standard metric).";
    IstioTcpReceivedBytes "istio_tcp_received_bytes_total" Counter "By" TCP, "Bytes from clients of opaque connections (Istio standard metric).";
    IstioTcpOpened "istio_tcp_connections_opened_total" Counter "1" TCP, "Opaque connections opened (Istio standard metric).";
    IstioTcpClosed "istio_tcp_connections_closed_total" Counter "1" TCP, "Opaque connections closed (Istio standard metric).";
}

impl Metric {
    /// The name a registry is given that appends `_total` to counters by itself.
    pub fn registered_name(self) -> &'static str {
        self.name().strip_suffix("_total").unwrap_or(self.name())
    }

    /// The metric's row in `docs/metrics.md`.
    pub fn row(self) -> String {
        let labels: Vec<_> = self.labels().iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
        let (name, kind) = (self.name(), self.kind().as_str());
        format!("| `{name}` | {kind} | {} | {labels} | {} |", self.unit(), self.help())
    }
}

/// One value of a metric at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Which metric; no histogram. [`crate::Exporter::exposition`] exports those.
    pub metric: Metric,
    /// Values of its labels, in the order of [`Metric::labels`].
    pub labels: Vec<String>,
    /// Its value.
    pub value: f64,
}

/// A sample is not one of its metric.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{metric}: {problem}")]
pub struct SampleError {
    /// The metric's name.
    pub metric: &'static str,
    /// What is wrong.
    pub problem: &'static str,
}

impl Sample {
    /// The OTLP form; counters are cumulative since `start_ns`, times are nanoseconds since the epoch.
    pub fn to_otlp(&self, start_ns: u64, now_ns: u64) -> Result<otlp::Metric, SampleError> {
        let names = self.metric.labels();
        let error = |problem| SampleError { metric: self.metric.name(), problem };
        if names.len() != self.labels.len() {
            return Err(error("a value for every label is needed, in order"));
        }
        let points = vec![otlp::NumberDataPoint {
            attributes: names.iter().zip(&self.labels).map(|(name, value)| text(name, value)).collect(),
            start_time_unix_nano: start_ns,
            time_unix_nano: now_ns,
            value: Some(Value::AsDouble(self.value)),
            ..otlp::NumberDataPoint::default()
        }];
        let data = match self.metric.kind() {
            MetricKind::Counter => Data::Sum(otlp::Sum {
                data_points: points,
                aggregation_temporality: otlp::AggregationTemporality::Cumulative.into(),
                is_monotonic: true,
            }),
            MetricKind::Gauge => Data::Gauge(otlp::Gauge { data_points: points }),
            MetricKind::Histogram => return Err(error("a histogram is more than one value")),
        };
        Ok(otlp::Metric {
            name: self.metric.name().to_owned(),
            description: self.metric.help().to_owned(),
            unit: self.metric.unit().to_owned(),
            data: Some(data),
            ..otlp::Metric::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_prefixed_and_counters_end_in_total() {
        let names: BTreeSet<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        for metric in Metric::ALL {
            let name = metric.name();
            assert!(name.starts_with("palisade_") || name.starts_with("istio_"), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind() == MetricKind::Counter, "{name}");
        }
        assert_eq!(Metric::IstioRequests.registered_name(), "istio_requests");
        assert_eq!(Metric::IstioRequestBytes.registered_name(), "istio_request_bytes");
    }

    #[test]
    fn the_document_has_exactly_one_row_per_metric() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let document = std::fs::read_to_string(path).expect("docs/metrics.md is there");
        let rows: BTreeSet<_> =
            document.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
        let wanted: BTreeSet<_> = Metric::ALL.iter().map(|metric| metric.row()).collect();
        let missing: Vec<_> = wanted.difference(&rows).collect();
        let extra: Vec<_> = rows.difference(&wanted).collect();
        assert!(missing.is_empty() && extra.is_empty(), "missing: {missing:#?}\nextra: {extra:#?}");
    }

    #[test]
    fn a_sample_needs_a_value_for_every_label() {
        let sample = |labels: &[&str]| Sample {
            metric: Metric::Denials,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            value: 3.0,
        };
        let metric = sample(&["inbound", "no_route"]).to_otlp(1, 2).unwrap();
        assert_eq!(metric.name, "palisade_denials_total");
        assert!(matches!(metric.data, Some(Data::Sum(sum)) if sum.is_monotonic));
        assert!(sample(&["inbound"]).to_otlp(1, 2).is_err());
        assert!(sample(&["a", "b", "c"]).to_otlp(1, 2).is_err());
    }
}
