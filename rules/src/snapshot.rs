//! What one transaction is judged by: the enforced engine and, optionally, a staged one that only records.

use std::sync::Arc;

use palisade_model::{BodyKind, Connection, Denial, RequestHead};

use crate::{Engine, Exchange, Step, TcpPermit, request};

/// What outlives a transaction and every swap of engines. The proxy owns it; clones share it.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The WAF's persistent collections.
    pub(crate) collections: Arc<palisade_waf::persistent::Collections>,
}

/// A pair of engines, swapped as one.
#[derive(Clone, Debug)]
pub struct Snapshot {
    enforced: Arc<Engine>,
    staged: Option<Arc<Engine>>,
    state: State,
}

impl Snapshot {
    /// A snapshot of an enforced engine and perhaps a staged one.
    pub fn new(enforced: Arc<Engine>, staged: Option<Arc<Engine>>) -> Self {
        Self { enforced, staged, state: State::default() }
    }

    /// The same with what an earlier snapshot's transactions remember.
    pub fn with_state(self, state: State) -> Self {
        Self { state, ..self }
    }

    /// What outlives transactions.
    pub fn state(&self) -> &State {
        &self.state
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
