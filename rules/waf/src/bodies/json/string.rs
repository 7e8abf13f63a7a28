//! A JSON string → its bytes. Escapes are resolved; a surrogate that has no partner is refused, as are control
//! characters and bytes that are not UTF-8: two readers would disagree about them.

use std::borrow::Cow;

use crate::transformations::bytes::{buffer, hex_pair};

/// What is wrong, and where.
type Fault = (&'static str, usize);

/// Reads a string from behind its opening quote; answers its bytes and where it ended (behind the closing quote).
pub(super) fn read(input: &[u8], start: usize) -> Result<(Cow<'_, [u8]>, usize), Fault> {
    let (text, mut at) = plain(input, start)?;
    if input.get(at) == Some(&b'"') {
        return Ok((Cow::Borrowed(text), at + 1));
    }
    // Escapes are longer than what they stand for.
    let length = memchr::memchr(b'"', input.get(at..).unwrap_or_default()).unwrap_or_default();
    let mut value = buffer(text.len() + length);
    value.extend_from_slice(text);
    loop {
        match input.get(at) {
            Some(b'"') => return Ok((Cow::Owned(value), at + 1)),
            Some(b'\\') => at = escape(input, at, &mut value)?,
            Some(_) => return Err(("a string holds a control character", at)),
            None => return Err(("a string has no end", at)),
        }
        let (text, end) = plain(input, at)?;
        value.extend_from_slice(text);
        at = end;
    }
}

/// The bytes up to the next one that means something, and where that is.
fn plain(input: &[u8], at: usize) -> Result<(&[u8], usize), Fault> {
    let rest = input.get(at..).unwrap_or_default();
    let plain = rest.iter().take_while(|&&byte| !matches!(byte, b'"' | b'\\' | ..0x20)).count();
    let text = rest.get(..plain).unwrap_or_default();
    match std::str::from_utf8(text) {
        Ok(_) => Ok((text, at + plain)),
        Err(error) => Err(("a string is not UTF-8", at + error.valid_up_to())),
    }
}

/// Reads the escape at `at`; answers where it ended.
fn escape(input: &[u8], at: usize, value: &mut Vec<u8>) -> Result<usize, Fault> {
    let simple = match input.get(at + 1) {
        Some(&same @ (b'"' | b'\\' | b'/')) => same,
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'u') => return code_point(input, at, value),
        Some(_) => return Err(("an unknown escape", at)),
        None => return Err(("a string has no end", input.len())),
    };
    value.push(simple);
    Ok(at + 2)
}

/// Reads `\uHHHH`, or two of them that make one character.
fn code_point(input: &[u8], at: usize, value: &mut Vec<u8>) -> Result<usize, Fault> {
    let unit = unit(input, at).ok_or(("four hexadecimal digits are missing", at))?;
    let (units, end) = match unit {
        0xd800..=0xdbff => match self::unit(input, at + 6) {
            Some(low) => ([unit, low], at + 12),
            None => return Err(("half a surrogate pair", at)),
        },
        _ => ([unit, 0], at + 6),
    };
    let units = if end == at + 12 { &units[..] } else { &units[..1] };
    for character in char::decode_utf16(units.iter().copied()) {
        let character = character.map_err(|_| ("half a surrogate pair", at))?;
        value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(end)
}

/// The UTF-16 unit of the `\uHHHH` at `at`.
fn unit(input: &[u8], at: usize) -> Option<u16> {
    (input.get(at..at + 2)? == b"\\u").then_some(())?;
    Some(u16::from_be_bytes([hex_pair(input, at + 2)?, hex_pair(input, at + 4)?]))
}
