//! What is told of traffic: `/metrics` against the page, and OTLP against a collector on loopback.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1 as logs;
use opentelemetry_proto::tonic::collector::metrics::v1 as metrics;
use opentelemetry_proto::tonic::collector::trace::v1 as trace;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric as OtlpMetric;
use opentelemetry_proto::tonic::trace::v1::Span;
use palisade_model::policy::{ClientAddress, ListenerRole};
use palisade_model::record::VerdictFacts;
use palisade_model::{Policy, Protocol};
use palisade_proxy::admin;
use palisade_proxy::plane::Plane;
use palisade_proxy::policy::update::Updater;
use palisade_proxy::telemetry::{OtlpSink, Telemetry, export};
use palisade_rules::Engine;
use palisade_telemetry::exporter::exporter;
use palisade_telemetry::metrics::MetricKind;
use palisade_telemetry::{Event, ExportTask, Exporter, ExporterOptions, Metric, Queued};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::world::{OK, PATIENCE, RawClient, RawOrigin, World, authorization, local, policy_to, workload};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn no_admin(policy: &mut Policy) {
    policy.authorization = vec![authorization(
        "no-admin",
        json!({"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/admin"]}}]}]}),
    )];
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

fn edge(trusted_hops: u8) -> ListenerRole {
    let client_address = ClientAddress { trusted_hops, ..ClientAddress::default() };
    ListenerRole::Gateway { certificates: Vec::new(), client_address }
}

/// The sample lines of `/metrics`, as the admin page serves them.
async fn scrape(plane: &Arc<Plane>) -> Vec<String> {
    let address = admin::listen(local(), Updater::new(plane.clone(), Vec::new(), None, false)).await.unwrap();
    let mut client = RawClient::connect(address).await;
    client.send(get("/metrics").replace("host: a", "host: localhost")).await;
    let (status, head, body) = client.response().await.unwrap();
    assert!(status == 200 && head.contains("openmetrics-text"), "{head}");
    let text = String::from_utf8(body).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// The value of a sample whose line begins so.
fn value(lines: &[String], begins: &str) -> Option<f64> {
    lines.iter().find(|line| line.starts_with(begins))?.rsplit(' ').next()?.parse().ok()
}

/// The metric of a sample line and the names of its labels.
fn read(line: &str) -> (String, BTreeSet<String>) {
    let (series, _) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
        let name = name.strip_suffix(suffix)?;
        let found = Metric::ALL.iter().find(|metric| metric.name() == name)?;
        (found.kind() == MetricKind::Histogram).then(|| name.to_owned())
    });
    let labels = labels.split("=\"").filter_map(|part| part.rsplit([',', '"', '{']).next());
    let labels = labels.filter(|label| !label.is_empty() && *label != "le" && *label != "}");
    (histogram.unwrap_or_else(|| name.to_owned()), labels.map(str::to_owned).collect())
}

#[tokio::test]
async fn every_exposed_name_is_in_the_page_and_every_metric_of_the_proxy_is_exposed() {
    let origin = RawOrigin::start(OK).await;
    let (world, address) = World::gateway(origin.address, no_admin).await;
    let tcp = world.listen("tcp", ListenerRole::OutboundTcp { cluster: "origin".into() });
    for (request, status) in [(get("/"), 200), (get("/admin"), 403), ("GET /\n\n".to_owned(), 400)] {
        let mut client = RawClient::connect(address).await;
        client.send(request).await;
        assert_eq!(client.response().await.unwrap().0, status);
    }
    let mut spliced = TcpStream::connect(tcp).await.unwrap();
    spliced.write_all(b"x\r\n\r\n").await.unwrap();
    spliced.shutdown().await.unwrap();
    let mut back = Vec::new();
    spliced.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, OK.as_bytes());
    world.records.wait(4).await;
    // The staged policy would have refused what is permitted.
    let mut staged = policy_to(origin.address, Protocol::Http);
    no_admin(&mut staged);
    let engine = Engine::compile(&Policy { routes: Vec::new(), ..staged.clone() }, "next", None).unwrap();
    let before = world.plane.current.load();
    let active =
        palisade_proxy::policy::Active::compile(Arc::new(staged), "2", Some(&before), &world.plane.pools);
    world.plane.current.store(active.unwrap().stage(Arc::new(engine)));
    let mut client = RawClient::connect(address).await;
    client.send(get("/")).await;
    assert_eq!(client.response().await.unwrap().0, 200, "what is staged refuses nothing");
    let records = world.records.wait(5).await;
    let last = records.last().unwrap();
    assert_eq!(last.verdict, VerdictFacts::Permit);
    assert!(matches!(last.staged, Some(VerdictFacts::Deny(_))), "{:?}", last.staged);

    let lines = scrape(&world.plane).await;
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let rows: BTreeSet<String> = rows.map(|(name, _)| name.to_owned()).collect();
    let mut exposed = BTreeSet::new();
    for line in &lines {
        let (name, labels) = read(line);
        assert!(rows.contains(&name), "{name} is not in docs/metrics.md");
        let metric = Metric::ALL.iter().find(|metric| metric.name() == name).unwrap();
        let wanted: BTreeSet<_> = metric.labels().iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(labels, wanted, "{line}");
        exposed.insert(name);
    }
    let others = ["palisade_xds_", "palisade_events_received_"];
    let missing: Vec<_> = rows
        .iter()
        .filter(|row| !exposed.contains(*row) && !others.iter().any(|other| row.starts_with(other)))
        .collect();
    assert!(missing.is_empty(), "not exposed: {missing:?}");
    let denied = "palisade_denials_total{listener=\"edge\",cause=\"authorization_denied\"}";
    assert_eq!(value(&lines, denied), Some(1.0), "{lines:#?}");
    assert_eq!(value(&lines, "palisade_staged_denials_total{listener=\"edge\"}"), Some(1.0));
    assert_eq!(value(&lines, "istio_tcp_received_bytes_total"), Some(5.0));
}

/// What the collector was sent, one by one.
#[derive(Debug)]
enum Got {
    Log(Box<LogRecord>),
    Span(Box<Span>),
    Metric(Box<OtlpMetric>),
}

#[derive(Clone)]
struct Collector(mpsc::UnboundedSender<Got>);

#[tonic::async_trait]
impl logs::logs_service_server::LogsService for Collector {
    async fn export(
        &self,
        request: Request<logs::ExportLogsServiceRequest>,
    ) -> Result<Response<logs::ExportLogsServiceResponse>, Status> {
        let all = request.into_inner().resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
        for log in all.flat_map(|scope| scope.log_records) {
            let _ = self.0.send(Got::Log(Box::new(log)));
        }
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl trace::trace_service_server::TraceService for Collector {
    async fn export(
        &self,
        request: Request<trace::ExportTraceServiceRequest>,
    ) -> Result<Response<trace::ExportTraceServiceResponse>, Status> {
        let all = request.into_inner().resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
        for span in all.flat_map(|scope| scope.spans) {
            let _ = self.0.send(Got::Span(Box::new(span)));
        }
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl metrics::metrics_service_server::MetricsService for Collector {
    async fn export(
        &self,
        request: Request<metrics::ExportMetricsServiceRequest>,
    ) -> Result<Response<metrics::ExportMetricsServiceResponse>, Status> {
        let all = request.into_inner().resource_metrics.into_iter().flat_map(|metrics| metrics.scope_metrics);
        for metric in all.flat_map(|scope| scope.metrics) {
            let _ = self.0.send(Got::Metric(Box::new(metric)));
        }
        Ok(Response::new(Default::default()))
    }
}

async fn collector() -> (SocketAddr, mpsc::UnboundedReceiver<Got>) {
    let (sender, got) = mpsc::unbounded_channel();
    let collector = Collector(sender);
    let listener = TcpListener::bind(local()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(logs::logs_service_server::LogsServiceServer::new(collector.clone()))
        .add_service(trace::trace_service_server::TraceServiceServer::new(collector.clone()))
        .add_service(metrics::metrics_service_server::MetricsServiceServer::new(collector));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (address, got)
}

async fn next(got: &mut mpsc::UnboundedReceiver<Got>) -> Got {
    tokio::time::timeout(PATIENCE, got.recv()).await.expect("nothing more arrives").unwrap()
}

/// A world whose telemetry leaves over OTLP, its exporter, and its task that does not run yet.
fn exporting(origin: SocketAddr, flows: bool) -> (World, Exporter, ExportTask) {
    let (exporter, task) = exporter(ExporterOptions::default());
    let sink = OtlpSink::new(exporter.clone(), flows);
    let telemetry = Telemetry::new(&workload(), Some(sink), false);
    let world = World { plane: Plane::new(workload(), None, telemetry), records: Arc::default() };
    let mut policy = policy_to(origin, Protocol::Http);
    no_admin(&mut policy);
    world.enforce(policy, "1");
    (world, exporter, task)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn one_exchange_of_a_sampled_trace_arrives_as_a_log_a_span_and_metrics() {
    let origin = RawOrigin::start(OK).await;
    let (world, exporter, task) = exporting(origin.address, true);
    let (address, mut got) = collector().await;
    let behind_a_proxy = world.listen("edge", edge(1));
    tokio::spawn(task.run(workload(), export::collector(address).unwrap()));
    let mut client = RawClient::connect(behind_a_proxy).await;
    client.send(get("/").replace("\r\n\r\n", &format!("\r\ntraceparent: {PARENT}\r\n\r\n"))).await;
    assert_eq!(client.response().await.unwrap().0, 200);
    // The record is written when the last byte left, which is before the next request on the connection is read.
    client.send(get("/next")).await;
    assert_eq!(client.response().await.unwrap().0, 200);
    tokio::spawn(export::metrics(world.plane.clone(), exporter, Duration::from_millis(20)));

    let (mut log, mut span, mut counted, mut histogram) = (None, None, false, false);
    while log.is_none() || span.is_none() || !counted || !histogram {
        match next(&mut got).await {
            Got::Log(found) if log.is_none() => log = Some(found),
            Got::Span(found) => assert!(span.replace(found).is_none(), "one span, of the sampled trace"),
            Got::Metric(found) => {
                counted |= found.name == "istio_requests_total";
                histogram |= found.name == "istio_request_duration_milliseconds";
            }
            Got::Log(_) => {}
        }
    }
    let (log, span) = (log.unwrap(), span.unwrap());
    assert_eq!((hex(&log.trace_id), hex(&span.trace_id)), (TRACE.to_owned(), TRACE.to_owned()));
    assert_eq!(log.span_id, span.span_id);
    assert_eq!(hex(&span.parent_span_id), "b7ad6b7169203331");
    let sent = format!("traceparent: 00-{TRACE}-{}-01\r\n", hex(&span.span_id));
    assert!(origin.text().contains(&sent), "{sent} in {}", origin.text());
    assert_eq!(origin.text().matches(TRACE).count(), 1, "the next exchange is not of that trace");
}

#[tokio::test]
async fn no_span_is_made_of_a_trace_that_is_not_sampled_or_that_a_client_at_the_edge_chose() {
    let origin = RawOrigin::start(OK).await;
    let (world, exporter, task) = exporting(origin.address, false);
    let (address, mut got) = collector().await;
    let (trusting, bare) = (world.listen("edge", edge(1)), world.listen("edge", edge(0)));
    let off = format!("{}00", &PARENT[..53]);
    for (listener, parent) in [(trusting, off.as_str()), (trusting, "00-zz"), (bare, PARENT)] {
        let mut client = RawClient::connect(listener).await;
        client.send(get("/").replace("\r\n\r\n", &format!("\r\ntraceparent: {parent}\r\n\r\n"))).await;
        assert_eq!(client.response().await.unwrap().0, 200);
        client.send(get("/admin")).await;
        assert_eq!(client.response().await.unwrap().0, 403);
    }
    assert!(!origin.text().contains(PARENT), "the edge begins its own trace: {}", origin.text());
    tokio::spawn(task.run(workload(), export::collector(address).unwrap()));
    for _ in 0..3 {
        assert!(matches!(next(&mut got).await, Got::Log(_)), "the denials arrive, and nothing else");
    }
    drop((world, exporter));
    assert!(got.try_recv().is_err());
}

#[tokio::test]
async fn a_flood_of_denials_is_sampled_and_every_denial_is_exported_or_counted() {
    const DENIALS: u64 = 400;
    let origin = RawOrigin::start(OK).await;
    let (world, exporter, task) = exporting(origin.address, false);
    let (address, mut got) = collector().await;
    let listener = world.listen("edge", edge(0));
    let mut client = RawClient::connect(listener).await;
    for _ in 0..DENIALS {
        client.send(get("/admin")).await;
        assert_eq!(client.response().await.unwrap().0, 403);
    }
    // A permitted one on the same connection: every record before it is written.
    client.send(get("/")).await;
    assert_eq!(client.response().await.unwrap().0, 200);
    let sampled = exporter.sampled();
    assert!(sampled > 0, "a flood is sampled");
    tokio::spawn(task.run(workload(), export::collector(address).unwrap()));
    let mut stood_for = 0;
    for _ in 0..DENIALS - sampled {
        let Got::Log(log) = next(&mut got).await else { panic!("only events leave") };
        stood_for += Event::from_log(&log, &workload()).unwrap().represents;
    }
    assert!(got.try_recv().is_err(), "exported and sampled add up");
    assert!(stood_for <= DENIALS && stood_for >= DENIALS - sampled);
    let lines = scrape(&world.plane).await;
    assert_eq!(value(&lines, "palisade_telemetry_sampled_total"), Some(sampled as f64));
    let denied = "palisade_denials_total{listener=\"edge\",cause=\"authorization_denied\"}";
    assert_eq!(value(&lines, denied), Some(DENIALS as f64), "counters are never sampled");
}

#[tokio::test]
async fn a_collector_that_takes_nothing_stops_no_traffic_and_what_is_dropped_is_counted() {
    const EXCHANGES: u64 = 10;
    let origin = RawOrigin::start(OK).await;
    let (world, exporter, task) = exporting(origin.address, true);
    let listener = world.listen("edge", edge(0));
    let stuck = TcpListener::bind(local()).await.unwrap();
    let address = stuck.local_addr().unwrap();
    tokio::spawn(task.run(workload(), export::collector(address).unwrap()));
    let mut client = RawClient::connect(listener).await;
    client.send(get("/")).await;
    assert_eq!(client.response().await.unwrap().0, 200);
    // The task holds its first batch and waits for an answer that does not come.
    let held = tokio::time::timeout(PATIENCE, stuck.accept()).await.unwrap().unwrap();
    while exporter.exposition("palisade_buffered_bytes 1\n", 1, 2) != Queued::Dropped {}
    let before = exporter.dropped_of(palisade_telemetry::Kind::Logs);
    for _ in 0..EXCHANGES {
        client.send(get("/")).await;
        assert_eq!(client.response().await.unwrap().0, 200);
    }
    client.send(get("/admin")).await;
    assert_eq!(client.response().await.unwrap().0, 403);
    let after = exporter.dropped_of(palisade_telemetry::Kind::Logs);
    assert!(after.0 >= before.0 + EXCHANGES, "{before:?} {after:?}");
    let lines = scrape(&world.plane).await;
    let dropped = value(&lines, "palisade_telemetry_dropped_total{signal=\"logs\",cause=\"queue\"}").unwrap();
    assert!(dropped >= EXCHANGES as f64, "{dropped}");
    drop(held);
}

/// The attribute of a log record, as text.
fn attribute(log: &LogRecord, key: &str) -> String {
    let found = log.attributes.iter().find(|attribute| attribute.key == key);
    format!("{:?}", found.unwrap_or_else(|| panic!("{key} is missing: {log:?}")).value)
}

const AUDITED: &str = r#"
SecAuditLogParts ABCEFHIJKZ
SecRule ARGS "@rx attack" "id:100,phase:2,deny,status:403,t:none,t:lowercase,msg:'An attack',\
    logdata:'Found %{MATCHED_VAR} in %{MATCHED_VAR_NAME}'"
SecRule REQUEST_HEADERS:x-note "@rx header" "id:101,phase:1,pass,log,msg:'A header',logdata:'%{MATCHED_VAR}'"
SecRule REQUEST_URI "@rx path" "id:102,phase:1,pass,log,msg:'A path',logdata:'%{MATCHED_VAR}'"
"#;

#[tokio::test]
async fn the_audit_log_leaves_as_events_of_its_own_and_nothing_of_the_client_is_in_them() {
    let origin = RawOrigin::start(OK).await;
    let (exporter, task) = exporter(ExporterOptions::default());
    let telemetry = Telemetry::new(&workload(), Some(OtlpSink::with_audit(exporter.clone(), false)), false);
    let world = World { plane: Plane::new(workload(), None, telemetry), records: Arc::default() };
    let mut policy = policy_to(origin.address, Protocol::Http);
    crate::world::waf(&mut policy, AUDITED);
    world.enforce(policy, "9");
    let listener = world.listen("edge", edge(0));
    let mut client = RawClient::connect(listener).await;
    let body = "a=ATTACK+canary-matched&canary=canary-body";
    let length = body.len();
    let head = format!(
        "POST /shop/canary-path?q=canary-query HTTP/1.1\r\nhost: a\r\ncookie: id=canary-cookie\r\n\
         authorization: Bearer canary-token\r\nx-note: canary-header\r\ncontent-length: {length}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{body}"
    );
    client.send(head).await;
    assert_eq!(client.response().await.unwrap().0, 403);
    client = RawClient::connect(listener).await;
    client.send(get("/fine")).await;
    assert_eq!(client.response().await.unwrap().0, 200);
    let (address, mut got) = collector().await;
    tokio::spawn(task.run(workload(), export::collector(address).unwrap()));
    assert!(exporter.flush(PATIENCE).await);

    let mut logs = Vec::new();
    while let Ok(Got::Log(log)) = got.try_recv() {
        logs.push(log);
    }
    let of = |name: &str| logs.iter().filter(|log| log.event_name == name).collect::<Vec<_>>();
    let (audit, events) = (of("palisade.audit"), of("palisade.security_event"));
    assert_eq!((audit.len(), events.len(), logs.len()), (1, 1, 2), "what is fine is in neither: {logs:?}");
    let log = audit[0];
    assert!(!format!("{log:?}").to_ascii_lowercase().contains("canary-"), "{log:?}");
    let line = format!("{:?}", log.body).replace("\\\"", "\"");
    for told in ["\"ABCEFHIJKZ\"", "\"target\":\"REQUEST_HEADERS:x-note\"", "\"path\":\"/…\"", "21 bytes"] {
        assert!(line.contains(told), "{told}: {line}");
    }
    for (key, told) in [
        ("palisade.waf.rules", "IntValue(100)"),
        ("palisade.verdict", "deny"),
        ("palisade.policy.version", "\"9\""),
    ] {
        assert!(attribute(log, key).contains(told), "{key}: {log:?}");
    }
    assert_eq!(attribute(log, "palisade.reference"), attribute(events[0], "palisade.reference"));
    assert_eq!(exporter.dropped(), 0);
}

#[test]
fn telemetry_leaves_in_plaintext_to_this_machine_only() {
    assert!(export::collector("127.0.0.1:4317".parse().unwrap()).is_some());
    assert!(export::collector("[::1]:4317".parse().unwrap()).is_some());
    for elsewhere in ["10.0.0.1:4317", "0.0.0.0:4317", "[fe80::1]:4317"] {
        assert!(export::collector(elsewhere.parse().unwrap()).is_none(), "{elsewhere}");
    }
}
