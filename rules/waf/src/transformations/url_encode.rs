//! `t:urlEncode`: letters, digits and `*` stay, a space becomes `+`, everything else `%hh` in lower case.

use std::borrow::Cow;

use super::bytes::{buffer, settle};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::NONE.with(0, b')').with(b'+', b'/').with(b':', b'@').with(b'[', b'`').with(b'{', 0xff)];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    let mut output = buffer(input.len());
    for &byte in input {
        match byte {
            b' ' => output.push(b'+'),
            b'*' => output.push(byte),
            _ if byte.is_ascii_alphanumeric() => output.push(byte),
            _ => output.extend([b'%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    settle(input, output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn everything_else_is_escaped() {
        check(
            apply,
            &[
                (b"", b""),
                (b"abc*9", b"abc*9"),
                (b"a b", b"a+b"),
                (b"/?&-_.~", b"%2f%3f%26%2d%5f%2e%7e"),
                (b"\0\xff", b"%00%ff"),
            ],
        );
    }
}
