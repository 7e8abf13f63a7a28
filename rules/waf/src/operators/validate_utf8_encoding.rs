//! `@validateUtf8Encoding`: matches if the value is not UTF-8 (RFC 3629: no overlong form, no surrogate, nothing above
//! U+10FFFF).

/// Whether it is so.
pub(super) fn is_invalid(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_err()
}
