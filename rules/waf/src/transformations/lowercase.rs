//! `t:lowercase`: ASCII letters only.

use std::borrow::Cow;

use super::bytes::map_bytes;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::NONE.with(b'A', b'Z')];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    map_bytes(input, |byte| byte.to_ascii_lowercase())
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
                (b"test", b"test"),
                (b"TestCase\0ABC", b"testcase\0abc"),
                (b"\xc4", b"\xc4"),
            ],
        );
    }
}
