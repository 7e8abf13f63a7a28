//! `t:urlDecodeUni`: `%HH`, `+`, and Microsoft's `%uHHHH`, which stands for the byte that the rule set's map names
//! (`SecUnicodeMapFile`), else for its low byte (full-width ASCII for the plain character). An invalid escape stays.

use std::borrow::Cow;

use super::UnicodeMap;
use super::bytes::{best_fit, hex_pair};
use super::url_decode::decode;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"%+")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    decode(input, |input, at| wide(input, at, |_| None)).0
}

/// Applies it with a map.
pub(super) fn apply_with<'a>(map: &UnicodeMap, input: &'a [u8]) -> Cow<'a, [u8]> {
    decode(input, |input, at| wide(input, at, |point| map.byte(point))).0
}

/// `uHHHH` after the percent sign.
pub(super) fn wide(input: &[u8], at: usize, mapped: impl Fn(u16) -> Option<u8>) -> Option<(u8, usize)> {
    let is_wide = matches!(input.get(at)?, b'u' | b'U');
    let (high, low) = (hex_pair(input, at + 1).filter(|_| is_wide)?, hex_pair(input, at + 3)?);
    let byte = mapped(u16::from_be_bytes([high, low])).unwrap_or_else(|| best_fit(high, low));
    Some((byte, 5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn wide_escapes_best_fit() {
        check(
            apply,
            &[
                (b"", b""),
                (b"test", b"test"),
                (b"a+b%20c", b"a b c"),
                (b"%u0041%U0042", b"AB"),
                (b"%uff1cscript%uFF1E", b"<script>"),
                (b"%uff01%uff5e", b"!~"),
                (b"%uff00%uff5f", b"\0_"),
                (b"%u2039", b"9"),
                (b"%u004", b"%u004"),
                (b"%u00g1", b"%u00g1"),
                (b"%u", b"%u"),
                (b"%", b"%"),
                (b"%4", b"%4"),
                (b"%u%41", b"%uA"),
                (b"%u0041%", b"A%"),
                (b"%2541", b"%41"),
            ],
        );
    }

    #[test]
    fn a_map_goes_before_the_low_byte_and_leaves_everything_else() {
        let map = UnicodeMap::read("20127 (US-ASCII) 2039:3c 00e9:65 ff1e:3e", 20127).unwrap();
        for (input, output) in [
            ("%u2039script%uFF1E", "<script>"),
            ("caf%u00E9+%41", "cafe A"),
            ("%u203a%uff1c%u0041", ":<A"),
            ("%u3002%uff61", ".."),
            ("%u20", "%u20"),
            ("\u{2039}", "\u{2039}"),
        ] {
            assert_eq!(apply_with(&map, input.as_bytes()), output.as_bytes(), "{input}");
        }
        assert_eq!(apply(b"%u2039"), b"9".as_slice(), "without it");
    }
}
