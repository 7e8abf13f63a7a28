//! The admin pages: read-only, on loopback or a UNIX socket.
//!
//! ```text
//!   /metrics   /healthz   /readyz   /policy   /identity   /config
//! ```
//! Promises: GET only; never a key or a token; a page of another site cannot read them through a browser, since the
//! `Host` must be an address or `localhost`. It changes nothing.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::http::OutBody;
use crate::policy::update::Updater;
use crate::telemetry::export::exposition;

/// Connections the admin pages take at once.
const CONNECTIONS: usize = 32;
/// For a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves the pages on a loopback address.
pub async fn listen(address: SocketAddr, updater: Arc<Updater>) -> io::Result<SocketAddr> {
    if !address.ip().is_loopback() {
        let problem = format!("the admin address {address} is not on loopback");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let slots = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve(stream, updater.clone(), &slots);
        }
    });
    Ok(bound)
}

/// Serves the pages on a UNIX socket that only this user can open.
pub fn listen_unix(path: &Path, updater: Arc<Updater>) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let slots = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve(stream, updater.clone(), &slots);
        }
    });
    Ok(())
}

fn serve<S>(stream: S, updater: Arc<Updater>, slots: &Arc<tokio::sync::Semaphore>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(slot) = slots.clone().try_acquire_owned() else { return };
    tokio::spawn(async move {
        let _slot = slot;
        let service = service_fn(move |request: Request<Incoming>| {
            let updater = updater.clone();
            async move { Ok::<_, Infallible>(page(&request, &updater).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_headers(64)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(stream), service);
        // A reader that goes away is no event.
        let _ = served.await;
    });
}

async fn page(request: &Request<Incoming>, updater: &Updater) -> Response<OutBody> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "the admin pages are read-only\n");
    }
    if !is_local(request) {
        return text(StatusCode::MISDIRECTED_REQUEST, "ask by address or localhost\n");
    }
    let plane = updater.plane();
    match request.uri().path() {
        "/metrics" => {
            let mut response = text(StatusCode::OK, exposition(plane));
            let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readyz" => match unready(updater) {
            None => text(StatusCode::OK, "ready\n"),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        "/policy" => policy(updater),
        "/identity" => identity(updater),
        "/config" => {
            let listeners: Vec<_> = updater
                .addresses()
                .await
                .into_iter()
                .map(|(name, address)| json!({"name": name, "address": address}))
                .collect();
            let active = plane.current.load();
            json_page(&json!({
                "workload": plane.workload,
                "listeners": listeners,
                "limits": active.limits(),
                "connections": plane.connections.used(),
                "bufferedBytes": plane.buffered.used(),
            }))
        }
        _ => text(StatusCode::NOT_FOUND, "/metrics /healthz /readyz /policy /identity /config\n"),
    }
}

/// Why traffic should not come here now; none if it may.
fn unready(updater: &Updater) -> Option<&'static str> {
    let plane = updater.plane();
    if plane.drain.started() {
        return Some("draining");
    }
    if plane.current.swaps() == 0 {
        return Some("no policy");
    }
    if updater.needs_identity() {
        match plane.identity() {
            None => return Some("no identity"),
            Some(identity) if !identity.store().current().is_valid_at(now()) => {
                return Some("expired identity");
            }
            Some(_) => {}
        }
    }
    None
}

fn policy(updater: &Updater) -> Response<OutBody> {
    let active = updater.plane().current.load();
    json_page(&json!({"version": active.version().as_ref(), "policy": active.policy.as_deref()}))
}

fn identity(updater: &Updater) -> Response<OutBody> {
    let Some(identity) = updater.plane().identity() else {
        return json_page(&json!({"principal": null}));
    };
    let svid = identity.store().current();
    json_page(&json!({
        "principal": svid.principal().to_string(),
        "notBefore": svid.facts().not_before,
        "notAfter": svid.facts().not_after,
        "valid": svid.is_valid_at(now()),
        "generation": identity.generation(),
    }))
}

fn is_local(request: &Request<Incoming>) -> bool {
    let Some(host) = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn text(status: StatusCode, body: impl Into<bytes::Bytes>) -> Response<OutBody> {
    let mut response = Response::new(OutBody::text(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn json_page(value: &serde_json::Value) -> Response<OutBody> {
    let mut response = text(StatusCode::OK, format!("{value:#}\n"));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
