//! hyper on one connection, with every limit explicit.
//!
//! Promises: no limit is left at a library's default; a drain lets the exchange under way finish; an error of the
//! peer's protocol is counted once. It does not judge requests.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use palisade_model::limits::HEADER_BYTES;
use tokio::io::{AsyncRead, AsyncWrite};

use super::escaped_io::EscapedIo;
use super::guarded_io::{GuardedIo, Patience};
use crate::deny::{Refusal, Transport};
use crate::downstream::Downstream;
use crate::drain::Guest;
use crate::inbound::request;
use crate::policy::Active;

/// HTTP/2 receive window of one stream: what one slow upstream may make us hold.
const STREAM_WINDOW: u32 = 256 * 1024;
/// HTTP/2 receive window of one connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of one stream's response that may wait to be sent.
const SEND_BUFFER: usize = 256 * 1024;
/// Pings keep dead peers from holding connections.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long a ping may be unanswered.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves HTTP/1.1 until the connection ends.
pub async fn http1<S>(stream: S, downstream: Arc<Downstream>, active: &Active, mut guest: Guest)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let patience = Patience {
        head: active.duration(|limits| limits.header_timeout_ms),
        idle: active.duration(|limits| limits.idle_timeout_ms),
        write: active.duration(|limits| limits.body_timeout_ms),
    };
    let (io, line) = GuardedIo::new(stream, active.head_limits, patience, downstream.clone());
    let served = downstream.clone();
    let service = service_fn(move |incoming: Request<Incoming>| {
        let (downstream, line) = (served.clone(), line.clone());
        let arrived = line.next();
        request::http1(downstream, line, arrived, incoming)
    });
    let connection = http1::Builder::new()
        // The guard keeps time; the limits below are wider than its own, so that it refuses first.
        .header_read_timeout(None)
        .max_headers(active.head_limits.header_count + 8)
        .max_buf_size(active.head_limits.header_bytes.max(HEADER_BYTES) * 2)
        .half_close(false)
        // Aggregated flushes would strand the answer to a body that broke off (bytes are left to be read then).
        .pipeline_flush(false)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = guest.told() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        ended_badly(&downstream, &error);
    }
}

/// Serves HTTP/2 until the connection ends.
pub async fn http2<S>(stream: S, downstream: Arc<Downstream>, active: &Active, mut guest: Guest)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let served = downstream.clone();
    let service = service_fn(move |incoming: Request<Incoming>| request::http2(served.clone(), incoming));
    let limits = active.limits();
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.h2_pending_resets)
        .max_local_error_reset_streams(limits.h2_local_resets)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .serve_connection(TokioIo::new(EscapedIo::new(stream, limits.header_bytes)), service);
    let mut connection = std::pin::pin!(connection);
    let idle = active.duration(|limits| limits.idle_timeout_ms);
    let mut drained = false;
    let ended = loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => break ended,
            () = guest.told(), if !drained => {
                drained = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep(idle), if !drained => {
                if !downstream.is_busy() {
                    drained = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    };
    if let Err(error) = ended {
        ended_badly(&downstream, &error);
    }
}

/// Counts what hyper refused by itself; a peer that merely went away is no refusal.
fn ended_badly(downstream: &Downstream, error: &hyper::Error) {
    // `is_user`: a rule dropped the exchange, which its own record tells.
    let gone = error.is_user()
        || error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || error.is_body_write_aborted();
    let broken_pipe =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>()).is_some();
    if gone || broken_pipe {
        return;
    }
    tracing::debug!(%error, listener = downstream.connection.listener, "connection ended by its protocol");
    let plane = &downstream.plane;
    let version = plane.current.load().version().clone();
    let refusal = Refusal::Transport(Transport::Protocol);
    plane.telemetry.refused_connection(&plane.workload, &version, &downstream.connection, &refusal);
}
