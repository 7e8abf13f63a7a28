//! The task that sends what is queued.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use opentelemetry_proto::tonic::collector::logs::v1 as logs;
use opentelemetry_proto::tonic::collector::metrics::v1 as metrics;
use opentelemetry_proto::tonic::collector::trace::v1 as trace;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use palisade_model::WorkloadId;
use tokio::sync::mpsc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::{Counters, ExporterOptions, Kind, Signal};
use crate::event::resource;
use crate::limits::{BATCH_ITEMS, EXPORT_ATTEMPTS, REQUEST_BYTES};

/// The end that sends; see [`ExportTask::run`].
#[derive(Debug)]
pub struct ExportTask {
    signals: mpsc::Receiver<(Signal, usize)>,
    counters: Arc<Counters>,
    options: ExporterOptions,
    /// Read from the queue, but over the size of the batch before.
    next: Option<(Signal, usize)>,
}

/// The requests of one batch.
#[derive(Clone, Debug, Default)]
struct Batch {
    logs: Option<logs::ExportLogsServiceRequest>,
    spans: Option<trace::ExportTraceServiceRequest>,
    metrics: Option<metrics::ExportMetricsServiceRequest>,
    counts: [u64; 3],
    signals: usize,
}

impl Batch {
    /// What of it was not taken yet.
    fn left(&self) -> [(Kind, u64); 3] {
        let [logs, traces, metrics] = self.counts;
        let of = |there: bool, count| if there { count } else { 0 };
        [
            (Kind::Logs, of(self.logs.is_some(), logs)),
            (Kind::Traces, of(self.spans.is_some(), traces)),
            (Kind::Metrics, of(self.metrics.is_some(), metrics)),
        ]
    }
}

impl ExportTask {
    pub(super) fn new(
        signals: mpsc::Receiver<(Signal, usize)>,
        counters: Arc<Counters>,
        options: ExporterOptions,
    ) -> Self {
        Self { signals, counters, options, next: None }
    }

    /// Sends what is queued as telemetry of `workload`, until every [`super::Exporter`] is gone and the queue is
    /// empty. `connect` makes a channel at the start and after each failure.
    pub async fn run<C, F, E>(mut self, workload: WorkloadId, mut connect: C)
    where
        C: FnMut() -> F,
        F: Future<Output = Result<Channel, E>>,
        E: Display,
    {
        let resource = resource(&workload);
        let mut channel = None;
        while let Some(mut batch) = self.collect(&resource).await {
            if let Err(error) = self.deliver(&mut batch, &mut channel, &mut connect).await {
                let items: u64 = batch.left().iter().map(|(_, count)| count).sum();
                tracing::warn!(error, items, "telemetry was not delivered and is dropped");
                batch.left().into_iter().for_each(|(kind, count)| self.counters.undelivered.add(kind, count));
            }
            self.counters.waiting.fetch_sub(batch.signals, Ordering::AcqRel);
        }
    }

    /// The next batch: what is queued, up to the limits. None at the end.
    async fn collect(&mut self, resource: &Resource) -> Option<Batch> {
        let mut first = match self.next.take() {
            Some(signal) => Some(signal),
            None => self.signals.recv().await,
        };
        first.as_ref()?;
        let (mut logs, mut spans, mut metrics) = (Vec::new(), Vec::new(), Vec::new());
        let (mut items, mut bytes) = (0, 0);
        let mut counts = [0; 3];
        while let Some((signal, size)) = first.take().or_else(|| self.signals.try_recv().ok()) {
            // Half of what a receiver reads: envelopes and resource have the other half.
            if items > 0 && bytes + size > REQUEST_BYTES / 2 {
                self.next = Some((signal, size));
                break;
            }
            self.counters.waiting_bytes.fetch_sub(size, Ordering::AcqRel);
            bytes += size;
            items += 1;
            let [of_logs, of_spans, of_metrics] = &mut counts;
            match signal {
                Signal::Log(log) => {
                    *of_logs += 1;
                    logs.push(log);
                }
                Signal::Span(span) => {
                    *of_spans += 1;
                    spans.push(span);
                }
                Signal::Metrics(mut more) => {
                    *of_metrics += 1;
                    metrics.append(&mut more);
                }
            }
            if items >= BATCH_ITEMS {
                break;
            }
        }
        let scope = || Some(InstrumentationScope { name: "palisade".to_owned(), ..Default::default() });
        let resource = || Some(resource.clone());
        let schema_url = String::new;
        Some(Batch {
            counts,
            signals: items,
            logs: (!logs.is_empty()).then(|| logs::ExportLogsServiceRequest {
                resource_logs: vec![ResourceLogs {
                    resource: resource(),
                    scope_logs: vec![ScopeLogs {
                        scope: scope(),
                        log_records: logs,
                        schema_url: schema_url(),
                    }],
                    schema_url: schema_url(),
                }],
            }),
            spans: (!spans.is_empty()).then(|| trace::ExportTraceServiceRequest {
                resource_spans: vec![ResourceSpans {
                    resource: resource(),
                    scope_spans: vec![ScopeSpans { scope: scope(), spans, schema_url: schema_url() }],
                    schema_url: schema_url(),
                }],
            }),
            metrics: (!metrics.is_empty()).then(|| metrics::ExportMetricsServiceRequest {
                resource_metrics: vec![ResourceMetrics {
                    resource: resource(),
                    scope_metrics: vec![ScopeMetrics { scope: scope(), metrics, schema_url: schema_url() }],
                    schema_url: schema_url(),
                }],
            }),
        })
    }

    /// Sends a batch, again and again if need be; what is taken is removed from it and counted.
    async fn deliver<C, F, E>(
        &self,
        batch: &mut Batch,
        channel: &mut Option<Channel>,
        connect: &mut C,
    ) -> Result<(), String>
    where
        C: FnMut() -> F,
        F: Future<Output = Result<Channel, E>>,
        E: Display,
    {
        let mut error = String::new();
        for attempt in 0..EXPORT_ATTEMPTS {
            if attempt > 0 {
                let full = self.options.backoff_min.saturating_mul(1 << (attempt - 1).min(16));
                tokio::time::sleep(full.min(self.options.backoff_max)).await;
            }
            let open = match channel.take() {
                Some(open) => open,
                None => match tokio::time::timeout(self.options.timeout, connect()).await {
                    Ok(Ok(open)) => open,
                    Ok(Err(failure)) => {
                        error = failure.to_string();
                        continue;
                    }
                    Err(_) => {
                        error = "connecting took too long".to_owned();
                        continue;
                    }
                },
            };
            let sent = send(batch, &self.counters, open.clone());
            match tokio::time::timeout(self.options.timeout, sent).await {
                Ok(Ok(())) => {
                    *channel = Some(open);
                    return Ok(());
                }
                Ok(Err(status)) if !retryable(&status) => {
                    *channel = Some(open);
                    return Err(format!("{:?}: {}", status.code(), status.message()));
                }
                Ok(Err(status)) => error = format!("{:?}: {}", status.code(), status.message()),
                Err(_) => error = "no answer in time".to_owned(),
            }
        }
        Err(error)
    }

    #[cfg(test)]
    pub(super) fn try_next(&mut self) -> Option<Signal> {
        self.signals.try_recv().ok().map(|(signal, _)| signal)
    }
}

/// Sends what of the batch was not sent yet; what was taken is removed from it.
async fn send(batch: &mut Batch, counters: &Counters, channel: Channel) -> Result<(), Status> {
    let [of_logs, of_spans, of_metrics] = batch.counts;
    let taken = |kind, count: u64, rejected: Option<i64>| {
        let rejected = u64::try_from(rejected.unwrap_or(0)).unwrap_or(0).min(count);
        counters.undelivered.add(kind, rejected);
        counters.exported.fetch_add(count - rejected, Ordering::Relaxed);
    };
    if let Some(request) = &batch.logs {
        let mut client = logs::logs_service_client::LogsServiceClient::new(channel.clone());
        let response = client.export(Request::new(request.clone())).await?.into_inner();
        batch.logs = None;
        taken(Kind::Logs, of_logs, response.partial_success.map(|partial| partial.rejected_log_records));
    }
    if let Some(request) = &batch.spans {
        let mut client = trace::trace_service_client::TraceServiceClient::new(channel.clone());
        let response = client.export(Request::new(request.clone())).await?.into_inner();
        batch.spans = None;
        taken(Kind::Traces, of_spans, response.partial_success.map(|partial| partial.rejected_spans));
    }
    if let Some(request) = &batch.metrics {
        let mut client = metrics::metrics_service_client::MetricsServiceClient::new(channel);
        // A partial success counts values, not signals; whatever was refused of one signal, it counts as taken.
        client.export(Request::new(request.clone())).await?;
        batch.metrics = None;
        taken(Kind::Metrics, of_metrics, None);
    }
    Ok(())
}

/// The codes after which OTLP/gRPC says to try again; `Unknown` is what a broken connection looks like.
fn retryable(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
            | Code::ResourceExhausted
            | Code::Unknown
    )
}
