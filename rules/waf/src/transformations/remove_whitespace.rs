//! `t:removeWhitespace`: removes white space (C's `isspace`, and byte 0xA0).

use std::borrow::Cow;

use super::bytes::{NBSP, filter_bytes, is_space};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b" ").with(b'\t', b'\r').with(NBSP, NBSP)];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    filter_bytes(input, |byte| !is_space(byte) && byte != NBSP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn white_space_goes() {
        check(
            apply,
            &[
                (b"", b""),
                (b"ab", b"ab"),
                (b" a\t\n\x0b\x0c\r b\xa0", b"ab"),
                (b"\0", b"\0"),
            ],
        );
    }
}
