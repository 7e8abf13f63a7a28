//! `t:normalizePathWin`: `t:normalizePath` after every backslash became a slash.

use std::borrow::Cow;

use super::bytes::settle;
use super::normalize_path::{is_normal, normalize};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"/.\\")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', input).is_none() && is_normal(input) {
        return Cow::Borrowed(input);
    }
    settle(input, normalize(input, |byte| matches!(byte, b'/' | b'\\')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn backslashes_are_slashes() {
        check(
            apply,
            &[
                (b"", b""),
                (b"/a/b", b"/a/b"),
                (b"\\a\\b", b"/a/b"),
                (b"a\\..\\..\\b", b"../b"),
                (b"C:\\windows\\.\\system32\\", b"C:/windows/system32/"),
                (b"\\..\\etc/\\passwd", b"/etc/passwd"),
            ],
        );
    }
}
