//! `@validateUrlEncoding`: matches if a `%` is not followed by two hexadecimal digits.

use memchr::memchr_iter;

use crate::transformations::bytes::hex_pair;

/// Whether it is so.
pub(super) fn is_invalid(value: &[u8]) -> bool {
    let mut next = 0;
    for at in memchr_iter(b'%', value) {
        if at >= next && hex_pair(value, at + 1).is_none() {
            return true;
        }
        next = at + 3;
    }
    false
}
