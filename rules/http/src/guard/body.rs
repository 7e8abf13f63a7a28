//! The body after a head: counts a length, follows chunks and trailers. Shared by requests and responses.

use super::lines;
use crate::framing;
use crate::headers::is_forbidden_trailer;
use crate::{Cause, Malformed};

/// Bytes of one chunk-size line with its extensions. Sixteen digits are enough for a size; extensions have no use here.
pub const CHUNK_LINE_BYTES: usize = 256;
/// Bytes of all chunk extensions of one body: an attacker may not make us read more extension than data (CVE-2023-39326
/// class).
pub const CHUNK_EXTENSION_BYTES: usize = 4 * 1024;
/// Bytes of all trailers of one body, which hyper bounds at 16 KiB.
pub const TRAILER_BYTES: usize = 8 * 1024;
/// Trailers of one body; gRPC sends three.
pub const TRAILER_COUNT: usize = 64;
/// Digits of a chunk size: all that a 64-bit number has. Zeros before it are digits too, so that no reader's buffer for
/// the number is outgrown.
const CHUNK_SIZE_DIGITS: usize = 16;

/// Where in a body the next byte is.
#[derive(Debug)]
pub(crate) enum Body {
    /// So many bytes are left.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
    /// Responses only: until the connection ends.
    UntilEnd,
}

#[derive(Debug)]
pub(crate) struct Chunked {
    at: Place,
    extension_bytes: usize,
    trailer_bytes: usize,
    trailers: usize,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
}

/// How far the input belongs to the body.
#[derive(Debug)]
pub(crate) struct Followed {
    pub pass: usize,
    pub done: bool,
}

/// What is wrong, and how many bytes before it were good.
#[derive(Debug)]
pub(crate) struct Failed {
    pub pass: usize,
    pub malformed: Malformed,
}

impl Body {
    pub(crate) fn chunked() -> Self {
        Self::Chunked(Chunked { at: Place::Size, extension_bytes: 0, trailer_bytes: 0, trailers: 0 })
    }

    /// Follows the body through the input. `done` once its last byte passed.
    pub(crate) fn follow(&mut self, input: &[u8]) -> Result<Followed, Failed> {
        match self {
            Self::Length(left) => {
                let pass = take(left, input);
                Ok(Followed { pass, done: *left == 0 })
            }
            Self::Chunked(chunked) => chunked.follow(input),
            Self::UntilEnd => Ok(Followed { pass: input.len(), done: false }),
        }
    }
}

fn take(left: &mut u64, input: &[u8]) -> usize {
    let pass = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= pass as u64;
    pass
}

impl Chunked {
    fn follow(&mut self, input: &[u8]) -> Result<Followed, Failed> {
        let mut pass = 0;
        loop {
            let rest = input.get(pass..).unwrap_or_default();
            match self.step(rest) {
                Ok(Step::Passed(bytes)) => pass += bytes,
                Ok(Step::Done(bytes)) => return Ok(Followed { pass: pass + bytes, done: true }),
                Ok(Step::NeedMore) => return Ok(Followed { pass, done: false }),
                Err(malformed) => return Err(Failed { pass, malformed }),
            }
        }
    }

    fn step(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        match &mut self.at {
            Place::Data(left) => {
                let pass = take(left, input);
                if *left == 0 {
                    self.at = Place::DataEnd;
                }
                Ok(if pass == 0 { Step::NeedMore } else { Step::Passed(pass) })
            }
            Place::DataEnd => match input {
                [b'\r', b'\n', ..] => {
                    self.at = Place::Size;
                    Ok(Step::Passed(2))
                }
                [] | [b'\r'] => Ok(Step::NeedMore),
                _ => Err(Malformed::new(Cause::ChunkEnd, "chunk end")),
            },
            Place::Size => {
                let Some((line, bytes)) = line(input, CHUNK_LINE_BYTES, Cause::ChunkSize)? else {
                    return Ok(Step::NeedMore);
                };
                let (size, extension) = chunk_size(line)?;
                self.extension_bytes += extension;
                if self.extension_bytes > CHUNK_EXTENSION_BYTES {
                    return Err(Malformed::new(Cause::ChunkExtension, "chunk line"));
                }
                self.at = if size == 0 { Place::Trailers } else { Place::Data(size) };
                Ok(Step::Passed(bytes))
            }
            Place::Trailers => {
                let room = TRAILER_BYTES - self.trailer_bytes;
                let Some((line, bytes)) = line(input, room, Cause::Trailer)? else {
                    return Ok(Step::NeedMore);
                };
                if line.is_empty() {
                    return Ok(Step::Done(bytes));
                }
                self.trailer(line, bytes)?;
                Ok(Step::Passed(bytes))
            }
        }
    }

    fn trailer(&mut self, line: &[u8], bytes: usize) -> Result<(), Malformed> {
        let (name, _) = lines::field(line)?;
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        self.trailers += 1;
        self.trailer_bytes = self.trailer_bytes.saturating_add(bytes).min(TRAILER_BYTES);
        if self.trailers > TRAILER_COUNT || is_forbidden_trailer(&name) {
            return Err(Malformed::new(Cause::Trailer, "trailers"));
        }
        Ok(())
    }
}

enum Step {
    Passed(usize),
    Done(usize),
    NeedMore,
}

/// The first line without its end, and its bytes with it. `most`: bytes a line may have without its end.
fn line(input: &[u8], most: usize, too_long: Cause) -> Result<Option<(&[u8], usize)>, Malformed> {
    const PLACE: &str = "chunk framing";
    let window = input.get(..most + 2).unwrap_or(input);
    let Some(end) = memchr::memchr(b'\n', window) else {
        // A lone CR at the end may still become a line end.
        let text = input.strip_suffix(b"\r").unwrap_or(input);
        return if text.len() > most { Err(Malformed::new(too_long, PLACE)) } else { Ok(None) };
    };
    match window.get(..end).and_then(|line| line.strip_suffix(b"\r")) {
        Some(line) => Ok(Some((line, end + 1))),
        None => Err(Malformed::new(Cause::BareLf, PLACE)),
    }
}

/// The size of a chunk line and the bytes of its extensions.
fn chunk_size(line: &[u8]) -> Result<(u64, usize), Malformed> {
    let refuse = |cause| Err(Malformed::new(cause, "chunk line"));
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (number, extension) = line.split_at_checked(digits).unwrap_or_default();
    if number.is_empty() || digits > CHUNK_SIZE_DIGITS {
        return refuse(Cause::ChunkSize);
    }
    let mut size = 0_u64;
    for &digit in number {
        size = size << 4 | u64::from(char::from(digit).to_digit(16).unwrap_or_default());
    }
    // hyper and others count in signed or smaller numbers; nobody sends a chunk of eight exabytes.
    if size > i64::MAX as u64 {
        return refuse(Cause::ChunkSize);
    }
    match extension.first() {
        None => {}
        Some(b';') if framing::is_field_text(extension) => {}
        Some(b';') => return refuse(Cause::ChunkExtension),
        Some(_) => return refuse(Cause::ChunkSize),
    }
    Ok((size, extension.len()))
}
