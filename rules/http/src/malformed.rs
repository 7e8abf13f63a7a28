//! Why a message is refused before any engine sees it.
//!
//! Promises a closed list of causes with a stable name and a status each. It never carries bytes of the message.

use http::StatusCode;

/// A message that cannot be read in exactly one way, or that passes a limit of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub cause: Cause,
    /// Where, e.g. `header transfer-encoding`; never bytes of the message.
    pub place: String,
}

impl Malformed {
    /// A cause at a place.
    pub fn new(cause: Cause, place: impl Into<String>) -> Self {
        Self { cause, place: place.into() }
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", self.cause.as_str(), self.place)
    }
}

impl std::error::Error for Malformed {}

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal, $status:ident;)+) => {
        /// Every way a message can be malformed. Closed: each has a row in `docs/denials.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Cause {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Cause {
            /// Every cause, for tables and tests.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name used in metrics, logs and `docs/denials.md`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The status a client is answered with. For an upstream's response the answer is 502 whatever the cause.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }
        }
    };
}

causes! {
    /// The request or status line is not exactly `method SP target SP version` or `version SP status SP reason`.
    StartLine => "start_line", BAD_REQUEST;
    /// The method is not a token of at most 32 bytes, or a standard one that is not in upper case.
    Method => "method", BAD_REQUEST;
    /// `CONNECT`, plain or extended: tunnels are not offered.
    Connect => "connect", NOT_IMPLEMENTED;
    /// A version other than HTTP/1.0, HTTP/1.1 and HTTP/2.
    Version => "version", HTTP_VERSION_NOT_SUPPORTED;
    /// The HTTP/2 preface on a connection that is read as HTTP/1.
    Http2Preface => "http2_preface", BAD_REQUEST;
    /// A line that ends with LF alone.
    BareLf => "bare_lf", BAD_REQUEST;
    /// A CR that does not end a line.
    BareCr => "bare_cr", BAD_REQUEST;
    /// A control character, NUL included, where text is expected.
    ControlCharacter => "control_character", BAD_REQUEST;
    /// The target has a form or a byte that RFC 9112 §3.2 and RFC 3986 do not allow.
    Target => "target", BAD_REQUEST;
    /// `#` in the target.
    Fragment => "fragment", BAD_REQUEST;
    /// A byte over 0x7f in the target.
    NonAsciiTarget => "non_ascii_target", BAD_REQUEST;
    /// `%` without two hexadecimal digits in the path.
    PercentEscape => "percent_escape", BAD_REQUEST;
    /// `%00` in the path.
    EncodedNul => "encoded_nul", BAD_REQUEST;
    /// `%2f` in the path, where the policy for encoded slashes refuses it or it hides a dot segment.
    EncodedSlash => "encoded_slash", BAD_REQUEST;
    /// `\` or `%5c` in the path, where the policy for encoded slashes refuses it or it hides a dot segment.
    Backslash => "backslash", BAD_REQUEST;
    /// `;` parameters on an empty or dot segment (`/..;/`).
    PathParameter => "path_parameter", BAD_REQUEST;
    /// Neither `:authority`, nor an absolute target, nor `Host`.
    MissingHost => "missing_host", BAD_REQUEST;
    /// More than one `Host`.
    MultipleHosts => "multiple_hosts", BAD_REQUEST;
    /// `Host` and the target's authority name different places.
    AuthorityMismatch => "authority_mismatch", BAD_REQUEST;
    /// The host is not a name, an IPv4 address or a bracketed IPv6 address.
    Host => "host", BAD_REQUEST;
    /// The port is not 1 to 65535 written without leading zeros.
    Port => "port", BAD_REQUEST;
    /// `user@` in the authority.
    UserInfo => "user_info", BAD_REQUEST;
    /// A scheme other than `http` and `https`.
    Scheme => "scheme", BAD_REQUEST;
    /// A header name that is not a token.
    HeaderName => "header_name", BAD_REQUEST;
    /// White space between a header's name and its colon.
    SpaceBeforeColon => "space_before_colon", BAD_REQUEST;
    /// A header continued on the next line (obs-fold).
    ObsFold => "obs_fold", BAD_REQUEST;
    /// `Content-Length` that is not one plain decimal number.
    ContentLength => "content_length", BAD_REQUEST;
    /// More than one `Content-Length`.
    MultipleContentLengths => "multiple_content_lengths", BAD_REQUEST;
    /// More than one `Content-Type`: the WAF and the application could parse the body as two things.
    MultipleContentTypes => "multiple_content_types", BAD_REQUEST;
    /// `Transfer-Encoding` that is not exactly `chunked`, once, on HTTP/1.1.
    TransferEncoding => "transfer_encoding", BAD_REQUEST;
    /// Both `Transfer-Encoding` and `Content-Length`.
    LengthAndEncoding => "length_and_encoding", BAD_REQUEST;
    /// A framing header spelled with an underscore, which some applications read as the real one.
    UnderscoreFraming => "underscore_framing", BAD_REQUEST;
    /// A connection-specific header on HTTP/2 (RFC 9113 §8.2.2).
    ConnectionHeader => "connection_header", BAD_REQUEST;
    /// `Connection` nominates a header that must not be removed, or is not a list of tokens.
    Nomination => "nomination", BAD_REQUEST;
    /// `Expect` that is not `100-continue`.
    Expect => "expect", EXPECTATION_FAILED;
    /// An upgrade to `websocket` that is not a plain GET, or has a body.
    Upgrade => "upgrade", BAD_REQUEST;
    /// A chunk size that is not plain hexadecimal, or too large.
    ChunkSize => "chunk_size", BAD_REQUEST;
    /// Chunk extensions longer than the limit or with bytes that are not text.
    ChunkExtension => "chunk_extension", BAD_REQUEST;
    /// A chunk that is not followed by CRLF.
    ChunkEnd => "chunk_end", BAD_REQUEST;
    /// A trailer that RFC 9110 §6.5.1 forbids, or more trailers than the limit.
    Trailer => "trailer", BAD_REQUEST;
    /// The target is longer than the limit.
    UriTooLong => "uri_too_long", URI_TOO_LONG;
    /// The head is longer than the limit.
    HeadTooLarge => "head_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE;
    /// There are more headers than the limit.
    TooManyHeaders => "too_many_headers", REQUEST_HEADER_FIELDS_TOO_LARGE;
    /// The body's declared length and its end do not agree.
    LengthMismatch => "length_mismatch", BAD_REQUEST;
    /// A response with a status that its request cannot have (101 without an upgrade, more after a final one).
    UnexpectedResponse => "unexpected_response", BAD_GATEWAY;
    /// A response whose status forbids the body it declares (1xx, 204 or 304).
    ForbiddenBody => "forbidden_body", BAD_GATEWAY;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_own_name_and_an_error_status() {
        let mut names: Vec<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Cause::ALL.len());
        assert!(
            Cause::ALL
                .iter()
                .all(|cause| cause.status().is_client_error() || cause.status().is_server_error())
        );
        assert_eq!(Cause::UriTooLong.status(), StatusCode::URI_TOO_LONG);
        assert_eq!(Cause::HeadTooLarge.status().as_u16(), 431);
        assert_eq!(Cause::Expect.status().as_u16(), 417);
    }
}
