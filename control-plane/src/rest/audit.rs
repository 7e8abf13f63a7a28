//! The audit trail.

use axum::Json;
use axum::extract::{Query, State};
use palisade_store::{AuditEntry, Role};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Api, ApiError, Caller};

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// Only entries before this number.
    before: Option<i64>,
    /// At most this many; 100 if absent, 1000 at most.
    limit: Option<i64>,
}

/// Who did or tried what, newest first.
#[utoipa::path(get, path = "/api/v1/audit", params(Page), responses((status = 200), (status = 403)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Json<Vec<AuditEntry>>, ApiError> {
    api.allow(&caller, Role::Admin, None, "audit.get", "").await?;
    Ok(Json(api.store.audit_entries(page.before, page.limit.unwrap_or(100)).await?))
}
