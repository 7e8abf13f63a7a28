//! Join tokens: which workload a secret stands for, how long, and how often.

use palisade_model::{Principal, WorkloadId};

use crate::store::{Store, StoreError};

/// A join token as it is kept: without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinTokenRecord {
    /// The digest of its secret, in hexadecimal.
    pub digest: String,
    /// The workload it is bound to.
    pub workload: WorkloadId,
    /// The principal that is signed for it.
    pub principal: Principal,
    /// Who made it.
    pub author: String,
    /// Milliseconds since the epoch from which it is not good any more.
    pub expires_ms: i64,
    /// How often it may still be used.
    pub uses_left: i64,
}

/// What came of spending one use.
#[expect(clippy::large_enum_variant, reason = "one is made per bootstrap and read at once")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spent {
    /// It was good, and has one use less.
    Good(JoinTokenRecord),
    /// There is none with this digest.
    Unknown,
    /// It has expired.
    Expired,
    /// Every use was taken.
    UsedUp,
}

type Row = (String, String, String, String, String, String, String, i64, i64);

impl Store {
    /// Keeps a new join token.
    pub async fn add_join_token(&self, token: &JoinTokenRecord) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO join_tokens \
             (digest, cluster, tenant, namespace, name, principal, author, expires_ms, uses_left) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&token.digest)
        .bind(&token.workload.cluster)
        .bind(&token.workload.tenant)
        .bind(&token.workload.namespace)
        .bind(&token.workload.name)
        .bind(token.principal.to_string())
        .bind(&token.author)
        .bind(token.expires_ms)
        .bind(token.uses_left)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes one use, in one statement: of two that want the last, one gets it.
    pub async fn spend_join_token(&self, digest: &str, now_ms: i64) -> Result<Spent, StoreError> {
        let mut transaction = self.write().await?;
        let spent: Option<Row> = sqlx::query_as(
            "UPDATE join_tokens SET uses_left = uses_left - 1 \
             WHERE digest = $1 AND uses_left > 0 AND expires_ms > $2 \
             RETURNING digest, cluster, tenant, namespace, name, principal, author, expires_ms, uses_left",
        )
        .bind(digest)
        .bind(now_ms)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(row) = spent {
            let record = record(row)?;
            transaction.commit().await?;
            return Ok(Spent::Good(record));
        }
        let left: Option<(i64,)> = sqlx::query_as("SELECT expires_ms FROM join_tokens WHERE digest = $1")
            .bind(digest)
            .fetch_optional(&mut *transaction)
            .await?;
        Ok(match left {
            None => Spent::Unknown,
            Some((expires_ms,)) if expires_ms <= now_ms => Spent::Expired,
            Some(_) => Spent::UsedUp,
        })
    }

    /// Forgets tokens that can never be used again. How many there were.
    pub async fn remove_dead_join_tokens(&self, now_ms: i64) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM join_tokens WHERE expires_ms <= $1 OR uses_left <= 0")
            .bind(now_ms)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected())
    }
}

fn record(row: Row) -> Result<JoinTokenRecord, StoreError> {
    let (digest, cluster, tenant, namespace, name, principal, author, expires_ms, uses_left) = row;
    let unreadable = |value| StoreError::Unreadable { table: "join_tokens", column: "principal", value };
    Ok(JoinTokenRecord {
        digest,
        workload: WorkloadId { cluster, tenant, namespace, name },
        principal: principal.parse().map_err(|_| unreadable(principal))?,
        author,
        expires_ms,
        uses_left,
    })
}
