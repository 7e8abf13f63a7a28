//! Makes API tokens and join tokens, for the REST API and for the command line.

use palisade_identity::{IdentityError, JoinToken};
use palisade_model::{Principal, WorkloadId};
use palisade_store::{JoinTokenRecord, Role, Store, StoreError, TokenRecord};
use rustls_pki_types::CertificateDer;

use crate::secret::{self, NoRandomness};

/// How long a join token is good unless told otherwise, in seconds: an hour. What is asked for may be longer, up to
/// [`MAX_JOIN_TTL_SECONDS`].
pub const JOIN_TTL_SECONDS: u64 = 3600;
/// The longest a join token is good, in seconds: thirty days. A token that lies about for longer is forgotten.
pub const MAX_JOIN_TTL_SECONDS: u64 = 30 * 24 * 3600;
/// The most uses of a join token: the replicas of a large workload.
pub const MAX_JOIN_USES: u32 = 10_000;
/// The longest an API token is good if it expires at all, in seconds: ten years.
pub const MAX_TOKEN_TTL_SECONDS: u64 = 10 * 365 * 24 * 3600;

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A field of the request.
    #[error("{field}: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// One sentence.
        problem: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// No join token.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl From<CredentialError> for crate::rest::ApiError {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Field { field, problem } => Self::bad_request(field, problem),
            CredentialError::Store(error) => error.into(),
            other => Self::unavailable(&other),
        }
    }
}

/// An API token to make.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it may do.
    pub role: Role,
    /// The only namespace it is good for.
    pub namespace: Option<String>,
    /// What it is for.
    pub description: String,
    /// Seconds until it expires; none: never.
    pub ttl_seconds: Option<u64>,
}

/// Makes an API token; gives its public name and the token.
pub async fn make_token(
    store: &Store,
    new: NewToken,
    now_ms: i64,
) -> Result<(String, String), CredentialError> {
    let expires_ms = match new.ttl_seconds {
        None => None,
        Some(seconds) => Some(deadline("ttlSeconds", seconds, MAX_TOKEN_TTL_SECONDS, now_ms)?),
    };
    let (id, token) = (secret::new_id()?, secret::new_token()?);
    let record = TokenRecord {
        id: id.clone(),
        digest: secret::digest(&token),
        role: new.role,
        namespace: new.namespace,
        description: new.description.chars().take(256).collect(),
        created_ms: now_ms,
        expires_ms,
    };
    store.add_token(&record).await?;
    Ok((id, token))
}

/// A join token to make.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// The workload it is bound to.
    pub workload: WorkloadId,
    /// The principal that is signed for it.
    pub principal: Principal,
    /// Who makes it.
    pub author: String,
    /// Seconds until it expires.
    pub ttl_seconds: Option<u64>,
    /// How often it may be used.
    pub uses: Option<u32>,
}

/// Makes a join token; gives the token and what is kept of it.
pub async fn make_join_token(
    store: &Store,
    root: &CertificateDer<'_>,
    request: JoinRequest,
    now_ms: i64,
) -> Result<(String, JoinTokenRecord), CredentialError> {
    let ttl = request.ttl_seconds.unwrap_or(JOIN_TTL_SECONDS);
    let expires_ms = deadline("ttlSeconds", ttl, MAX_JOIN_TTL_SECONDS, now_ms)?;
    let uses = request.uses.unwrap_or(1);
    if uses == 0 || uses > MAX_JOIN_USES {
        let problem = format!("{uses} is not between 1 and {MAX_JOIN_USES}");
        return Err(CredentialError::Field { field: "uses", problem });
    }
    let token = JoinToken::generate(root)?;
    let record = JoinTokenRecord {
        digest: token.digest(),
        workload: request.workload,
        principal: request.principal,
        author: request.author,
        expires_ms,
        uses_left: i64::from(uses),
    };
    store.remove_dead_join_tokens(now_ms).await?;
    store.add_join_token(&record).await?;
    Ok((token.to_string(), record))
}

fn deadline(field: &'static str, seconds: u64, most: u64, now_ms: i64) -> Result<i64, CredentialError> {
    if seconds == 0 || seconds > most {
        let problem = format!("{seconds} is not between 1 and {most}");
        return Err(CredentialError::Field { field, problem });
    }
    let ms = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    Ok(now_ms.saturating_add(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_limit_of_an_api_tokens_time_is_exact_and_it_need_not_end() {
        let store = Store::memory().await.unwrap();
        let most = MAX_TOKEN_TTL_SECONDS;
        let expires = |seconds: u64| Some(1000 + 1000 * i64::try_from(seconds).unwrap());
        for (ttl_seconds, made) in [
            (None, Some(None)),
            (Some(0), None),
            (Some(1), Some(expires(1))),
            (Some(most - 1), Some(expires(most - 1))),
            (Some(most), Some(expires(most))),
            (Some(most + 1), None),
            (Some(u64::MAX), None),
        ] {
            let new =
                NewToken { role: Role::Viewer, namespace: None, description: String::new(), ttl_seconds };
            let id = make_token(&store, new, 1000).await.ok().map(|(id, _)| id);
            let kept = store.tokens().await.unwrap().into_iter().find(|token| Some(&token.id) == id.as_ref());
            assert_eq!(kept.map(|token| token.expires_ms), made, "{ttl_seconds:?}");
        }
    }

    #[tokio::test]
    async fn a_join_token_nobody_said_more_about_is_good_once_and_for_an_hour() {
        let store = Store::memory().await.unwrap();
        let request = JoinRequest {
            workload: WorkloadId::local("shop", "web"),
            principal: Principal::new("td", "shop", "web").unwrap(),
            author: "t".to_owned(),
            ttl_seconds: None,
            uses: None,
        };
        let root = CertificateDer::from(vec![1]);
        let (_, record) = make_join_token(&store, &root, request, 1000).await.unwrap();
        assert_eq!((record.uses_left, record.expires_ms), (1, 1000 + 3_600_000));
        assert_eq!(JOIN_TTL_SECONDS, 3600);
    }

    #[tokio::test]
    async fn the_limits_of_join_tokens_are_exact() {
        let store = Store::memory().await.unwrap();
        let root = CertificateDer::from(vec![1]);
        let make = async |ttl: u64, uses: u32| {
            let request = JoinRequest {
                workload: WorkloadId::local("shop", "web"),
                principal: Principal::new("td", "shop", "web").unwrap(),
                author: "t".to_owned(),
                ttl_seconds: Some(ttl),
                uses: Some(uses),
            };
            make_join_token(&store, &root, request, 1000).await.is_ok()
        };
        for (ttl, uses, good) in [
            (1, 1, true),
            (0, 1, false),
            (1, 0, false),
            (MAX_JOIN_TTL_SECONDS, MAX_JOIN_USES, true),
            (MAX_JOIN_TTL_SECONDS + 1, 1, false),
            (1, MAX_JOIN_USES + 1, false),
            (u64::MAX, 1, false),
        ] {
            assert_eq!(make(ttl, uses).await, good, "ttl {ttl} uses {uses}");
        }
    }
}
