//! `t:trim`: removes white space (C's `isspace`) at both ends.

use std::borrow::Cow;

use super::bytes::part;
use super::{trim_left, trim_right};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b" ").with(b'\t', b'\r')];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    part(input, trim_left::trimmed(trim_right::trimmed(input)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn both_ends() {
        check(
            apply,
            &[
                (b"", b""),
                (b"a b", b"a b"),
                (b" \t\na b\x0b \r", b"a b"),
                (b"   ", b""),
                (b"\xa0a", b"\xa0a"),
            ],
        );
    }
}
