//! What one transaction is judged by: the enforced engine and, optionally, a staged one that only records.

use std::sync::Arc;

use palisade_model::{BodyKind, Connection, Denial, RequestHead};

use crate::{Engine, Exchange, Step, TcpPermit, request};

/// A pair of engines, swapped as one.
#[derive(Clone, Debug)]
pub struct Snapshot {
    enforced: Arc<Engine>,
    staged: Option<Arc<Engine>>,
}

impl Snapshot {
    /// A snapshot of an enforced engine and perhaps a staged one.
    pub fn new(enforced: Arc<Engine>, staged: Option<Arc<Engine>>) -> Self {
        Self { enforced, staged }
    }

    /// The engine that decides.
    pub fn enforced(&self) -> &Arc<Engine> {
        &self.enforced
    }

    /// The engine that only records what it would have decided.
    pub fn staged(&self) -> Option<&Arc<Engine>> {
        self.staged.as_ref()
    }

    /// Judges a connection whose bytes are opaque. Called again for open connections at every swap.
    pub fn connection(&self, connection: &Connection) -> Result<TcpPermit, Denial> {
        self.enforced.connection(connection)
    }

    /// Judges a request head. The body, if the policy inspects it, is asked for with [`Step::NeedBody`].
    pub fn request(
        &self,
        connection: &Connection,
        head: RequestHead,
        body: BodyKind,
        exchange: Exchange,
    ) -> Step {
        request::judge(self, connection, head, body, exchange)
    }
}
