//! `t:replaceComments`: each `/* … */` becomes one space, an open one at the end too. A lone `*/` stays.

use std::borrow::Cow;

use memchr::memmem;

use super::bytes::{Rewrite, find};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"/"), ByteSet::listed(b"*")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    let mut rewrite = Rewrite::of(input);
    let mut at = 0;
    while let Some(found) = find(input, at, |rest| memmem::find(rest, b"/*")) {
        at = find(input, found + 2, |rest| memmem::find(rest, b"*/")).map_or(input.len(), |end| end + 2);
        rewrite.replace(found, at, b" ");
    }
    rewrite.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn a_comment_becomes_a_space() {
        check(
            apply,
            &[
                (b"", b""),
                (b"test", b"test"),
                (b"a/* b */c", b"a c"),
                (b"a/**//**/b", b"a  b"),
                (b"a/*", b"a "),
                (b"/*/", b"\x20"),
                (b"*/a", b"*/a"),
                (b"UNION/**/SELECT", b"UNION SELECT"),
                (b"a/*b*/c*/d", b"a c*/d"),
            ],
        );
    }
}
