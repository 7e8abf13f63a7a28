//! Character data: the five entities that XML knows by itself, and numeric references.

/// Appends `raw` with its entities resolved.
pub(super) fn resolve(raw: &[u8], output: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'&', rest) {
        let (before, reference) = rest.split_at_checked(at).unwrap_or_default();
        output.extend_from_slice(before);
        let end = memchr::memchr(b';', reference).ok_or("an entity has no end")?;
        let character = entity(reference.get(1..end).unwrap_or_default()).ok_or("an unknown entity")?;
        output.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = reference.get(end + 1..).unwrap_or_default();
    }
    output.extend_from_slice(rest);
    Ok(())
}

/// The character that the text between `&` and `;` stands for.
fn entity(name: &[u8]) -> Option<char> {
    let (digits, radix) = match name {
        b"lt" => return Some('<'),
        b"gt" => return Some('>'),
        b"amp" => return Some('&'),
        b"quot" => return Some('"'),
        b"apos" => return Some('\''),
        [b'#', b'x', digits @ ..] => (digits, 16),
        [b'#', digits @ ..] => (digits, 10),
        _ => return None,
    };
    // `from_str_radix` would take a sign.
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    char::from_u32(u32::from_str_radix(digits, radix).ok()?)
}
