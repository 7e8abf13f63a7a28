//! `t:parityOdd7bit`: sets the eighth bit so that the number of set bits is odd.

use std::borrow::Cow;

use super::bytes::map_bytes;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::ALL];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    map_bytes(input, |byte| byte & 0x7f | ((byte & 0x7f).count_ones() as u8 & 1 ^ 1) << 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn set_bits_are_odd() {
        check(
            apply,
            &[
                (b"", b""),
                (b"A", b"\xc1"),
                (b"C", b"C"),
                (b"\xc3", b"C"),
                (b"\0", b"\x80"),
            ],
        );
    }
}
