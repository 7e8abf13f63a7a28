//! Brotli.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Stop, finish, room};

/// Undoes `br`. Windows are RFC 7932's, at most 16 MiB, and grow only as far as there is output.
pub(super) fn brotli(input: &[u8], limit: usize) -> (Vec<u8>, Stop) {
    let mut state =
        BrotliState::new_strict(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default());
    let mut output = Vec::new();
    let (mut left, mut read, mut written, mut total) = (input.len(), 0, 0, 0);
    let stop = loop {
        if written > limit {
            break Stop::Full;
        }
        let space = room(&mut output, written, limit);
        let (mut space_left, mut given) = (space.len(), 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut read,
            input,
            &mut space_left,
            &mut given,
            space,
            &mut total,
            &mut state,
        );
        written += given;
        match result {
            BrotliResult::ResultSuccess => break Stop::Done(read),
            BrotliResult::NeedsMoreInput => break Stop::Short,
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultFailure => break Stop::Bad,
        }
    };
    finish(output, written, limit, stop)
}
