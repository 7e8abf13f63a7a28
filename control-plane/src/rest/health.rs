//! Health, readiness and a few numbers. The only calls without a token; they name nobody.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use palisade_telemetry::Metric;

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
    let (accepted, rejected, refused) = api.sidecars.counts();
    let (events, other_records) = api.events.counts();
    let streams = u64::try_from(api.sidecars.streams()).unwrap_or(u64::MAX);
    let outcomes =
        |accepted, rejected| vec![("{outcome=\"accepted\"}", accepted), ("{outcome=\"rejected\"}", rejected)];
    let rows = [
        (Metric::XdsConnections, vec![("", streams)]),
        (Metric::XdsResponses, outcomes(accepted, rejected)),
        (Metric::XdsRefused, vec![("", refused)]),
        (Metric::EventsReceived, outcomes(events, other_records)),
    ];
    let mut text = String::new();
    for (metric, samples) in rows {
        let (name, help, kind) = (metric.name(), metric.help(), metric.kind().as_str());
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (labels, value) in samples {
            text.push_str(&format!("{name}{labels} {value}\n"));
        }
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
