//! Telemetry on its way in: the OTLP services of the control plane.
//!
//! Promises: every event is filed under the workload the caller proved to be, whatever its resource says; one malformed
//! record is rejected alone and named in the partial success; messages are bounded in bytes and number. It does not
//! keep anything: [`Sink`] does. Spans and metrics are counted and dropped; send those to a collector.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1 as logs;
use opentelemetry_proto::tonic::collector::metrics::v1 as metrics;
use opentelemetry_proto::tonic::collector::trace::v1 as trace;
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::resource::v1::Resource;
use palisade_model::WorkloadId;
use tonic::{Extensions, Request, Response, Status};

use crate::event::{Event, EventError, claimed_workload};
use crate::limits::{REQUEST_BYTES, REQUEST_RECORDS};

/// Says who sends.
pub trait Identify: Send + Sync + 'static {
    /// `peer` are the extensions of the gRPC request (the TLS connection's certificate is in them); `claimed` is the
    /// workload the telemetry says it is of, which proves nothing. The answer is what it is filed under.
    fn identify(&self, peer: &Extensions, claimed: Option<&WorkloadId>) -> Result<WorkloadId, Status>;
}

impl<F> Identify for F
where
    F: Fn(&Extensions, Option<&WorkloadId>) -> Result<WorkloadId, Status> + Send + Sync + 'static,
{
    fn identify(&self, peer: &Extensions, claimed: Option<&WorkloadId>) -> Result<WorkloadId, Status> {
        self(peer, claimed)
    }
}

/// There is no room; the sender tries again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sink is full")]
pub struct SinkFull;

/// Takes what was received. Called from the request's task: it must not block.
pub trait Sink: Send + Sync + 'static {
    /// Events of one workload, all or none of them.
    fn events(&self, workload: &WorkloadId, events: Vec<Event>) -> Result<(), SinkFull>;
    /// Log records that are not events, and what was wrong with the first.
    fn rejected(&self, workload: &WorkloadId, records: u64, error: &EventError);
    /// Spans that were not kept.
    fn spans(&self, workload: &WorkloadId, count: u64);
    /// Metrics that were not kept.
    fn metrics(&self, workload: &WorkloadId, count: u64);
}

/// The three OTLP services; made by [`services`].
#[derive(Clone)]
pub struct Receiver {
    sink: Arc<dyn Sink>,
    identify: Arc<dyn Identify>,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// The services of [`services`].
pub type Services = (
    logs::logs_service_server::LogsServiceServer<Receiver>,
    trace::trace_service_server::TraceServiceServer<Receiver>,
    metrics::metrics_service_server::MetricsServiceServer<Receiver>,
);

/// The logs, trace and metrics services for a tonic server, with message sizes bounded.
pub fn services(sink: Arc<dyn Sink>, identify: Arc<dyn Identify>) -> Services {
    let receiver = Receiver { sink, identify };
    (
        logs::logs_service_server::LogsServiceServer::new(receiver.clone())
            .max_decoding_message_size(REQUEST_BYTES),
        trace::trace_service_server::TraceServiceServer::new(receiver.clone())
            .max_decoding_message_size(REQUEST_BYTES),
        metrics::metrics_service_server::MetricsServiceServer::new(receiver)
            .max_decoding_message_size(REQUEST_BYTES),
    )
}

impl Receiver {
    fn workload(&self, peer: &Extensions, resource: Option<&Resource>) -> Result<WorkloadId, Status> {
        let claimed = resource.and_then(claimed_workload);
        self.identify.identify(peer, claimed.as_ref())
    }

    /// Files the logs of one resource; the answer is how many were rejected, and why the first was.
    fn file(&self, peer: &Extensions, logs: &ResourceLogs) -> Result<Option<(u64, EventError)>, Status> {
        let workload = self.workload(peer, logs.resource.as_ref())?;
        let mut events = Vec::new();
        let mut rejected: Option<(u64, EventError)> = None;
        for log in logs.scope_logs.iter().flat_map(|scope| &scope.log_records) {
            match Event::from_log(log, &workload) {
                Ok(event) => events.push(event),
                Err(error) => rejected.get_or_insert((0, error)).0 += 1,
            }
        }
        if !events.is_empty() {
            self.sink.events(&workload, events).map_err(|full| Status::unavailable(full.to_string()))?;
        }
        if let Some((records, error)) = &rejected {
            tracing::warn!(%workload, records, %error, "log records rejected");
            self.sink.rejected(&workload, *records, error);
        }
        Ok(rejected)
    }
}

#[tonic::async_trait]
impl logs::logs_service_server::LogsService for Receiver {
    async fn export(
        &self,
        request: Request<logs::ExportLogsServiceRequest>,
    ) -> Result<Response<logs::ExportLogsServiceResponse>, Status> {
        let (_, peer, request) = request.into_parts();
        let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
        let records: usize = scopes.map(|scope| scope.log_records.len()).sum();
        if records > REQUEST_RECORDS || request.resource_logs.len() > REQUEST_RECORDS {
            return Err(Status::invalid_argument(format!(
                "more than {REQUEST_RECORDS} log records in one request"
            )));
        }
        let mut rejected = 0;
        let mut first = None;
        for logs in &request.resource_logs {
            if let Some((records, error)) = self.file(&peer, logs)? {
                rejected += records;
                first.get_or_insert(error);
            }
        }
        Ok(Response::new(logs::ExportLogsServiceResponse {
            partial_success: first.map(|error| logs::ExportLogsPartialSuccess {
                rejected_log_records: i64::try_from(rejected).unwrap_or(i64::MAX),
                error_message: error.to_string(),
            }),
        }))
    }
}

#[tonic::async_trait]
impl trace::trace_service_server::TraceService for Receiver {
    async fn export(
        &self,
        request: Request<trace::ExportTraceServiceRequest>,
    ) -> Result<Response<trace::ExportTraceServiceResponse>, Status> {
        let (_, peer, request) = request.into_parts();
        for spans in request.resource_spans.iter().take(REQUEST_RECORDS) {
            let workload = self.workload(&peer, spans.resource.as_ref())?;
            let count: usize = spans.scope_spans.iter().map(|scope| scope.spans.len()).sum();
            self.sink.spans(&workload, u64::try_from(count).unwrap_or(u64::MAX));
        }
        Ok(Response::new(trace::ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl metrics::metrics_service_server::MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<metrics::ExportMetricsServiceRequest>,
    ) -> Result<Response<metrics::ExportMetricsServiceResponse>, Status> {
        let (_, peer, request) = request.into_parts();
        for metrics in request.resource_metrics.iter().take(REQUEST_RECORDS) {
            let workload = self.workload(&peer, metrics.resource.as_ref())?;
            let count: usize = metrics.scope_metrics.iter().map(|scope| scope.metrics.len()).sum();
            self.sink.metrics(&workload, u64::try_from(count).unwrap_or(u64::MAX));
        }
        Ok(Response::new(metrics::ExportMetricsServiceResponse::default()))
    }
}
