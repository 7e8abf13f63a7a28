//! What Palisade tells: security events and flows as OTLP logs, spans, metrics; and the names of all metrics.
//!
//! ```text
//!   RequestRecord ──Exporter (bounded, samples floods)──▶ OTLP ──▶ collector, or receiver in the control plane ──▶ Event
//! ```
//! Promises: the queue is bounded in number and bytes and counts what it drops; records are redacted unless the
//! operator chose otherwise; malformed OTLP is an error, never a panic; the receiver names a sidecar by its proven
//! identity, whatever the sidecar says. It does not keep events, and it reads no clock for what it decides.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod attribute;
pub mod audit;
pub mod event;
pub mod exporter;
mod exposition;
pub mod limits;
pub mod metrics;
pub mod receiver;
mod sampler;
pub mod trace;

pub use event::{Event, EventError};

pub use exporter::{ExportTask, Exporter, ExporterOptions, Kind, Queued};
pub use metrics::Metric;
pub use trace::TraceContext;
