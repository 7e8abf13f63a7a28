//! Content codings (RFC 9110 §8.4): what a body says once its compression is undone.
//!
//! Decoded bytes are judged, the original ones are sent on, so that two readers must not be able to take different
//! things out of them: one member, to its end, with nothing behind it, checksums included. Output is bounded in bytes
//! and in its ratio to the input; work is linear in input and output. What is decoded before a fault is kept.

mod brotli;
mod deflate;
mod zstd;

#[cfg(test)]
mod tests;

/// Codings in one another. One is usual; a proxy in the client's network may add a second.
pub const CODINGS_LIMIT: usize = 2;
/// Decoded bytes for each byte of input. Text comes to 20, a page of one table to 60; a bomb to 1,000 and more.
pub const RATIO_LIMIT: usize = 100;
/// Decoded bytes up to which the ratio is not asked for: short repetitive bodies are harmless.
pub const RATIO_FLOOR: usize = 64 * 1024;

/// A content coding that is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`, `x-gzip`: RFC 1952.
    Gzip,
    /// `deflate`: RFC 1950, and RFC 1951 bare, which many send.
    Deflate,
    /// `br`: RFC 7932.
    Brotli,
    /// `zstd`: RFC 8878.
    Zstd,
}

/// The codings of the Content-Encoding headers, in the order in which they were applied.
pub fn codings<'a>(headers: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Coding>, &'static str> {
    let mut codings = Vec::new();
    for name in headers.flat_map(|value| value.split(|byte| *byte == b',')) {
        let coding = match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => continue,
            b"gzip" | b"x-gzip" => Coding::Gzip,
            b"deflate" => Coding::Deflate,
            b"br" => Coding::Brotli,
            b"zstd" => Coding::Zstd,
            _ => return Err("its content encoding is not known"),
        };
        if codings.len() == CODINGS_LIMIT {
            return Err("it has more content encodings than the limit");
        }
        codings.push(coding);
    }
    Ok(codings)
}

/// How decoding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything was decoded.
    Whole,
    /// The input ended first.
    Cut,
    /// There is more than the limit.
    Over,
    /// It comes to more than [`RATIO_LIMIT`] times its input.
    Bomb,
    /// It is not what its coding says, and why. Never bytes of the body.
    Fault(&'static str),
}

/// What was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The bytes, at most the limit.
    pub bytes: Vec<u8>,
    /// How it ended.
    pub end: End,
}

/// Undoes codings, the last one first. At most `limit` bytes come out.
pub fn decode(codings: &[Coding], wire: &[u8], limit: usize) -> Decoded {
    let mut bytes = Vec::new();
    let mut cut = false;
    for (number, coding) in codings.iter().rev().enumerate() {
        let input = if number == 0 { wire } else { bytes.as_slice() };
        let by_ratio = RATIO_FLOOR.max(input.len().saturating_mul(RATIO_LIMIT));
        let (output, stop) = undo(*coding, input, limit.min(by_ratio));
        let end = match stop {
            Stop::Done(read) if read == input.len() => End::Whole,
            Stop::Done(_) => End::Fault("bytes follow the compressed data"),
            Stop::Short => End::Cut,
            Stop::Full if by_ratio < limit => End::Bomb,
            Stop::Full => End::Over,
            Stop::Bad => End::Fault("the compressed data is malformed"),
        };
        bytes = output;
        match end {
            End::Whole => {}
            // What is there may still be the beginning of the next coding.
            End::Cut => cut = true,
            end => return Decoded { bytes, end },
        }
    }
    Decoded { bytes, end: if cut { End::Cut } else { End::Whole } }
}

/// How one coding's data ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// At its own end, after so many bytes of input.
    Done(usize),
    /// The input ended first.
    Short,
    /// There is more than fits.
    Full,
    /// It is malformed.
    Bad,
}

/// Undoes one coding; at most `limit` bytes come out.
fn undo(coding: Coding, input: &[u8], limit: usize) -> (Vec<u8>, Stop) {
    match coding {
        Coding::Gzip => deflate::gzip(input, limit),
        Coding::Deflate => deflate::deflate(input, limit),
        Coding::Brotli => brotli::brotli(input, limit),
        Coding::Zstd => zstd::zstd(input, limit),
    }
}

/// Bytes of output a decoder is given at a time.
const STEP: usize = 16 * 1024;

/// Room for a decoder's next step: what is left up to one byte over the limit, which tells that there is more.
fn room(output: &mut Vec<u8>, written: usize, limit: usize) -> &mut [u8] {
    let size = limit.saturating_add(1).min(written.saturating_add(STEP));
    output.resize(size.max(written), 0);
    output.get_mut(written..).unwrap_or_default()
}

/// Cuts the output to what was written and to the limit.
fn finish(mut output: Vec<u8>, written: usize, limit: usize, stop: Stop) -> (Vec<u8>, Stop) {
    output.truncate(written.min(limit));
    (output, if written > limit { Stop::Full } else { stop })
}
