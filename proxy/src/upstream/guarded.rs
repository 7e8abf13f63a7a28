//! The bytes an HTTP/1 upstream sends, behind the framing guard: hyper forgives a bare LF, the guard does not.
//!
//! Promises: hyper never sees a byte that the guard did not pass; bytes that answer no request end the connection.
//! Whoever sends a request says so first ([`Answers::ask`]). A refusal looks like a broken connection to hyper;
//! [`Answers::refused`] tells it apart.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use palisade_http::HeadLimits;
use palisade_http::response::{Asked, ResponseGuard};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::Stream;

/// What is known of the answers of one connection.
#[derive(Clone, Debug)]
pub struct Answers {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    guard: ResponseGuard,
    refused: bool,
}

impl Answers {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic under this lock cannot leave the guard half-written in a way that passes more.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This request is sent next.
    pub fn ask(&self, asked: Asked) {
        self.state().guard.ask(asked);
    }

    /// Whether the guard ended the connection.
    pub fn refused(&self) -> bool {
        self.state().refused
    }

    /// How many bytes may pass, and whether the rest never may.
    fn feed(&self, input: &[u8]) -> (usize, bool) {
        let mut state = self.state();
        let progress = state.guard.feed(input);
        if let Some(malformed) = &progress.refused {
            tracing::debug!(%malformed, "an upstream's bytes were refused");
            state.refused = true;
        }
        (progress.pass.min(input.len()), state.refused)
    }
}

/// An upstream's byte stream behind the guard.
#[derive(Debug)]
pub struct GuardedStream {
    inner: Stream,
    answers: Answers,
    /// Bytes the guard has not passed yet; at most one head.
    kept: Vec<u8>,
    /// Bytes that passed later than they came, from `given` on.
    passed: Vec<u8>,
    given: usize,
    refused: bool,
}

impl GuardedStream {
    /// Guards a stream before its first byte.
    pub fn new(inner: Stream) -> (Self, Answers) {
        let guard = ResponseGuard::new(HeadLimits::default());
        let answers = Answers { state: Arc::new(Mutex::new(State { guard, refused: false })) };
        let stream = Self {
            inner,
            answers: answers.clone(),
            kept: Vec::new(),
            passed: Vec::new(),
            given: 0,
            refused: false,
        };
        (stream, answers)
    }

    /// Gives what passed before.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let ready = self.passed.get(self.given..).unwrap_or_default();
        let bytes = ready.get(..buffer.remaining()).unwrap_or(ready);
        buffer.put_slice(bytes);
        let given = bytes.len();
        self.given += given;
        if self.given == self.passed.len() {
            self.passed = Vec::new();
            self.given = 0;
        }
        given > 0
    }

    /// Feeds what came into `buffer` after `before`; leaves there what may be read now.
    fn sort(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> bool {
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        if self.kept.is_empty() {
            // The usual read passes whole and is not copied.
            let (pass, refused) = self.answers.feed(fresh);
            self.refused = refused;
            if !refused {
                self.kept.extend_from_slice(fresh.get(pass..).unwrap_or_default());
            }
            buffer.set_filled(before + pass);
            return pass > 0;
        }
        self.kept.extend_from_slice(fresh);
        buffer.set_filled(before);
        let (pass, refused) = self.answers.feed(&self.kept);
        self.refused = refused;
        let rest = self.kept.split_off(pass);
        self.passed = std::mem::replace(&mut self.kept, if refused { Vec::new() } else { rest });
        false
    }
}

impl AsyncRead for GuardedStream {
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
            if this.refused {
                let problem = "the upstream's bytes cannot be read in exactly one way";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, problem)));
            }
            let before = buffer.filled().len();
            std::task::ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
            if buffer.filled().len() == before || this.sort(buffer, before) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
