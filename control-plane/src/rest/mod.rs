//! The REST API under `/api/v1`, described at `/api/v1/openapi.json`.
//!
//! Promises: every call but health is authenticated by token and authorized by role (and namespace, if the token has
//! one); every change and every refused attempt is in the audit trail; bodies are bounded; an error is JSON with the
//! place it is about. It listens where it is told and speaks plain HTTP: put it on loopback, or behind a gateway.

mod access;
mod audit;
mod documents;
mod error;
mod health;
mod questions;
mod tokens;
mod workloads;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use palisade_identity::CertificateAuthority;
use palisade_loader::limits::MAX_FILE_BYTES;
use palisade_store::Store;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admission::Admission;
use crate::events::EventSink;
use crate::sidecars::Sidecars;

pub use access::Caller;
pub use error::ApiError;

/// The longest request body, in bytes: a file of documents.
pub const MAX_BODY_BYTES: usize = MAX_FILE_BYTES;

/// What the handlers use. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    /// The door to the documents.
    pub admission: Admission,
    /// What is remembered.
    pub store: Store,
    /// What sidecars say.
    pub sidecars: Sidecars,
    /// What they report.
    pub events: EventSink,
    /// Whose root join tokens carry.
    pub authority: Arc<CertificateAuthority>,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Palisade control plane",
    description = "Documents, workloads, events, tokens. Every call but health needs `Authorization: Bearer <token>`."
))]
struct Description;

/// The routes.
pub fn router(api: Api) -> Router {
    let (router, description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(documents::list))
        .routes(routes!(documents::get, documents::put, documents::delete))
        .routes(routes!(documents::revisions))
        .routes(routes!(workloads::list))
        .routes(routes!(workloads::policy))
        .routes(routes!(workloads::status))
        .routes(routes!(questions::events))
        .routes(routes!(questions::explain))
        .routes(routes!(audit::list))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(tokens::join))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .split_for_parts();
    let description = Arc::new(description);
    router
        .route(
            "/api/v1/openapi.json",
            axum::routing::get(move |_: Caller| async move { Json(description.as_ref().clone()) }),
        )
        .fallback(|| async { ApiError::not_found("there is nothing at this path") })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(axum::middleware::map_response(error::as_json))
        .with_state(api)
}
