//! `t:utf8toUnicode`: each UTF-8 sequence of two or more bytes becomes `%uhhhh` (five or six digits above the basic
//! plane). ASCII stays, and so do bytes that are not UTF-8.

use std::borrow::Cow;

use super::bytes::buffer;
use crate::prefilter::ByteSet;

/// See [`super::changes`]: a leading byte and one that follows it.
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::NONE.with(0xc2, 0xf4), ByteSet::NONE.with(0x80, 0xbf)];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    if input.is_ascii() {
        return Cow::Borrowed(input);
    }
    // Three times the input at most, so the room is counted first.
    let longer = input.utf8_chunks().flat_map(|chunk| chunk.valid().chars()).filter(|other| !other.is_ascii());
    let more: usize = longer.map(|other| escaped(other.into()) + 2 - other.len_utf8()).sum();
    let mut output = buffer(input.len() + more);
    let mut changed = false;
    for chunk in input.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_ascii() {
                output.push(character as u8);
            } else {
                escape(character.into(), &mut output);
                changed = true;
            }
        }
        output.extend_from_slice(chunk.invalid());
    }
    if changed { Cow::Owned(output) } else { Cow::Borrowed(input) }
}

/// Digits of a code point.
fn escaped(point: u32) -> usize {
    (8 - point.leading_zeros() as usize / 4).max(4)
}

/// Writes `%uhhhh`, with as many digits as it takes, four at least.
fn escape(point: u32, output: &mut Vec<u8>) {
    output.extend_from_slice(b"%u");
    for place in (0..escaped(point)).rev() {
        let digit = char::from_digit(point >> (place * 4) & 15, 16).unwrap_or('0');
        output.push(digit as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn sequences_become_escapes() {
        check(
            apply,
            &[
                (b"", b""),
                (b"test", b"test"),
                (b"\xc3\xa9", b"%u00e9"),
                (b"\xe2\x80\xb9", b"%u2039"),
                (b"\xef\xbc\x9cscript\xef\xbc\x9e", b"%uff1cscript%uff1e"),
                (b"\xf0\x9f\x98\x80", b"%u1f600"),
                (b"\xff\xfe", b"\xff\xfe"),
                (b"\xc3", b"\xc3"),
                (b"\xc0\xaf", b"\xc0\xaf"),
                (b"a\xc3\xa9\xffb", b"a%u00e9\xffb"),
            ],
        );
    }
}
