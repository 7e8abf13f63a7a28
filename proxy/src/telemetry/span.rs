//! Where an exchange is in a trace that its client began.
//!
//! Promises: a span is made only for a trace that is sampled already; at the edge only if a trusted proxy is in front,
//! since else any client could choose what is traced. It begins no trace by itself.

use http::HeaderMap;
use palisade_model::Direction;
use palisade_telemetry::TraceContext;

use crate::downstream::Downstream;
use crate::headers::TRACEPARENT;
use crate::reference::Reference;

/// The span of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The exchange's own place in the trace; the upstream's parent.
    pub context: TraceContext,
    /// The client's span.
    pub parent: [u8; 8],
}

impl Span {
    /// The span of an exchange with this head; none if nobody wants it or its trace is not sampled.
    pub(super) fn of(headers: &HeaderMap, downstream: &Downstream, reference: Reference) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let (value, None) = (values.next()?, values.next()) else { return None };
        let edge = downstream.connection.direction == Direction::Gateway;
        let trusted = !edge || downstream.listener.client_address().trusted_hops > 0;
        if !trusted || !downstream.plane.telemetry.wants_spans() {
            return None;
        }
        let client = TraceContext::parse(value.to_str().ok()?)?;
        let context = client.sampled().then(|| client.child(reference.span_id()))??;
        Some(Self { context, parent: client.span_id() })
    }
}
