//! API tokens: who may use the REST API, and as what.

use serde::{Deserialize, Serialize};

use crate::store::{Store, StoreError};

/// What a token may do. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read everything but the audit trail and tokens.
    Viewer,
    /// Change documents.
    Editor,
    /// Approve what others changed.
    Approver,
    /// Everything.
    Admin,
}

impl Role {
    /// Every role, lowest first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Editor, Self::Approver, Self::Admin];

    /// The name used in the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is not a role (viewer, editor, approver, admin)"))
    }
}

/// A token as it is kept: without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRecord {
    /// Its public name; revisions and the audit trail show it.
    pub id: String,
    /// The SHA-256 digest of the token, in hexadecimal.
    #[serde(skip)]
    pub digest: String,
    /// What it may do.
    pub role: Role,
    /// The only namespace it is good for; none: every one.
    pub namespace: Option<String>,
    /// What it is for.
    pub description: String,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
    /// Milliseconds since the epoch from which it is not good any more; none: never.
    pub expires_ms: Option<i64>,
}

type TokenRow = (String, String, String, Option<String>, String, i64, Option<i64>);

const COLUMNS: &str = "SELECT id, digest, role, namespace, description, created_ms, expires_ms FROM tokens";

impl Store {
    /// Keeps a new token.
    pub async fn add_token(&self, token: &TokenRecord) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO tokens (id, digest, role, namespace, description, created_ms, expires_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&token.id)
        .bind(&token.digest)
        .bind(token.role.as_str())
        .bind(&token.namespace)
        .bind(&token.description)
        .bind(token.created_ms)
        .bind(token.expires_ms)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The token with this digest, if it is good at this time.
    pub async fn token_by_digest(
        &self,
        digest: &str,
        now_ms: i64,
    ) -> Result<Option<TokenRecord>, StoreError> {
        let row: Option<TokenRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "{COLUMNS} WHERE digest = $1 AND (expires_ms IS NULL OR expires_ms > $2)"
        )))
        .bind(digest)
        .bind(now_ms)
        .fetch_optional(&self.pool)
        .await?;
        row.map(record).transpose()
    }

    /// Every token, oldest first.
    pub async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let rows: Vec<TokenRow> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("{COLUMNS} ORDER BY created_ms, id")))
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter().map(record).collect()
    }

    /// Forgets a token. Whether there was one.
    pub async fn remove_token(&self, id: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM tokens WHERE id = $1").bind(id).execute(&self.pool).await?;
        Ok(done.rows_affected() > 0)
    }
}

fn record(row: TokenRow) -> Result<TokenRecord, StoreError> {
    let (id, digest, role, namespace, description, created_ms, expires_ms) = row;
    let unreadable = |value| StoreError::Unreadable { table: "tokens", column: "role", value };
    let role = role.parse().map_err(|_| unreadable(role))?;
    Ok(TokenRecord { id, digest, role, namespace, description, created_ms, expires_ms })
}
