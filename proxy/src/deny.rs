//! Where a request is denied. [`Refusal`] is every way out of this process that is not an upstream's answer.
//!
//! Promises: each cause has a name that is unique over all of them and a row in `docs/denials.md` (a test compares);
//! a client sees a status and a reference id, never the rule. What hyper refuses by itself (malformed HTTP/2 frames)
//! is counted as `protocol_error` from the connection's error and has no reference id.
//! Counting and reporting a refusal is one call: `Telemetry::refused`.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use palisade_http::{Cause, Malformed};
use palisade_model::{Denial, Reason};
use palisade_rules::{Answer, Refused};

use crate::http::OutBody;
use crate::reference;

/// Every way out.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// The request cannot be read in exactly one way.
    Malformed(Malformed),
    /// The policy refused the request or its response.
    Denied(Box<Refused>),
    /// The policy refused the connection.
    Connection(Box<Denial>),
    /// A limit was reached.
    Limit(Limit),
    /// The upstream could not be asked, or did not answer properly.
    Upstream(Upstream),
    /// The connection could not be taken.
    Transport(Transport),
}

macro_rules! closed {
    ($(#[doc = $about:literal])+ $kind:ident { $($(#[doc = $doc:literal])+ $variant:ident => $name:literal, $way:expr;)+ }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $kind { $($(#[doc = $doc])+ $variant,)+ }

        impl $kind {
            /// Every value, for tables and tests.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name used in metrics, logs and `docs/denials.md`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How it shows on the wire.
            pub fn way(self) -> Way {
                match self { $(Self::$variant => $way,)+ }
            }
        }
    };
}

/// How a refusal shows on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A response with this status and a reference id.
    Response(StatusCode),
    /// The HTTP/2 stream is reset, the HTTP/1 connection closed: a response was begun, or a rule says `drop`.
    Reset,
    /// The connection is closed without a word.
    Close,
    /// A TLS alert, then the connection is closed.
    Alert,
}

closed! {
    /// A limit of the data plane.
    Limit {
        /// The process has as many connections as it may.
        Connections => "limit_connections", Way::Close;
        /// A head was begun and not finished in time.
        HeaderTimeout => "header_timeout", Way::Response(StatusCode::REQUEST_TIMEOUT);
        /// The next piece of a request body did not come in time.
        BodyTimeout => "body_timeout", Way::Response(StatusCode::REQUEST_TIMEOUT);
        /// The process holds as many body bytes as it may.
        BufferedBytes => "limit_buffered_bytes", Way::Response(StatusCode::SERVICE_UNAVAILABLE);
    }
}

closed! {
    /// What can go wrong on the upstream's side.
    Upstream {
        /// The route names a cluster that the policy does not have.
        UnknownCluster => "unknown_cluster", Way::Response(StatusCode::SERVICE_UNAVAILABLE);
        /// The cluster has no endpoint that takes traffic.
        NoEndpoint => "no_endpoint", Way::Response(StatusCode::SERVICE_UNAVAILABLE);
        /// No connection could be made.
        Connect => "upstream_connect", Way::Response(StatusCode::SERVICE_UNAVAILABLE);
        /// No connection could be made in time.
        ConnectTimeout => "upstream_connect_timeout", Way::Response(StatusCode::GATEWAY_TIMEOUT);
        /// The upstream did not prove the identity the policy expects, or did not accept ours.
        Identity => "upstream_identity", Way::Response(StatusCode::SERVICE_UNAVAILABLE);
        /// The upstream did not answer with a head in time.
        ResponseTimeout => "upstream_response_timeout", Way::Response(StatusCode::GATEWAY_TIMEOUT);
        /// The upstream's answer cannot be read in exactly one way, or does not fit the request.
        BadResponse => "upstream_bad_response", Way::Response(StatusCode::BAD_GATEWAY);
        /// The upstream broke the exchange off before it answered.
        Reset => "upstream_reset", Way::Response(StatusCode::BAD_GATEWAY);
        /// The upstream broke the exchange off after bytes of its answer had left.
        Truncated => "upstream_truncated", Way::Reset;
        /// The upstream's answer stalled after bytes of it had left.
        Stalled => "upstream_stalled", Way::Reset;
        /// A request that asks for an upgrade was routed to an upstream that cannot do it.
        NoUpgrade => "upstream_no_upgrade", Way::Response(StatusCode::NOT_IMPLEMENTED);
    }
}

closed! {
    /// Why a connection cannot be taken.
    Transport {
        /// Plain bytes where mTLS is required.
        Plaintext => "plaintext", Way::Close;
        /// The TLS handshake failed: no certificate, an unknown one, or none of ours fits the name.
        Handshake => "tls_handshake", Way::Alert;
        /// The TLS handshake took too long.
        HandshakeTimeout => "tls_handshake_timeout", Way::Close;
        /// We have no valid identity to show.
        NoIdentity => "no_identity", Way::Close;
        /// The PROXY protocol header is missing, malformed or late.
        ProxyProtocol => "proxy_protocol", Way::Close;
        /// Bytes that are not HTTP where the port is declared HTTP, or nothing at all in time.
        NotHttp => "not_http", Way::Close;
        /// The original destination is this listener itself.
        Loop => "loop", Way::Close;
        /// hyper ended the connection because the peer broke the protocol.
        Protocol => "protocol_error", Way::Close;
    }
}

impl Refusal {
    /// The name used in metrics, logs and `docs/denials.md`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Malformed(malformed) => malformed.cause.as_str(),
            Self::Denied(refused) => refused.denial.reason.as_str(),
            Self::Connection(denial) => denial.reason.as_str(),
            Self::Limit(limit) => limit.as_str(),
            Self::Upstream(fault) => fault.as_str(),
            Self::Transport(fault) => fault.as_str(),
        }
    }

    /// How it shows on the wire.
    pub fn way(&self) -> Way {
        match self {
            Self::Malformed(malformed) => Way::Response(malformed.cause.status()),
            Self::Denied(refused) if refused.answer == Answer::Drop => Way::Reset,
            Self::Denied(refused) => Way::Response(refused.denial.status),
            Self::Connection(_) => Way::Close,
            Self::Limit(limit) => limit.way(),
            Self::Upstream(fault) => fault.way(),
            Self::Transport(fault) => fault.way(),
        }
    }

    /// The status of the response; where none can be sent, the one a record shows.
    pub fn status(&self) -> StatusCode {
        match (self, self.way()) {
            (Self::Denied(refused), _) => refused.denial.status,
            (_, Way::Response(status)) => status,
            (_, Way::Reset) => StatusCode::BAD_GATEWAY,
            (_, Way::Close | Way::Alert) => StatusCode::FORBIDDEN,
        }
    }

    /// Whether the connection can still be trusted to be read after this.
    pub fn ends_connection(&self) -> bool {
        match self {
            Self::Malformed(_) | Self::Connection(_) | Self::Transport(_) => true,
            Self::Limit(limit) => *limit != Limit::BufferedBytes,
            Self::Denied(_) | Self::Upstream(_) => false,
        }
    }

    /// The denial as events carry it. Refusals that no rule decided have none of their own and get one here.
    pub fn denial(&self) -> Option<&Denial> {
        match self {
            Self::Denied(refused) => Some(&refused.denial),
            Self::Connection(denial) => Some(denial),
            _ => None,
        }
    }

    /// One sentence for whoever may read the event; never bytes of the message.
    pub fn explanation(&self) -> String {
        match self {
            Self::Malformed(malformed) => {
                format!("{} in {}", malformed.cause.as_str(), malformed.place)
            }
            Self::Denied(refused) => refused.denial.to_string(),
            Self::Connection(denial) => denial.to_string(),
            Self::Limit(_) | Self::Upstream(_) | Self::Transport(_) => self.as_str().to_owned(),
        }
    }

    /// The code of a gRPC response (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).
    pub fn grpc_status(&self) -> u8 {
        if matches!(self, Self::Limit(Limit::BufferedBytes)) {
            return grpc::RESOURCE_EXHAUSTED;
        }
        match self.status().as_u16() {
            401 => grpc::UNAUTHENTICATED,
            300..=399 | 403 => grpc::PERMISSION_DENIED,
            404 | 405 | 501 | 505 => grpc::UNIMPLEMENTED,
            408 | 504 => grpc::DEADLINE_EXCEEDED,
            413 | 414 | 429 | 431 => grpc::RESOURCE_EXHAUSTED,
            400..=499 => grpc::INVALID_ARGUMENT,
            502 | 503 => grpc::UNAVAILABLE,
            _ => grpc::INTERNAL,
        }
    }

    /// The response to a gRPC request: trailers only, since a gRPC client does not read other statuses.
    pub fn grpc_response(&self, reference: &str) -> Response<OutBody> {
        let mut response = Response::new(OutBody::empty());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from(u16::from(self.grpc_status())));
        if let Ok(value) = HeaderValue::from_str(reference) {
            headers.insert("grpc-message", value.clone());
            headers.insert(reference::HEADER, value);
        }
        response
    }

    /// The response. The client learns the status and the reference id, nothing of the rule.
    pub fn response(&self, reference: &str) -> Response<OutBody> {
        let status = self.status();
        let text = format!(
            "{} {}\nreference: {reference}\n",
            status.as_str(),
            status.canonical_reason().unwrap_or("")
        );
        let mut response = Response::new(OutBody::text(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(value) = HeaderValue::from_str(reference) {
            headers.insert(reference::HEADER, value);
        }
        if let Self::Denied(refused) = self
            && let Answer::Redirect(location) = &refused.answer
        {
            headers.insert(header::LOCATION, location.clone());
        }
        if self.ends_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A rule said `drop`: hyper is told to send nothing and to close the connection or reset the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rule dropped the exchange")]
pub struct Dropped;

/// Whether a request is gRPC, whatever its encoding: one content type that says so. gRPC-Web is not.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return false };
    let Some((kind, rest)) = kind.as_bytes().split_at_checked(GRPC.len()) else { return false };
    kind.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
}

/// The media type of gRPC; a subtype or parameters may follow.
const GRPC: &[u8] = b"application/grpc";

/// Codes of gRPC that refusals have.
mod grpc {
    pub(super) const INVALID_ARGUMENT: u8 = 3;
    pub(super) const DEADLINE_EXCEEDED: u8 = 4;
    pub(super) const PERMISSION_DENIED: u8 = 7;
    pub(super) const RESOURCE_EXHAUSTED: u8 = 8;
    pub(super) const UNIMPLEMENTED: u8 = 12;
    pub(super) const INTERNAL: u8 = 13;
    pub(super) const UNAVAILABLE: u8 = 14;
    pub(super) const UNAUTHENTICATED: u8 = 16;
}

/// The name of every cause, for `docs/denials.md` and for bounded labels.
pub fn all_names() -> Vec<&'static str> {
    let mut names: Vec<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
    names.extend(Reason::ALL.iter().map(|reason| reason.as_str()));
    names.extend(Limit::ALL.iter().map(|limit| limit.as_str()));
    names.extend(Upstream::ALL.iter().map(|fault| fault.as_str()));
    names.extend(Transport::ALL.iter().map(|fault| fault.as_str()));
    names
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Limit> for Refusal {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

impl From<Upstream> for Refusal {
    fn from(fault: Upstream) -> Self {
        Self::Upstream(fault)
    }
}

impl From<Transport> for Refusal {
    fn from(fault: Transport) -> Self {
        Self::Transport(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_content_type_that_says_grpc_is_grpc() {
        let is = |kinds: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for kind in kinds {
                headers.append(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            }
            is_grpc(&headers)
        };
        for kind in ["application/grpc", "Application/gRPC+proto", "application/grpc;x=y"] {
            assert!(is(&[kind]), "{kind}");
        }
        for kind in ["application/grpcx", "application/grpc-web", "application/grp", "text/application/grpc"]
        {
            assert!(!is(&[kind]), "{kind}");
        }
        assert!(
            !is(&[]) && !is(&["application/grpc", "text/plain"]) && !is(&["text/plain", "application/grpc"])
        );
    }
}
