//! `t:length`: the number of bytes, as decimal text.

use std::borrow::Cow;
use std::io::Write as _;

use super::bytes::buffer;
use crate::prefilter::ByteSet;

/// Digits of the longest number.
const DIGITS: usize = 20;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    let mut text = buffer(DIGITS);
    // Writing to memory does not fail.
    let _ = write!(text, "{}", input.len());
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn counts_bytes() {
        check(
            apply,
            &[
                (b"", b"0"),
                (b"abc", b"3"),
                (b"\xc3\xa9", b"2"),
            ],
        );
    }
}
