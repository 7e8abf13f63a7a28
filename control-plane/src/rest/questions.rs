//! What happened (events) and what would happen (explain).

use axum::Json;
use axum::extract::{Query, State};
use palisade_model::WorkloadId;
use palisade_store::{EventQuery, EventRow, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{Api, ApiError, Caller};
use crate::explain::{Answer, Question, workload_of};

/// Events answered with unless the caller says otherwise.
const DEFAULT_LIMIT: i64 = 100;

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct EventFilter {
    /// The reference id a refused client was shown.
    reference: Option<String>,
    /// `namespace/name`.
    workload: Option<String>,
    /// Only events older than this number.
    before: Option<i64>,
    /// At most this many; 100 if absent, 1000 at most.
    limit: Option<i64>,
}

/// One event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventView {
    seq: i64,
    reference: String,
    time_ms: i64,
    #[schema(value_type = Object)]
    workload: WorkloadId,
    reason: String,
    /// The facts of the exchange.
    #[schema(value_type = Object)]
    record: Value,
}

/// Security events, newest first.
#[utoipa::path(get, path = "/api/v1/events", params(EventFilter), responses((status = 200, body = Vec<EventView>)))]
pub(super) async fn events(
    State(api): State<Api>,
    caller: Caller,
    Query(filter): Query<EventFilter>,
) -> Result<Json<Vec<EventView>>, ApiError> {
    let mut query = EventQuery {
        reference: filter.reference,
        before: filter.before,
        limit: filter.limit.unwrap_or(DEFAULT_LIMIT),
        ..EventQuery::default()
    };
    if let Some(workload) = &filter.workload {
        let workload =
            workload_of(workload).map_err(|error| ApiError::bad_request("workload", error.problem))?;
        api.allow(&caller, Role::Viewer, Some(&workload.namespace), "events.get", "").await?;
        (query.namespace, query.name) = (Some(workload.namespace), Some(workload.name));
    } else {
        // A token of one namespace sees the events of that namespace only.
        query.namespace.clone_from(&caller.namespace);
    }
    let view = |row: EventRow| EventView {
        seq: row.seq,
        reference: row.reference,
        time_ms: row.time_ms,
        workload: row.workload,
        reason: row.reason,
        record: serde_json::from_str(&row.record).unwrap_or_default(),
    };
    Ok(Json(api.store.events(&query).await?.into_iter().map(view).collect()))
}

/// What would happen to a request by what is in force now, and why.
#[utoipa::path(post, path = "/api/v1/explain", request_body = Question,
    responses((status = 200, description = "the verdict and every stage"), (status = 400)))]
pub(super) async fn explain(
    State(api): State<Api>,
    caller: Caller,
    Json(question): Json<Question>,
) -> Result<Json<Answer>, ApiError> {
    let workload =
        workload_of(&question.workload).map_err(|error| ApiError::bad_request("workload", error.problem))?;
    api.allow(&caller, Role::Viewer, Some(&workload.namespace), "explain", &question.workload).await?;
    let index = api.admission.accepted().index.clone();
    let answered = tokio::task::spawn_blocking(move || crate::explain::explain(&index, &question)).await;
    let answered = answered.map_err(|error| ApiError::unavailable(&error))?;
    answered.map(Json).map_err(|error| ApiError::bad_request(error.field, error.problem))
}
