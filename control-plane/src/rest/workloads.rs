//! Workloads, what each is served, and what its sidecar says about it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use palisade_model::WorkloadId;
use palisade_store::Role;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, ApiError, Caller};
use crate::admission::Problem;

/// One workload.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkloadView {
    namespace: String,
    name: String,
    principal: Option<String>,
    /// The version of the policy it is served.
    version: Option<String>,
    /// Why it is not served its newest policy.
    unserved: Option<String>,
    sidecar: Option<SidecarView>,
}

/// What a sidecar says.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SidecarView {
    connected: bool,
    /// The version it last spoke of.
    version: Option<String>,
    /// Whether it enforces that version.
    acked: Option<bool>,
    /// Whether it enforces what it is served.
    current: bool,
    /// Why it refused.
    error: Option<String>,
    last_seen_ms: Option<i64>,
}

/// How the control plane is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusView {
    revision: i64,
    documents: usize,
    workloads: usize,
    sidecars_connected: usize,
    /// What is wrong with the directory; the last good one is in force.
    #[schema(value_type = Vec<Object>)]
    directory_problems: Vec<Problem>,
    /// What several documents together show.
    #[schema(value_type = Vec<Object>)]
    warnings: Vec<Problem>,
}

/// Every workload of the inventory with its sidecar's status.
#[utoipa::path(get, path = "/api/v1/workloads", responses((status = 200, body = Vec<WorkloadView>)))]
pub(super) async fn list(State(api): State<Api>, caller: Caller) -> Json<Vec<WorkloadView>> {
    let accepted = api.admission.accepted();
    let sidecars = api.sidecars.all();
    let view = |id: &WorkloadId| {
        let version = accepted.versions.get(id).cloned();
        let sidecar = sidecars.get(id).map(|sidecar| {
            let status = sidecar.status.as_ref();
            SidecarView {
                connected: sidecar.streams > 0,
                version: status.map(|status| status.version.clone()),
                acked: status.map(|status| status.acked),
                current: status.is_some_and(|s| s.acked && Some(&s.version) == version.as_ref()),
                error: status.map(|status| status.error.clone()).filter(|error| !error.is_empty()),
                last_seen_ms: status.map(|status| status.last_seen_ms),
            }
        });
        WorkloadView {
            namespace: id.namespace.clone(),
            name: id.name.clone(),
            principal: accepted.index.principal(id).map(ToString::to_string),
            version,
            unserved: accepted.unserved.get(id).cloned(),
            sidecar,
        }
    };
    Json(accepted.index.workloads().filter(|id| caller.sees(&id.namespace)).map(view).collect())
}

/// A workload's policy, as `palisade-proxy --policy` reads it.
#[utoipa::path(get, path = "/api/v1/policies/{namespace}/{name}",
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = String, content_type = "application/yaml"), (status = 404)))]
pub(super) async fn policy(
    State(api): State<Api>,
    caller: Caller,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<impl IntoResponse, ApiError> {
    let object = format!("{namespace}/{name}");
    api.allow(&caller, Role::Viewer, Some(&namespace), "policy.get", &object).await?;
    let policy = api.admission.accepted().index.policy(&WorkloadId::local(&namespace, &name));
    let policy = policy.ok_or_else(|| ApiError::not_found(format!("{object} is not in the inventory")))?;
    let text =
        palisade_loader::policy_file::render(&policy).map_err(|error| ApiError::unavailable(&error))?;
    Ok(([(CONTENT_TYPE, "application/yaml")], text))
}

/// What is in force, and what is wrong.
#[utoipa::path(get, path = "/api/v1/status", responses((status = 200, body = StatusView)))]
pub(super) async fn status(State(api): State<Api>, caller: Caller) -> Result<Json<StatusView>, ApiError> {
    api.allow(&caller, Role::Viewer, None, "status.get", "").await?;
    let accepted = api.admission.accepted();
    Ok(Json(StatusView {
        revision: accepted.revision,
        documents: accepted.documents.len(),
        workloads: accepted.index.workloads().count(),
        sidecars_connected: api.sidecars.connected_count(),
        directory_problems: accepted.directory_problems.clone(),
        warnings: accepted.warnings.clone(),
    }))
}
