//! How the API says no.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use palisade_store::StoreError;
use serde::Serialize;

use crate::admission::{Problem, Refused};

/// An error of the API.
#[derive(Debug)]
pub struct ApiError {
    pub(super) status: StatusCode,
    pub(super) problems: Vec<Problem>,
}

/// An error as it is sent.
#[derive(Serialize)]
struct ErrorBody {
    /// What is wrong.
    error: String,
    /// Where: `file:line:column`, or a document and a field path; empty if it is no place's fault.
    place: String,
    /// Further problems, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more: Vec<Problem>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, place: &str, error: impl Into<String>) -> Self {
        Self { status, problems: vec![Problem { place: place.to_owned(), error: error.into() }] }
    }

    pub(crate) fn bad_request(place: &str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, place, error)
    }

    /// Our own fault; what exactly is for the log.
    pub(crate) fn unavailable(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "", "this failed; see the log")
    }

    pub(super) fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "", error)
    }

    /// For the audit trail.
    pub(super) fn summary(&self) -> String {
        self.problems.first().map(Problem::to_string).unwrap_or_default()
    }
}

/// Says in JSON what the framework says in plain text: a body that is too long, a query that cannot be read.
pub(super) async fn as_json(response: Response) -> Response {
    let status = response.status();
    let is_json = response
        .headers()
        .get(axum::http::header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    // The framework's sentences are short; a longer one is left out.
    let text = axum::body::to_bytes(body, 4096).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let reason = status.canonical_reason().unwrap_or("refused").to_owned();
    let mut answer = ApiError::new(status, "", if text.is_empty() { reason } else { text }).into_response();
    if let Some(allow) = parts.headers.get(axum::http::header::ALLOW) {
        answer.headers_mut().insert(axum::http::header::ALLOW, allow.clone());
    }
    answer
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        // The database's words are for the log.
        Self::unavailable(&error)
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let status = match &refused {
            Refused::Invalid(problems) => {
                return Self { status: StatusCode::UNPROCESSABLE_ENTITY, problems: problems.clone() };
            }
            Refused::Store(_) | Refused::Internal(_) => return Self::unavailable(&refused),
            Refused::Unknown(_) => StatusCode::NOT_FOUND,
            Refused::ReadOnly(_) => StatusCode::CONFLICT,
            Refused::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, "", refused.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut problems = self.problems.into_iter();
        let Problem { place, error } =
            problems.next().unwrap_or_else(|| Problem { place: String::new(), error: "refused".to_owned() });
        let body = ErrorBody { error, place, more: problems.collect() };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = axum::http::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(axum::http::header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
