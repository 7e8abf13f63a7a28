//! The framing guard: stands between socket and HTTP/1 server and lets through only what can be read in one way.
//!
//! ```text
//!   socket ─▶ caller's buffer ─feed─▶ Progress {pass, discard, event}
//!             head ─▶ body (length | chunks, trailers) ─▶ next head …            (kept-alive, pipelined)
//!             head with an upgrade ─▶ waits for `upgrade(accepted)` ─▶ everything passes | next head
//! ```
//! Promises that no byte of a head passes before the whole head was read and found good, that chunk and trailer lines
//! pass whole or not at all, and that the outcome does not depend on how the bytes were cut. It holds no bytes itself:
//! the caller keeps what did not pass and feeds it again with more behind it. It has no clock: timeouts are the
//! caller's.

mod body;
mod lines;
mod request;

use std::borrow::Cow;

pub(crate) use body::{Body, Failed};
pub use body::{CHUNK_EXTENSION_BYTES, CHUNK_LINE_BYTES, TRAILER_BYTES, TRAILER_COUNT};
pub(crate) use lines::{HeadScan, fields, split};
use palisade_model::{BodyKind, RawHead};

use crate::{HeadLimits, Malformed};

/// What became of the bytes that were fed.
#[derive(Debug)]
#[must_use]
pub struct Progress {
    /// How many bytes from the start may be handed on.
    pub pass: usize,
    /// How many bytes after those are to be thrown away: nobody may read them.
    pub discard: usize,
    /// What was found. With an event, feed again what is left. Without one, read more (or, while
    /// [`Guard::awaits_upgrade`], wait for the answer).
    pub event: Option<Event>,
}

/// What the guard found.
#[derive(Debug)]
pub enum Event {
    /// A complete head; its bytes are the last of those that pass now.
    Head(Box<RawHead>),
    /// A complete head whose target had bytes that must be escaped: in the place of what is discarded now, these bytes
    /// are to be handed on.
    Escaped(Box<RawHead>, Vec<u8>),
    /// Nothing more may be passed on. Answer when the earlier exchanges of the connection are answered, then close.
    Refuse(Malformed),
}

#[derive(Debug)]
enum State {
    Head(HeadScan),
    Body {
        body: Body,
        close: bool,
    },
    AwaitUpgrade {
        close: bool,
    },
    Tunnel,
    /// The client said that it sends no further request, or was refused.
    Ended,
}

/// The guard of one HTTP/1 connection, on the side that reads requests.
#[derive(Debug)]
pub struct Guard {
    limits: HeadLimits,
    state: State,
}

/// The target as whoever reads behind the guard sees it: with the bytes escaped that must be.
pub fn escaped(target: &[u8]) -> Cow<'_, [u8]> {
    crate::target::escaped(target).map_or(Cow::Borrowed(target), Cow::Owned)
}

impl Guard {
    /// A guard before the first request.
    pub fn new(limits: HeadLimits) -> Self {
        Self { limits, state: State::Head(HeadScan::default()) }
    }

    /// Reads the bytes that follow those that passed or were discarded: the unpassed ones again, and new ones behind.
    /// The caller's buffer must be able to grow to [`Self::hold_bytes`].
    pub fn feed(&mut self, input: &[u8]) -> Progress {
        match &mut self.state {
            State::Head(scan) => match scan.find(input, &self.limits) {
                Ok(Some(end)) => self.head(input.get(..end).unwrap_or(input)),
                Ok(None) => Progress { pass: 0, discard: 0, event: None },
                Err(malformed) => self.refuse(0, input, malformed),
            },
            State::Body { body, close } => match body.follow(input) {
                Ok(progress) if progress.done => {
                    let close = *close;
                    self.next(close);
                    self.after_body(progress.pass, input)
                }
                Ok(progress) => Progress { pass: progress.pass, discard: 0, event: None },
                Err(Failed { pass, malformed }) => self.refuse(pass, input, malformed),
            },
            State::AwaitUpgrade { .. } => Progress { pass: 0, discard: 0, event: None },
            State::Tunnel => Progress { pass: input.len(), discard: 0, event: None },
            State::Ended => Progress { pass: 0, discard: input.len(), event: None },
        }
    }

    /// The most bytes a caller may have to keep: a head of the allowed length, or a chunk or trailer line.
    pub fn hold_bytes(&self) -> usize {
        self.limits.header_bytes.max(TRAILER_BYTES).max(CHUNK_LINE_BYTES) + 2
    }

    /// Whether everything waits for the answer to an upgrade: read no further, feed nothing, call [`Self::upgrade`].
    pub fn awaits_upgrade(&self) -> bool {
        matches!(self.state, State::AwaitUpgrade { .. })
    }

    /// Says how the last upgrade was answered: with 101 everything passes from now on, else requests are read further.
    /// Without an upgrade that waits it does nothing.
    pub fn upgrade(&mut self, accepted: bool) {
        match self.state {
            State::AwaitUpgrade { .. } if accepted => self.state = State::Tunnel,
            State::AwaitUpgrade { close } => self.next(close),
            _ => {}
        }
    }

    /// Whether the connection is between two messages (an end of the stream here is clean if no byte is kept).
    pub fn is_between_messages(&self) -> bool {
        matches!(self.state, State::Head(_) | State::Ended)
    }

    /// Whether nothing will be passed on any more: read on only to notice that the peer is gone.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Ends the connection for its reader: nothing passes from now on (a drain, a fault above the guard).
    pub fn end(&mut self) {
        self.state = State::Ended;
    }

    fn head(&mut self, head: &[u8]) -> Progress {
        let (raw, facts, escaped) = match request::read(head, &self.limits) {
            Ok(read) => read,
            Err(malformed) => return self.refuse(0, head, malformed),
        };
        match facts.body {
            _ if facts.upgrade => self.state = State::AwaitUpgrade { close: facts.close },
            BodyKind::Empty => self.next(facts.close),
            BodyKind::Length(length) => {
                self.state = State::Body { body: Body::Length(length), close: facts.close }
            }
            BodyKind::Unknown => self.state = State::Body { body: Body::chunked(), close: facts.close },
        }
        let raw = Box::new(raw);
        match escaped {
            None => Progress { pass: head.len(), discard: 0, event: Some(Event::Head(raw)) },
            Some(bytes) => Progress { pass: 0, discard: head.len(), event: Some(Event::Escaped(raw, bytes)) },
        }
    }

    fn next(&mut self, close: bool) {
        self.state = if close { State::Ended } else { State::Head(HeadScan::default()) };
    }

    /// Goes on with the next head at once, so that "no event" always means that more bytes are needed.
    fn after_body(&mut self, pass: usize, input: &[u8]) -> Progress {
        let rest = input.get(pass..).unwrap_or_default();
        if rest.is_empty() {
            return Progress { pass, discard: 0, event: None };
        }
        let mut progress = self.feed(rest);
        progress.pass += pass;
        progress
    }

    fn refuse(&mut self, pass: usize, input: &[u8], malformed: Malformed) -> Progress {
        self.state = State::Ended;
        Progress { pass, discard: input.len().saturating_sub(pass), event: Some(Event::Refuse(malformed)) }
    }
}

#[cfg(test)]
mod tests;
