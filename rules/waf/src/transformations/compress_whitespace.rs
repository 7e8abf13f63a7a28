//! `t:compressWhitespace`: each run of white space (C's `isspace`, and byte 0xA0) becomes one space.

use std::borrow::Cow;

use super::bytes::{NBSP, Rewrite, find, first, is_space, run};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b" ").with(b'\t', b'\r').with(NBSP, NBSP)];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    let is_white = |byte: u8| is_space(byte) || byte == NBSP;
    let mut rewrite = Rewrite::of(input);
    let mut at = 0;
    while let Some(found) = find(input, at, |rest| first(rest, is_white)) {
        at = found + run(input, found, usize::MAX, |byte| is_white(*byte));
        rewrite.replace(found, at, b" ");
    }
    rewrite.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn a_run_becomes_one_space() {
        check(
            apply,
            &[
                (b"", b""),
                (b"a b", b"a b"),
                (b"a  b", b"a b"),
                (b"a\t\n\x0b\x0c\r b", b"a b"),
                (b"\ta\n", b" a "),
                (b"a\xa0\xa0b", b"a b"),
                (b"\0 \0", b"\0 \0"),
            ],
        );
    }
}
