//! `t:length`: the number of bytes, as decimal text.

use std::borrow::Cow;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    Cow::Owned(input.len().to_string().into_bytes())
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
