//! `t:sqlHexDecode`: `0x` and at least one pair of digits become the bytes; an odd last digit stays.

use std::borrow::Cow;

use super::bytes::{buffer, hex_pair, settle};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"0"), ByteSet::listed(b"xX")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'x', b'X', input).is_none() {
        return Cow::Borrowed(input);
    }
    let mut output = buffer(input.len());
    let mut at = 0;
    while let Some(&byte) = input.get(at) {
        let marked = byte == b'0' && matches!(input.get(at + 1), Some(b'x' | b'X'));
        if !marked || hex_pair(input, at + 2).is_none() {
            output.push(byte);
            at += 1;
            continue;
        }
        at += 2;
        while let Some(value) = hex_pair(input, at) {
            output.push(value);
            at += 2;
        }
    }
    settle(input, output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn sql_hexadecimal_becomes_bytes() {
        check(
            apply,
            &[
                (b"", b""),
                (b"0x414243", b"ABC"),
                (b"a 0X4142 b", b"a AB b"),
                (b"0x", b"0x"),
                (b"0x4", b"0x4"),
                (b"0x414", b"A4"),
                (b"0xgg", b"0xgg"),
                (b"00x41", b"0A"),
                (b"x41", b"x41"),
                (b"0x41 0x42", b"A B"),
            ],
        );
    }
}
