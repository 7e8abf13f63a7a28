//! The bytes hyper reads: only what the guard let through, and the order of what it found.
//!
//! ```text
//!   socket ─▶ Guard ─▶ bytes of good messages ─▶ hyper ─▶ service(request)
//!               └────▶ Line: raw heads and refusals, in the connection's order ───┘ one per call
//! ```
//! The guard sits on the read side and cannot answer. So a refusal is put in line, and hyper is given a request of
//! ours in the place of what was refused: it calls the service at the right moment, and the service finds the refusal
//! instead of a head. In the middle of a chunked body the same bytes are no chunk and end the body with an error.
//!
//! Where the guard escapes bytes of a target, hyper is given the escaped head in the place of the one that was sent.
//!
//! Promises: hyper never sees a byte that the guard did not pass; a head that is begun must be finished in time; a
//! connection without an exchange may idle so long; a client that takes no byte of its answer is left; after an upgrade
//! is asked for, nothing passes before its answer.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use palisade_http::HeadLimits;
use palisade_http::guard::{Event, Guard};
use palisade_model::RawHead;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::deny::{Limit, Refusal};
use crate::downstream::Downstream;

/// What hyper reads in the place of a message that was refused.
const STAND_IN: &[u8] = b"GET /refused HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// What arrived, in order.
#[derive(Debug)]
pub enum Arrived {
    /// A head that was passed on.
    Head(Box<RawHead>),
    /// A message that was not.
    Refused(Refusal),
}

#[derive(Debug, Default)]
struct Queue {
    arrived: VecDeque<Arrived>,
    upgraded: Option<bool>,
    waiting: Option<Waker>,
}

/// What the service knows of the reading side of its connection.
#[derive(Clone, Debug, Default)]
pub struct Line {
    queue: Arc<Mutex<Queue>>,
}

impl Line {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the request hyper hands over now really is.
    pub fn next(&self) -> Option<Arrived> {
        self.queue().arrived.pop_front()
    }

    /// Why the body that is being read broke off, if the guard broke it.
    pub fn broken(&self) -> Option<Refusal> {
        let mut queue = self.queue();
        match queue.arrived.pop_front() {
            Some(Arrived::Refused(refusal)) => Some(refusal),
            Some(head) => {
                queue.arrived.push_front(head);
                None
            }
            None => None,
        }
    }

    /// How a request for an upgrade was answered. Reading goes on only after this.
    pub fn upgraded(&self, accepted: bool) {
        let mut queue = self.queue();
        queue.upgraded = Some(accepted);
        if let Some(waker) = queue.waiting.take() {
            waker.wake();
        }
    }

    fn push(&self, arrived: Arrived) {
        self.queue().arrived.push_back(arrived);
    }

    fn poll_upgraded(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut queue = self.queue();
        match queue.upgraded.take() {
            Some(accepted) => Poll::Ready(accepted),
            None => {
                queue.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// The patiences of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a client to take bytes of an answer.
    pub write: Duration,
    /// For a head, from its first byte (for the first head: from when HTTP is read).
    pub head: Duration,
    /// For the next head, from the last byte read.
    pub idle: Duration,
}

/// What became of bytes that the guard was fed.
struct Fed {
    /// How many of them may be read.
    passed: usize,
    /// How many after those are gone.
    discarded: usize,
    /// What is to be read in their place; then the guard wants the rest.
    instead: Option<Vec<u8>>,
}

/// A byte stream behind a guard.
#[derive(Debug)]
pub struct GuardedIo<S> {
    inner: S,
    guard: Guard,
    line: Line,
    downstream: Arc<Downstream>,
    patience: Patience,
    /// Bytes the guard has not passed yet.
    kept: Vec<u8>,
    /// Bytes that passed and did not fit, from `given` on.
    passed: Vec<u8>,
    given: usize,
    /// When the head that is being read began, or the last byte came.
    since: Instant,
    first: bool,
    refused: bool,
    timer: Option<Pin<Box<Sleep>>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    tunnel: bool,
}

impl<S> GuardedIo<S> {
    /// Guards a stream before its first byte.
    pub fn new(
        inner: S,
        limits: HeadLimits,
        patience: Patience,
        downstream: Arc<Downstream>,
    ) -> (Self, Line) {
        let line = Line::default();
        let io = Self {
            inner,
            guard: Guard::new(limits),
            line: line.clone(),
            downstream,
            patience,
            kept: Vec::new(),
            passed: Vec::new(),
            given: 0,
            since: Instant::now(),
            first: true,
            refused: false,
            timer: None,
            write_timer: None,
            tunnel: false,
        };
        (io, line)
    }

    /// Feeds the guard up to its first refusal or escaped head.
    fn feed(&mut self, input: &[u8]) -> Fed {
        let mut passed = 0;
        loop {
            let rest = input.get(passed..).unwrap_or_default();
            let progress = self.guard.feed(rest);
            passed += progress.pass;
            match progress.event {
                None => return Fed { passed, discarded: progress.discard, instead: None },
                Some(Event::Head(raw)) => {
                    self.first = false;
                    self.line.push(Arrived::Head(raw));
                }
                Some(Event::Escaped(raw, head)) => {
                    self.first = false;
                    self.line.push(Arrived::Head(raw));
                    return Fed { passed, discarded: progress.discard, instead: Some(head) };
                }
                Some(Event::Refuse(malformed)) => {
                    self.line.push(Arrived::Refused(malformed.into()));
                    self.refused = true;
                    return Fed { passed, discarded: input.len().saturating_sub(passed), instead: None };
                }
            }
        }
    }

    fn feed_kept(&mut self) {
        loop {
            let mut kept = std::mem::take(&mut self.kept);
            let Fed { passed, discarded, instead } = self.feed(&kept);
            let after = (passed + discarded).min(kept.len());
            self.kept = kept.split_off(after);
            kept.truncate(passed);
            self.release(&kept);
            if self.refused {
                self.stand_in();
            }
            match instead {
                Some(head) => self.release(&head),
                None => return,
            }
        }
    }

    fn release(&mut self, bytes: &[u8]) {
        if self.given == self.passed.len() {
            self.passed.clear();
            self.given = 0;
        }
        self.passed.extend_from_slice(bytes);
    }

    fn stand_in(&mut self) {
        self.refused = false;
        self.kept = Vec::new();
        self.release(STAND_IN);
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let ready = self.passed.get(self.given..).unwrap_or_default();
        let bytes = ready.get(..buffer.remaining()).unwrap_or(ready);
        buffer.put_slice(bytes);
        let given = bytes.len();
        self.given += given;
        if self.given == self.passed.len() {
            // An idle connection holds no memory for this.
            self.passed = Vec::new();
            self.given = 0;
        }
        given > 0
    }

    /// What came into `buffer` after `before`: whether something of it may be read now.
    fn sort(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> bool {
        if self.kept.is_empty() {
            self.since_first_byte();
            let fresh = buffer.filled().get(before..).unwrap_or_default();
            // The guard is fed in place: the usual read is a whole message and is not copied.
            let Fed { passed, discarded, instead } = self.feed(fresh);
            let keep = fresh.get(passed + discarded..).unwrap_or_default().to_vec();
            buffer.set_filled(before + passed);
            self.kept = keep;
            if self.refused {
                self.stand_in();
            }
            if let Some(head) = instead {
                self.release(&head);
                self.feed_kept();
            }
            return passed > 0;
        }
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        self.kept.extend_from_slice(fresh);
        buffer.set_filled(before);
        self.feed_kept();
        false
    }

    fn since_first_byte(&mut self) {
        if !self.first {
            self.since = Instant::now();
        }
    }

    /// Whether the wait for bytes is over.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.guard.is_between_messages() || self.guard.is_ended() {
            return Poll::Pending;
        }
        loop {
            let head = self.first || !self.kept.is_empty();
            let patience = if head { self.patience.head } else { self.patience.idle };
            let deadline = self.since + patience;
            let timer = match &mut self.timer {
                // An earlier deadline than the timer's cannot wait for it.
                Some(timer) if timer.deadline() <= deadline => timer,
                timer => timer.insert(Box::pin(tokio::time::sleep_until(deadline))),
            };
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if now < deadline {
                timer.as_mut().reset(deadline);
            } else if !head && self.downstream.is_busy() {
                self.since = now;
            } else {
                self.timer = None;
                return Poll::Ready(());
            }
        }
    }

    /// A head was begun and is late, or the connection idled too long.
    fn out_of_patience(&mut self) -> bool {
        if self.kept.is_empty() {
            return false;
        }
        self.line.push(Arrived::Refused(Limit::HeaderTimeout.into()));
        self.guard = Guard::new(HeadLimits { header_bytes: 0, ..HeadLimits::default() });
        // A guard that takes no head any more.
        let _ = self.guard.feed(b"\n");
        self.stand_in();
        true
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.give(buffer) {
                return Poll::Ready(Ok(()));
            }
            if this.guard.awaits_upgrade() {
                let accepted = std::task::ready!(this.line.poll_upgraded(cx));
                this.guard.upgrade(accepted);
                this.tunnel = accepted;
                this.since = Instant::now();
                if !this.kept.is_empty() {
                    this.feed_kept();
                }
                continue;
            }
            let before = buffer.filled().len();
            match Pin::new(&mut this.inner).poll_read(cx, buffer)? {
                Poll::Ready(()) if buffer.filled().len() == before => return Poll::Ready(Ok(())),
                Poll::Ready(()) => {
                    if this.sort(buffer, before) {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Pending => {
                    std::task::ready!(this.poll_patience(cx));
                    if !this.out_of_patience() {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl<S> GuardedIo<S> {
    /// What became of a write; one that waits too long is an error. A tunnel may wait: its ends know their own time.
    fn patient<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_timer = None;
            return written;
        }
        if self.tunnel {
            return Poll::Pending;
        }
        let patience = self.patience.write;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        std::task::ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedIo<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.patient(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        this.patient(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        this.patient(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.patient(cx, shut)
    }
}

#[cfg(test)]
mod tests;
