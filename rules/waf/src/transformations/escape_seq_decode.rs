//! `t:escapeSeqDecode`: ANSI C escapes (`\a \b \f \n \r \t \v \\ \? \' \" \xHH \OOO`). A backslash before anything else is dropped.

use std::borrow::Cow;

use memchr::memchr;

use super::bytes::{Rewrite, control_escape, find, hex_pair, octal};
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
    if let Some(control) = control_escape(letter) {
        return (control, 1);
    }
    if matches!(letter, b'x' | b'X')
        && let Some(value) = hex_pair(input, at + 1)
    {
        return (value, 3);
    }
    match octal(input, at) {
        (_, 0) => (letter, 1),
        // `\777` is more than a byte; C keeps the low one.
        (value, digits) => (value as u8, digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn c_escapes_are_resolved() {
        check(
            apply,
            &[
                (b"", b""),
                (b"test", b"test"),
                (b"\\a\\b\\f\\n\\r\\t\\v", b"\x07\x08\x0c\n\r\t\x0b"),
                (b"\\\\\\?\\'\\\"", b"\\?'\""),
                (b"\\x41\\X42", b"AB"),
                (b"\\x4", b"x4"),
                (b"\\xag", b"xag"),
                (b"\\0", b"\0"),
                (b"\\101", b"A"),
                (b"\\1018", b"A8"),
                (b"\\12a", b"\na"),
                (b"\\777", b"\xff"),
                (b"\\8", b"8"),
                (b"\\z", b"z"),
                (b"a\\", b"a\\"),
                (b"\\u0041", b"u0041"),
            ],
        );
    }
}
