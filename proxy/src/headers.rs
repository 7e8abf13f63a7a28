//! The headers we set on the way to an upstream. What a client sent under these names does not pass for ours.
//!
//! Promises: `x-forwarded-client-cert` is exactly what the peer proved, or absent; at the gateway a client cannot
//! choose `x-forwarded-for` (beyond trusted hops), `x-forwarded-proto`, `x-request-id` or, without a trusted proxy in
//! front, the trace; inside the mesh they pass on, since the peer is authenticated.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use palisade_model::{Connection, Direction};

use crate::downstream::Downstream;
use crate::plane::Plane;
use crate::reference::Reference;
use crate::telemetry::Span;

/// The peer's certificate facts (Envoy's form, as Istio's applications read it).
pub const CLIENT_CERTIFICATE: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
/// The client's address and the proxies it came through.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The scheme the client spoke at the edge.
pub const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// One id over all hops of a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C Trace Context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What vendors add to a trace; it ends where its trace ends (W3C Trace Context §3.3).
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// How many headers [`stamp`] sets at most.
const OURS: usize = 5;

/// The value of `x-forwarded-client-cert`: who we are and who the peer is.
pub fn client_certificate(plane: &Plane, connection: &Connection) -> Option<HeaderValue> {
    if connection.direction != Direction::Inbound {
        return None;
    }
    let peer = connection.principal.as_ref()?.spiffe_uri();
    let own = plane.identity().map(|identity| identity.principal().spiffe_uri()).unwrap_or_default();
    HeaderValue::from_str(&format!("By={own};URI={peer}")).ok()
}

/// Sets ours on a request that is about to be sent. `text` is the exchange's reference id, `span` its place in a trace
/// that is sampled.
pub fn stamp(
    headers: &mut HeaderMap,
    downstream: &Downstream,
    reference: Reference,
    text: &str,
    span: Option<Span>,
) {
    // One growth instead of several.
    headers.reserve(OURS);
    headers.remove(CLIENT_CERTIFICATE);
    if let Some(value) = &downstream.client_certificate {
        headers.insert(CLIENT_CERTIFICATE, value.clone());
    }
    match downstream.connection.direction {
        Direction::Gateway => {
            forwarded_for(headers, downstream);
            headers.insert(FORWARDED_PROTO, HeaderValue::from_static(downstream.scheme().as_str()));
            if let Ok(id) = HeaderValue::from_str(text) {
                headers.insert(REQUEST_ID, id);
            }
            if span.is_none() {
                trace(headers, reference);
            }
        }
        Direction::Outbound => {
            if !headers.contains_key(REQUEST_ID)
                && let Ok(id) = HeaderValue::from_str(text)
            {
                headers.insert(REQUEST_ID, id);
            }
            if !headers.get(TRACEPARENT).is_some_and(is_traceparent) {
                trace(headers, reference);
            }
        }
        Direction::Inbound => {
            if headers.get(TRACEPARENT).is_some_and(|value| !is_traceparent(value)) {
                headers.remove(TRACEPARENT);
                headers.remove(TRACESTATE);
            }
        }
    }
    if let Some(span) = span
        && let Ok(value) = HeaderValue::try_from(span.context.to_string())
    {
        headers.insert(TRACEPARENT, value);
    }
}

fn trace(headers: &mut HeaderMap, reference: Reference) {
    headers.remove(TRACESTATE);
    if let Ok(value) = HeaderValue::from_maybe_shared(reference.traceparent()) {
        headers.insert(TRACEPARENT, value);
    }
}

/// The form of W3C Trace Context §3.2, version 00.
fn is_traceparent(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let hex = |part: Option<&[u8]>| {
        part.is_some_and(|part| part.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte)))
    };
    bytes.len() == 55
        && bytes.starts_with(b"00-")
        && bytes.get(35) == Some(&b'-')
        && bytes.get(52) == Some(&b'-')
        && hex(bytes.get(3..35))
        && hex(bytes.get(36..52))
        && hex(bytes.get(53..55))
}

fn forwarded_for(headers: &mut HeaderMap, downstream: &Downstream) {
    // The PROXY protocol's client, where a listener takes it; the socket's peer otherwise.
    let Some(client) = &downstream.forwarded_for else { return };
    let before = match downstream.listener.client_address().trusted_hops {
        0 => None,
        _ => joined(headers),
    };
    let value = match (before, client.to_str()) {
        (Some(before), Ok(client)) => HeaderValue::try_from(format!("{before}, {client}")).ok(),
        _ => Some(client.clone()),
    };
    headers.remove(FORWARDED_FOR);
    if let Some(value) = value {
        headers.insert(FORWARDED_FOR, value);
    }
}

fn joined(headers: &HeaderMap) -> Option<String> {
    let values: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// The client's address behind `hops` trusted proxies that each append to `x-forwarded-for`; none if the header does
/// not say (the socket's address stands then).
pub fn trusted_client(headers: &HeaderMap, hops: u8) -> Option<SocketAddr> {
    let index = usize::from(hops).checked_sub(1)?;
    let all = joined(headers)?;
    let address: IpAddr = all.rsplit(',').nth(index)?.trim().parse().ok()?;
    Some(SocketAddr::new(address.to_canonical(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_client_cannot_choose_its_address_beyond_the_trusted_hops() {
        let headers = forwarded(&["6.6.6.6, 192.0.2.1", "198.51.100.7"]);
        let at = |hops| trusted_client(&headers, hops).map(|address| address.ip().to_string());
        assert_eq!(at(0), None);
        assert_eq!(at(1).as_deref(), Some("198.51.100.7"));
        assert_eq!(at(2).as_deref(), Some("192.0.2.1"));
        assert_eq!(at(4), None, "more hops than entries");
        assert_eq!(trusted_client(&forwarded(&["x, y"]), 1), None, "garbage names nobody");
        let mapped = trusted_client(&forwarded(&["::ffff:10.0.0.1"]), 1).unwrap();
        assert_eq!(mapped.ip().to_string(), "10.0.0.1");
    }

    #[test]
    fn only_a_well_formed_traceparent_is_one() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(&HeaderValue::from_static(good)));
        for bad in ["", "00", &good.to_uppercase(), &good.replacen("00-", "ff-", 1), &format!("{good}0")] {
            assert!(!is_traceparent(&HeaderValue::from_str(bad).unwrap()), "{bad}");
        }
    }
}
