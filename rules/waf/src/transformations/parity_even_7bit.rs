//! `t:parityEven7bit`: sets the eighth bit so that the number of set bits is even.

use std::borrow::Cow;

use super::bytes::map_bytes;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::ALL];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    map_bytes(input, |byte| byte & 0x7f | ((byte & 0x7f).count_ones() as u8 & 1) << 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn set_bits_are_even() {
        check(
            apply,
            &[
                (b"", b""),
                (b"A", b"A"),
                (b"C", b"\xc3"),
                (b"\xc1", b"A"),
                (b"\x7f", b"\xff"),
            ],
        );
    }
}
