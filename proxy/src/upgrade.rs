//! After a 101 that was asked for and matches: two byte streams, spliced until one ends.
//!
//! Promises: nothing of what the client sent early reaches the upstream before the 101; a policy that would refuse the
//! upgrade's head today ends the connection at its swap. The bytes are not inspected, and the record says so.

use std::sync::Arc;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use palisade_model::{BodyKind, RequestHead};
use palisade_rules::{Exchange, Permit, Step};

use crate::downstream::Downstream;
use crate::reference::Reference;
use crate::telemetry::epoch_ms;

/// The head of an upgrade, kept to be judged again at every swap.
#[derive(Debug)]
pub struct Again(Box<RequestHead>);

impl Again {
    /// Of a permit that is about to be spent; none if it asks for no upgrade.
    pub fn of(permit: &Permit) -> Option<Self> {
        permit.head().upgrade.is_some().then(|| Self(Box::new(permit.head().clone())))
    }

    fn is_refused(&self, downstream: &Downstream) -> bool {
        let active = downstream.plane.current.load();
        let exchange = Exchange { reference: Reference::next().text(), time_ms: epoch_ms() };
        let head = RequestHead::clone(&self.0);
        let step = active.snapshot.request(&downstream.connection, head, BodyKind::Empty, exchange);
        matches!(step, Step::Deny(_))
    }
}

/// The hop-by-hop headers of a 101, which end at each hop and are ours to say again.
pub fn confirm(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Splices both sides as soon as hyper hands them over.
pub fn splice(downstream: Arc<Downstream>, client: OnUpgrade, server: OnUpgrade, again: Option<Again>) {
    let guest = downstream.plane.drain.enter();
    tokio::spawn(async move {
        let _guest = guest;
        let (Ok(client), Ok(server)) = tokio::join!(client, server) else { return };
        let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
        let mut changed = downstream.plane.current.changed();
        let mut copy = std::pin::pin!(tokio::io::copy_bidirectional(&mut client, &mut server));
        loop {
            tokio::select! {
                result = copy.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(%error, "an upgraded connection broke off");
                    }
                    return;
                }
                Ok(()) = changed.changed() => {
                    if again.as_ref().is_some_and(|again| again.is_refused(&downstream)) {
                        tracing::info!(listener = downstream.connection.listener, "an upgraded connection is refused by new policy");
                        return;
                    }
                }
            }
        }
    });
}
