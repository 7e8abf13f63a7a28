//! `t:compressWhitespace`: each run of white space (C's `isspace`, and byte 0xA0) becomes one space.

use std::borrow::Cow;

use super::bytes::{NBSP, Slots, first, is_space};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b" ").with(b'\t', b'\r').with(NBSP, NBSP)];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    if is_plain(input) {
        return Cow::Borrowed(input);
    }
    let (mut output, mut after_white) = (Slots::of(input.len()), false);
    for &byte in input {
        let white = is_white(byte);
        output.put(if white { b' ' } else { byte }, !(white && after_white));
        after_white = white;
    }
    Cow::Owned(output.finish())
}

fn is_white(byte: u8) -> bool {
    is_space(byte) || byte == NBSP
}

/// Whether a text stays as it is: no white space but spaces, each alone.
fn is_plain(input: &[u8]) -> bool {
    first(input, |byte| is_white(byte) && byte != b' ').is_none()
        && !input.array_windows().fold(false, |any, pair| any | (*pair == [b' ', b' ']))
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
                (b"a b ", b"a b "),
                (b"  ", b" "),
                (b"a\t\n\x0b\x0c\r b", b"a b"),
                (b"\ta\n", b" a "),
                (b"a\xa0\xa0b", b"a b"),
                (b"\0 \0", b"\0 \0"),
            ],
        );
    }
}
