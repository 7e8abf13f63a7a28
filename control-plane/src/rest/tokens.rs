//! API tokens and join tokens.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use palisade_model::WorkloadId;
use palisade_store::{Role, TokenRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Api, ApiError, Caller};
use crate::clock::now_ms;
use crate::credentials::{self, JoinRequest, NewToken};

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TokenRequest {
    /// `viewer`, `editor`, `approver`, `admin`.
    role: String,
    /// The only namespace it is good for.
    namespace: Option<String>,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Seconds until it expires; never if absent.
    ttl_seconds: Option<u64>,
}

/// A token that was made. It is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenMade {
    id: String,
    token: String,
}

/// A join token to make.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct JoinTokenRequest {
    namespace: String,
    workload: String,
    /// Seconds until it expires; an hour if absent, thirty days at most.
    ttl_seconds: Option<u64>,
    /// How often it may be used; once if absent.
    uses: Option<u32>,
}

/// A join token that was made. It is shown this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct JoinTokenMade {
    token: String,
    principal: String,
    expires_ms: i64,
}

/// Every API token, without the tokens themselves.
#[utoipa::path(get, path = "/api/v1/tokens", responses((status = 200), (status = 403)))]
pub(super) async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<Vec<TokenRecord>>, ApiError> {
    api.allow(&caller, Role::Admin, None, "token.list", "").await?;
    Ok(Json(api.store.tokens().await?))
}

/// Makes an API token.
#[utoipa::path(post, path = "/api/v1/tokens", request_body = TokenRequest,
    responses((status = 201, body = TokenMade), (status = 400), (status = 403)))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Json(request): Json<TokenRequest>,
) -> Result<(StatusCode, Json<TokenMade>), ApiError> {
    api.allow(&caller, Role::Admin, None, "token.create", &request.role).await?;
    let role: Role = request.role.parse().map_err(|error: String| ApiError::bad_request("role", error))?;
    let new = NewToken {
        role,
        namespace: request.namespace,
        description: request.description,
        ttl_seconds: request.ttl_seconds,
    };
    let made = credentials::make_token(&api.store, new, now_ms()).await.map_err(ApiError::from);
    let id = made.as_ref().map_or("", |(id, _)| id.as_str());
    let object = format!("{} {id}", role.as_str());
    let (id, token) = api.noted(&caller, "token.create", &object, made).await?;
    Ok((StatusCode::CREATED, Json(TokenMade { id, token })))
}

/// Revokes an API token; it is not good any more from the next call on.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", params(("id" = String, Path)),
    responses((status = 204), (status = 403), (status = 404)))]
pub(super) async fn revoke(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    api.allow(&caller, Role::Admin, None, "token.revoke", &id).await?;
    let result = match api.store.remove_token(&id).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err(ApiError::not_found("there is no such token")),
        Err(error) => Err(error.into()),
    };
    api.noted(&caller, "token.revoke", &id, result).await
}

/// Makes a join token for a workload of the inventory.
#[utoipa::path(post, path = "/api/v1/join-tokens", request_body = JoinTokenRequest,
    responses((status = 201, body = JoinTokenMade), (status = 400), (status = 403), (status = 404)))]
pub(super) async fn join(
    State(api): State<Api>,
    caller: Caller,
    Json(request): Json<JoinTokenRequest>,
) -> Result<(StatusCode, Json<JoinTokenMade>), ApiError> {
    let object = format!("{}/{}", request.namespace, request.workload);
    api.allow(&caller, Role::Admin, Some(&request.namespace), "join-token.create", &object).await?;
    let result = make_join_token(&api, &caller, request).await;
    let made = api.noted(&caller, "join-token.create", &object, result).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn make_join_token(
    api: &Api,
    caller: &Caller,
    request: JoinTokenRequest,
) -> Result<JoinTokenMade, ApiError> {
    let workload = WorkloadId::local(&request.namespace, &request.workload);
    let principal = api.admission.accepted().index.principal(&workload).cloned();
    let principal = principal.ok_or_else(|| {
        ApiError::not_found("the workload is not in the inventory; put a WorkloadEntry first")
    })?;
    let author = caller.id.clone();
    let JoinTokenRequest { ttl_seconds, uses, .. } = request;
    let request = JoinRequest { workload, principal, author, ttl_seconds, uses };
    let made = credentials::make_join_token(&api.store, api.authority.root(), request, now_ms()).await;
    let (token, record) = made.map_err(ApiError::from)?;
    Ok(JoinTokenMade { token, principal: record.principal.to_string(), expires_ms: record.expires_ms })
}
