//! One path normalisation, shared by router, authorization, schema and the forwarded request.
//!
//! ```text
//!   unreserved escapes decoded, the others in upper case (RFC 3986 §6.2.2)
//!   bytes that RFC 3986 does not allow in a path are escaped
//!   duplicate slashes merged, dot segments removed (§5.2.4), also those that were escaped
//! ```
//! Promises that the result is a fixed point: normalising it again changes nothing. What two readers could take for
//! different paths (encoded separators, `..;`, `%00`) is refused. It does not decode twice (`%252e` stays) and does
//! not decode UTF-8 escapes, overlong or not.

use crate::{Cause, Malformed};

/// What to do with an escaped slash (`%2f`) and with a backslash, escaped or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncodedSlash {
    /// Refuse the request: an application that decodes it would see another path than the policies.
    #[default]
    Refuse,
    /// Keep `%2F` and `%5C` as bytes of their segment. A dot segment between them is refused all the same.
    Keep,
}

const PLACE: &str = "path";

/// Normalises a path that begins with `/`.
pub fn normalise(path: &str, encoded_slash: EncodedSlash) -> Result<String, Malformed> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(Malformed::new(Cause::Target, PLACE));
    }
    if is_normal(bytes) {
        return Ok(path.to_owned());
    }
    let decoded = decode(bytes, encoded_slash)?;
    let mut normal = Vec::with_capacity(decoded.len());
    remove_dots(&decoded, encoded_slash, &mut normal)?;
    // Only ASCII was written; the check is cheaper than the promise.
    String::from_utf8(normal).map_err(|_| Malformed::new(Cause::NonAsciiTarget, PLACE))
}

/// The usual case: nothing to decode, no `//`, no segment that begins with `.` or `;`.
fn is_normal(bytes: &[u8]) -> bool {
    let mut after_slash = false;
    for &byte in bytes {
        match byte {
            b'/' if after_slash => return false,
            b'/' => after_slash = true,
            b'.' | b';' if after_slash => return false,
            _ if is_path_byte(byte) => after_slash = false,
            _ => return false,
        }
    }
    true
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `pchar` of RFC 3986 §3.3 without escapes.
fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
        )
}

fn decode(bytes: &[u8], encoded_slash: EncodedSlash) -> Result<Vec<u8>, Malformed> {
    let mut decoded = Vec::with_capacity(bytes.len() + 8);
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let (value, after) =
                    escape(after).ok_or_else(|| Malformed::new(Cause::PercentEscape, PLACE))?;
                rest = after;
                match value {
                    0 => return Err(Malformed::new(Cause::EncodedNul, PLACE)),
                    b'/' if encoded_slash == EncodedSlash::Refuse => {
                        return Err(Malformed::new(Cause::EncodedSlash, PLACE));
                    }
                    b'\\' if encoded_slash == EncodedSlash::Refuse => {
                        return Err(Malformed::new(Cause::Backslash, PLACE));
                    }
                    value if is_unreserved(value) => decoded.push(value),
                    value => push_escape(&mut decoded, value),
                }
            }
            b'\\' if encoded_slash == EncodedSlash::Refuse => {
                return Err(Malformed::new(Cause::Backslash, PLACE));
            }
            b'/' => decoded.push(byte),
            b'#' => return Err(Malformed::new(Cause::Fragment, PLACE)),
            byte if is_path_byte(byte) => decoded.push(byte),
            0x80.. => return Err(Malformed::new(Cause::NonAsciiTarget, PLACE)),
            0x21..=0x7e => push_escape(&mut decoded, byte),
            _ => return Err(Malformed::new(Cause::ControlCharacter, PLACE)),
        }
    }
    Ok(decoded)
}

/// Reads the two digits after `%`.
fn escape(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&[high, low], rest) = bytes.split_first_chunk()?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(high)? * 16 + digit(low)?;
    Some((u8::try_from(value).ok()?, rest))
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push(b'%');
    for nibble in [byte >> 4, byte & 15] {
        out.extend(DIGITS.get(usize::from(nibble)));
    }
}

fn remove_dots(decoded: &[u8], encoded_slash: EncodedSlash, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut segments = decoded.split(|byte| *byte == b'/').skip(1).peekable();
    // Invariant: `out` is empty or a sequence of `/segment`.
    let mut directory = true;
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let before_parameters = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        if before_parameters.len() < segment.len() && matches!(before_parameters, b"" | b"." | b"..") {
            return Err(Malformed::new(Cause::PathParameter, PLACE));
        }
        directory = last;
        match segment {
            b"" | b"." => {}
            b".." => {
                let parent = memchr::memrchr(b'/', out).unwrap_or(0);
                out.truncate(parent);
            }
            segment => {
                if encoded_slash == EncodedSlash::Keep {
                    check_hidden(segment)?;
                }
                out.push(b'/');
                out.extend_from_slice(segment);
                directory = false;
            }
        }
    }
    if directory || out.is_empty() {
        out.push(b'/');
    }
    Ok(())
}

/// Refuses dot segments between kept separators: whoever decodes them would leave the path that was judged.
fn check_hidden(segment: &[u8]) -> Result<(), Malformed> {
    let mut start = 0;
    let mut separators = false;
    let hidden = |part: &[u8]| {
        let name = part.split(|byte| *byte == b';').next().unwrap_or_default();
        matches!(name, b"." | b"..")
    };
    for at in memchr::memchr_iter(b'%', segment) {
        let cause = match segment.get(at + 1..at + 3) {
            Some(b"2F") => Cause::EncodedSlash,
            Some(b"5C") => Cause::Backslash,
            _ => continue,
        };
        separators = true;
        if segment.get(start..at).is_some_and(hidden) {
            return Err(Malformed::new(cause, PLACE));
        }
        start = at + 3;
    }
    if separators && segment.get(start..).is_some_and(hidden) {
        return Err(Malformed::new(Cause::EncodedSlash, PLACE));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(path: &str) -> Result<String, Cause> {
        normalise(path, EncodedSlash::Refuse).map_err(|malformed| malformed.cause)
    }

    fn kept(path: &str) -> Result<String, Cause> {
        normalise(path, EncodedSlash::Keep).map_err(|malformed| malformed.cause)
    }

    #[test]
    fn a_normal_path_stays_as_it_is() {
        for path in ["/", "/a", "/a/", "/a.b/c;d=e/f", "/A~_-!$&'()*+,=:@", "/a..b", "/a/b.."] {
            assert_eq!(normal(path).as_deref(), Ok(path));
        }
    }

    #[test]
    fn dot_segments_follow_rfc_3986_5_2_4() {
        for (path, expected) in [
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/.", "/"),
            ("/./", "/"),
            ("/a/b/../../..", "/"),
            ("/a//../b", "/b"),
            ("/...", "/..."),
            ("/.a/..b", "/.a/..b"),
            ("/mid/content=5/../6", "/mid/6"),
        ] {
            assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn path_01_duplicate_slashes_are_one() {
        assert_eq!(normal("//admin").as_deref(), Ok("/admin"));
        assert_eq!(normal("/a///b//").as_deref(), Ok("/a/b/"));
    }

    #[test]
    fn path_02_unreserved_escapes_are_decoded() {
        assert_eq!(normal("/%61dmin").as_deref(), Ok("/admin"));
        assert_eq!(normal("/%7euser/%41%2d%5f%2E").as_deref(), Ok("/~user/A-_."));
        assert_eq!(normal("/a%3ab%20c%c3%a9").as_deref(), Ok("/a%3Ab%20c%C3%A9"));
    }

    #[test]
    fn path_04_encoded_dot_segments_are_removed() {
        assert_eq!(normal("/x/%2e%2e/admin").as_deref(), Ok("/admin"));
        assert_eq!(normal("/x/.%2E/admin").as_deref(), Ok("/admin"));
    }

    #[test]
    fn path_05_encoded_slash_dot_dot() {
        assert_eq!(normal("/x%2f..%2fadmin"), Err(Cause::EncodedSlash));
        assert_eq!(kept("/x%2f..%2fadmin"), Err(Cause::EncodedSlash));
        assert_eq!(kept("/x%2f%2e%2e;a%2fadmin"), Err(Cause::EncodedSlash));
        assert_eq!(kept("/..%2fadmin"), Err(Cause::EncodedSlash));
        assert_eq!(kept("/admin%5c.."), Err(Cause::EncodedSlash));
        assert_eq!(kept("/a%2fb").as_deref(), Ok("/a%2Fb"));
    }

    #[test]
    fn path_06_backslash_plain_and_encoded() {
        assert_eq!(normal("/\\admin"), Err(Cause::Backslash));
        assert_eq!(normal("/%5cadmin"), Err(Cause::Backslash));
        assert_eq!(normal("\\admin"), Err(Cause::Target));
        assert_eq!(kept("/a\\b%5cc").as_deref(), Ok("/a%5Cb%5Cc"));
        assert_eq!(kept("/..\\admin"), Err(Cause::Backslash));
    }

    #[test]
    fn path_08_parameters_on_dot_segments() {
        for path in ["/x/..;/admin", "/x/.;/admin", "/x/%2e%2e;a=b/admin", "/..;", "/;/admin", "/;x=y/admin"]
        {
            assert_eq!(normal(path), Err(Cause::PathParameter), "{path}");
        }
        assert_eq!(normal("/x;v=1/..a;b").as_deref(), Ok("/x;v=1/..a;b"));
    }

    #[test]
    fn path_09_fragment_and_control_and_non_ascii() {
        assert_eq!(normal("/admin#frag"), Err(Cause::Fragment));
        assert_eq!(normal("/a\0b"), Err(Cause::ControlCharacter));
        assert_eq!(normal("/a b"), Err(Cause::ControlCharacter));
        assert_eq!(normal("/a\x7fb"), Err(Cause::ControlCharacter));
        assert_eq!(normal("/é"), Err(Cause::NonAsciiTarget));
    }

    #[test]
    fn path_12_double_encoding_is_decoded_once_only() {
        assert_eq!(normal("/%252e%252e/admin").as_deref(), Ok("/%252e%252e/admin"));
    }

    #[test]
    fn path_13_overlong_utf8_stays_escaped() {
        assert_eq!(normal("/..%c0%af..%c0%afadmin").as_deref(), Ok("/..%C0%AF..%C0%AFadmin"));
    }

    #[test]
    fn path_14_without_a_slash_is_refused() {
        assert_eq!(normal("admin"), Err(Cause::Target));
        assert_eq!(normal(""), Err(Cause::Target));
    }

    #[test]
    fn path_16_a_double_slash_is_no_authority() {
        assert_eq!(normal("//evil/admin").as_deref(), Ok("/evil/admin"));
    }

    #[test]
    fn path_18_encoded_nul() {
        assert_eq!(normal("/a%00"), Err(Cause::EncodedNul));
        assert_eq!(kept("/a%00"), Err(Cause::EncodedNul));
    }

    #[test]
    fn bad_escapes_are_refused() {
        for path in ["/%", "/%2", "/%zz", "/%+1", "/a%4"] {
            assert_eq!(normal(path), Err(Cause::PercentEscape), "{path}");
        }
    }

    #[test]
    fn bytes_outside_the_grammar_are_escaped() {
        assert_eq!(normal("/{id}\"|^`<>[]").as_deref(), Ok("/%7Bid%7D%22%7C%5E%60%3C%3E%5B%5D"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn normalising_is_idempotent(path in "/([a-c./;%\\\\]|%2[eEfF5]|%5[cC]|%6[1-3]|//|\\.\\.)*") {
            for policy in [EncodedSlash::Refuse, EncodedSlash::Keep] {
                if let Ok(once) = normalise(&path, policy) {
                    prop_assert_eq!(normalise(&once, policy), Ok(once.clone()));
                    prop_assert!(!once.contains("//"));
                    prop_assert!(once.split('/').all(|segment| segment != "." && segment != ".."));
                }
            }
        }

        #[test]
        fn no_text_makes_it_panic(path in "/\\PC*") {
            let _ = normalise(&path, EncodedSlash::Keep);
        }
    }
}
