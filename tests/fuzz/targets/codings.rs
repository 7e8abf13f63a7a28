//! Promise: no packed body makes a decoder panic or pass its limits; what is packed unpacks to itself; a body that is cut
//! anywhere, or has a lower limit, gives the beginning of what the whole gives.
#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use libfuzzer_sys::fuzz_target;
use palisade_fuzz::input::Input;
use palisade_waf::bodies::coding::{Coding, End, RATIO_FLOOR, RATIO_LIMIT, decode};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];
/// More than any input unpacks to without passing the ratio.
const ROOM: usize = 8 * 1024 * 1024;

fn through<W: Write>(
    mut encoder: W,
    text: &[u8],
    finish: impl FnOnce(W) -> std::io::Result<Vec<u8>>,
) -> Vec<u8> {
    encoder.write_all(text).and_then(|()| finish(encoder)).expect("memory takes what is written")
}

/// A text in a coding; `bare`: deflate without zlib's frame. There is no encoder for brotli here.
fn packed(coding: Coding, text: &[u8], bare: bool) -> Option<Vec<u8>> {
    let level = Compression::fast();
    Some(match coding {
        Coding::Gzip => through(GzEncoder::new(Vec::new(), level), text, GzEncoder::finish),
        Coding::Deflate if bare => {
            through(DeflateEncoder::new(Vec::new(), level), text, DeflateEncoder::finish)
        }
        Coding::Deflate => through(ZlibEncoder::new(Vec::new(), level), text, ZlibEncoder::finish),
        Coding::Zstd => compress_to_vec(text, CompressionLevel::Fastest),
        Coding::Brotli => return None,
    })
}

fn check(codings: &[Coding], wire: &[u8], cut: usize) {
    let whole = decode(codings, wire, ROOM);
    assert_eq!(whole, decode(codings, wire, ROOM), "the same once more");
    let mut most = wire.len();
    for _ in codings {
        most = RATIO_FLOOR.max(most * RATIO_LIMIT);
    }
    assert!(whole.bytes.len() <= most.min(ROOM), "{} bytes from {}", whole.bytes.len(), wire.len());
    let limit = whole.bytes.len() / 2;
    let less = decode(codings, wire, limit);
    assert!(less.bytes.len() <= limit);
    if codings.len() == 1 {
        assert!(whole.bytes.starts_with(&less.bytes), "a lower limit changes what comes first");
    }
    if whole.end == End::Whole {
        let begun = decode(codings, wire.get(..cut % wire.len().max(1)).unwrap_or_default(), ROOM);
        assert_eq!(begun.end, End::Cut, "cut at {}", cut % wire.len().max(1));
        assert!(whole.bytes.starts_with(&begun.bytes), "what is cut gives something else");
        let longer = [wire, b"\0"].concat();
        assert!(matches!(decode(codings, &longer, ROOM).end, End::Fault(_)), "bytes behind the end");
    }
}

// The first byte chooses one or two codings, and whether the rest is packed already; the second one where it is cut.
fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (choice, cut) = (usize::from(input.byte()), usize::from(input.byte()) * 7);
    let codings = [CODINGS[choice & 3], CODINGS[choice >> 2 & 3]];
    let codings = &codings[..1 + (choice >> 4 & 1)];
    if choice & 0x20 == 0 {
        return check(codings, input.rest(), cut);
    }
    let mut wire = input.rest().to_vec();
    for coding in codings {
        let Some(next) = packed(*coding, &wire, choice & 0x40 != 0) else { return };
        wire = next;
    }
    let decoded = decode(codings, &wire, ROOM);
    // What is bare and framed at once is neither; it is the one text that is refused.
    let twofold = codings.contains(&Coding::Deflate) && matches!(decoded.end, End::Fault(_));
    assert!(twofold || (decoded.end == End::Whole && decoded.bytes == input.rest()), "{:?}", decoded.end);
    check(codings, &wire, cut);
});
