//! `t:replaceComments`: each `/* … */` becomes one space, an open one at the end too. A lone `*/` stays.

use std::borrow::Cow;

use memchr::memmem;

use super::bytes::settle;
use crate::prefilter::ByteSet;

/// See [`super::may_change`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"/"), ByteSet::listed(b"*")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    let mut output = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some((before, body)) = split(rest, b"/*") {
        output.extend_from_slice(before);
        output.push(b' ');
        rest = split(body, b"*/").map_or(&[][..], |(_, after)| after);
    }
    output.extend_from_slice(rest);
    settle(input, output)
}

/// What is before and after the first occurrence of a mark.
fn split<'a>(input: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::find(input, mark)?;
    Some((input.get(..at)?, input.get(at + mark.len()..)?))
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
