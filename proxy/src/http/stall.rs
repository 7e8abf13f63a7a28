//! How long one side of an exchange may be silent in the middle of a body.
//!
//! Promises: the clock runs only while the next piece is waited for, and begins anew with every piece. It costs one
//! timer a body, made at the first wait.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A limit of silence; none waits for ever.
#[derive(Debug)]
pub struct Stall {
    limit: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Stall {
    /// No piece may take longer than `limit`.
    pub fn new(limit: Option<Duration>) -> Self {
        Self { limit, timer: None, waiting: false }
    }

    /// What became of a wait for the next piece; none if it took too long.
    pub fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<T>) -> Poll<Option<T>> {
        if let Poll::Ready(piece) = polled {
            self.waiting = false;
            return Poll::Ready(Some(piece));
        }
        let Some(limit) = self.limit else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(Instant::now() + limit);
        }
        timer.as_mut().poll(cx).map(|()| None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const LIMIT: Duration = Duration::from_millis(palisade_model::limits::BODY_TIMEOUT_MS);
    const TICK: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn each_piece_may_take_as_long_as_the_limit_and_no_longer() {
        let mut stall = Stall::new(Some(LIMIT));
        // Together longer than the limit.
        for _ in 0..8 {
            let mut piece = Box::pin(tokio::time::sleep(LIMIT - TICK));
            let came = poll_fn(|cx| {
                let polled = piece.as_mut().poll(cx);
                stall.watch(cx, polled)
            });
            assert_eq!(came.await, Some(()));
        }
        let begun = Instant::now();
        assert_eq!(poll_fn(|cx| stall.watch::<()>(cx, Poll::Pending)).await, None);
        assert_eq!(begun.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_does_not_run_while_nobody_waits() {
        let mut stall = Stall::new(Some(LIMIT));
        let once = poll_fn(|cx| Poll::Ready(stall.watch::<()>(cx, Poll::Pending).is_pending()));
        assert!(once.await);
        assert_eq!(poll_fn(|cx| stall.watch(cx, Poll::Ready(1))).await, Some(1));
        tokio::time::sleep(2 * LIMIT).await;
        let again = poll_fn(|cx| Poll::Ready(stall.watch::<()>(cx, Poll::Pending).is_pending()));
        assert!(again.await, "it begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_is_too_long() {
        let mut stall = Stall::new(None);
        let never = poll_fn(|cx| stall.watch::<()>(cx, Poll::Pending));
        assert!(tokio::time::timeout(2 * LIMIT, never).await.is_err());
    }
}
