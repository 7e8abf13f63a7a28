//! `t:replaceNulls`: each NUL byte becomes a space.

use std::borrow::Cow;

use super::bytes::map_bytes;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"\0")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    map_bytes(input, |byte| if byte == 0 { b' ' } else { byte })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn nul_bytes_become_spaces() {
        check(
            apply,
            &[
                (b"", b""),
                (b"a b", b"a b"),
                (b"\0a\0\0b", b" a  b"),
            ],
        );
    }
}
