//! `t:htmlEntityDecode`: numeric entities, decimal and hexadecimal, stand for their low byte; of the named ones quot,
//! amp, lt, gt and nbsp are known, in any case. The semicolon may be missing. What is not an entity stays.
//! It chooses ModSecurity's short list on purpose: CRS is written for it.

use std::borrow::Cow;

use memchr::memchr;

use super::bytes::{NBSP, Rewrite, find, hex_digit, run};
use crate::prefilter::ByteSet;

/// See [`super::changes`]. Every name has a `t` or a `p`.
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"&"), ByteSet::listed(b"#tTpP")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    let mut rewrite = Rewrite::of(input);
    let mut at = 0;
    while let Some(found) = find(input, at, |rest| memchr(b'&', rest)) {
        at = found + 1;
        if let Some((value, taken)) = entity(input.get(at..).unwrap_or_default()) {
            at += taken;
            at += run(input, at, 1, |byte| *byte == b';');
            rewrite.replace(found, at, &[value]);
        }
    }
    rewrite.finish()
}

/// The byte that the entity after the ampersand stands for, and how many bytes it took.
pub(super) fn entity(rest: &[u8]) -> Option<(u8, usize)> {
    let (start, base) = match rest {
        [b'#', b'x' | b'X', ..] => (2, 16),
        [b'#', ..] => (1, 10),
        _ => return named(rest),
    };
    let is_digit = |byte: &u8| hex_digit(*byte).is_some_and(|digit| u64::from(digit) < base);
    let digits = run(rest, start, usize::MAX, is_digit);
    let value = rest
        .iter()
        .skip(start)
        .take(digits)
        .filter_map(|byte| hex_digit(*byte))
        .fold(0u64, |value, digit| value.saturating_mul(base).saturating_add(digit.into()));
    // C's strtol saturates, and the low byte of what it saturates at is 255.
    (digits > 0).then_some((value.min(i64::MAX as u64) as u8, start + digits))
}

fn named(rest: &[u8]) -> Option<(u8, usize)> {
    let length = run(rest, 0, LONGEST_NAME + 1, u8::is_ascii_alphanumeric);
    let name = rest.get(..length)?;
    NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, value)| (*value, length))
}

const NAMES: [(&[u8], u8); 5] = [(b"quot", b'"'), (b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"nbsp", NBSP)];
const LONGEST_NAME: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn entities_stand_for_their_low_byte() {
        check(
            apply,
            &[
                (b"", b""),
                (b"test", b"test"),
                (b"&lt;script&gt;", b"<script>"),
                (b"&LT;&Gt&qUoT;&amp;&nbsp;", b"<>\"&\xa0"),
                (b"&#60;&#x3c;&#X3C&#60", b"<<<<"),
                (b"&#0;", b"\0"),
                (b"&#00060;", b"<"),
                (b"&#256;", b"\0"),
                (b"&#9999999999999999999999;", b"\xff"),
                (b"&", b"&"),
                (b"&#", b"&#"),
                (b"&#x", b"&#x"),
                (b"&#xg;", b"&#xg;"),
                (b"&#a;", b"&#a;"),
                (b"&;", b"&;"),
                (b"&unknown;", b"&unknown;"),
                (b"&ltx;", b"&ltx;"),
                (b"&quot", b"\""),
                (b"&&lt;", b"&<"),
                (b"&#x26;lt;", b"&lt;"),
                (b"&foo&lt;", b"&foo<"),
                (b"a&#x6a;b", b"ajb"),
                (b"&colon;", b"&colon;"),
            ],
        );
    }
}
