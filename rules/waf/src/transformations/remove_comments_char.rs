//! `t:removeCommentsChar`: removes the marks of comments (`/*`, `*/`, `<!--`, `-->`, `--`, `#`), not what is inside.

use std::borrow::Cow;

use super::bytes::{buffer, settle};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"/-#")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr3(b'/', b'-', b'#', input).is_none() {
        return Cow::Borrowed(input);
    }
    let mut output = buffer(input.len());
    let mut rest = input;
    while let [byte, tail @ ..] = rest {
        rest = match rest {
            [b'/', b'*', tail @ ..]
            | [b'*', b'/', tail @ ..]
            | [b'<', b'!', b'-', b'-', tail @ ..]
            | [b'-', b'-', b'>', tail @ ..]
            | [b'-', b'-', tail @ ..]
            | [b'#', tail @ ..] => tail,
            _ => {
                output.push(*byte);
                tail
            }
        };
    }
    settle(input, output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn marks_are_removed() {
        check(
            apply,
            &[
                (b"", b""),
                (b"test", b"test"),
                (b"a/* b */c", b"a b c"),
                (b"<!-- a -->", b" a "),
                (b"a--b#c", b"abc"),
                (b"/*/", b"/"),
                (b"-->a->", b"a->"),
                (b"---", b"-"),
                (b"sel/**/ect", b"select"),
            ],
        );
    }
}
