//! `t:uppercase`: ASCII letters only.

use std::borrow::Cow;

use super::bytes::map_bytes;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::NONE.with(b'a', b'z')];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    map_bytes(input, |byte| byte.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn ascii_only() {
        check(
            apply,
            &[
                (b"", b""),
                (b"TEST", b"TEST"),
                (b"Test\0abc", b"TEST\0ABC"),
                (b"\xe4", b"\xe4"),
            ],
        );
    }
}
