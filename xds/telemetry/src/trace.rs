//! W3C trace context (<https://www.w3.org/TR/trace-context/>) and spans.
//!
//! Promises: a malformed `traceparent` is no context, never a half-read one; whether a trace is sampled is decided by
//! whoever began it. It makes no random numbers: callers give the bytes. `tracestate` is passed on by the caller.

use std::fmt;

use opentelemetry_proto::tonic::trace::v1 as otlp;
use palisade_model::record::VerdictFacts;
use palisade_model::{Direction, RequestRecord};

use crate::event::{request_attributes, response_attributes};

/// Where an exchange is in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent` header: lower-case hex, version 00 exactly, later versions as far as they agree with it;
    /// ids of zeros and version ff are invalid.
    pub fn parse(header: &str) -> Option<Self> {
        let bytes = header.as_bytes();
        let version = hex::<1>(bytes.get(0..2)?)?;
        let ends = match (version, bytes.len()) {
            ([0xff], _) => false,
            ([0], length) => length == 55,
            (_, length) => length == 55 || (length > 55 && bytes.get(55) == Some(&b'-')),
        };
        let dashes = [2, 35, 52].iter().all(|at| bytes.get(*at) == Some(&b'-'));
        if !ends || !dashes {
            return None;
        }
        let trace_id = hex(bytes.get(3..35)?)?;
        let span_id = hex(bytes.get(36..52)?)?;
        let [flags] = hex(bytes.get(53..55)?)?;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return None;
        }
        Some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }

    /// The beginning of a trace. None if the random bytes make an id of zeros.
    pub fn root(random: [u8; 24], sampled: bool) -> Option<Self> {
        let (trace, span) = random.split_first_chunk::<16>()?;
        let span: [u8; 8] = span.try_into().ok()?;
        (*trace != [0; 16] && span != [0; 8]).then_some(Self { trace_id: *trace, span_id: span, sampled })
    }

    /// The same trace one step on; the sampling decision is kept. None if the random bytes are zeros.
    pub fn child(&self, random: [u8; 8]) -> Option<Self> {
        (random != [0; 8]).then_some(Self { span_id: random, ..*self })
    }

    /// The trace's id.
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The span's id: the parent of whoever receives the header.
    pub fn span_id(&self) -> [u8; 8] {
        self.span_id
    }

    /// Whether spans are to be exported.
    pub fn sampled(&self) -> bool {
        self.sampled
    }

    /// From the ids of a log record; none if they are not ids.
    pub(crate) fn from_ids(trace_id: &[u8], span_id: &[u8], flags: u32) -> Option<Self> {
        let (trace_id, span_id) = (trace_id.try_into().ok()?, span_id.try_into().ok()?);
        let valid = trace_id != [0; 16] && span_id != [0; 8];
        valid.then_some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

/// The `traceparent` header, version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.span_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:02x}", u8::from(self.sampled))
    }
}

fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = match pair {
            [high, low] => digit(*high)? << 4 | digit(*low)?,
            _ => return None,
        };
    }
    Some(bytes)
}

/// The span of a judged exchange; none if its trace is not sampled. The record should be redacted already.
pub fn span(record: &RequestRecord, context: &TraceContext, parent: Option<[u8; 8]>) -> Option<otlp::Span> {
    if !context.sampled {
        return None;
    }
    let start = record.time_ms.saturating_mul(1_000_000);
    let duration = record.response.as_ref().map_or(0, |response| response.duration_us.saturating_mul(1_000));
    let failed = match (&record.verdict, &record.response) {
        (VerdictFacts::Deny(_), _) => true,
        (VerdictFacts::Permit, Some(response)) => response.status >= 500 || response.truncated,
        (VerdictFacts::Permit, None) => false,
    };
    let (kind, method) = match record.connection.direction {
        Direction::Outbound => (otlp::span::SpanKind::Client, "outbound"),
        Direction::Inbound => (otlp::span::SpanKind::Server, "inbound"),
        Direction::Gateway => (otlp::span::SpanKind::Server, "gateway"),
    };
    // A span's name must be of few values: never the path.
    let name = record.request.as_ref().map_or(method, |request| request.method.as_str());
    let mut attributes = request_attributes(record);
    attributes.extend(response_attributes(record));
    Some(otlp::Span {
        trace_id: context.trace_id.to_vec(),
        span_id: context.span_id.to_vec(),
        parent_span_id: parent.map(|id| id.to_vec()).unwrap_or_default(),
        flags: u32::from(context.sampled),
        name: crate::attribute::cut(name).to_owned(),
        kind: kind.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(duration),
        attributes,
        status: Some(otlp::Status {
            code: if failed { otlp::status::StatusCode::Error } else { otlp::status::StatusCode::Unset }
                .into(),
            ..otlp::Status::default()
        }),
        ..otlp::Span::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_good_header_survives_a_round_trip_and_its_child_keeps_trace_and_decision() {
        let context = TraceContext::parse(GOOD).unwrap();
        assert!(context.sampled());
        assert_eq!(context.to_string(), GOOD);
        let child = context.child([1; 8]).unwrap();
        assert_eq!(child.trace_id(), context.trace_id());
        assert_eq!(child.span_id(), [1; 8]);
        assert!(child.sampled());
        assert_eq!(context.child([0; 8]), None);
        let off = TraceContext::parse(&format!("{}00", &GOOD[..53])).unwrap();
        assert!(!off.sampled() && !off.child([1; 8]).unwrap().sampled());
        assert_eq!(TraceContext::root([0; 24], true), None);
        assert!(TraceContext::root([7; 24], true).unwrap().sampled());
    }

    #[test]
    fn malformed_headers_are_no_context() {
        let zeros = "0".repeat(32);
        for header in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-x"),
            &format!("{GOOD} "),
            &format!(" {GOOD}"),
            &GOOD.to_uppercase(),
            &GOOD.replace('-', "_"),
            &format!("ff{}", &GOOD[2..]),
            &format!("0g{}", &GOOD[2..]),
            &format!("01{}x", &GOOD[2..]),
            &format!("00-{zeros}-b7ad6b7169203331-01"),
            &format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", &zeros[..16]),
            "00-0af7651916cd43dd8448eb211c80319cü-7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(header), None, "{header:?}");
        }
        // A later version may say more after the flags.
        assert!(TraceContext::parse(&format!("01{}", &GOOD[2..])).is_some());
        assert!(TraceContext::parse(&format!("01{}-more", &GOOD[2..])).is_some());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_read_is_written_back(header in ".{0,60}|[0-9a-f-]{55}") {
            if let Some(context) = TraceContext::parse(&header) {
                prop_assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
            }
        }
    }
}
