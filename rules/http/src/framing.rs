//! The few facts that both the guard and the canonical head read from headers: shared, so that they cannot differ.

use palisade_model::limits;
use palisade_model::{BodyKind, Limits};

use crate::path::EncodedSlash;

/// Bytes of a method. The longest registered one (`UPDATEREDIRECTREF`) has 17.
pub const METHOD_BYTES: usize = 32;

/// The limits of reading a head. Bytes and counts; a message at a limit passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, start line and line ends included.
    pub header_bytes: usize,
    /// Headers of the head.
    pub header_count: usize,
    /// Bytes of the request target.
    pub uri_bytes: usize,
    /// What to do with `%2f`, `%5c` and `\` in a path.
    pub encoded_slash: EncodedSlash,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            header_bytes: limits::HEADER_BYTES,
            header_count: limits::HEADER_COUNT,
            uri_bytes: limits::URI_BYTES,
            encoded_slash: EncodedSlash::Refuse,
        }
    }
}

impl From<&Limits> for HeadLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            header_bytes: limits.header_bytes,
            header_count: limits.header_count,
            uri_bytes: limits.uri_bytes,
            encoded_slash: EncodedSlash::Refuse,
        }
    }
}

/// A plain decimal number up to `i64::MAX`: no sign, no list, no leading zero.
pub(crate) fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || (value.len() > 1 && value.first() == Some(&b'0')) {
        return None;
    }
    let mut length = 0_u64;
    for &digit in value {
        if !digit.is_ascii_digit() {
            return None;
        }
        length = length.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    (length <= i64::MAX as u64).then_some(length)
}

/// Whether a Transfer-Encoding value is `chunked` and nothing else.
pub(crate) fn is_chunked(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"chunked")
}

/// The body of an HTTP/1 message whose framing headers were checked.
pub(crate) fn body_kind(length: Option<u64>, chunked: bool) -> BodyKind {
    match (chunked, length) {
        (true, _) => BodyKind::Unknown,
        (false, Some(length)) if length > 0 => BodyKind::Length(length),
        (false, _) => BodyKind::Empty,
    }
}

/// The members of a comma-separated list, trimmed; empty members are left out (RFC 9110 §5.6.1).
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// Without white space (SP, HTAB) at both ends.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// `tchar` of RFC 9110 §5.6.2.
#[expect(clippy::indexing_slicing, reason = "a constant table, bounded by its loop")]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            let at = byte as u8;
            table[byte] = at.is_ascii_alphanumeric()
                || matches!(
                    at,
                    b'!' | b'#'
                        | b'$'
                        | b'%'
                        | b'&'
                        | b'\''
                        | b'*'
                        | b'+'
                        | b'-'
                        | b'.'
                        | b'^'
                        | b'_'
                        | b'`'
                        | b'|'
                        | b'~'
                );
            byte += 1;
        }
        table
    };
    TABLE.get(usize::from(byte)).copied().unwrap_or_default()
}

/// A token of RFC 9110 §5.6.2.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

/// Whether bytes may stand in a header value: text, HTAB and obs-text (RFC 9110 §5.5).
pub(crate) fn is_field_text(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |good, &byte| good & ((byte >= 0x20) & (byte != 0x7f) | (byte == b'\t')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_38_content_length_is_plain_digits() {
        assert_eq!(content_length(b"0"), Some(0));
        assert_eq!(content_length(b"5"), Some(5));
        assert_eq!(content_length(b"9223372036854775807"), Some(i64::MAX as u64));
        for bad in [
            "",
            "+5",
            "-5",
            "5,5",
            "5, 5",
            "0x5",
            "05",
            "00",
            " 5",
            "5 ",
            "9223372036854775808",
            "18446744073709551616",
            "5a",
        ] {
            assert_eq!(content_length(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn framing_37_only_chunked_is_chunked() {
        assert!(is_chunked(b"chunked") && is_chunked(b"Chunked"));
        for bad in
            ["chunked ", "gzip, chunked", "chunked, chunked", "identity", "xchunked", "chunked;a=b", ""]
        {
            assert!(!is_chunked(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn text_is_everything_but_controls() {
        assert!(is_field_text(b"a\tb \xff"));
        for bad in [b"\0".as_slice(), b"\r", b"\n", b"\x7f", b"\x1b"] {
            assert!(!is_field_text(bad));
        }
    }
}
