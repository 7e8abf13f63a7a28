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
        // By number, whatever came of the entry with that number: what is done between must not put the removal off.
        if seq % SLACK == 0 || self.refusals_kept < SLACK {
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(store: &Store) -> i64 {
        let (count,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM audit WHERE outcome = 'refused'")
            .fetch_one(&store.pool)
            .await
            .unwrap();
        count
    }

    fn entry(outcome: Outcome) -> NewAuditEntry {
        let text = || "a".to_owned();
        NewAuditEntry { time_ms: 1, actor: text(), action: text(), object: text(), outcome, detail: text() }
    }

    #[tokio::test]
    async fn refusals_are_kept_up_to_the_limit_and_removed_together_soon_after_it() {
        let store = Store::memory().await.unwrap();
        // Up to one number before a removal, and one refusal fewer than may stay.
        let last = (REFUSALS_KEPT / SLACK + 1) * SLACK - 1;
        sqlx::query(
            "INSERT INTO audit WITH RECURSIVE numbers (n) AS (SELECT $1 UNION ALL SELECT n + 1 FROM numbers \
             WHERE n < $2) SELECT n, 1, 'a', 'a', 'a', 'refused', '' FROM numbers",
        )
        .bind(last - REFUSALS_KEPT + 2)
        .bind(last)
        .execute(&store.pool)
        .await
        .unwrap();
        sqlx::query("UPDATE counters SET value = $1 WHERE name = 'audit'")
            .bind(last)
            .execute(&store.pool)
            .await
            .unwrap();
        store.audit(&entry(Outcome::Refused)).await.unwrap();
        assert_eq!(refused(&store).await, REFUSALS_KEPT, "at the limit nothing is removed");
        for more in 1..SLACK {
            store.audit(&entry(Outcome::Refused)).await.unwrap();
            assert_eq!(refused(&store).await, REFUSALS_KEPT + more);
        }
        // The entry whose number removes is one of something that was done.
        store.audit(&entry(Outcome::Done)).await.unwrap();
        assert_eq!(refused(&store).await, REFUSALS_KEPT);
    }
}
