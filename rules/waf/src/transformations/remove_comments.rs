//! `t:removeComments`: removes `/* … */` and `<!-- … -->`; `--` and `#` remove the rest. An open comment at the end
//! becomes one space.

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
        let (open, ends): (usize, [&[u8]; 2]) = match rest {
            [b'/', b'*', ..] => (2, ENDS),
            [b'<', b'!', b'-', b'-', ..] => (4, ENDS),
            [b'-', b'-', ..] | [b'#', ..] => break,
            _ => {
                output.push(*byte);
                rest = tail;
                continue;
            }
        };
        let body = rest.get(open..).unwrap_or_default();
        let Some(length) = (0..body.len()).find_map(|at| {
            let here = body.get(at..)?;
            ends.iter().find(|end| here.starts_with(end)).map(|end| at + end.len())
        }) else {
            output.push(b' ');
            break;
        };
        rest = body.get(length..).unwrap_or_default();
    }
    settle(input, output)
}

/// Either end closes either comment, as in ModSecurity.
const ENDS: [&[u8]; 2] = [b"*/", b"-->"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn comments_are_removed() {
        check(
            apply,
            &[
                (b"", b""),
                (b"test", b"test"),
                (b"a/* b */c", b"ac"),
                (b"a<!-- b -->c", b"ac"),
                (b"a/*b*//*c*/d", b"ad"),
                (b"a -- b", b"a "),
                (b"a # b", b"a "),
                (b"#", b""),
                (b"a/*b", b"a "),
                (b"/*", b"\x20"),
                (b"/*/", b"\x20"),
                (b"*/a", b"*/a"),
                (b"/* a --> b", b"\x20b"),
                (b"-", b"-"),
            ],
        );
    }
}
