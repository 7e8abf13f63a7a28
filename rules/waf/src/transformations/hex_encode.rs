//! `t:hexEncode`: two lower-case digits a byte.

use std::borrow::Cow;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::ALL];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    if input.is_empty() {
        return Cow::Borrowed(input);
    }
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    Cow::Owned(input.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn two_digits_a_byte() {
        check(
            apply,
            &[
                (b"", b""),
                (b"TestCase", b"5465737443617365"),
                (b"\0\xff", b"00ff"),
            ],
        );
    }
}
