//! The framing guard: stands between socket and HTTP/1 server and lets through only what can be read in one way.

use palisade_model::RawHead;

use crate::Malformed;

/// What became of the bytes that were fed.
#[derive(Debug)]
pub struct Progress {
    /// How many bytes from the start may be handed on.
    pub pass: usize,
    /// How many bytes after those are to be thrown away: nobody may read them.
    pub discard: usize,
    /// What was found. With an event, feed again what is left, also if it is empty.
    pub event: Option<Event>,
}

/// What the guard found.
#[derive(Debug)]
pub enum Event {
    /// A complete head; its bytes are the ones that pass now.
    Head(Box<RawHead>),
    /// Nothing more may be passed on. Answer when the earlier exchanges of the connection are answered, then close.
    Refuse(Malformed),
}
