//! Every limit of the data plane with its default and its reason. Each has a test at, under and over it.

use serde::{Deserialize, Serialize};

/// Bytes of one request or response head. 64 KiB: four times what browsers and gateways send at most; the h2 crate's
/// own 16 MiB was a denial of service elsewhere.
pub const HEADER_BYTES: usize = 64 * 1024;
/// Headers of one message. CRS's own suite stays under 100; more is abuse.
pub const HEADER_COUNT: usize = 128;
/// Bytes of a request target. RFC 9110 §4.1 asks for at least 8,000.
pub const URI_BYTES: usize = 8 * 1024;
/// Connections one process accepts at once. A sidecar serves one workload; each idle connection costs some 10 KiB.
pub const CONNECTIONS: usize = 10_000;
/// Concurrent HTTP/2 streams of one connection (CVE-2023-44487 class).
pub const STREAMS_PER_CONNECTION: u32 = 100;
/// HTTP/2 streams a peer may reset before they were answered, before the connection is closed (rapid reset).
pub const H2_PENDING_RESETS: usize = 20;
/// HTTP/2 streams we reset for a peer's faults before the connection is closed ("made you reset").
pub const H2_LOCAL_RESETS: usize = 100;
/// Milliseconds for a complete head (slowloris).
pub const HEADER_TIMEOUT_MS: u64 = 10_000;
/// Milliseconds between two pieces of a body.
pub const BODY_TIMEOUT_MS: u64 = 30_000;
/// Milliseconds a kept-alive connection may idle.
pub const IDLE_TIMEOUT_MS: u64 = 300_000;
/// Milliseconds to connect to an upstream, handshake included.
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;
/// Milliseconds an upstream may take to answer with a head.
pub const RESPONSE_TIMEOUT_MS: u64 = 60_000;
/// Milliseconds the protocol sniff waits for a first byte; server-first protocols send none. No listener of today sniffs for
/// opaque bytes: where TLS is due the handshake's time holds, where HTTP is due the head's.
pub const SNIFF_TIMEOUT_MS: u64 = 1_000;
/// Milliseconds for a TLS handshake, the wait for its first byte included.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 5_000;
/// Milliseconds a drain waits for accepted requests.
pub const DRAIN_TIMEOUT_MS: u64 = 25_000;
/// Bytes of a request body that are held for inspection (ModSecurity's recommended SecRequestBodyNoFilesLimit).
pub const INSPECTED_BODY_BYTES: usize = 128 * 1024;
/// Bytes of a response body that are held for inspection (ModSecurity's recommended SecResponseBodyLimit).
pub const INSPECTED_RESPONSE_BYTES: usize = 512 * 1024;
/// Bytes of the longest form with files. Its files are not held, so that this bounds time, not memory; longer uploads are
/// made in pieces.
pub const UPLOAD_BYTES: u64 = 1024 * 1024 * 1024;
/// Bytes of bodies one process holds at once, over all requests.
pub const BUFFERED_BYTES: usize = 64 * 1024 * 1024;

/// The limits in force. Every field has the default of the constant of its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// See [`HEADER_BYTES`].
    pub header_bytes: usize,
    /// See [`HEADER_COUNT`].
    pub header_count: usize,
    /// See [`URI_BYTES`].
    pub uri_bytes: usize,
    /// See [`CONNECTIONS`].
    pub connections: usize,
    /// See [`STREAMS_PER_CONNECTION`].
    pub streams_per_connection: u32,
    /// See [`H2_PENDING_RESETS`].
    pub h2_pending_resets: usize,
    /// See [`H2_LOCAL_RESETS`].
    pub h2_local_resets: usize,
    /// See [`HEADER_TIMEOUT_MS`].
    pub header_timeout_ms: u64,
    /// See [`BODY_TIMEOUT_MS`].
    pub body_timeout_ms: u64,
    /// See [`IDLE_TIMEOUT_MS`].
    pub idle_timeout_ms: u64,
    /// See [`CONNECT_TIMEOUT_MS`].
    pub connect_timeout_ms: u64,
    /// See [`RESPONSE_TIMEOUT_MS`].
    pub response_timeout_ms: u64,
    /// See [`SNIFF_TIMEOUT_MS`].
    pub sniff_timeout_ms: u64,
    /// See [`HANDSHAKE_TIMEOUT_MS`].
    pub handshake_timeout_ms: u64,
    /// See [`DRAIN_TIMEOUT_MS`].
    pub drain_timeout_ms: u64,
    /// See [`BUFFERED_BYTES`].
    pub buffered_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: HEADER_BYTES,
            header_count: HEADER_COUNT,
            uri_bytes: URI_BYTES,
            connections: CONNECTIONS,
            streams_per_connection: STREAMS_PER_CONNECTION,
            h2_pending_resets: H2_PENDING_RESETS,
            h2_local_resets: H2_LOCAL_RESETS,
            header_timeout_ms: HEADER_TIMEOUT_MS,
            body_timeout_ms: BODY_TIMEOUT_MS,
            idle_timeout_ms: IDLE_TIMEOUT_MS,
            connect_timeout_ms: CONNECT_TIMEOUT_MS,
            response_timeout_ms: RESPONSE_TIMEOUT_MS,
            sniff_timeout_ms: SNIFF_TIMEOUT_MS,
            handshake_timeout_ms: HANDSHAKE_TIMEOUT_MS,
            drain_timeout_ms: DRAIN_TIMEOUT_MS,
            buffered_bytes: BUFFERED_BYTES,
        }
    }
}
