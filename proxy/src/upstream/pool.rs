//! Connections to one address, kept for the next request.
//!
//! Promises: a connection is lent to one HTTP/1 exchange at a time; one made under an older identity, idle too long
//! or closed by the peer is not lent; pools outlive policies and go when no policy names them. It does not retry.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use hyper::client::conn::{http1, http2};
use palisade_model::policy::UpstreamTls;

use super::Wire;
use super::connect::{self, ConnectFault};
use super::guarded::Answers;
use crate::http::InBody;
use crate::tls::Identity;

/// Idle HTTP/1 connections kept for one address. More concurrency than this opens and closes connections.
pub const IDLE_CONNECTIONS: usize = 256;
/// How long one may idle. Less than the 60 s and more after which common servers close theirs.
pub const IDLE_TIME: Duration = Duration::from_secs(50);
/// How long an address that could not be reached is passed over.
pub const FAILURE_PAUSE_MS: u64 = 5_000;

/// Connections to one address under one expectation of who is there.
#[derive(Debug)]
pub struct Pool {
    address: SocketAddr,
    tls: UpstreamTls,
    idle: Mutex<Vec<Idle>>,
    shared: Mutex<Option<Shared>>,
    connecting: tokio::sync::Mutex<()>,
    failed_until_ms: AtomicU64,
}

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<InBody>,
    answers: Arc<Answers>,
    since: Instant,
    generation: u64,
}

#[derive(Clone, Debug)]
struct Shared {
    sender: http2::SendRequest<InBody>,
    generation: u64,
}

/// A connection for one exchange.
#[derive(Debug)]
pub enum Lease {
    /// Given back with [`Lease::give_back`], or closed when it is dropped.
    Http1 {
        /// The connection.
        sender: http1::SendRequest<InBody>,
        /// What reads its answers.
        answers: Arc<Answers>,
        /// Where it goes back to.
        pool: Arc<Pool>,
        /// The identity it was made under.
        generation: u64,
        /// Whether it had served before.
        reused: bool,
    },
    /// A share of a connection.
    Http2 {
        /// The connection.
        sender: http2::SendRequest<InBody>,
        /// Whether it had served before.
        reused: bool,
    },
}

impl Lease {
    /// Whether the connection had served before.
    pub fn is_reused(&self) -> bool {
        match self {
            Self::Http1 { reused, .. } | Self::Http2 { reused, .. } => *reused,
        }
    }

    /// Whether the connection ended because its bytes could be read in two ways.
    pub fn refused(&self) -> bool {
        matches!(self, Self::Http1 { answers, .. } if answers.refused())
    }

    /// The exchange is over and the connection is good for another.
    pub fn give_back(self) {
        if let Self::Http1 { sender, answers, pool, generation, .. } = self
            && !sender.is_closed()
            && !answers.refused()
            && !answers.deaf()
        {
            let mut idle = lock(&pool.idle);
            if idle.len() < IDLE_CONNECTIONS {
                idle.push(Idle { sender, answers, since: Instant::now(), generation });
            }
        }
    }
}

impl Pool {
    /// Where it leads.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How connections are protected.
    pub fn tls(&self) -> &UpstreamTls {
        &self.tls
    }

    /// The address could not be reached.
    pub fn failed(&self, now_ms: u64) {
        self.failed_until_ms.store(now_ms.saturating_add(FAILURE_PAUSE_MS), Ordering::Relaxed);
    }

    /// Whether it is to be passed over.
    pub fn is_failing(&self, now_ms: u64) -> bool {
        self.failed_until_ms.load(Ordering::Relaxed) > now_ms
    }

    /// A connection for one exchange: an idle one, or a new one. `fresh`: an idle one just failed, open one. A shared
    /// connection that failed is known to be closed.
    pub async fn lease(
        self: &Arc<Self>,
        wire: Wire,
        identity: Option<&Identity>,
        fresh: bool,
        limit: Duration,
    ) -> Result<Lease, ConnectFault> {
        let generation = match &self.tls {
            UpstreamTls::None => 0,
            UpstreamTls::Mesh(_) => identity.ok_or(ConnectFault::NoIdentity)?.generation(),
        };
        match wire {
            Wire::Http1 => {
                if !fresh && let Some(lease) = self.take_idle(generation).await {
                    return Ok(lease);
                }
                // Connecting is rare and its future large: an exchange that finds a connection does not carry it.
                let (sender, answers) = Box::pin(connect::http1(self, identity, limit)).await?;
                Ok(Lease::Http1 { sender, answers, pool: self.clone(), generation, reused: false })
            }
            Wire::Http2 => match self.shared(generation) {
                Some(lease) => Ok(lease),
                None => Box::pin(self.lease_shared(identity, generation, limit)).await,
            },
        }
    }

    async fn take_idle(self: &Arc<Self>, generation: u64) -> Option<Lease> {
        loop {
            let mut idle = lock(&self.idle).pop()?;
            if idle.generation != generation
                || idle.sender.is_closed()
                || idle.answers.refused()
                || idle.since.elapsed() > IDLE_TIME
            {
                continue;
            }
            // The last exchange is over; the connection says so as soon as its task has run.
            if idle.sender.ready().await.is_ok() {
                return Some(Lease::Http1 {
                    sender: idle.sender,
                    answers: idle.answers,
                    pool: self.clone(),
                    generation,
                    reused: true,
                });
            }
        }
    }

    fn shared(&self, generation: u64) -> Option<Lease> {
        let mut shared = lock(&self.shared);
        if shared.as_ref().is_some_and(|one| one.generation != generation || one.sender.is_closed()) {
            *shared = None;
        }
        shared.as_ref().map(|one| Lease::Http2 { sender: one.sender.clone(), reused: true })
    }

    async fn lease_shared(
        self: &Arc<Self>,
        identity: Option<&Identity>,
        generation: u64,
        limit: Duration,
    ) -> Result<Lease, ConnectFault> {
        // One connects, the others wait for it.
        let _connecting = self.connecting.lock().await;
        if let Some(lease) = self.shared(generation) {
            return Ok(lease);
        }
        let sender = connect::http2(self, identity, limit).await?;
        *lock(&self.shared) = Some(Shared { sender: sender.clone(), generation });
        Ok(Lease::Http2 { sender, reused: false })
    }
}

/// All pools of the process.
#[derive(Debug, Default)]
pub struct Pools {
    by_key: Mutex<HashMap<(SocketAddr, UpstreamTlsKey), Weak<Pool>>>,
}

type UpstreamTlsKey = Option<Vec<palisade_model::Principal>>;

impl Pools {
    /// The pool of an address and an expectation. Called when a policy is compiled, not on the way of a request.
    pub fn pool(&self, address: SocketAddr, tls: &UpstreamTls) -> Arc<Pool> {
        let expected = match tls {
            UpstreamTls::None => None,
            UpstreamTls::Mesh(principals) => Some(principals.clone()),
        };
        let mut by_key = lock(&self.by_key);
        by_key.retain(|_, pool| pool.strong_count() > 0);
        if let Some(pool) = by_key.get(&(address, expected.clone())).and_then(Weak::upgrade) {
            return pool;
        }
        let pool = Arc::new(Pool {
            address,
            tls: tls.clone(),
            idle: Mutex::default(),
            shared: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            failed_until_ms: AtomicU64::new(0),
        });
        by_key.insert((address, expected), Arc::downgrade(&pool));
        pool
    }
}

/// A panic under these locks cannot leave their data half-written.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;

    use super::*;

    #[tokio::test]
    async fn idle_connections_are_kept_up_to_the_limit_and_closed_over_it() {
        let pool = Pools::default().pool(SocketAddr::from(([127, 0, 0, 1], 1)), &UpstreamTls::None);
        let mut open = Vec::new();
        let mut kept = Vec::new();
        for _ in 0..=IDLE_CONNECTIONS {
            let (near, far) = tokio::io::duplex(1);
            let (sender, connection) = http1::handshake(TokioIo::new(near)).await.unwrap();
            open.push((connection, far));
            let (answers, pool) = (Arc::default(), pool.clone());
            Lease::Http1 { sender, answers, pool: pool.clone(), generation: 0, reused: false }.give_back();
            kept.push(lock(&pool.idle).len());
        }
        let expected: Vec<_> = (1..=IDLE_CONNECTIONS).chain([IDLE_CONNECTIONS]).collect();
        assert_eq!(kept, expected);
    }

    #[tokio::test]
    async fn a_connection_that_idled_longer_than_the_limit_is_not_lent() {
        let pool = Pools::default().pool(SocketAddr::from(([127, 0, 0, 1], 1)), &UpstreamTls::None);
        let second = Duration::from_secs(1);
        for (idled, lent) in [(IDLE_TIME - second, true), (IDLE_TIME + second, false)] {
            let (near, _far) = tokio::io::duplex(1);
            let (sender, connection) = http1::handshake(TokioIo::new(near)).await.unwrap();
            tokio::spawn(connection);
            let since = Instant::now().checked_sub(idled).unwrap();
            lock(&pool.idle).push(Idle { sender, answers: Arc::default(), since, generation: 0 });
            assert_eq!(pool.take_idle(0).await.is_some(), lent, "{idled:?}");
        }
    }
}
