//! Exporter and receiver over real gRPC on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use palisade_model::record::*;
use palisade_model::{Denial, Direction, Reason, RequestRecord, WorkloadId};
use palisade_telemetry::event::resource;
use palisade_telemetry::exporter::exporter;
use palisade_telemetry::metrics::Sample;
use palisade_telemetry::receiver::{Sink, SinkFull, services};
use palisade_telemetry::{Event, EventError, ExporterOptions, Metric, Queued, TraceContext, limits};
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Extensions, Status};

#[derive(Debug)]
enum Got {
    Events(WorkloadId, Vec<Event>),
    Rejected(u64, String),
    Spans(u64),
    Metrics(u64),
}

struct Recorder {
    got: mpsc::UnboundedSender<Got>,
    /// How often it is full before it takes anything.
    full: AtomicUsize,
}

impl Sink for Recorder {
    fn events(&self, workload: &WorkloadId, events: Vec<Event>) -> Result<(), SinkFull> {
        if self.full.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(SinkFull);
        }
        self.got.send(Got::Events(workload.clone(), events)).unwrap();
        Ok(())
    }
    fn rejected(&self, _: &WorkloadId, records: u64, error: &EventError) {
        self.got.send(Got::Rejected(records, error.to_string())).unwrap();
    }
    fn spans(&self, _: &WorkloadId, count: u64) {
        self.got.send(Got::Spans(count)).unwrap();
    }
    fn metrics(&self, _: &WorkloadId, count: u64) {
        self.got.send(Got::Metrics(count)).unwrap();
    }
}

/// A receiver that knows every peer as `proven`, and refuses whoever claims to be `stranger`.
async fn receiver(full: usize) -> (SocketAddr, mpsc::UnboundedReceiver<Got>) {
    let (got, receiver) = mpsc::unbounded_channel();
    let sink = Arc::new(Recorder { got, full: AtomicUsize::new(full) });
    let identify = Arc::new(|_: &Extensions, claimed: Option<&WorkloadId>| {
        match claimed.is_some_and(|claimed| claimed.name == "stranger") {
            true => Err(Status::permission_denied("who are you?")),
            false => Ok(proven()),
        }
    });
    let (logs, traces, metrics) = services(sink, identify);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().add_service(logs).add_service(traces).add_service(metrics);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (address, receiver)
}

fn proven() -> WorkloadId {
    WorkloadId::local("shop", "proven")
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("nothing happened for a minute")
}

async fn connect(address: SocketAddr) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await
}

fn quick() -> ExporterOptions {
    ExporterOptions {
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        ..ExporterOptions::default()
    }
}

fn record(number: u64) -> RequestRecord {
    RequestRecord {
        version: RECORD_VERSION,
        reference: number.to_string(),
        time_ms: number,
        workload: WorkloadId::local("shop", "claimed"),
        policy_version: "v".into(),
        connection: ConnectionFacts {
            listener: "in".into(),
            direction: Direction::Inbound,
            peer: "127.0.0.1:1".into(),
            client: "127.0.0.1:1".into(),
            local: "127.0.0.1:2".into(),
            principal: None,
            sni: None,
        },
        request: None,
        verdict: VerdictFacts::Deny(Denial::new(Reason::NoRoute, None, "no route")),
        staged: None,
        matches: Vec::new(),
        inspection: Inspection::None,
        response_inspection: Inspection::None,
        response: None,
    }
}

#[tokio::test]
async fn events_spans_and_metrics_arrive_and_are_filed_under_the_proven_workload() {
    let (address, mut got) = receiver(0).await;
    let (exporter, task) = exporter(quick());
    let trace = TraceContext::root([5; 24], true);
    for number in 0..20 {
        assert_eq!(exporter.event(record(number), trace, number), Queued::Yes);
    }
    exporter.span(record(0), &trace.unwrap(), None);
    let sample = Sample { metric: Metric::SvidExpiry, labels: vec![], value: 60.0 };
    exporter.metrics(&[sample], 0, 1).unwrap();
    let task = tokio::spawn(task.run(WorkloadId::local("shop", "claimed"), move || connect(address)));

    let (mut events, mut spans, mut metrics) = (Vec::new(), 0, 0);
    while events.len() < 20 || spans < 1 || metrics < 1 {
        match within(got.recv()).await.unwrap() {
            Got::Events(workload, more) => {
                assert_eq!(workload, proven());
                events.extend(more);
            }
            Got::Spans(count) => spans += count,
            Got::Metrics(count) => metrics += count,
            Got::Rejected(_, error) => panic!("{error}"),
        }
    }
    for (number, event) in events.into_iter().enumerate() {
        let sent = record(number as u64);
        assert_eq!(event.trace, trace);
        assert_eq!(event.record, RequestRecord { workload: proven(), ..sent });
    }
    let counters = exporter.clone();
    drop(exporter);
    within(async {
        while counters.exported() < 22 {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert_eq!((counters.dropped(), counters.undelivered()), (0, 0));
    drop(counters);
    within(task).await.unwrap();
}

#[tokio::test]
async fn a_flush_ends_when_all_is_taken_or_given_up_and_waits_no_longer_than_it_was_told() {
    let moment = Duration::from_millis(20);
    let (stuck, _task) = exporter(quick());
    assert!(stuck.flush(moment).await, "nothing is queued");
    stuck.event(record(1), None, 0);
    assert!(!within(stuck.flush(moment)).await, "nobody sends");

    let (address, mut got) = receiver(2).await;
    let (taken, task) = exporter(quick());
    for number in 0..100 {
        taken.event(record(number), None, number * 1_000);
    }
    tokio::spawn(task.run(proven(), move || connect(address)));
    assert!(taken.flush(Duration::from_secs(60)).await);
    let mut events = 0;
    while let Ok(Got::Events(_, more)) = got.try_recv() {
        events += more.len();
    }
    assert_eq!((events, taken.exported()), (100, 100), "all had arrived when the flush ended");

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (lost, task) = exporter(quick());
    lost.event(record(1), None, 0);
    tokio::spawn(task.run(proven(), move || connect(nobody)));
    assert!(lost.flush(Duration::from_secs(60)).await, "what is given up is not waited for");
    assert_eq!(lost.undelivered(), 1);
}

#[tokio::test]
async fn a_full_sink_is_tried_again_and_nothing_is_lost() {
    let (address, mut got) = receiver(3).await;
    let (exporter, task) = exporter(quick());
    exporter.event(record(1), None, 0);
    let task = tokio::spawn(task.run(proven(), move || connect(address)));
    let Got::Events(_, events) = within(got.recv()).await.unwrap() else { panic!("an event") };
    assert_eq!(events.len(), 1);
    drop(exporter);
    within(task).await.unwrap();
}

#[tokio::test]
async fn a_batch_is_tried_so_often_and_then_given_up() {
    let attempts = limits::EXPORT_ATTEMPTS as usize;
    for (failures, delivered) in [(attempts - 2, true), (attempts - 1, true), (attempts, false)] {
        let (address, _got) = receiver(failures).await;
        let (exporter, task) = exporter(quick());
        exporter.event(record(1), None, 0);
        tokio::spawn(task.run(proven(), move || connect(address)));
        assert!(within(exporter.flush(Duration::from_secs(60))).await);
        let counted = (exporter.exported(), exporter.undelivered());
        assert_eq!(counted, if delivered { (1, 0) } else { (0, 1) }, "{failures} failures");
    }
}

#[tokio::test]
async fn an_attempt_without_an_end_is_over_in_its_time() {
    let default = ExporterOptions::default();
    assert_eq!(default.timeout, Duration::from_secs(limits::EXPORT_SECONDS));
    let timeout = Duration::from_millis(40);
    let (exporter, task) = exporter(ExporterOptions { timeout, ..quick() });
    exporter.event(record(1), None, 0);
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = tries.clone();
    let connect = move || {
        counter.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<Result<Channel, tonic::transport::Error>>()
    };
    let begun = std::time::Instant::now();
    tokio::spawn(task.run(proven(), connect));
    assert!(within(exporter.flush(Duration::from_secs(60))).await, "it is given up");
    assert!(begun.elapsed() >= timeout * limits::EXPORT_ATTEMPTS);
    assert_eq!(tries.load(Ordering::SeqCst), limits::EXPORT_ATTEMPTS as usize);
    assert_eq!((exporter.exported(), exporter.undelivered()), (0, 1));
}

#[tokio::test]
async fn one_request_has_so_many_signals_and_the_rest_comes_in_the_next() {
    let most = limits::BATCH_ITEMS;
    for (queued, sizes) in [(most - 1, vec![most - 1]), (most, vec![most]), (most + 1, vec![most, 1])] {
        let (address, mut got) = receiver(0).await;
        let (exporter, task) = exporter(quick());
        for number in 0..queued as u64 {
            assert_eq!(exporter.event(record(number), None, number * 1_000), Queued::Yes);
        }
        tokio::spawn(task.run(proven(), move || connect(address)));
        assert!(within(exporter.flush(Duration::from_secs(60))).await);
        let mut seen = Vec::new();
        while let Ok(Got::Events(_, events)) = got.try_recv() {
            seen.push(events.len());
        }
        assert_eq!(seen, sizes);
    }
}

#[tokio::test]
async fn when_the_receiver_is_away_events_are_dropped_and_counted_and_memory_is_bounded() {
    // Bound and dropped: nobody listens there.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (exporter, task) = exporter(quick());
    let total = limits::QUEUE_ITEMS as u64 + 100;
    let mut permit = record(1);
    permit.verdict = VerdictFacts::Permit;
    for _ in 0..total {
        exporter.event(permit.clone(), None, 0);
    }
    assert_eq!(exporter.dropped(), 100);
    let counters = exporter.clone();
    let task = tokio::spawn(task.run(proven(), move || connect(address)));
    drop(exporter);
    within(async {
        while counters.undelivered() < total - 100 {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert_eq!((counters.exported(), counters.dropped()), (0, 100));
    drop(counters);
    within(task).await.unwrap();
}

fn request(claimed: &WorkloadId, records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource(claimed)),
            scope_logs: vec![ScopeLogs { log_records: records, ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    }
}

#[tokio::test]
async fn malformed_records_are_rejected_alone_and_counted() {
    let (address, mut got) = receiver(0).await;
    let mut client = LogsServiceClient::new(connect(address).await.unwrap());
    let good = Event::new(record(1)).to_log();
    let mut bad = good.clone();
    bad.attributes.clear();
    let records = vec![bad.clone(), good, LogRecord::default()];
    let response = client.export(request(&proven(), records)).await.unwrap().into_inner();
    let partial = response.partial_success.unwrap();
    assert_eq!(partial.rejected_log_records, 2);
    assert!(partial.error_message.contains("palisade.record.version"), "{}", partial.error_message);
    assert!(matches!(within(got.recv()).await, Some(Got::Events(_, events)) if events.len() == 1));
    assert!(matches!(within(got.recv()).await, Some(Got::Rejected(2, _))));
}

#[tokio::test]
async fn what_is_over_a_limit_or_from_a_stranger_is_refused_whole() {
    let (address, mut got) = receiver(0).await;
    let mut client = LogsServiceClient::new(connect(address).await.unwrap());
    let stranger = WorkloadId::local("shop", "stranger");
    let error = client.export(request(&stranger, vec![Event::new(record(1)).to_log()])).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);

    let many = |count: usize| request(&proven(), vec![LogRecord::default(); count]);
    for count in [limits::REQUEST_RECORDS - 1, limits::REQUEST_RECORDS] {
        let response = client.export(many(count)).await.unwrap().into_inner();
        assert_eq!(response.partial_success.unwrap().rejected_log_records, count as i64);
        assert!(matches!(within(got.recv()).await, Some(Got::Rejected(_, _))));
    }
    let error = client.export(many(limits::REQUEST_RECORDS + 1)).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);

    let large = LogRecord { severity_text: "x".repeat(limits::REQUEST_BYTES), ..LogRecord::default() };
    let error = client.export(request(&proven(), vec![large])).await.unwrap_err();
    assert_eq!(error.code(), Code::OutOfRange);
    assert!(got.try_recv().is_err(), "nothing of it was filed");
}
