//! `t:base64DecodeExt`: decodes base64 and ignores every byte outside the alphabet, as PHP does.

use std::borrow::Cow;

use super::base64_decode::{decode, digit};
use super::bytes::settle;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::ALL];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    settle(input, decode(input.iter().filter_map(|&byte| digit(byte))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn skips_foreign_bytes() {
        check(
            apply,
            &[
                (b"", b""),
                (b"VGVzdENhc2U=", b"TestCase"),
                (b"P.HNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==", b"<script>alert(1)</script>"),
                (b"V G\nV\0z", b"Tes"),
                (b"....", b""),
            ],
        );
    }
}
