//! Security events: a bounded ring, searchable by reference id and workload.

use palisade_model::WorkloadId;
use serde::Serialize;

use crate::store::{Store, StoreError, take_numbers};

/// How many events are kept. At about 2 KiB a record this is 200 MB; who needs more puts a collector between. One is
/// refused over 256 KiB where it is received, so that a hostile sidecar's make this a hundred times as much at most.
pub const MAX_EVENTS: i64 = 100_000;
/// The most rows one question is answered with.
pub const MAX_QUERY_ROWS: i64 = 1_000;

/// An event to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The reference id that the client was shown.
    pub reference: String,
    /// Milliseconds since the epoch.
    pub time_ms: i64,
    /// The workload whose sidecar sent it, as authenticated.
    pub workload: WorkloadId,
    /// The denial's reason, or `permit`.
    pub reason: String,
    /// The record as JSON.
    pub record: String,
}

/// An event as it was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRow {
    /// Its number; they only grow.
    pub seq: i64,
    /// The reference id.
    pub reference: String,
    /// Milliseconds since the epoch.
    pub time_ms: i64,
    /// The workload.
    pub workload: WorkloadId,
    /// The denial's reason, or `permit`.
    pub reason: String,
    /// The record as JSON.
    pub record: String,
}

/// Which events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Only those with this reference id.
    pub reference: Option<String>,
    /// Only those of this workload's namespace.
    pub namespace: Option<String>,
    /// Only those of the workload with this name.
    pub name: Option<String>,
    /// Only those older than this number.
    pub before: Option<i64>,
    /// At most this many, up to [`MAX_QUERY_ROWS`].
    pub limit: i64,
}

type Row = (i64, String, i64, String, String, String, String, String, String);

impl Store {
    /// Keeps events, all or none; the oldest make room.
    pub async fn add_events(&self, events: &[NewEvent]) -> Result<(), StoreError> {
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        if count == 0 {
            return Ok(());
        }
        let mut transaction = self.write().await?;
        let mut seq = take_numbers(&mut transaction, "event", count).await?;
        for event in events {
            sqlx::query(
                "INSERT INTO events (seq, reference, time_ms, cluster, tenant, namespace, name, reason, record) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(seq).bind(&event.reference).bind(event.time_ms).bind(&event.workload.cluster)
            .bind(&event.workload.tenant).bind(&event.workload.namespace).bind(&event.workload.name)
            .bind(&event.reason).bind(&event.record)
            .execute(&mut *transaction)
            .await?;
            seq += 1;
        }
        sqlx::query("DELETE FROM events WHERE seq < $1")
            .bind(seq - self.events_kept)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The newest events that fit, newest first.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<EventRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT seq, reference, time_ms, cluster, tenant, namespace, name, reason, record FROM events \
             WHERE ($1 IS NULL OR reference = $1) AND ($2 IS NULL OR namespace = $2) \
             AND ($3 IS NULL OR name = $3) AND seq < $4 ORDER BY seq DESC LIMIT $5",
        )
        .bind(&query.reference)
        .bind(&query.namespace)
        .bind(&query.name)
        .bind(query.before.unwrap_or(i64::MAX))
        .bind(query.limit.clamp(0, MAX_QUERY_ROWS))
        .fetch_all(&self.pool)
        .await?;
        let event = |(seq, reference, time_ms, cluster, tenant, namespace, name, reason, record): Row| {
            let workload = WorkloadId { cluster, tenant, namespace, name };
            EventRow { seq, reference, time_ms, workload, reason, record }
        };
        Ok(rows.into_iter().map(event).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_event_stays_until_the_ring_is_full_and_goes_with_the_one_after() {
        let store = Store::memory().await.unwrap();
        let event = NewEvent {
            reference: "r".to_owned(),
            time_ms: 1,
            workload: WorkloadId::local("shop", "web"),
            reason: "waf_request".to_owned(),
            record: "{}".to_owned(),
        };
        store.add_events(std::slice::from_ref(&event)).await.unwrap();
        // As if so many had come between: the ring goes by their numbers.
        sqlx::query("UPDATE counters SET value = $1 WHERE name = 'event'")
            .bind(MAX_EVENTS - 2)
            .execute(&store.pool)
            .await
            .unwrap();
        let mut kept = Vec::new();
        for _ in 0..3 {
            store.add_events(std::slice::from_ref(&event)).await.unwrap();
            let events = store.events(&EventQuery { limit: 10, ..EventQuery::default() }).await.unwrap();
            kept.push((events[0].seq, events.last().unwrap().seq));
        }
        assert_eq!(kept, [(MAX_EVENTS - 1, 1), (MAX_EVENTS, 1), (MAX_EVENTS + 1, MAX_EVENTS - 1)]);
    }
}
