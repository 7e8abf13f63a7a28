//! Telemetry on its way out: a bounded queue, and a task that sends batches over OTLP.
//!
//! ```text
//!   Exporter::event / span / metrics ──(bounded, never waits)──▶ ExportTask::run ──▶ channel the caller makes
//! ```
//! Promises: the data path never waits; what does not fit is dropped and counted, and so is a batch that could not be
//! delivered; floods of one denial are sampled; events are redacted unless the options say otherwise. Batches form by
//! themselves: while one is under way, the next collects. It knows no TLS: the caller's closure makes the channel.

mod task;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1 as otlp_metrics;
use opentelemetry_proto::tonic::trace::v1 as otlp_trace;
use palisade_model::RequestRecord;
use palisade_model::audit::AuditRecord;
use palisade_model::record::VerdictFacts;
use prost::Message;
use tokio::sync::mpsc;

use crate::event::Event;
use crate::limits::{AUDIT_SHARE, EVENT_BYTES, EXPORT_SECONDS, QUEUE_BYTES, QUEUE_ITEMS};
use crate::metrics::{Sample, SampleError};
use crate::sampler::{Key, Sampler};
use crate::trace::{TraceContext, span};

pub use task::ExportTask;

/// How often [`Exporter::flush`] looks: a batch takes about so long.
const FLUSH_INTERVAL: Duration = Duration::from_millis(5);

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// It waits to be sent.
    Yes,
    /// Another event stands for it.
    Sampled,
    /// The queue is full; it is counted.
    Dropped,
    /// There is nothing to send (the trace is not sampled).
    NotWanted,
}

/// What the exporter does.
#[derive(Clone, Copy, Debug)]
pub struct ExporterOptions {
    /// Whether paths, queries and header values leave as they are. Personal data: off unless the operator chose it.
    pub unredacted: bool,
    /// The first wait after a failed attempt.
    pub backoff_min: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// How long one attempt may take.
    pub timeout: Duration,
}

impl Default for ExporterOptions {
    fn default() -> Self {
        Self {
            unredacted: false,
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            timeout: Duration::from_secs(EXPORT_SECONDS),
        }
    }
}

/// One signal in its OTLP form.
#[derive(Debug)]
enum Signal {
    Log(LogRecord),
    Span(otlp_trace::Span),
    Metrics(Vec<otlp_metrics::Metric>),
}

impl Signal {
    fn kind(&self) -> Kind {
        match self {
            Self::Log(_) => Kind::Logs,
            Self::Span(_) => Kind::Traces,
            Self::Metrics(_) => Kind::Metrics,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Log(log) => log.encoded_len(),
            Self::Span(span) => span.encoded_len(),
            Self::Metrics(metrics) => metrics.iter().map(Message::encoded_len).sum(),
        }
    }
}

/// A kind of signal, as the label `signal` of `palisade_telemetry_dropped_total` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Events.
    Logs,
    /// Spans.
    Traces,
    /// Values of metrics.
    Metrics,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Logs, Self::Traces, Self::Metrics];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }
}

/// One counter a kind.
#[derive(Debug, Default)]
struct ByKind {
    logs: AtomicU64,
    traces: AtomicU64,
    metrics: AtomicU64,
}

impl ByKind {
    fn of(&self, kind: Kind) -> &AtomicU64 {
        match kind {
            Kind::Logs => &self.logs,
            Kind::Traces => &self.traces,
            Kind::Metrics => &self.metrics,
        }
    }

    fn add(&self, kind: Kind, count: u64) {
        self.of(kind).fetch_add(count, Ordering::Relaxed);
    }

    fn total(&self) -> u64 {
        Kind::ALL.iter().map(|kind| self.of(*kind).load(Ordering::Relaxed)).sum()
    }
}

/// Counters that queue and task share.
#[derive(Debug, Default)]
struct Counters {
    /// Signals that were queued and are neither taken nor given up.
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    dropped: ByKind,
    undelivered: ByKind,
    sampled: AtomicU64,
    exported: AtomicU64,
}

/// The end that the data path uses. Clones share the queue.
#[derive(Clone, Debug)]
pub struct Exporter {
    queue: mpsc::Sender<(Signal, usize)>,
    sampler: Arc<Mutex<Sampler>>,
    counters: Arc<Counters>,
    options: ExporterOptions,
}

/// An exporter and its task; nothing leaves before the task runs.
pub fn exporter(options: ExporterOptions) -> (Exporter, ExportTask) {
    let (queue, signals) = mpsc::channel(QUEUE_ITEMS);
    let counters = Arc::new(Counters::default());
    let task = ExportTask::new(signals, counters.clone(), options);
    (Exporter { queue, sampler: Arc::default(), counters, options }, task)
}

impl Exporter {
    /// Queues the event of one exchange. `now_ms` is the caller's clock, for the sampling of floods.
    pub fn event(&self, mut record: RequestRecord, trace: Option<TraceContext>, now_ms: u64) -> Queued {
        let mut represents = 1;
        if let VerdictFacts::Deny(denial) = &record.verdict {
            let principal = record.connection.principal.clone();
            let key = Key { reason: denial.reason, rule: denial.rule.clone(), principal };
            let mut sampler = self.sampler.lock().unwrap_or_else(PoisonError::into_inner);
            match sampler.admit(key, now_ms) {
                Some(count) => represents = count,
                None => {
                    self.counters.sampled.fetch_add(1, Ordering::Relaxed);
                    return Queued::Sampled;
                }
            }
        }
        if !self.options.unredacted {
            record.redact();
        }
        match fit(Event { record, represents, trace }) {
            Some(log) => self.queue(Signal::Log(log)),
            None => {
                self.counters.dropped.add(Kind::Logs, 1);
                Queued::Dropped
            }
        }
    }

    /// Queues a line of the audit log, which the policy redacted already, while no more than one [`AUDIT_SHARE`]th of the
    /// queue is taken. Lines are not sampled.
    pub fn audit(&self, record: AuditRecord, trace: Option<TraceContext>) -> Queued {
        let items = QUEUE_ITEMS.saturating_sub(self.queue.capacity());
        let bytes = self.counters.waiting_bytes.load(Ordering::Acquire);
        let room = items < QUEUE_ITEMS / AUDIT_SHARE && bytes < QUEUE_BYTES / AUDIT_SHARE;
        // Looked at first: a line that nobody will see is not written.
        match room.then(|| crate::audit::fit(record, trace)).flatten() {
            Some(log) => self.queue(Signal::Log(log)),
            None => {
                self.counters.dropped.add(Kind::Logs, 1);
                Queued::Dropped
            }
        }
    }

    /// Queues the span of one exchange, if its trace is sampled.
    pub fn span(&self, mut record: RequestRecord, context: &TraceContext, parent: Option<[u8; 8]>) -> Queued {
        if !self.options.unredacted {
            record.redact();
        }
        match span(&record, context, parent) {
            Some(span) => self.queue(Signal::Span(span)),
            None => Queued::NotWanted,
        }
    }

    /// Queues values of metrics; times are nanoseconds since the epoch.
    pub fn metrics(&self, samples: &[Sample], start_ns: u64, now_ns: u64) -> Result<Queued, SampleError> {
        let metrics = samples.iter().map(|sample| sample.to_otlp(start_ns, now_ns));
        Ok(self.queue(Signal::Metrics(metrics.collect::<Result<_, _>>()?)))
    }

    /// Queues what a registry exposes in Prometheus' text form: counters, gauges and histograms of [`crate::Metric`], at
    /// most [`crate::limits::METRIC_POINTS`] values in one signal. Times are nanoseconds since the epoch.
    pub fn exposition(&self, text: &str, start_ns: u64, now_ns: u64) -> Queued {
        let mut result = Queued::NotWanted;
        for metrics in crate::exposition::to_otlp(text, start_ns, now_ns) {
            match self.queue(Signal::Metrics(metrics)) {
                Queued::Dropped => result = Queued::Dropped,
                queued if result != Queued::Dropped => result = queued,
                _ => {}
            }
        }
        result
    }

    fn queue(&self, signal: Signal) -> Queued {
        let kind = signal.kind();
        let bytes = signal.bytes();
        let waiting = &self.counters.waiting_bytes;
        self.counters.waiting.fetch_add(1, Ordering::AcqRel);
        let fits = waiting.fetch_add(bytes, Ordering::AcqRel) + bytes <= QUEUE_BYTES;
        if fits && self.queue.try_send((signal, bytes)).is_ok() {
            return Queued::Yes;
        }
        self.counters.waiting.fetch_sub(1, Ordering::AcqRel);
        waiting.fetch_sub(bytes, Ordering::AcqRel);
        self.counters.dropped.add(kind, 1);
        Queued::Dropped
    }

    /// Waits until what was queued is taken or given up, at most `patience`; whether it was. For the end of a process.
    pub async fn flush(&self, patience: Duration) -> bool {
        let empty = async {
            while self.counters.waiting.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(FLUSH_INTERVAL).await;
            }
        };
        tokio::time::timeout(patience, empty).await.is_ok()
    }

    /// Signals that were dropped because the queue was full (`palisade_telemetry_dropped_total`, cause `queue`).
    pub fn dropped(&self) -> u64 {
        self.counters.dropped.total()
    }

    /// What was dropped of one kind: because the queue was full, and because nobody took it.
    pub fn dropped_of(&self, kind: Kind) -> (u64, u64) {
        let load = |counts: &ByKind| counts.of(kind).load(Ordering::Relaxed);
        (load(&self.counters.dropped), load(&self.counters.undelivered))
    }

    /// Signals that were dropped because nobody took them (cause `delivery`).
    pub fn undelivered(&self) -> u64 {
        self.counters.undelivered.total()
    }

    /// Denials that were not exported because another stands for them (`palisade_telemetry_sampled_total`).
    pub fn sampled(&self) -> u64 {
        self.counters.sampled.load(Ordering::Relaxed)
    }

    /// Of those, denials of past seconds that no exported event stands for.
    pub fn left_over(&self) -> u64 {
        self.sampler.lock().unwrap_or_else(PoisonError::into_inner).left_over()
    }

    /// Signals that were delivered.
    pub fn exported(&self) -> u64 {
        self.counters.exported.load(Ordering::Relaxed)
    }
}

/// The event within [`EVENT_BYTES`]: without its headers, then without its matches, if need be. What was left out is
/// counted in the log record. None if even that is too much.
fn fit(mut event: Event) -> Option<LogRecord> {
    let mut left_out = 0;
    loop {
        let log = LogRecord { dropped_attributes_count: left_out, ..event.to_log() };
        if log.encoded_len() <= EVENT_BYTES {
            return Some(log);
        }
        let record = &mut event.record;
        match &mut record.request {
            Some(request) if !request.headers.is_empty() => request.headers.clear(),
            _ if !record.matches.is_empty() => record.matches.clear(),
            _ => return None,
        }
        left_out += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::denied;
    use crate::limits::FLOOD_THRESHOLD;

    fn record(number: usize) -> RequestRecord {
        let mut record = denied(&number.to_string());
        record.connection.principal = Some(number.to_string());
        record
    }

    #[test]
    fn the_queue_is_bounded_in_number_and_what_is_over_is_counted() {
        let (exporter, _task) = exporter(ExporterOptions::default());
        let mut small = record(0);
        small.matches.clear();
        small.verdict = VerdictFacts::Permit;
        for at in 0..QUEUE_ITEMS {
            assert_eq!(exporter.event(small.clone(), None, 0), Queued::Yes, "{at}");
        }
        assert_eq!(exporter.dropped(), 0);
        assert_eq!(exporter.event(small, None, 0), Queued::Dropped);
        assert_eq!(exporter.dropped(), 1);
    }

    #[test]
    fn the_queue_is_bounded_in_bytes() {
        let (exporter, _task) = exporter(ExporterOptions { unredacted: true, ..Default::default() });
        let mut large = record(0);
        large.verdict = VerdictFacts::Permit;
        let header = ("x".repeat(8000), "y".repeat(8000));
        large.request.as_mut().unwrap().headers = vec![header; 14];
        let bytes = Signal::Log(Event::new(large.clone()).to_log()).bytes();
        let fit = QUEUE_BYTES / bytes;
        assert!(fit > 2 && fit < QUEUE_ITEMS);
        for _ in 0..fit {
            assert_eq!(exporter.event(large.clone(), None, 0), Queued::Yes);
        }
        assert_eq!(exporter.event(large, None, 0), Queued::Dropped);
        let mut small = record(1);
        small.request = None;
        assert_eq!(exporter.event(small, None, 0), Queued::Yes, "a small one still fits");
    }

    #[test]
    fn audit_lines_leave_a_part_of_the_queue_to_everything_else() {
        use crate::audit::tests::line;
        let (lines, _task) = exporter(ExporterOptions::default());
        for at in 0..QUEUE_ITEMS / AUDIT_SHARE {
            assert_eq!(lines.audit(line(0), None), Queued::Yes, "{at}");
        }
        assert_eq!((lines.audit(line(0), None), lines.dropped()), (Queued::Dropped, 1), "over");
        assert_eq!(lines.event(record(1), None, 0), Queued::Yes, "an event still fits");

        let (lines, _task) = exporter(ExporterOptions::default());
        let size = 128 * 1024;
        let bytes = Signal::Log(crate::audit::fit(line(size), None).unwrap()).bytes();
        for at in 0..(QUEUE_BYTES / AUDIT_SHARE).div_ceil(bytes) {
            assert_eq!(lines.audit(line(size), None), Queued::Yes, "{at}");
        }
        assert_eq!((lines.audit(line(0), None), lines.dropped()), (Queued::Dropped, 1), "over in bytes");
        assert_eq!(lines.event(record(1), None, 0), Queued::Yes);
    }

    #[test]
    fn an_event_over_the_limit_loses_its_headers_first_and_says_so() {
        let event = |padding: usize| {
            let mut record = record(0);
            let request = record.request.as_mut().unwrap();
            request.headers = (0..32).map(|_| (String::new(), "x".repeat(8000))).collect();
            request.headers.push((String::new(), "x".repeat(padding)));
            Event::new(record)
        };
        let base = event(300).to_log().encoded_len();
        let at = EVENT_BYTES - base + 300;
        assert!(at > 300 && at < 8000, "{at}");
        for (padding, left_out) in [(at - 1, 0), (at, 0), (at + 1, 1)] {
            let log = fit(event(padding)).unwrap();
            assert_eq!(log.dropped_attributes_count, left_out);
            let read = Event::from_log(&log, &record(0).workload).unwrap().record;
            assert_eq!(read.request.unwrap().headers.is_empty(), left_out == 1);
            assert_eq!(read.matches.len(), 1);
        }
    }

    #[test]
    fn a_flood_of_one_denial_is_sampled_and_permits_are_not() {
        let (exporter, _task) = exporter(ExporterOptions::default());
        let results: Vec<_> = (0..FLOOD_THRESHOLD + 10).map(|_| exporter.event(record(1), None, 7)).collect();
        let queued = results.iter().filter(|result| **result == Queued::Yes).count() as u64;
        assert_eq!((queued, exporter.sampled(), exporter.dropped()), (FLOOD_THRESHOLD, 10, 0));
        let permit = RequestRecord { verdict: VerdictFacts::Permit, ..record(1) };
        assert!((0..100).all(|_| exporter.event(permit.clone(), None, 7) == Queued::Yes));
    }

    #[test]
    fn records_are_redacted_unless_the_operator_chose_otherwise() {
        for (unredacted, wanted) in [(false, "/orders/…"), (true, "/orders/4711/pay")] {
            let (exporter, mut task) = exporter(ExporterOptions { unredacted, ..Default::default() });
            exporter.event(record(1), None, 0);
            let Some(Signal::Log(log)) = task.try_next() else { panic!("it is queued") };
            let event = Event::from_log(&log, &record(1).workload).unwrap();
            let request = event.record.request.unwrap();
            assert_eq!(request.path, wanted);
            assert_eq!(request.headers[0].1 == "1", unredacted);
        }
    }

    #[test]
    fn a_span_is_exported_only_if_its_trace_is_sampled() {
        let (exporter, mut task) = exporter(ExporterOptions::default());
        let on = TraceContext::root([1; 24], true).unwrap();
        let off = TraceContext::root([1; 24], false).unwrap();
        assert_eq!(exporter.span(record(1), &off, None), Queued::NotWanted);
        assert_eq!(exporter.span(record(1), &on, Some([3; 8])), Queued::Yes);
        let Some(Signal::Span(span)) = task.try_next() else { panic!("it is queued") };
        assert_eq!(span.trace_id, on.trace_id());
        assert_eq!(span.parent_span_id, [3; 8]);
        assert_eq!(span.name, "POST");
        assert!(!format!("{span:?}").contains("4711/pay"), "spans are redacted too");
    }
}
