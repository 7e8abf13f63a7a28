//! Security events on their way from the OTLP receiver to the store.
//!
//! Promises: an event is filed under the workload its sender proved to be; the receiver never waits; what there is no
//! room for is refused to the sender, who tries again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use palisade_identity::service::caller;
use palisade_model::WorkloadId;
use palisade_model::record::VerdictFacts;
use palisade_store::{NewEvent, Store};
use palisade_telemetry::receiver::{Identify, Sink, SinkFull};
use palisade_telemetry::{Event, EventError};
use tokio::sync::mpsc;
use tonic::{Extensions, Status};

use crate::admission::Admission;

/// Batches that wait to be written; a batch is at most one OTLP request.
const QUEUE: usize = 64;

/// Files events in the store.
#[derive(Clone, Debug)]
pub struct EventSink {
    writes: mpsc::Sender<Vec<NewEvent>>,
    accepted: Arc<AtomicU64>,
    rejected: Arc<AtomicU64>,
}

impl EventSink {
    /// Starts writing.
    pub fn new(store: Store) -> Self {
        let (writes, mut waiting) = mpsc::channel::<Vec<NewEvent>>(QUEUE);
        tokio::spawn(async move {
            while let Some(events) = waiting.recv().await {
                if let Err(error) = store.add_events(&events).await {
                    tracing::error!(%error, count = events.len(), "events could not be written");
                }
            }
        });
        Self { writes, accepted: Arc::default(), rejected: Arc::default() }
    }

    /// Log records that were events, and those that were not, since the start.
    pub fn counts(&self) -> (u64, u64) {
        (self.accepted.load(Ordering::Relaxed), self.rejected.load(Ordering::Relaxed))
    }
}

impl Sink for EventSink {
    fn events(&self, workload: &WorkloadId, events: Vec<Event>) -> Result<(), SinkFull> {
        let rows: Vec<NewEvent> = events.into_iter().map(|event| row(workload, &event)).collect();
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        self.writes.try_send(rows).map_err(|_| SinkFull)?;
        self.accepted.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    fn rejected(&self, _: &WorkloadId, records: u64, _: &EventError) {
        self.rejected.fetch_add(records, Ordering::Relaxed);
    }

    fn spans(&self, _: &WorkloadId, _: u64) {}

    fn metrics(&self, _: &WorkloadId, _: u64) {}
}

fn row(workload: &WorkloadId, event: &Event) -> NewEvent {
    let reason = match &event.record.verdict {
        VerdictFacts::Permit => "permit",
        VerdictFacts::Deny(denial) => denial.reason.as_str(),
    };
    NewEvent {
        reference: event.record.reference.clone(),
        time_ms: i64::try_from(event.record.time_ms).unwrap_or(i64::MAX),
        workload: workload.clone(),
        reason: reason.to_owned(),
        // Plain data with text keys: writing it to memory cannot fail.
        record: serde_json::to_string(&event.record).unwrap_or_else(|_| "{}".to_owned()),
    }
}

/// Names a sender by its proven principal: the workload it claims to be if that has this principal, else the only one
/// that has it.
#[derive(Clone, Debug)]
pub struct ProvenSender {
    /// Where the inventory is.
    pub admission: Admission,
}

impl Identify for ProvenSender {
    fn identify(&self, peer: &Extensions, claimed: Option<&WorkloadId>) -> Result<WorkloadId, Status> {
        let proven = caller(peer, std::time::SystemTime::now())
            .map_err(|error| Status::unauthenticated(error.to_string()))?
            .ok_or_else(|| Status::unauthenticated("a client certificate is needed"))?;
        let accepted = self.admission.accepted();
        let index = &accepted.index;
        if let Some(claimed) = claimed
            && index.principal(claimed) == Some(&proven)
        {
            return Ok(claimed.clone());
        }
        let mut own = index.workloads().filter(|id| index.principal(id) == Some(&proven));
        match (own.next(), own.next()) {
            (Some(only), None) => Ok(only.clone()),
            (Some(_), Some(_)) => Err(Status::permission_denied("the certificate is not that workload's")),
            (None, _) => Err(Status::permission_denied("the certificate is of no workload of the inventory")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn batches_up_to_the_limit_wait_and_the_next_is_refused_until_there_is_room() {
        let sink = EventSink::new(Store::memory().await.unwrap());
        let workload = WorkloadId::local("shop", "web");
        // Nothing is awaited between, so nothing is written yet.
        for batch in 1..=QUEUE {
            assert!(sink.events(&workload, Vec::new()).is_ok(), "{batch}");
        }
        assert!(sink.events(&workload, Vec::new()).is_err(), "one over the limit");
        while sink.writes.capacity() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(sink.events(&workload, Vec::new()).is_ok());
    }
}
