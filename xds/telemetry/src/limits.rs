//! Every limit of telemetry with its reason. Each has a test at, under and over it.

/// Signals that wait to be exported. Under load some seconds' worth of denials.
pub const QUEUE_ITEMS: usize = 4096;
/// Bytes of signals that wait to be exported: a sidecar's memory is the workload's.
pub const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// Signals of one export request.
pub const BATCH_ITEMS: usize = 512;
/// Values of metrics in one signal: some 200 bytes each, so that a signal is far below a request's bytes.
pub const METRIC_POINTS: usize = 1024;
/// Bytes of one event: beyond it headers, then matches are left out, and on receipt it is refused. A sixteenth of what a
/// receiver reads.
pub const EVENT_BYTES: usize = 256 * 1024;
/// Bytes of one line of the audit log: beyond it bodies, then files, headers and matches are left out. As an event.
pub const AUDIT_BYTES: usize = EVENT_BYTES;
/// Of the queue's items and bytes, the part that audit lines may fill: every exchange can be audited, and security
/// events, spans and metrics keep the rest.
pub const AUDIT_SHARE: usize = 2;
/// Bytes of one text in an event; longer ones are cut at export and refused on receipt. A URI may have 8 KiB.
pub const TEXT_BYTES: usize = 8 * 1024;
/// Headers of one event. The data plane takes 128.
pub const EVENT_HEADERS: usize = 128;
/// WAF matches of one event. A request that matches more is an attack whatever the rest says.
pub const EVENT_MATCHES: usize = 64;
/// Attributes of one event on receipt; ours have 30.
pub const EVENT_ATTRIBUTES: usize = 128;
/// Nesting of attribute values on receipt; ours have 3.
pub const VALUE_DEPTH: usize = 6;
/// Values within one attribute on receipt: headers are two each, matches ten.
pub const VALUE_ITEMS: usize = 4096;
/// Bytes of one request the receiver reads: 512 events of 8 KiB.
pub const REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// Log records of one request the receiver reads.
pub const REQUEST_RECORDS: usize = 4096;
/// Denials of one reason, rule and principal in one second that are exported one by one.
pub const FLOOD_THRESHOLD: u64 = 50;
/// Beyond the threshold every so-manyth is exported and stands for the others.
pub const FLOOD_INTERVAL: u64 = 100;
/// Different denials the sampler tells apart in one second; all others count as one.
pub const FLOOD_KEYS: usize = 1024;
/// Attempts to export a batch before it is dropped and counted.
pub const EXPORT_ATTEMPTS: u32 = 5;
/// Seconds one attempt may take.
pub const EXPORT_SECONDS: u64 = 10;
