//! The listeners that are open, kept equal to what is asked for.
//!
//! Promises: new sockets are bound before anything else changes, so that a policy whose listener cannot be bound is
//! refused whole; a listener that is no longer asked for accepts no more, and its connections end by themselves.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use palisade_model::policy::Listener;
use tokio::task::JoinHandle;

use super::Bound;
use crate::plane::Plane;

/// A listener that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("listener {name}: cannot listen on {address}: {error}")]
pub struct BindError {
    name: String,
    address: SocketAddr,
    error: io::Error,
}

/// The open listeners by name.
#[derive(Debug, Default)]
pub struct ListenerSet {
    open: HashMap<String, Open>,
}

#[derive(Debug)]
struct Open {
    asked: Listener,
    bound: SocketAddr,
    task: JoinHandle<()>,
}

/// Sockets that are bound and do not accept yet.
#[derive(Debug)]
pub struct Prepared {
    bound: Vec<(Listener, Bound)>,
    wanted: Vec<Listener>,
}

impl ListenerSet {
    /// Binds what is new in `wanted`. Nothing changes before [`Self::open`].
    pub fn prepare(&self, wanted: &[Listener], plane: &Plane) -> Result<Prepared, BindError> {
        let mut bound = Vec::new();
        for listener in wanted {
            if self.open.get(&listener.name).is_some_and(|open| open.asked == *listener) {
                continue;
            }
            let opened = Bound::bind(listener, plane).map_err(|error| BindError {
                name: listener.name.clone(),
                address: listener.address,
                error,
            })?;
            bound.push((listener.clone(), opened));
        }
        Ok(Prepared { bound, wanted: wanted.to_vec() })
    }

    /// Accepts on what was prepared, and no longer on what is not wanted.
    pub fn open(&mut self, prepared: Prepared, plane: &Arc<Plane>) {
        self.open.retain(|_, open| {
            let keep = prepared.wanted.contains(&open.asked);
            if !keep {
                open.task.abort();
            }
            keep
        });
        for (asked, bound) in prepared.bound {
            let address = bound.address();
            tracing::info!(listener = asked.name, %address, "listening");
            let task = tokio::spawn(bound.run(plane.clone()));
            self.open.insert(asked.name.clone(), Open { asked, bound: address, task });
        }
    }

    /// Names and bound addresses.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let mut all: Vec<_> = self.open.iter().map(|(name, open)| (name.clone(), open.bound)).collect();
        all.sort();
        all
    }
}

impl Drop for ListenerSet {
    fn drop(&mut self) {
        for open in self.open.values() {
            open.task.abort();
        }
    }
}
