//! `t:parityZero7bit`: clears the eighth bit.

use std::borrow::Cow;

use super::bytes::map_bytes;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::NONE.with(0x80, 0xff)];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    map_bytes(input, |byte| byte & 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn the_eighth_bit_is_cleared() {
        check(
            apply,
            &[
                (b"", b""),
                (b"A", b"A"),
                (b"\xc1\xff", b"A\x7f"),
            ],
        );
    }
}
