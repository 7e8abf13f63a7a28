//! The way out: stop accepting, finish what was accepted, leave by a deadline.
//!
//! Promises: after [`Drain::start`] no listener accepts; every open connection is told once; [`Drain::finished`] ends
//! when the last connection is gone or the deadline has passed. It does not close anything itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// The switch, held by whoever ends the process.
#[derive(Debug)]
pub struct Drain {
    sender: watch::Sender<bool>,
    alive: watch::Sender<usize>,
}

/// What a connection holds while it is open.
#[derive(Debug)]
pub struct Guest {
    drain: Arc<Drain>,
    signal: watch::Receiver<bool>,
}

impl Default for Drain {
    fn default() -> Self {
        Self { sender: watch::Sender::new(false), alive: watch::Sender::new(0) }
    }
}

impl Drain {
    /// Tells everybody to finish.
    pub fn start(&self) {
        self.sender.send_replace(true);
    }

    /// Whether the drain began.
    pub fn started(&self) -> bool {
        *self.sender.borrow()
    }

    /// Waits until the drain begins.
    pub async fn begun(&self) {
        let mut signal = self.sender.subscribe();
        // The sender lives in self, so the channel cannot close while we wait.
        let _ = signal.wait_for(|started| *started).await;
    }

    /// Enters a connection.
    pub fn enter(self: &Arc<Self>) -> Guest {
        self.alive.send_modify(|alive| *alive += 1);
        Guest { drain: self.clone(), signal: self.sender.subscribe() }
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        *self.alive.borrow()
    }

    /// Waits for the last connection, at most `deadline`. Returns how many were still open.
    pub async fn finished(&self, deadline: Duration) -> usize {
        let mut alive = self.alive.subscribe();
        let _ = tokio::time::timeout(deadline, alive.wait_for(|alive| *alive == 0)).await;
        self.open()
    }
}

impl Guest {
    /// Waits until the connection is told to finish.
    pub async fn told(&mut self) {
        let _ = self.signal.wait_for(|started| *started).await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.drain.alive.send_modify(|alive| *alive = alive.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_the_last_connection_and_tells_each_of_them() {
        let drain = Arc::new(Drain::default());
        let mut guest = drain.enter();
        assert!(!drain.started());
        drain.start();
        guest.told().await;
        assert_eq!(drain.finished(Duration::from_millis(1)).await, 1, "the deadline ends the wait");
        drop(guest);
        assert_eq!(drain.finished(Duration::from_secs(3600)).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_accepted_has_until_the_limit_and_no_longer() {
        let limit = Duration::from_millis(palisade_model::limits::DRAIN_TIMEOUT_MS);
        let tick = Duration::from_millis(1);
        for (stays, left) in [(limit - tick, 0), (limit + tick, 1)] {
            let drain = Arc::new(Drain::default());
            let guest = drain.enter();
            tokio::spawn(async move {
                tokio::time::sleep(stays).await;
                drop(guest);
            });
            let begun = tokio::time::Instant::now();
            assert_eq!(drain.finished(limit).await, left, "{stays:?}");
            assert_eq!(begun.elapsed(), stays.min(limit));
        }
    }
}
