//! What each sidecar last said about its policy.

use palisade_model::WorkloadId;
use serde::Serialize;

use crate::store::{Store, StoreError};

/// The longest error text kept, in bytes: a sidecar writes it.
const MAX_ERROR_BYTES: usize = 4096;

/// The last word of one workload's sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SidecarStatus {
    /// The workload.
    pub workload: WorkloadId,
    /// The version it spoke of.
    pub version: String,
    /// Whether it took it.
    pub acked: bool,
    /// Why it did not.
    pub error: String,
    /// Milliseconds since the epoch.
    pub last_seen_ms: i64,
}

type Row = (String, String, String, String, String, i64, String, i64);

impl Store {
    /// Keeps a sidecar's word in place of its last one.
    pub async fn report_sidecar(&self, status: &SidecarStatus) -> Result<(), StoreError> {
        let error: String = status
            .error
            .char_indices()
            .take_while(|(at, c)| at + c.len_utf8() <= MAX_ERROR_BYTES)
            .map(|(_, c)| c)
            .collect();
        sqlx::query(
            "INSERT INTO sidecars (cluster, tenant, namespace, name, version, acked, error, last_seen_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (cluster, tenant, namespace, name) DO UPDATE SET version = excluded.version, \
             acked = excluded.acked, error = excluded.error, last_seen_ms = excluded.last_seen_ms",
        )
        .bind(&status.workload.cluster)
        .bind(&status.workload.tenant)
        .bind(&status.workload.namespace)
        .bind(&status.workload.name)
        .bind(&status.version)
        .bind(i64::from(status.acked))
        .bind(error)
        .bind(status.last_seen_ms)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Every sidecar that ever spoke, ordered by workload.
    pub async fn sidecars(&self) -> Result<Vec<SidecarStatus>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT cluster, tenant, namespace, name, version, acked, error, last_seen_ms FROM sidecars \
             ORDER BY cluster, tenant, namespace, name",
        )
        .fetch_all(&self.pool)
        .await?;
        let status = |(cluster, tenant, namespace, name, version, acked, error, last_seen_ms): Row| {
            let workload = WorkloadId { cluster, tenant, namespace, name };
            SidecarStatus { workload, version, acked: acked != 0, error, last_seen_ms }
        };
        Ok(rows.into_iter().map(status).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_at_the_limit_is_kept_whole_and_a_longer_one_cut_at_a_character() {
        let store = Store::memory().await.unwrap();
        let at = "x".repeat(MAX_ERROR_BYTES);
        let wide = "x".repeat(MAX_ERROR_BYTES - 1);
        for (error, kept) in [
            (wide.clone(), wide.clone()),
            (at.clone(), at.clone()),
            (format!("{at}x"), at.clone()),
            (format!("{wide}é"), wide.clone()),
        ] {
            let workload = WorkloadId::local("shop", "web");
            let version = "1".to_owned();
            let status = SidecarStatus { workload, version, acked: false, error, last_seen_ms: 1 };
            store.report_sidecar(&status).await.unwrap();
            assert_eq!(store.sidecars().await.unwrap()[0].error, kept);
        }
    }
}
