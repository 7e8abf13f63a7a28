//! `t:sha1`: the 20 raw bytes of the digest; `t:hexEncode` makes them readable. Not for security: rules compare with it.

use std::borrow::Cow;

use ::sha1::{Digest, Sha1};
use super::bytes::buffer;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    let mut output = buffer(20);
    output.extend_from_slice(&Sha1::digest(input));
    Cow::Owned(output)
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
                (b"", b"\xda\x39\xa3\xee\x5e\x6b\x4b\x0d\x32\x55\xbf\xef\x95\x60\x18\x90\xaf\xd8\x07\x09"),
            ],
        );
    }
}
