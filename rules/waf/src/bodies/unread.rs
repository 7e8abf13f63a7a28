//! A packed body as servers read it that do not unpack: Django, Go's net/http and PHP ignore `Content-Encoding`. A gzip
//! header has room for a file's name, a stored block for anything, and Huffman codes can be chosen, so that a body may
//! be two: one unpacked, another as it came. Ordinary packed bytes are no text: what of them looks like a field is
//! judged, never refused, because chance makes a few in each megabyte.

use super::Pair;
use super::multipart::Delimiter;
use super::urlencoded;
use crate::transformations::decode_form;

/// Characters of a value that make it worth judging: an attack has more, most of what chance makes less.
const VALUE_CHARACTERS: usize = 4;

/// The fields of a form as it came: those whose names are plain ASCII, at most `limit`, and whether there were more.
/// Bytes that are no text in their values are spaces, so that a rule on odd bytes takes no packed form for an attack.
pub fn fields(wire: &[u8], separator: u8, limit: usize) -> (Vec<Pair>, bool) {
    let mut fields = Vec::new();
    for (name, value) in urlencoded::segments(wire, separator) {
        let named = !name.is_empty() && name.iter().all(|byte| is_text(*byte));
        if !named || value.iter().filter(|byte| is_text(**byte)).count() < VALUE_CHARACTERS {
            continue;
        }
        if fields.len() == limit {
            return (fields, true);
        }
        let text: Vec<u8> = value.iter().map(|byte| if is_text(*byte) { *byte } else { b' ' }).collect();
        fields.push((decode_form(name).0, decode_form(&text).0));
    }
    (fields, false)
}

/// Whether the form has other parts as it came than it has unpacked. Short forms are stored as they are by some encoders.
pub fn has_other_parts(wire: &[u8], unpacked: &[u8], content_type: &[u8]) -> bool {
    let delimiter = Delimiter::of(content_type);
    let span = delimiter.as_ref().and_then(|delimiter| delimiter.span(wire));
    span.is_some_and(|span| !span.ends_with(b"--") || memchr::memmem::find(unpacked, span).is_none())
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &[u8]) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        fields(wire, b'&', 10).0.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn fields_are_read_out_of_what_is_no_text() {
        for (wire, expected) in [
            (&b"\x1f\x8b\x08\x08&a=attack&\0\x01"[..], &[("a", "attack")][..]),
            (b"a=1%20or%0a1", &[("a", "1 or\n1")]),
            (b"\x01&a=at\x02\xfftack\n&\x03", &[("a", "at  tack\n")]),
            (b"\x01&b%5b=abcd", &[("b[", "abcd")]),
            (b"\x01a=attack", &[]),
            (b"=attack&attack", &[]),
            (b"", &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            assert_eq!(read(wire), expected, "{wire:?}");
        }
    }

    #[test]
    fn values_under_the_least_length_are_no_fields() {
        for (value, count) in [("abc", 0), ("a\u{1}b\u{1}c", 0), ("abcd", 1), ("abcde", 1)] {
            assert_eq!(read(format!("a={value}").as_bytes()).len(), count, "{value}");
        }
    }

    #[test]
    fn fields_at_the_limit_are_read_and_those_over_it_are_flagged() {
        for (count, over) in [(9, false), (10, false), (11, true)] {
            let (found, more) = fields(vec!["a=long"; count].join("&").as_bytes(), b'&', 10);
            assert_eq!((found.len(), more), (count.min(10), over));
        }
    }

    #[test]
    fn parts_are_told_by_their_delimiters() {
        let kind = b"multipart/form-data; boundary=b0undary";
        let form = b"--b0undary\r\n\r\ngood\r\n--b0undary--";
        for (wire, other) in [
            (&b"\x1f\x8b\x01--b0undary\r\n\r\nother\r\n--b0undary--"[..], true),
            (b"\x01--b0undary\r\n\r\ngood\r\n--b0undary--\x02", false),
            (b"\x01--b0undary\r\n\r\ngood\r\n--b0undary\r\n", true),
            (b"\x01--b0undary", true),
            (b"\x01-b0undary--", false),
        ] {
            assert_eq!(has_other_parts(wire, form, kind), other, "{wire:?}");
        }
        assert!(!has_other_parts(b"--b0undary", form, b"multipart/form-data"));
    }
}
