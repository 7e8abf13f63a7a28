//! `t:urlDecodeUni`: `%HH`, `+`, and Microsoft's `%uHHHH`, which stands for its low byte (full-width ASCII for the plain
//! character). An invalid escape stays.

use std::borrow::Cow;

use super::bytes::hex_quad;
use super::url_decode::decode;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"%+")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    decode(input, wide).0
}

/// `uHHHH` after the percent sign.
pub(super) fn wide(input: &[u8], at: usize) -> Option<(u8, usize)> {
    matches!(input.get(at)?, b'u' | b'U').then(|| hex_quad(input, at + 1))?.map(|value| (value, 5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn wide_escapes_best_fit() {
        check(
            apply,
            &[
                (b"", b""),
                (b"test", b"test"),
                (b"a+b%20c", b"a b c"),
                (b"%u0041%U0042", b"AB"),
                (b"%uff1cscript%uFF1E", b"<script>"),
                (b"%uff01%uff5e", b"!~"),
                (b"%uff00%uff5f", b"\0_"),
                (b"%u2039", b"9"),
                (b"%u004", b"%u004"),
                (b"%u00g1", b"%u00g1"),
                (b"%u", b"%u"),
                (b"%", b"%"),
                (b"%4", b"%4"),
                (b"%u%41", b"%uA"),
                (b"%u0041%", b"A%"),
                (b"%2541", b"%41"),
            ],
        );
    }
}
