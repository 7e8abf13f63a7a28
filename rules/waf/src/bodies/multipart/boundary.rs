//! The boundary in a Content-Type header.

use super::Flags;
use super::delimiter::is_dress;
use super::disposition::is_token;

/// RFC 2046 §5.1.1.
const LONGEST: usize = 70;

/// Reads the boundary: exactly one parameter, of the characters that RFC 2046 allows.
pub(super) fn read(content_type: &[u8], flags: &mut Flags) -> Result<Vec<u8>, &'static str> {
    let mut found = None;
    for parameter in content_type.split(|&byte| byte == b';').skip(1) {
        let mut parts = parameter.splitn(2, |&byte| byte == b'=');
        let name = parts.next().unwrap_or_default();
        // A client's reader may look for the word anywhere; two readers must not find different boundaries.
        if !contains_ignoring_case(parameter, b"boundary") {
            continue;
        }
        if !name.trim_ascii().eq_ignore_ascii_case(b"boundary") {
            return Err("the boundary parameter is malformed");
        }
        let value = parts.next().ok_or("the boundary parameter is malformed")?;
        if found.replace(value).is_some() {
            return Err("there are several boundary parameters");
        }
        let spaced = |bytes: &[u8]| bytes.first().is_some_and(u8::is_ascii_whitespace);
        flags.boundary_whitespace |= name.last().is_some_and(u8::is_ascii_whitespace) || spaced(value);
    }
    let value = found.ok_or("there is no boundary parameter")?.trim_ascii();
    let bare = match value {
        [b'"', inner @ .., b'"'] => {
            flags.boundary_quoted = true;
            inner
        }
        _ => value,
    };
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    if bare.is_empty() || bare.len() > LONGEST || !bare.iter().all(allowed) || bare.last() == Some(&b' ') {
        return Err("the boundary is not one of RFC 2046");
    }
    // A reader may take quotes and white space away, and find delimiters where there are none.
    if bare.first().is_some_and(|byte| is_dress(*byte)) {
        return Err("the boundary begins with a space or a single quote");
    }
    // RFC 2045 §5.1. Readers end such a boundary at different characters: PHP at a comma, Werkzeug at any of these.
    if !flags.boundary_quoted && !bare.iter().all(|byte| is_token(*byte)) {
        return Err("the boundary has characters that stand in quotes only");
    }
    Ok(bare.to_vec())
}

fn contains_ignoring_case(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}
