//! `t:hexDecode`: each pair of digits becomes a byte. A byte that is not a digit counts by the arithmetic that
//! ModSecurity does with it, so that both see the same; an odd last digit is dropped.

use std::borrow::Cow;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::ALL];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    if input.is_empty() {
        return Cow::Borrowed(input);
    }
    Cow::Owned(input.chunks_exact(2).map(|pair| pair.iter().fold(0, |value, &byte| nibble(byte).wrapping_add(value << 4))).collect())
}

fn nibble(byte: u8) -> u8 {
    if byte >= b'A' { (byte & 0xdf).wrapping_sub(b'A').wrapping_add(10) } else { byte.wrapping_sub(b'0') }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn pairs_become_bytes() {
        check(
            apply,
            &[
                (b"", b""),
                (b"54657374", b"Test"),
                (b"546573740043617365", b"Test\0Case"),
                (b"4a4B", b"JK"),
                (b"414", b"A"),
                (b"4", b""),
                (b"01234567890a0z01234567890a", b"\x01\x23\x45\x67\x89\x0a\x23\x01\x23\x45\x67\x89\x0a"),
            ],
        );
    }
}
