//! `t:md5`: the 16 raw bytes of the digest; `t:hexEncode` makes them readable. Not for security: rules compare with it.

use std::borrow::Cow;

use ::md5::{Digest, Md5};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    Cow::Owned(Md5::digest(input).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn raw_digest() {
        check(
            apply,
            &[
                (b"", b"\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e"),
            ],
        );
    }
}
