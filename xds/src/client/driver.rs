//! The client's I/O: connections one after the other, and between them the state machine.

use std::collections::VecDeque;
use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use ads::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3 as ads;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::backoff::{Backoff, chance};
use super::state::Actions;
use super::{Client, Outcome, PolicyUpdate};
use crate::limits::RESPONSE_BYTES;

/// Requests that wait to be sent, before responses are no longer read. A stream begins with seven.
const QUEUED_REQUESTS: usize = 16;

/// Why a stream ended.
enum Ended {
    /// Nobody takes updates any more.
    NoReceiver,
    /// The connection failed.
    Failed(String),
}

impl Client {
    /// Keeps a stream to the control plane and puts every complete policy into `updates`; ends when its receiver is
    /// gone. `connect` makes the channel of each connection.
    pub async fn run<C, F, E>(mut self, mut connect: C, updates: mpsc::Sender<PolicyUpdate>)
    where
        C: FnMut() -> F,
        F: Future<Output = Result<Channel, E>>,
        E: Display,
    {
        let mut backoff = Backoff::new(self.options.backoff_min, self.options.backoff_max);
        loop {
            let error = match connect().await {
                Err(error) => error.to_string(),
                Ok(channel) => match self.stream(channel, &updates, &mut backoff).await {
                    Ended::NoReceiver => return,
                    Ended::Failed(error) => error,
                },
            };
            let wait = backoff.next(chance());
            tracing::warn!(error, wait_ms = wait.as_millis() as u64, "connection to the control plane ended");
            self.status.send_modify(|status| {
                status.connected = false;
                status.last_error = Some(error);
            });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = updates.closed() => return,
            }
        }
    }

    async fn stream(
        &mut self,
        channel: Channel,
        updates: &mpsc::Sender<PolicyUpdate>,
        backoff: &mut Backoff,
    ) -> Ended {
        // An answer that came while there was no connection counts before we say what we have.
        if let Some(Ok(outcome)) = self.answer.as_mut().map(oneshot::Receiver::try_recv) {
            self.on_answer(outcome);
        }
        let mut queue: VecDeque<_> = self.state.on_connected().into();
        let (requests, stream) = mpsc::channel(QUEUED_REQUESTS);
        let mut client =
            AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(RESPONSE_BYTES);
        // The server answers with headers only once it knows who asks: the first requests must be on their way.
        while let Some(request) = queue.pop_front() {
            if let Err(error) = requests.try_send(request) {
                queue.push_front(error.into_inner());
                break;
            }
        }
        let response = tokio::select! {
            response = client.delta_aggregated_resources(ReceiverStream::new(stream)) => response,
            () = updates.closed() => return Ended::NoReceiver,
        };
        let mut responses = match response {
            Ok(response) => response.into_inner(),
            Err(status) => return Ended::Failed(describe(&status)),
        };
        let mut deadline = None;
        loop {
            deadline = due(deadline, self.state.incomplete(), self.options.completion);
            tokio::select! {
                permit = requests.reserve(), if !queue.is_empty() => match (permit, queue.pop_front()) {
                    (Ok(permit), Some(request)) => permit.send(request),
                    _ => return Ended::Failed("the stream takes no requests any more".to_owned()),
                },
                message = responses.message(), if queue.len() < QUEUED_REQUESTS => match message {
                    Ok(Some(response)) => {
                        backoff.reset();
                        let actions = self.on_response(response);
                        queue.extend(actions);
                    }
                    Ok(None) => return Ended::Failed("the control plane closed the stream".to_owned()),
                    Err(status) => return Ended::Failed(describe(&status)),
                },
                permit = updates.reserve(), if self.offer.is_some() => match permit {
                    Ok(permit) => self.hand_over(permit),
                    Err(_) => return Ended::NoReceiver,
                },
                outcome = answered(&mut self.answer) => queue.extend(self.on_answer(outcome)),
                () = expired(deadline) => {
                    let actions = self.state.on_completion_timeout();
                    queue.extend(self.take(actions));
                }
                () = updates.closed() => return Ended::NoReceiver,
            }
        }
    }

    fn on_response(&mut self, response: ads::DeltaDiscoveryResponse) -> Vec<ads::DeltaDiscoveryRequest> {
        self.status.send_if_modified(|status| !std::mem::replace(&mut status.connected, true));
        for refused in response.resource_errors.iter().take(8) {
            let name = refused.resource_name.as_ref().map_or("", |name| name.name.as_str());
            tracing::warn!(name, type_url = response.type_url, "the control plane refuses a resource");
        }
        let actions = self.state.on_response(response);
        self.take(actions)
    }

    fn on_answer(&mut self, outcome: Outcome) -> Vec<ads::DeltaDiscoveryRequest> {
        self.answer = None;
        let actions = self.state.on_outcome(match outcome {
            Outcome::Accepted => Ok(()),
            Outcome::Rejected(reason) => Err(reason),
        });
        self.take(actions)
    }

    /// Notes what the state machine wants done, and returns what is to be sent.
    fn take(&mut self, actions: Actions) -> Vec<ads::DeltaDiscoveryRequest> {
        if actions.offer.is_some() {
            self.offer = actions.offer;
        }
        let state = &self.state;
        self.status.send_if_modified(|status| {
            let before = status.clone();
            status.version = state.version().map(str::to_owned);
            status.rejected = state.rejected().cloned();
            status.withdrawn = state.withdrawn();
            *status != before
        });
        actions.requests
    }

    fn hand_over(&mut self, permit: mpsc::Permit<'_, PolicyUpdate>) {
        if let Some(offer) = self.offer.take() {
            let (answer, receiver) = oneshot::channel();
            self.answer = Some(receiver);
            permit.send(PolicyUpdate { policy: offer.policy, version: offer.version, answer });
        }
    }
}

/// The outcome of the update that was handed over; never without one.
async fn answered(answer: &mut Option<oneshot::Receiver<Outcome>>) -> Outcome {
    match answer {
        Some(receiver) => match receiver.await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Rejected("the update was dropped without an answer".to_owned()),
        },
        None => std::future::pending().await,
    }
}

/// When a manifest that waits for its fragments is given up. One that takes its place has no time of its own.
fn due(before: Option<Instant>, incomplete: bool, limit: Duration) -> Option<Instant> {
    incomplete.then(|| before.unwrap_or_else(|| Instant::now() + limit))
}

async fn expired(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn describe(status: &tonic::Status) -> String {
    format!("{:?}: {}", status.code(), super::cut(status.message().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientOptions;
    use crate::limits::COMPLETION_SECONDS;

    #[tokio::test(start_paused = true)]
    async fn a_manifest_waits_for_its_fragments_until_the_limit_and_no_longer() {
        let limit = ClientOptions::default().completion;
        assert_eq!(limit.as_secs(), COMPLETION_SECONDS);
        let first = due(None, true, limit);
        let over = async |deadline| tokio::time::timeout(Duration::ZERO, expired(deadline)).await.is_ok();
        tokio::time::sleep(limit - Duration::from_millis(1)).await;
        assert_eq!(due(first, true, limit), first, "a later manifest gives it no more time");
        assert!(!over(first).await);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(over(first).await);
        assert_eq!(due(first, false, limit), None, "what is complete waits for nothing");
        assert!(!over(None).await);
    }
}
