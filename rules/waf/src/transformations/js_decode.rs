//! `t:jsDecode`: JavaScript escapes. `\uHHHH` stands for its low byte (full-width ASCII for the plain character),
//! `\xHH` and up to three octal digits (at most 0377) for the byte, letters for controls; before anything else the
//! backslash is dropped.

use std::borrow::Cow;

use memchr::memchr;

use super::bytes::{Rewrite, control_escape, find, hex_pair, hex_quad, octal};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"\\")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    let mut rewrite = Rewrite::of(input);
    let mut at = 0;
    while let Some(found) = find(input, at, |rest| memchr(b'\\', rest))
        && let Some(&letter) = input.get(found + 1)
    {
        let (value, taken) = escape(input, found + 1, letter);
        at = found + 1 + taken;
        rewrite.replace(found, at, &[value]);
    }
    rewrite.finish()
}

/// The byte that the escape after the backslash stands for, and how many bytes it took.
pub(super) fn escape(input: &[u8], at: usize, letter: u8) -> (u8, usize) {
    let hexadecimal = match letter {
        b'u' => hex_quad(input, at + 1).map(|value| (value, 5)),
        b'x' => hex_pair(input, at + 1).map(|value| (value, 3)),
        _ => None,
    };
    if let Some(found) = hexadecimal {
        return found;
    }
    match octal(input, at) {
        (_, 0) => (control_escape(letter).unwrap_or(letter), 1),
        (value, digits) => match u8::try_from(value) {
            Ok(value) => (value, digits),
            // Three digits above 0377: only two of them count.
            Err(_) => ((value >> 3) as u8, digits - 1),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn javascript_escapes_are_resolved() {
        check(
            apply,
            &[
                (b"", b""),
                (b"test", b"test"),
                (b"\\u0041\\x41\\101", b"AAA"),
                (b"\\uff1cscript\\uFF1e", b"<script>"),
                (b"\\uff00\\uff5f", b"\0_"),
                (b"\\u1234", b"4"),
                (b"\\u12", b"u12"),
                (b"\\u12g4", b"u12g4"),
                (b"\\x4", b"x4"),
                (b"\\xgg", b"xgg"),
                (b"\\a\\b\\f\\n\\r\\t\\v", b"\x07\x08\x0c\n\r\t\x0b"),
                (b"\\?\\\\\\'\\\"", b"?\\'\""),
                (b"\\0", b"\0"),
                (b"\\377\\400", b"\xff 0"),
                (b"\\12a", b"\na"),
                (b"\\8", b"8"),
                (b"a\\", b"a\\"),
                (b"\\U0041", b"U0041"),
                (b"\\\nb", b"\nb"),
            ],
        );
    }
}
