//! The two bodies of an exchange: [`InBody`] from the client to the upstream, [`OutBody`] from the upstream to the
//! client.
//!
//! Promises: pieces that were held for inspection come first and in order, then the rest, then the trailers; a body
//! that stalls longer than the limit fails with [`BodyFault::Timeout`]; whoever asked is told when a body ended, and
//! how. Nothing is copied.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use palisade_http::HeadLimits;
use palisade_rules::Found;

use crate::deny::Refusal;
use crate::http::stall::Stall;
use crate::http::upload::UploadBody;
use crate::limits::Hold;
use crate::telemetry::Ending;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyFault {
    /// The other side broke it off, or its framing is wrong.
    #[error("{0}")]
    Broken(#[from] hyper::Error),
    /// The next piece did not come in time.
    #[error("the next piece of the body did not come in time")]
    Timeout,
    /// A request's trailers that may not be sent on (HTTP/2; the guard reads those of HTTP/1).
    #[error("trailers: {0}")]
    Trailers(palisade_http::Malformed),
    /// It was refused after bytes had left.
    #[error("refused after bytes had left")]
    Refused,
}

/// What both ends of an exchange may know of a streamed request body.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    ended: AtomicBool,
    timed_out: AtomicBool,
    broken: AtomicBool,
    refused: Mutex<Option<Refusal>>,
    found: Mutex<Option<Found>>,
    late: Mutex<Late>,
}

/// An exchange whose answer was over before its request was judged to the end.
#[derive(Debug, Default)]
struct Late {
    /// The request is being judged.
    judged: bool,
    ending: Option<Box<Ending>>,
}

impl Progress {
    /// Bytes that passed.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether it is over, in whatever way.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Whether it stalled.
    pub fn timed_out(&self) -> bool {
        self.timed_out.load(Ordering::Acquire)
    }

    /// Whether the client broke it off, or its framing was refused.
    pub fn broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// It was refused after its first part had left.
    pub fn refuse(&self, refusal: Refusal) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
        self.ended.store(true, Ordering::Release);
    }

    /// Why it was refused, once.
    pub fn take_refused(&self) -> Option<Refusal> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What was found in it after its first part had left. The last word counts.
    pub fn note_found(&self, found: Found) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    /// The last word on it, once.
    pub fn take_found(&self) -> Option<Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The request is judged while it is sent: its exchange is not over before that is.
    pub fn begin_judging(&self) {
        self.late().judged = true;
    }

    /// It was judged to the end, or broke off.
    pub fn end_judging(&self) {
        let ending = {
            let mut late = self.late();
            late.judged = false;
            late.ending.take()
        };
        drop(ending);
    }

    /// The answer is over. The exchange is too, unless its request is still judged.
    fn end(&self, ending: Box<Ending>) {
        let mut late = self.late();
        if late.judged {
            late.ending = Some(ending);
        }
    }

    fn late(&self) -> MutexGuard<'_, Late> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A client's body with a limit on how long it may stall.
#[derive(Debug)]
pub struct Timed {
    incoming: Incoming,
    stall: Stall,
    progress: Arc<Progress>,
}

impl Timed {
    /// Takes a body; no piece may take longer than `limit`, if there is one.
    pub fn new(incoming: Incoming, limit: Option<Duration>, progress: Arc<Progress>) -> Self {
        Self { incoming, stall: Stall::new(limit), progress }
    }

    /// What is known of it.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Whether all of it came, by its length. hyper tells the end of a body no sooner than the next request when the
    /// answer was over before it.
    pub fn is_end(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// The next piece.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        let Some(piece) = std::task::ready!(self.stall.watch(cx, polled)) else {
            self.progress.timed_out.store(true, Ordering::Release);
            self.progress.ended.store(true, Ordering::Release);
            return Poll::Ready(Some(Err(BodyFault::Timeout)));
        };
        let piece = piece.map(|result| result.map_err(BodyFault::Broken).and_then(checked_trailers));
        match &piece {
            Some(Ok(frame)) => {
                self.progress.count(frame.data_ref().map_or(0, Bytes::len));
                if self.incoming.is_end_stream() {
                    self.progress.ended.store(true, Ordering::Release);
                }
            }
            Some(Err(_)) => {
                self.progress.broken.store(true, Ordering::Release);
                self.progress.ended.store(true, Ordering::Release);
            }
            None => self.progress.ended.store(true, Ordering::Release),
        }
        Poll::Ready(piece)
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.progress.ended.store(true, Ordering::Release);
    }
}

/// Pieces that were held, what follows them, and their share of the process's budget.
#[derive(Debug)]
pub struct Held<Rest> {
    /// The pieces in order.
    pub pieces: VecDeque<Bytes>,
    /// The rest that was not read yet.
    pub rest: Option<Rest>,
    /// The trailers, if they were read.
    pub trailers: Option<HeaderMap>,
    /// The budget's share, given back when the body is gone.
    pub hold: Option<Hold>,
}

impl<Rest> Held<Rest> {
    fn pop(&mut self) -> Option<Frame<Bytes>> {
        if let Some(piece) = self.pieces.pop_front() {
            return Some(Frame::data(piece));
        }
        self.hold = None;
        if self.rest.is_some() {
            return None;
        }
        self.trailers.take().map(Frame::trailers)
    }

    fn exact(&self) -> Option<u64> {
        (self.rest.is_none() && self.trailers.is_none())
            .then(|| self.pieces.iter().map(|piece| piece.len() as u64).sum())
    }

    fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.rest.is_none() && self.trailers.is_none()
    }
}

/// The body that is sent to an upstream.
#[derive(Debug)]
pub enum InBody {
    /// None.
    Empty,
    /// Streamed as it comes.
    Stream(Timed),
    /// Held first.
    Held(Box<Held<Timed>>),
    /// A form whose files pass and whose fields are held.
    Upload(Box<UploadBody>),
}

impl Body for InBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Stream(timed) => timed.poll_piece(cx),
            Self::Upload(upload) => upload.poll_piece(cx),
            Self::Held(held) => {
                if let Some(frame) = held.pop() {
                    return Poll::Ready(Some(Ok(frame)));
                }
                match &mut held.rest {
                    Some(rest) => rest.poll_piece(cx),
                    None => Poll::Ready(None),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Upload(_) => false,
            Self::Stream(timed) => timed.incoming.is_end_stream(),
            Self::Held(held) => held.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Upload(_) => SizeHint::new(),
            Self::Stream(timed) => timed.incoming.size_hint(),
            Self::Held(held) => held.exact().map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}

/// An upstream's body with a limit on how long it may stall.
#[derive(Debug)]
pub struct FromUpstream {
    incoming: Incoming,
    stall: Stall,
}

impl FromUpstream {
    /// Takes a body; once it is streamed no piece may take longer than `limit`, if there is one.
    pub fn new(incoming: Incoming, limit: Option<Duration>) -> Self {
        Self { incoming, stall: Stall::new(limit) }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        let Some(piece) = std::task::ready!(self.stall.watch(cx, polled)) else {
            return Poll::Ready(Some(Err(BodyFault::Timeout)));
        };
        Poll::Ready(piece.map(|result| {
            let mut frame = result.map_err(BodyFault::Broken)?;
            if let Some(trailers) = frame.trailers_mut() {
                palisade_http::response::trailers(trailers);
            }
            Ok(frame)
        }))
    }
}

#[derive(Debug)]
enum Source {
    Text(Bytes),
    Upstream(FromUpstream),
    Held(Box<Held<FromUpstream>>),
    Done,
}

/// The body that is sent to a client. When it is gone, the exchange's record is written.
#[derive(Debug)]
pub struct OutBody {
    source: Source,
    ending: Option<Box<Ending>>,
}

impl OutBody {
    /// No body.
    pub fn empty() -> Self {
        Self { source: Source::Done, ending: None }
    }

    /// A short text of ours.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self { source: Source::Text(text.into()), ending: None }
    }

    /// The upstream's body as it comes.
    pub fn upstream(body: FromUpstream) -> Self {
        Self { source: Source::Upstream(body), ending: None }
    }

    /// The upstream's body, its first part held.
    pub fn held(held: Held<FromUpstream>) -> Self {
        Self { source: Source::Held(Box::new(held)), ending: None }
    }

    /// Who is told when it is gone.
    pub fn with_ending(mut self, ending: Box<Ending>) -> Self {
        self.ending = Some(ending);
        if self.is_end_stream() {
            // hyper does not poll a body that is over before it begins.
            self.complete();
        }
        self
    }

    fn complete(&mut self) {
        if let Some(ending) = &mut self.ending {
            ending.complete();
        }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match &mut self.source {
            Source::Done => Poll::Ready(None),
            Source::Text(text) => {
                let text = std::mem::take(text);
                self.source = Source::Done;
                Poll::Ready((!text.is_empty()).then(|| Ok(Frame::data(text))))
            }
            Source::Upstream(body) => body.poll_piece(cx),
            Source::Held(held) => {
                if let Some(frame) = held.pop() {
                    return Poll::Ready(Some(Ok(frame)));
                }
                match &mut held.rest {
                    Some(rest) => rest.poll_piece(cx),
                    None => Poll::Ready(None),
                }
            }
        }
    }
}

impl Drop for OutBody {
    fn drop(&mut self) {
        if let Some(ending) = self.ending.take()
            && let Some(progress) = ending.progress().cloned()
        {
            progress.end(ending);
        }
    }
}

/// A request's trailers may claim no identity and say nothing about framing.
fn checked_trailers(mut frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyFault> {
    if let Some(trailers) = frame.trailers_mut() {
        palisade_http::head::trailers(trailers, &HeadLimits::default()).map_err(BodyFault::Trailers)?;
    }
    Ok(frame)
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        let polled = std::task::ready!(this.poll_source(cx));
        match &polled {
            Some(Ok(frame)) => {
                if let Some(ending) = &mut this.ending {
                    ending.count(frame.data_ref().map_or(0, Bytes::len));
                }
                if this.is_end_stream() || frame.is_trailers() {
                    this.complete();
                }
            }
            Some(Err(fault)) => {
                if let Some(ending) = &mut this.ending {
                    ending.broken(fault);
                }
            }
            None => this.complete(),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Done => true,
            Source::Text(text) => text.is_empty(),
            Source::Upstream(body) => body.incoming.is_end_stream(),
            Source::Held(held) => held.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Done => SizeHint::with_exact(0),
            Source::Text(text) => SizeHint::with_exact(text.len() as u64),
            Source::Upstream(body) => body.incoming.size_hint(),
            Source::Held(held) => held.exact().map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}
