//! `t:base64Encode`: standard alphabet, with padding.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::ALL];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    if input.is_empty() {
        return Cow::Borrowed(input);
    }
    Cow::Owned(STANDARD.encode(input).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn encodes_with_padding() {
        check(
            apply,
            &[
                (b"", b""),
                (b"TestCase", b"VGVzdENhc2U="),
                (b"Test\0Case", b"VGVzdABDYXNl"),
                (b"\xff", b"/w=="),
            ],
        );
    }
}
