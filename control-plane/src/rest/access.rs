//! Who calls the API, and what they may do.
//!
//! Promises: no handler sees a caller without a good token; what is refused is in the audit trail, with who and what.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use palisade_store::{NewAuditEntry, Outcome, Role};

use super::{Api, ApiError};
use crate::clock::now_ms;
use crate::secret;

/// The longest Authorization header looked at, in bytes; one with a token has 84.
const MAX_HEADER_BYTES: usize = 256;

/// Whoever holds a good token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's public name.
    pub id: String,
    /// What it may do.
    pub role: Role,
    /// The only namespace it may do it in; none: every one.
    pub namespace: Option<String>,
}

impl Caller {
    /// Whether the caller may do what needs `role` in `namespace`; none: what is about no namespace, or all.
    pub fn may(&self, role: Role, namespace: Option<&str>) -> bool {
        self.role >= role && self.namespace.as_deref().is_none_or(|own| namespace == Some(own))
    }

    /// Whether the caller may see what is in a namespace.
    pub fn sees(&self, namespace: &str) -> bool {
        self.may(Role::Viewer, Some(namespace))
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let refused = |why: &str| ApiError::new(StatusCode::UNAUTHORIZED, "", why);
        let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
        let (Some(header), None) = (headers.next(), headers.next()) else {
            return Err(refused("exactly one `Authorization: Bearer <token>` is needed"));
        };
        let header = header.to_str().ok().filter(|text| text.len() <= MAX_HEADER_BYTES);
        let token = header.and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let Some(token) = token else {
            return Err(refused("the Authorization header is not a bearer token"));
        };
        match api.store.token_by_digest(&secret::digest(token), now_ms()).await? {
            Some(record) => Ok(Self { id: record.id, role: record.role, namespace: record.namespace }),
            None => {
                let object = format!("{} {}", parts.method, parts.uri.path());
                api.note("anonymous", "sign-in", &object, Outcome::Refused, "unknown or expired token").await;
                Err(refused("the token is unknown, expired or revoked"))
            }
        }
    }
}

impl Api {
    /// Lets a caller go on, or says no and notes it.
    pub(super) async fn allow(
        &self,
        caller: &Caller,
        role: Role,
        namespace: Option<&str>,
        action: &str,
        object: &str,
    ) -> Result<(), ApiError> {
        if caller.may(role, namespace) {
            return Ok(());
        }
        let scope =
            namespace.map_or_else(|| "every namespace".to_owned(), |name| format!("namespace {name}"));
        let needed = format!("this needs the role {} in {scope}", role.as_str());
        self.note(&caller.id, action, object, Outcome::Refused, &needed).await;
        Err(ApiError::new(StatusCode::FORBIDDEN, "", needed))
    }

    /// Notes what came of a change.
    pub(super) async fn noted<T>(
        &self,
        caller: &Caller,
        action: &str,
        object: &str,
        result: Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        match &result {
            Ok(_) => self.note(&caller.id, action, object, Outcome::Done, "").await,
            Err(error) => {
                let server = error.status.is_server_error();
                let outcome = if server { Outcome::Failed } else { Outcome::Refused };
                self.note(&caller.id, action, object, outcome, &error.summary()).await;
            }
        }
        result
    }

    async fn note(&self, actor: &str, action: &str, object: &str, outcome: Outcome, detail: &str) {
        let entry = NewAuditEntry {
            time_ms: now_ms(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            // Paths and names are the caller's text.
            object: object.chars().take(512).collect(),
            outcome,
            detail: detail.chars().take(1024).collect(),
        };
        if let Err(error) = self.store.audit(&entry).await {
            tracing::error!(%error, "the audit trail could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role, namespace: Option<&str>) -> Caller {
        Caller { id: "t".to_owned(), role, namespace: namespace.map(str::to_owned) }
    }

    #[test]
    fn a_role_may_what_those_below_it_may_and_no_more() {
        for (has, own) in Role::ALL.iter().enumerate() {
            for (needs, needed) in Role::ALL.iter().enumerate() {
                assert_eq!(caller(*own, None).may(*needed, Some("shop")), has >= needs, "{own:?} {needed:?}");
            }
        }
    }

    #[test]
    fn a_token_of_a_namespace_is_good_in_it_and_nowhere_else() {
        let admin = caller(Role::Admin, Some("shop"));
        assert!(admin.may(Role::Admin, Some("shop")));
        assert!(!admin.may(Role::Viewer, Some("money")));
        assert!(!admin.may(Role::Viewer, Some("shopping")));
        assert!(!admin.may(Role::Viewer, None), "what is about all namespaces is not about its own only");
    }
}
