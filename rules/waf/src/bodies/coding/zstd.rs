//! Zstandard.

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::Stop;

/// Bytes of a frame's window: what RFC 8878 asks decoders to support.
const WINDOW: u64 = 8 * 1024 * 1024;
/// A last block without content, and room for a checksum.
const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];
/// The descriptor's bit for a checksum behind the last block.
const CHECKSUM: u8 = 4;

/// Undoes `zstd`: one frame, its checksum included. No dictionaries.
pub(super) fn zstd(input: &[u8], limit: usize) -> (Vec<u8>, Stop) {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW);
    if input.len() < 18 && blocks(input, header_length(input)).is_none() {
        // The longest header has 18 bytes; a shorter input that holds no block may be cut in it.
        return (Vec::new(), Stop::Short);
    }
    let mut source = input;
    if decoder.init(&mut source).is_err() {
        return (Vec::new(), Stop::Bad);
    }
    let start = input.len() - source.len();
    let Some((end, last)) = blocks(input, Some(start)) else { return (Vec::new(), Stop::Bad) };
    let summed = input.get(4).is_some_and(|descriptor| descriptor & CHECKSUM != 0);
    let whole = last && (!summed || input.len() >= end + 4);
    let mut data = input.get(start..if whole && summed { end + 4 } else { end }).unwrap_or_default();
    let mut finished = false;
    if whole || end > start {
        // A block has at most 128 KiB, so that no more than that is decoded over the limit.
        let strategy = BlockDecodingStrategy::UptoBytes(limit.saturating_add(1));
        match decoder.decode_blocks(&mut data, strategy) {
            Ok(end) => finished = end,
            // Blocks without a last one: the data ends where a header is looked for.
            Err(_) if !whole && data.is_empty() => {}
            Err(_) => return (before_fault(input, limit), Stop::Bad),
        }
    }
    if !finished && decoder.decode_blocks(LAST_BLOCK.as_slice(), BlockDecodingStrategy::All).is_err() {
        return (Vec::new(), Stop::Bad);
    }
    let mut bytes = decoder.collect().unwrap_or_default();
    let stop = if bytes.len() > limit {
        Stop::Full
    } else if !whole || !finished {
        Stop::Short
    } else if decoder.get_checksum_from_data() != decoder.get_calculated_checksum().filter(|_| summed)
        || declared(&decoder, input).is_some_and(|size| size != bytes.len() as u64)
    {
        Stop::Bad
    } else {
        Stop::Done(if summed { end + 4 } else { end })
    };
    bytes.truncate(limit);
    (bytes, stop)
}

/// What the blocks before the first faulty one come to: they are decoded once more, as a frame that was cut there.
fn before_fault(input: &[u8], limit: usize) -> Vec<u8> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW);
    let mut source = input;
    if decoder.init(&mut source).is_err() {
        return Vec::new();
    }
    loop {
        let sound = input.len() - source.len();
        match decoder.decode_blocks(&mut source, BlockDecodingStrategy::UptoBlocks(1)) {
            Ok(false) => {}
            // Nothing is faulty up to the limit; that is not why it is called.
            Ok(true) => return Vec::new(),
            Err(_) => return zstd(input.get(..sound).unwrap_or_default(), limit).0,
        }
    }
}

/// The content size that the header declares, if it does.
fn declared(decoder: &FrameDecoder, input: &[u8]) -> Option<u64> {
    let descriptor = *input.get(4)?;
    (descriptor >> 6 != 0 || descriptor & 0x20 != 0).then(|| decoder.content_size())
}

/// Bytes of the frame's header (RFC 8878 §3.1.1.1), if the descriptor is there.
fn header_length(input: &[u8]) -> Option<usize> {
    let descriptor = *input.get(4)?;
    let single = descriptor & 0x20 != 0;
    let size = match descriptor >> 6 {
        0 => usize::from(single),
        flag => 1 << flag,
    };
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied().unwrap_or_default();
    Some(5 + usize::from(!single) + dictionary + size)
}

/// Where the complete blocks end, and whether the last of them is the last of the frame; none if there is no header.
fn blocks(input: &[u8], start: Option<usize>) -> Option<(usize, bool)> {
    let mut at = start.filter(|start| *start <= input.len())?;
    while let Some([low, middle, high]) = input.get(at..).and_then(|rest| rest.first_chunk::<3>()) {
        let header = usize::from(*low) | usize::from(*middle) << 8 | usize::from(*high) << 16;
        // A run-length block has one byte, whatever its size says.
        let length = if header >> 1 & 3 == 1 { 1 } else { header >> 3 };
        let end = at + 3 + length;
        if end > input.len() {
            break;
        }
        at = end;
        if header & 1 == 1 {
            return Some((at, true));
        }
    }
    Some((at, false))
}
