//! gzip and deflate.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Stop, finish, room};

/// Undoes RFC 1951, with an RFC 1950 frame around it or without; answers how much input it took, too.
fn inflate(input: &[u8], zlib: bool, limit: usize) -> (Vec<u8>, Stop) {
    let mut decoder = Decompress::new(zlib);
    let mut output = Vec::new();
    let (mut read, mut written) = (0, 0);
    let stop = loop {
        if written > limit {
            break Stop::Full;
        }
        let rest = input.get(read..).unwrap_or_default();
        let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
        let status = decoder.decompress(rest, room(&mut output, written, limit), FlushDecompress::None);
        let taken = usize::try_from(decoder.total_in() - before_in).unwrap_or(usize::MAX);
        let given = usize::try_from(decoder.total_out() - before_out).unwrap_or(usize::MAX);
        (read, written) = (read.saturating_add(taken), written.saturating_add(given));
        match status {
            Ok(Status::StreamEnd) => break Stop::Done(read),
            Ok(Status::Ok | Status::BufError) if taken == 0 && given == 0 => break Stop::Short,
            Ok(Status::Ok | Status::BufError) => {}
            Err(_) => break Stop::Bad,
        }
    };
    finish(output, written, limit, stop)
}

/// Undoes `deflate`, which is zlib's frame by its definition and bare data by many a client. What is both is neither.
pub(super) fn deflate(input: &[u8], limit: usize) -> (Vec<u8>, Stop) {
    let framed = match input {
        [method, flags, ..] => method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0,
        _ => return (Vec::new(), Stop::Short),
    };
    let (bytes, stop) = inflate(input, framed, limit);
    if framed && matches!(stop, Stop::Done(_)) && matches!(inflate(input, false, limit).1, Stop::Done(_)) {
        return (bytes, Stop::Bad);
    }
    (bytes, stop)
}

/// Undoes `gzip`: one member, its checksum and length included.
pub(super) fn gzip(input: &[u8], limit: usize) -> (Vec<u8>, Stop) {
    let start = match header(input) {
        Ok(start) => start,
        Err(stop) => return (Vec::new(), stop),
    };
    let (bytes, stop) = inflate(input.get(start..).unwrap_or_default(), false, limit);
    let Stop::Done(read) = stop else { return (bytes, stop) };
    let trailer = input.get(start + read..).unwrap_or_default();
    let Some((sum, length)) =
        trailer.first_chunk::<4>().zip(trailer.get(4..).and_then(|rest| rest.first_chunk::<4>()))
    else {
        return (bytes, Stop::Short);
    };
    let mut crc = Crc::new();
    crc.update(&bytes);
    if crc.sum() != u32::from_le_bytes(*sum) || crc.amount() != u32::from_le_bytes(*length) {
        return (bytes, Stop::Bad);
    }
    (bytes, Stop::Done(start + read + 8))
}

/// Where the data of a gzip member begins.
fn header(input: &[u8]) -> Result<usize, Stop> {
    let fixed = input.first_chunk::<10>().ok_or(Stop::Short)?;
    let [0x1f, 0x8b, 8, flags, ..] = *fixed else { return Err(Stop::Bad) };
    if flags & 0xe0 != 0 {
        return Err(Stop::Bad);
    }
    let mut at = 10;
    if flags & 4 != 0 {
        let length = input.get(at..).and_then(|rest| rest.first_chunk::<2>()).ok_or(Stop::Short)?;
        at += 2 + usize::from(u16::from_le_bytes(*length));
    }
    // The name and the comment, each up to a NUL.
    for flag in [8, 16] {
        if flags & flag != 0 {
            let rest = input.get(at..).ok_or(Stop::Short)?;
            at += memchr::memchr(0, rest).ok_or(Stop::Short)? + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    if at > input.len() { Err(Stop::Short) } else { Ok(at) }
}
