//! Targets of HTTP/2 requests, read before the HTTP library reads them: bytes that can mean only themselves are escaped
//! as they are on HTTP/1 (`target.rs`). The library would reset the stream without a word.
//!
//! ```text
//!   bytes ─▶ frames ─┬─ others ───────────────────────────────▶ as they came
//!                    └─ header block ─hpack─▶ a target to escape? no ─▶ as it came
//!                                                               yes ─▶ written anew, from then on every block
//! ```
//! The library's table follows the blocks that it is given. A block that is written anew refers to no table and adds
//! nothing to one, so that the two tables part; every later block of the connection is then written anew too.
//!
//! Promises: bytes of a connection whose targets need no escape pass unchanged; what cannot be read passes unchanged for
//! the library to refuse, or ends a connection whose blocks are written anew; a block's bytes, frames and fields are
//! bounded. It checks nothing else: the library does.

mod hpack;
mod huffman;

#[cfg(test)]
mod tests;

use crate::target;
use hpack::Decoder;

/// Bytes of the preface of a connection.
const PREFACE: usize = 24;
/// Bytes of a frame's header.
const FRAME_HEADER: usize = 9;
/// Bytes of a frame's payload: what we announce, which is the default of HTTP/2.
const FRAME_BYTES: usize = 16_384;
/// Frames of one header block. A block of the longest head takes five; floods of empty ones are the library's.
pub const BLOCK_FRAMES: usize = 16;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;
/// Bytes of a HEADERS frame's priority.
const PRIORITY_BYTES: usize = 5;

/// What became of the bytes that were fed. What is behind waits for more and is fed again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// So many may be read as they are.
    pub pass: usize,
    /// So many after those are gone, and these are to be read in their place; then the rest is to be fed.
    pub instead: Option<(usize, Vec<u8>)>,
    /// The connection cannot be read any further.
    pub broken: bool,
}

/// The client's bytes of one connection.
#[derive(Debug)]
pub struct Targets {
    /// Bytes to come that are no header block's.
    skip: usize,
    decoder: Decoder,
    /// Bytes of one block's fields, and of the block.
    limit: usize,
    /// Blocks are written anew.
    writes: bool,
    /// Nothing is read any more: the library has the last word.
    blind: bool,
}

/// A header block with what its frames say.
struct Block<'a> {
    fragments: Vec<&'a [u8]>,
    priority: Option<&'a [u8]>,
    stream: &'a [u8],
    end_stream: u8,
    /// Bytes of its frames.
    length: usize,
}

enum Found<'a> {
    Whole(Block<'a>),
    Partial,
    Unreadable,
}

impl Targets {
    /// Before the preface. `header_bytes`: the limit of a head.
    pub fn new(header_bytes: usize) -> Self {
        // The library counts a field like an entry of the table; wider, so that it refuses first.
        let limit = header_bytes.saturating_mul(2);
        Self { skip: PREFACE, decoder: Decoder::default(), limit, writes: false, blind: false }
    }

    /// Reads what came.
    pub fn feed(&mut self, input: &[u8]) -> Read {
        let mut at = 0;
        loop {
            if self.blind {
                return Read { pass: input.len(), ..Read::default() };
            }
            let now = self.skip.min(input.len() - at);
            at += now;
            self.skip -= now;
            let rest = input.get(at..).unwrap_or_default();
            let Some((length, kind)) = frame(rest) else { return Read { pass: at, ..Read::default() } };
            if kind != HEADERS {
                self.skip = FRAME_HEADER + length;
                continue;
            }
            let block = match block(rest) {
                Found::Whole(block) => block,
                Found::Partial if rest.len() <= self.limit + BLOCK_FRAMES * FRAME_HEADER => {
                    return Read { pass: at, ..Read::default() };
                }
                Found::Partial | Found::Unreadable => match self.give_up(at) {
                    Some(read) => return read,
                    None => continue,
                },
            };
            match self.read(&block) {
                Ok(None) => self.skip = block.length,
                Ok(Some(anew)) => {
                    return Read { pass: at, instead: Some((block.length, anew)), broken: false };
                }
                Err(_) => {
                    if let Some(read) = self.give_up(at) {
                        return read;
                    }
                }
            }
        }
    }

    /// What the block is written as; none if it may stay as it is.
    fn read(&mut self, block: &Block<'_>) -> Result<Option<Vec<u8>>, hpack::Unreadable> {
        let joined;
        let bytes = match block.fragments.as_slice() {
            [one] => *one,
            several => {
                joined = several.concat();
                &joined
            }
        };
        let fields = self.decoder.read(bytes, self.limit)?;
        let escapes = || fields.iter().any(|(name, value)| name == PATH && target::escaped(value).is_some());
        self.writes = self.writes || escapes();
        let anew = self.writes.then(|| {
            let mut out = Vec::with_capacity(bytes.len() * 2);
            for (name, value) in fields {
                let escaped = if name == PATH { target::escaped(value) } else { None };
                hpack::write(&mut out, name, escaped.as_deref().unwrap_or(value));
            }
            frames(block, &out)
        });
        self.decoder.forget();
        Ok(anew)
    }

    /// Leaves the rest to the library. What it would make of blocks behind one that was written anew is nothing.
    fn give_up(&mut self, at: usize) -> Option<Read> {
        if self.writes {
            return Some(Read { pass: at, instead: None, broken: true });
        }
        self.blind = true;
        None
    }
}

const PATH: &[u8] = b":path";

/// Length of the payload and kind of the frame that begins here.
fn frame(input: &[u8]) -> Option<(usize, u8)> {
    let [a, b, c, kind, ..] = *input.get(..FRAME_HEADER)? else { return None };
    Some((usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c), kind))
}

/// The header block that begins with a HEADERS frame at the start of `input`.
fn block(input: &[u8]) -> Found<'_> {
    let mut block =
        Block { fragments: Vec::with_capacity(1), priority: None, stream: &[], end_stream: 0, length: 0 };
    for number in 0..BLOCK_FRAMES {
        let rest = input.get(block.length..).unwrap_or_default();
        let Some((length, kind)) = frame(rest) else { return Found::Partial };
        let (Some(flags), Some(stream)) = (rest.get(4), rest.get(5..FRAME_HEADER)) else {
            return Found::Partial;
        };
        let in_order =
            if number == 0 { kind == HEADERS } else { kind == CONTINUATION && stream == block.stream };
        if !in_order || length > FRAME_BYTES {
            return Found::Unreadable;
        }
        let Some(payload) = rest.get(FRAME_HEADER..FRAME_HEADER + length) else { return Found::Partial };
        block.length += FRAME_HEADER + length;
        let fragment = if number == 0 {
            (block.stream, block.end_stream) = (stream, flags & END_STREAM);
            match fragment(payload, *flags) {
                Some((priority, fragment)) => {
                    block.priority = priority;
                    fragment
                }
                None => return Found::Unreadable,
            }
        } else {
            payload
        };
        block.fragments.push(fragment);
        if flags & END_HEADERS != 0 {
            return Found::Whole(block);
        }
    }
    Found::Unreadable
}

/// The priority and the fragment of a HEADERS frame.
fn fragment(payload: &[u8], flags: u8) -> Option<(Option<&[u8]>, &[u8])> {
    let mut rest = payload;
    if flags & PADDED != 0 {
        let (padding, after) = rest.split_first()?;
        rest = after.get(..after.len().checked_sub(usize::from(*padding))?)?;
    }
    if flags & PRIORITY == 0 {
        return Some((None, rest));
    }
    rest.split_at_checked(PRIORITY_BYTES).map(|(priority, rest)| (Some(priority), rest))
}

/// The frames of a block that is written anew.
fn frames(block: &Block<'_>, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 4 * FRAME_HEADER);
    let priority = block.priority.unwrap_or_default();
    let (first, mut rest) = bytes.split_at(bytes.len().min(FRAME_BYTES - priority.len()));
    let end = |rest: &[u8]| if rest.is_empty() { END_HEADERS } else { 0 };
    let marked = if block.priority.is_some() { PRIORITY } else { 0 };
    let flags = block.end_stream | marked | end(rest);
    push(&mut out, HEADERS, flags, block.stream, &[priority, first]);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(FRAME_BYTES));
        rest = after;
        push(&mut out, CONTINUATION, end(rest), block.stream, &[piece]);
    }
    out
}

fn push(out: &mut Vec<u8>, kind: u8, flags: u8, stream: &[u8], payload: &[&[u8]]) {
    let length: usize = payload.iter().map(|piece| piece.len()).sum();
    // At most FRAME_BYTES.
    out.extend(u32::try_from(length).unwrap_or_default().to_be_bytes().iter().skip(1));
    out.extend([kind, flags]);
    out.extend_from_slice(stream);
    payload.iter().for_each(|piece| out.extend_from_slice(piece));
}
