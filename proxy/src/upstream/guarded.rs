//! The bytes the HTTP/1 client reads from an upstream: only what the framing guard let through.
//!
//! ```text
//!   Answers::ask ─▶ first write of the request ─▶ the guard awaits one response
//!   socket ─▶ ResponseGuard ─▶ bytes that can be read in one way ─▶ hyper
//!                 └──▶ Answers: refused; the connection is neither read nor pooled any more
//! ```
//! Promises: a byte before its request was written ends the connection; a response that is refused in the read that
//! brought its head leaves nothing of itself, a later fault cuts its body; an answer that came before the upstream closed
//! is read, though the request cannot be written to its end; the usual read is not copied. It does not keep time.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use palisade_http::HeadLimits;
use palisade_http::response::{Asked, ResponseGuard};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the user of a connection and its reading side know of each other.
#[derive(Debug, Default)]
pub struct Answers {
    asked: Mutex<Option<Asked>>,
    refused: AtomicBool,
    deaf: AtomicBool,
}

impl Answers {
    /// Says which request is written next.
    pub fn ask(&self, asked: Asked) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
    }

    /// Whether the upstream sent what cannot be read in one way, or what nobody asked for.
    pub fn refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// Whether the upstream takes nothing any more. What it had answered by then is good.
    pub fn deaf(&self) -> bool {
        self.deaf.load(Ordering::Acquire)
    }

    fn take(&self) -> Option<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// An upstream's byte stream behind a guard.
#[derive(Debug)]
pub struct GuardedStream<S> {
    inner: S,
    guard: ResponseGuard,
    answers: Arc<Answers>,
    /// Bytes the guard has not passed yet: a part of a head or of a chunk line.
    kept: Vec<u8>,
    /// Bytes that passed and did not fit, from `given` on.
    passed: Vec<u8>,
    given: usize,
    /// The request was a HEAD.
    head_alone: bool,
}

impl<S> GuardedStream<S> {
    /// Guards a stream before its first request.
    pub fn new(inner: S, limits: HeadLimits) -> (Self, Arc<Answers>) {
        let answers = Arc::new(Answers::default());
        let guard = ResponseGuard::new(limits);
        let io = Self {
            inner,
            guard,
            answers: answers.clone(),
            kept: Vec::new(),
            passed: Vec::new(),
            given: 0,
            head_alone: false,
        };
        (io, answers)
    }

    /// How many bytes of `input` pass.
    fn feed(&mut self, input: &[u8]) -> usize {
        let begins = self.guard.awaits_head();
        let progress = self.guard.feed(input);
        let Some(malformed) = progress.refused else { return progress.pass };
        tracing::debug!(%malformed, "an upstream's bytes were refused");
        self.answers.refused.store(true, Ordering::Release);
        // Nothing of this response has been given: nothing of it shall be. A body behind the answer to HEAD is an
        // application's common fault; the head before it was whole, and the connection goes.
        if begins && !self.head_alone { 0 } else { progress.pass }
    }

    /// What came into `buffer` after `before`; afterwards only what passed is in it.
    fn sort(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        if self.kept.is_empty() {
            let pass = self.feed(fresh);
            self.kept = fresh.get(pass..).unwrap_or_default().to_vec();
            buffer.set_filled(before + pass);
            return;
        }
        let mut kept = std::mem::take(&mut self.kept);
        kept.extend_from_slice(fresh);
        buffer.set_filled(before);
        let pass = self.feed(&kept);
        self.kept = kept.split_off(pass.min(kept.len()));
        self.passed = kept;
        self.given = 0;
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let ready = self.passed.get(self.given..).unwrap_or_default();
        let bytes = ready.get(..buffer.remaining()).unwrap_or(ready);
        buffer.put_slice(bytes);
        self.given += bytes.len();
        if self.given == self.passed.len() {
            self.passed = Vec::new();
            self.given = 0;
        }
    }

    /// A request's first byte leaves: from now on its response may come.
    fn begin(&mut self) {
        if let Some(asked) = self.answers.take() {
            self.head_alone = asked.is_head();
            self.guard.ask(asked);
        }
    }

    /// What became of a write. An upstream may answer before it has read the whole request, and close: hyper would end
    /// the exchange at the failed write and lose the answer. So the rest of the request goes nowhere, until the read
    /// side has given the answer or its end.
    fn forgiving<T>(&self, written: Poll<io::Result<T>>, instead: T) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &written
            && matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
        {
            self.answers.deaf.store(true, Ordering::Release);
            return Poll::Ready(Ok(instead));
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let before = buffer.filled().len();
            this.give(buffer);
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            if this.answers.refused() {
                return Poll::Ready(Err(ErrorKind::InvalidData.into()));
            }
            std::task::ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            this.sort(buffer, before);
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.begin();
        if this.answers.deaf() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.forgiving(written, bytes.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.begin();
        let length = slices.iter().map(|slice| slice.len()).sum();
        if this.answers.deaf() {
            return Poll::Ready(Ok(length));
        }
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        this.forgiving(written, length)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        this.forgiving(flushed, ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
