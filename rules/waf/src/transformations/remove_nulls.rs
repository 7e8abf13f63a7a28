//! `t:removeNulls`: removes NUL bytes.

use std::borrow::Cow;

use super::bytes::filter_bytes;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"\0")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    filter_bytes(input, |byte| byte != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn nul_bytes_go() {
        check(
            apply,
            &[
                (b"", b""),
                (b"a b", b"a b"),
                (b"\0a\0\0b\0", b"ab"),
                (b"\0", b""),
            ],
        );
    }
}
