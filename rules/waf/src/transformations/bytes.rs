//! What several decoders share: digits, C's `isspace`, and the choice between borrowed and owned.

use std::borrow::Cow;

/// The byte that Latin-1 and Windows-1252 call a non-breaking space; ModSecurity counts it as white space.
pub(crate) const NBSP: u8 = 0xa0;

/// The value of a hexadecimal digit.
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The byte that two hexadecimal digits at `at` stand for.
pub(crate) fn hex_pair(input: &[u8], at: usize) -> Option<u8> {
    let high = hex_digit(*input.get(at)?)?;
    let low = hex_digit(*input.get(at + 1)?)?;
    Some(high << 4 | low)
}

/// The byte that four hexadecimal digits at `at` best fit to: the low one, where full-width ASCII (U+FF01-FF5E)
/// becomes the plain character.
pub(crate) fn hex_quad(input: &[u8], at: usize) -> Option<u8> {
    let high = hex_pair(input, at)?;
    let low = hex_pair(input, at + 2)?;
    Some(best_fit(high, low))
}

/// See [`hex_quad`].
pub(crate) fn best_fit(high: u8, low: u8) -> u8 {
    if high == 0xff && (0x01..=0x5e).contains(&low) { low + 0x20 } else { low }
}

/// How many of the bytes from `at` on, at most `most`, are of a kind.
pub(crate) fn run(input: &[u8], at: usize, most: usize, kind: impl Fn(&u8) -> bool) -> usize {
    input.iter().skip(at).take(most).take_while(|byte| kind(byte)).count()
}

/// Up to three octal digits at `at`: their value and their number.
pub(crate) fn octal(input: &[u8], at: usize) -> (u32, usize) {
    let digits = run(input, at, 3, |byte| matches!(byte, b'0'..=b'7'));
    let value = input.iter().skip(at).take(digits).fold(0, |value, byte| value * 8 + u32::from(byte - b'0'));
    (value, digits)
}

/// C's `isspace` in the C locale: space, tab, line feed, vertical tab, form feed, carriage return.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The control character that a letter after a backslash stands for in C and JavaScript.
pub(crate) fn control_escape(letter: u8) -> Option<u8> {
    Some(match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        _ => return None,
    })
}

/// Borrowed when the output is the input.
pub(crate) fn settle(input: &[u8], output: Vec<u8>) -> Cow<'_, [u8]> {
    if output == input { Cow::Borrowed(input) } else { Cow::Owned(output) }
}

/// Borrowed when the part is the whole, so that a borrowed answer always means "nothing changed".
pub(crate) fn part<'a>(whole: &'a [u8], part: &[u8]) -> Cow<'a, [u8]> {
    if part.len() == whole.len() { Cow::Borrowed(whole) } else { Cow::Owned(part.to_vec()) }
}

/// Applies `map` to each byte; borrowed if it changes none.
pub(crate) fn map_bytes(input: &[u8], map: impl Fn(u8) -> u8) -> Cow<'_, [u8]> {
    if input.iter().all(|&byte| map(byte) == byte) {
        return Cow::Borrowed(input);
    }
    Cow::Owned(input.iter().map(|&byte| map(byte)).collect())
}

/// Keeps the bytes that `keep` accepts; borrowed if these are all.
pub(crate) fn filter_bytes(input: &[u8], keep: impl Fn(u8) -> bool) -> Cow<'_, [u8]> {
    if input.iter().all(|&byte| keep(byte)) {
        return Cow::Borrowed(input);
    }
    Cow::Owned(input.iter().copied().filter(|&byte| keep(byte)).collect())
}

/// Checks a table of (input, output) pairs, and that exactly the unchanged ones are borrowed.
#[cfg(test)]
pub(crate) fn check(apply: fn(&[u8]) -> Cow<'_, [u8]>, cases: &[(&[u8], &[u8])]) {
    for (input, expected) in cases {
        let output = apply(input);
        assert_eq!(
            output.as_ref(),
            *expected,
            "input {:?}, got {:?}",
            String::from_utf8_lossy(input),
            String::from_utf8_lossy(&output)
        );
        let borrowed = matches!(output, Cow::Borrowed(_));
        assert_eq!(borrowed, input == expected, "borrowed only if unchanged: {input:?}");
    }
}
