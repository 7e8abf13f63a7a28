//! `t:urlDecode`: `%HH` and `+`. An invalid escape stays.

use std::borrow::Cow;

use memchr::memchr;

use super::bytes::{buffer, find, hex_pair};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"%+")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    decode(input, |_, _| None).0
}

/// Decodes `%HH` and `+`, and what `other` makes of a percent sign that starts neither (the byte, and how many bytes
/// after the percent sign it took). Answers also how many percent signs were left as they are.
pub(crate) fn decode(
    input: &[u8],
    other: impl Fn(&[u8], usize) -> Option<(u8, usize)>,
) -> (Cow<'_, [u8]>, usize) {
    let (mut output, mut from, mut at, mut invalid) = (None, 0, 0, 0);
    while let Some(found) = find(input, at, |rest| memchr(b'%', rest)) {
        at = found + 1;
        match hex_pair(input, at).map(|value| (value, 2)).or_else(|| other(input, at)) {
            Some((value, taken)) => {
                let output = output.get_or_insert_with(|| buffer(input.len()));
                copy(input.get(from..found).unwrap_or_default(), output);
                output.push(value);
                at += taken;
                from = at;
            }
            None => invalid += 1,
        }
    }
    let rest = input.get(from..).unwrap_or_default();
    if output.is_none() && memchr(b'+', rest).is_none() {
        return (Cow::Borrowed(input), invalid);
    }
    let mut output = output.unwrap_or_else(|| buffer(input.len()));
    copy(rest, &mut output);
    (Cow::Owned(output), invalid)
}

/// Copies what has no escapes. Forms have a plus in the place of every space: they are not worth a search each.
fn copy(part: &[u8], output: &mut Vec<u8>) {
    output.extend(part.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn valid_escapes_are_decoded() {
        check(
            apply,
            &[
                (b"", b""),
                (b"test", b"test"),
                (b"a+b", b"a b"),
                (b"%+%20+%2g+", b"%   %2g "),
                (b"%41%4a%4A", b"AJJ"),
                (b"%00", b"\0"),
                (b"%", b"%"),
                (b"%4", b"%4"),
                (b"%g1", b"%g1"),
                (b"%%41", b"%A"),
                (b"%u0041", b"%u0041"),
                (b"%2541", b"%41"),
                (b"a%2bb", b"a+b"),
                (b"%1%", b"%1%"),
            ],
        );
    }
}
