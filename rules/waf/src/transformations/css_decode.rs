//! `t:cssDecode`: CSS 2 escapes. A backslash and 1-6 hexadecimal digits stand for the low byte (full-width ASCII for
//! its plain character) and swallow one white space; a backslash before a newline is a continuation; before anything
//! else it is dropped.

use std::borrow::Cow;

use memchr::memchr;

use super::bytes::{Rewrite, best_fit, find, hex_digit, is_space, run};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"\\")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    let mut rewrite = Rewrite::of(input);
    let mut at = 0;
    while let Some(found) = find(input, at, |rest| memchr(b'\\', rest)) {
        let after = found + 1;
        let digits = run(input, after, MAX_DIGITS, |byte| hex_digit(*byte).is_some());
        at = after + digits;
        if digits > 0 {
            let value = escaped(input.iter().skip(after).take(digits));
            at += run(input, at, 1, |byte| is_space(*byte));
            rewrite.replace(found, at, &[value]);
        } else {
            match input.get(after) {
                Some(b'\n') => rewrite.replace(found, after + 1, &[]),
                Some(_) | None => rewrite.replace(found, after, &[]),
            }
            // What follows the backslash is itself, another backslash too.
            at = after + 1;
        }
    }
    rewrite.finish()
}

/// CSS 2.1 §4.1.3: an escape has at most six digits.
const MAX_DIGITS: usize = 6;

pub(super) fn escaped<'a>(digits: impl Iterator<Item = &'a u8>) -> u8 {
    let point = digits.filter_map(|digit| hex_digit(*digit)).fold(0u32, |point, digit| point << 4 | u32::from(digit));
    // Above the basic plane nothing is full-width, so the high byte must be the whole rest.
    let high = u8::try_from(point >> 8).unwrap_or(0);
    best_fit(high, point as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn escapes_stand_for_their_low_byte() {
        check(
            apply,
            &[
                (b"", b""),
                (b"test", b"test"),
                (b"\\41", b"A"),
                (b"\\4", b"\x04"),
                (b"\\41 B", b"AB"),
                (b"\\041", b"A"),
                (b"\\0041", b"A"),
                (b"\\00041", b"A"),
                (b"\\000041", b"A"),
                (b"\\0000411", b"A1"),
                (b"\\41\tB", b"AB"),
                (b"\\41  B", b"A B"),
                (b"\\ff1c", b"<"),
                (b"\\0ff1c", b"<"),
                (b"\\00ff1c", b"<"),
                (b"\\01ff1c", b"\x1c"),
                (b"\\1ff1c", b"\x1c"),
                (b"\\ff00", b"\0"),
                (b"\\ff5f", b"_"),
                (b"\\zx", b"zx"),
                (b"a\\\nb", b"ab"),
                (b"a\\", b"a"),
                (b"\\j\\61vascript", b"javascript"),
                (b"ja\\vascript", b"javascript"),
                (b"\\\\", b"\\"),
                (b"\\12345678", b"V78"),
            ],
        );
    }
}
