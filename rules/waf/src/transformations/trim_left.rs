//! `t:trimLeft`: removes white space (C's `isspace`) at the start.

use std::borrow::Cow;

use super::bytes::{is_space, part};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b" ").with(b'\t', b'\r')];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    part(input, trimmed(input))
}

pub(super) fn trimmed(input: &[u8]) -> &[u8] {
    let start = input.iter().take_while(|&&byte| is_space(byte)).count();
    input.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn the_start() {
        check(
            apply,
            &[
                (b"", b""),
                (b"a b ", b"a b "),
                (b" \t\na b ", b"a b "),
                (b"   ", b""),
            ],
        );
    }
}
