//! The audit trail: who did or tried what, when, and with what outcome.

use serde::{Deserialize, Serialize};

use crate::store::{Store, StoreError, take_numbers};

/// How many refused attempts are kept. Anybody can be refused, so they must not fill the disk; what was done is kept
/// for ever.
pub const REFUSALS_KEPT: i64 = 100_000;
/// Refusals over the bound that are tolerated before they are removed together, since removing is a scan.
const SLACK: i64 = 64;

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not allowed, or not valid.
    Refused,
    /// It was allowed and went wrong.
    Failed,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// An entry to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAuditEntry {
    /// Milliseconds since the epoch.
    pub time_ms: i64,
    /// Who: a token's id, `directory`, a principal, `anonymous`.
    pub actor: String,
    /// What, e.g. `document.put`.
    pub action: String,
    /// To what, e.g. `AuthorizationPolicy shop/web`.
    pub object: String,
    /// What came of it.
    pub outcome: Outcome,
    /// One sentence; never a token or a body.
    pub detail: String,
}

/// An entry as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Its number; they only grow.
    pub seq: i64,
    /// Milliseconds since the epoch.
    pub time_ms: i64,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub object: String,
    /// `done`, `refused`, `failed`.
    pub outcome: String,
    /// One sentence.
    pub detail: String,
}

type AuditRow = (i64, i64, String, String, String, String, String);

impl Store {
    /// Writes an entry.
    pub async fn audit(&self, entry: &NewAuditEntry) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let seq = take_numbers(&mut transaction, "audit", 1).await?;
        sqlx::query(
            "INSERT INTO audit (seq, time_ms, actor, action, object, outcome, detail) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(seq)
        .bind(entry.time_ms)
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(&entry.object)
        .bind(entry.outcome.as_str())
        .bind(&entry.detail)
        .execute(&mut *transaction)
        .await?;
        if entry.outcome == Outcome::Refused && (seq % SLACK == 0 || self.refusals_kept < SLACK) {
            sqlx::query(
                "DELETE FROM audit WHERE outcome = 'refused' AND seq <= \
                 (SELECT seq FROM audit WHERE outcome = 'refused' ORDER BY seq DESC LIMIT 1 OFFSET $1)",
            )
            .bind(self.refusals_kept)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The newest entries, newest first; `before` continues after the last one seen.
    pub async fn audit_entries(
        &self,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let rows: Vec<AuditRow> = sqlx::query_as(
            "SELECT seq, time_ms, actor, action, object, outcome, detail FROM audit \
             WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
        )
        .bind(before.unwrap_or(i64::MAX))
        .bind(limit.clamp(0, crate::MAX_QUERY_ROWS))
        .fetch_all(&self.pool)
        .await?;
        let entry = |(seq, time_ms, actor, action, object, outcome, detail): AuditRow| AuditEntry {
            seq,
            time_ms,
            actor,
            action,
            object,
            outcome,
            detail,
        };
        Ok(rows.into_iter().map(entry).collect())
    }
}
