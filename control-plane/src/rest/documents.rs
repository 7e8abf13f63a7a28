//! Documents: list, read, put, delete, and their history.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use palisade_model::documents::{Document, KINDS, RuleSet};
use palisade_store::{DocumentKey, Origin, Revision, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{Api, ApiError, Caller};
use crate::admission::Entry;

/// One document in force.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DocumentView {
    kind: String,
    namespace: String,
    name: String,
    /// `rest` or `directory`; those of the directory are changed there.
    origin: String,
    revision: i64,
    /// The document; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    document: Option<Value>,
}

/// Which documents.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Only this kind.
    kind: Option<String>,
    /// Only this namespace.
    namespace: Option<String>,
}

/// The number of a change.
#[derive(Serialize, ToSchema)]
pub(super) struct Changed {
    revision: i64,
    /// What a rule set asks for and does not get, with its places; absent: nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

type Name = Path<(String, String, String)>;

/// Documents in force, without their text.
#[utoipa::path(get, path = "/api/v1/documents", params(Filter), responses((status = 200, body = Vec<DocumentView>)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Json<Vec<DocumentView>> {
    let accepted = api.admission.accepted();
    let wanted = accepted.documents.iter().filter(|(key, _)| {
        caller.sees(&key.namespace)
            && filter.kind.as_ref().is_none_or(|kind| *kind == key.kind)
            && filter.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
    });
    Json(wanted.map(|(key, entry)| view(key, entry, false)).collect())
}

/// One document.
#[utoipa::path(get, path = "/api/v1/documents/{kind}/{namespace}/{name}",
    params(("kind" = String, Path), ("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = DocumentView), (status = 404)))]
pub(super) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Name,
) -> Result<Json<DocumentView>, ApiError> {
    let key = key_of(name)?;
    api.allow(&caller, Role::Viewer, Some(&key.namespace), "document.get", &key.to_string()).await?;
    let accepted = api.admission.accepted();
    let entry = accepted.documents.get(&key);
    let entry = entry.ok_or_else(|| ApiError::not_found(format!("{key}: there is no such document")))?;
    Ok(Json(view(&key, entry, true)))
}

/// Puts a document in force, as YAML or JSON. Refused if it is not valid among all others; then nothing changes.
#[utoipa::path(put, path = "/api/v1/documents/{kind}/{namespace}/{name}", request_body = String,
    params(("kind" = String, Path), ("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Changed), (status = 403), (status = 409), (status = 422)))]
pub(super) async fn put(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Name,
    body: String,
) -> Result<Json<Changed>, ApiError> {
    let key = key_of(name)?;
    let object = key.to_string();
    api.allow(&caller, Role::Editor, Some(&key.namespace), "document.put", &object).await?;
    let mut rule_set = None;
    let result = match read(&key, body) {
        Ok(document) => {
            if let Document::RuleSet(document) = &document {
                rule_set = Some(document.clone());
            }
            api.admission.put(document, &caller.id).await.map_err(ApiError::from)
        }
        Err(error) => Err(error),
    };
    let revision = api.noted(&caller, "document.put", &object, result).await?;
    Ok(Json(Changed { revision, notes: notes(rule_set).await }))
}

/// What a rule set in force asks for and does not get. Compiling it takes its time, off the reactor.
async fn notes(rule_set: Option<RuleSet>) -> Vec<String> {
    let Some(rule_set) = rule_set else { return Vec::new() };
    let compile = move || crate::waf_test::notes(&rule_set).unwrap_or_default();
    tokio::task::spawn_blocking(compile).await.unwrap_or_default()
}

/// Takes a document out of force.
#[utoipa::path(delete, path = "/api/v1/documents/{kind}/{namespace}/{name}",
    params(("kind" = String, Path), ("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Changed), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Name,
) -> Result<Json<Changed>, ApiError> {
    let key = key_of(name)?;
    let object = key.to_string();
    api.allow(&caller, Role::Editor, Some(&key.namespace), "document.delete", &object).await?;
    let result = api.admission.delete(key, &caller.id).await.map_err(ApiError::from);
    let revision = api.noted(&caller, "document.delete", &object, result).await?;
    Ok(Json(Changed { revision, notes: Vec::new() }))
}

/// The newest changes of a document, with their authors.
#[utoipa::path(get, path = "/api/v1/documents/{kind}/{namespace}/{name}/revisions",
    params(("kind" = String, Path), ("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, description = "newest first")))]
pub(super) async fn revisions(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Name,
) -> Result<Json<Vec<Revision>>, ApiError> {
    let key = key_of(name)?;
    api.allow(&caller, Role::Viewer, Some(&key.namespace), "document.revisions", &key.to_string()).await?;
    Ok(Json(api.store.revisions(&key, 100).await?))
}

fn key_of((kind, namespace, name): (String, String, String)) -> Result<DocumentKey, ApiError> {
    if !KINDS.iter().any(|(known, _)| *known == kind) {
        let known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        let error = format!("{kind:?} is not one of {}", known.join(", "));
        return Err(ApiError::bad_request("kind", error));
    }
    Ok(DocumentKey::local(&kind, &namespace, &name))
}

/// The one document of a body, which must be the one the path names.
fn read(key: &DocumentKey, body: String) -> Result<Document, ApiError> {
    let texts = [crate::directory::SourceText { file: "body".to_owned(), text: body }];
    let mut parsed = crate::admission::parse_all(&texts)
        .map_err(|problems| ApiError { status: StatusCode::UNPROCESSABLE_ENTITY, problems })?;
    let (Some((_, document)), true) = (parsed.pop(), parsed.is_empty()) else {
        return Err(ApiError::bad_request("body", "exactly one document is needed"));
    };
    let metadata = document.metadata();
    let found = DocumentKey::local(document.kind(), &metadata.namespace, &metadata.name);
    if found != *key {
        return Err(ApiError::bad_request("body: metadata", format!("the document is {found}, not {key}")));
    }
    Ok(document)
}

fn view(key: &DocumentKey, entry: &Entry, whole: bool) -> DocumentView {
    let origin = match entry.origin {
        Origin::Rest => "rest",
        Origin::Directory => "directory",
    };
    DocumentView {
        kind: key.kind.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        origin: origin.to_owned(),
        revision: entry.revision,
        document: whole.then(|| serde_json::to_value(&*entry.document).unwrap_or_default()),
    }
}
