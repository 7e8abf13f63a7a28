//! `t:base64Decode`: decodes base64 up to the first byte outside the alphabet (a `=` is outside too).
//! A last group of two or three characters counts without its padding.

use std::borrow::Cow;

use super::bytes::{buffer, settle};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::ALL];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    let length = input.iter().take_while(|&&byte| digit(byte).is_some()).count();
    settle(input, decode(input.iter().take(length).filter_map(|&byte| digit(byte))))
}

/// The six bits that a character of the standard alphabet stands for.
pub(super) fn digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// Packs six-bit digits into bytes; bits that do not fill a byte are dropped.
pub(super) fn decode(digits: impl Iterator<Item = u8>) -> Vec<u8> {
    let (mut output, mut bits, mut count) = (buffer(0), 0u32, 0u32);
    for digit in digits {
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            output.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn decodes_up_to_the_first_foreign_byte() {
        check(
            apply,
            &[
                (b"", b""),
                (b"VGVzdENhc2U=", b"TestCase"),
                (b"VGVzdENhc2U", b"TestCase"),
                (b"VGVzdABDYXNl", b"Test\0Case"),
                (b"VGVz", b"Tes"),
                (b"VGVzd", b"Tes"),
                (b"VGVzdE", b"Test"),
                (b"VGVz!dENh", b"Tes"),
                (b"!VGVz", b""),
                (b"PHNjcmlwdD4=", b"<script>"),
                (b"+/+/", b"\xfb\xff\xbf"),
                (b"-_-_", b""),
            ],
        );
    }
}
