//! `t:cssDecode`: CSS 2 escapes. A backslash and 1-6 hexadecimal digits stand for the low byte (full-width ASCII for
//! its plain character) and swallow one white space; a backslash before a newline is a continuation; before anything
//! else it is dropped.

use std::borrow::Cow;

use super::bytes::{best_fit, hex_digit, is_space, run, settle};
use crate::prefilter::ByteSet;

/// See [`super::may_change`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"\\")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    if !input.contains(&b'\\') {
        return Cow::Borrowed(input);
    }
    let mut output = Vec::with_capacity(input.len());
    let mut at = 0;
    while let Some(&byte) = input.get(at) {
        at += 1;
        if byte != b'\\' {
            output.push(byte);
            continue;
        }
        let digits = run(input, at, MAX_DIGITS, |byte| hex_digit(*byte).is_some());
        if digits > 0 {
            output.push(escaped(input.iter().skip(at).take(digits)));
            at += digits;
            at += run(input, at, 1, |byte| is_space(*byte));
        } else if let Some(&next) = input.get(at) {
            if next != b'\n' {
                output.push(next);
            }
            at += 1;
        }
    }
    settle(input, output)
}

/// CSS 2.1 §4.1.3: an escape has at most six digits.
const MAX_DIGITS: usize = 6;

fn escaped<'a>(digits: impl Iterator<Item = &'a u8>) -> u8 {
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
