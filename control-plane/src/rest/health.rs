//! Health, readiness and a few numbers. The only calls without a token; they name nobody.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::Api;

/// The process runs.
#[utoipa::path(get, path = "/healthz", responses((status = 200)))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The store answers and documents are in force.
#[utoipa::path(get, path = "/readyz", responses((status = 200), (status = 503)))]
pub(super) async fn readyz(State(api): State<Api>) -> (StatusCode, &'static str) {
    match api.store.ready().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
    }
}

/// Prometheus exposition.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String)))]
pub(super) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let accepted = api.admission.accepted();
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let rows = [
        ("palisade_control_plane_documents", "gauge", count(accepted.documents.len())),
        ("palisade_control_plane_workloads", "gauge", count(accepted.index.workloads().count())),
        ("palisade_control_plane_sidecars_connected", "gauge", count(api.sidecars.connected_count())),
        ("palisade_control_plane_directory_problems", "gauge", count(accepted.directory_problems.len())),
        ("palisade_control_plane_revision", "gauge", accepted.revision.unsigned_abs()),
        ("palisade_control_plane_status_lost_total", "counter", api.sidecars.lost()),
        ("palisade_control_plane_events_rejected_total", "counter", api.events.rejected_count()),
    ];
    let text: String =
        rows.iter().map(|(name, kind, value)| format!("# TYPE {name} {kind}\n{name} {value}\n")).collect();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
