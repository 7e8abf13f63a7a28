//! `t:cmdLine`: undoes what shells ignore. Removes backslash, quotes and caret; turns comma, semicolon and white
//! space into one space; removes space before `/` and `(`; lower-cases.

use std::borrow::Cow;

use super::bytes::{Slots, first, settle};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"\"'\\^ ,;\t\r\n").with(b'A', b'Z')];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    if is_plain(input) {
        return Cow::Borrowed(input);
    }
    let (mut output, mut space) = (Slots::of(input.len()), false);
    for &byte in input {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                output.put(b' ', !space);
                space = true;
            }
            _ => {
                if space && matches!(byte, b'/' | b'(') {
                    output.pop();
                }
                output.put(byte.to_ascii_lowercase(), true);
                space = false;
            }
        }
    }
    settle(input, output.finish())
}

/// Whether a text stays as it is: no byte of those that change, and no space before another one, `/` or `(`.
fn is_plain(input: &[u8]) -> bool {
    let changes = |byte: u8| {
        matches!(byte, b'"' | b'\'' | b'\\' | b'^' | b',' | b';' | b'\t' | b'\r' | b'\n' | b'A'..=b'Z')
    };
    first(input, changes).is_none()
        && memchr::memchr_iter(b' ', input).all(|at| !matches!(input.get(at + 1), Some(b' ' | b'/' | b'(')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn a_shell_reads_it_the_same() {
        check(
            apply,
            &[
                (b"", b""),
                (b"test", b"test"),
                (b"C^OMMAND /C DIR", b"command/c dir"),
                (b"c\"o\'m\\m^and", b"command"),
                (b"a , ; \t\r\n b", b"a b"),
                (b"cat  /etc/passwd", b"cat/etc/passwd"),
                (b"foo (bar)", b"foo(bar)"),
                (b" leading ", b" leading "),
                (b"a,/b", b"a/b"),
                (b"a\x0bb", b"a\x0bb"),
                (b"\\\\^^", b""),
                (b" '/", b"/"),
            ],
        );
    }
}
