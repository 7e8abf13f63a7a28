//! `t:phpArgsNames`: the name under which PHP keeps a parameter. Spaces before it go; a space or a dot in front of the
//! first index becomes `_`; a `[` that is never closed becomes `_`; what stands after the last index goes.

use std::borrow::Cow;

use super::bytes::{buffer, settle};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b" .[")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    let mut output = buffer(input.len());
    let start = input.iter().take_while(|&&byte| byte == b' ').count();
    let name = input.get(start..).unwrap_or_default();
    let plain = name.iter().take_while(|&&byte| byte != b'[').count();
    let (plain, mut indexes) = name.split_at_checked(plain).unwrap_or_default();
    output.extend(plain.iter().map(|&byte| if matches!(byte, b' ' | b'.') { b'_' } else { byte }));
    while let [b'[', rest @ ..] = indexes {
        let Some(end) = memchr::memchr(b']', rest) else {
            output.push(b'_');
            output.extend_from_slice(rest);
            break;
        };
        let (index, after) = indexes.split_at_checked(end + 2).unwrap_or_default();
        output.extend_from_slice(index);
        indexes = after;
    }
    settle(input, output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn php_knows_the_parameter_by_this_name() {
        check(
            apply,
            &[
                (b"", b""),
                (b"name", b"name"),
                (b"  a b.c", b"a_b_c"),
                (b"a[b.c][d]", b"a[b.c][d]"),
                (b"a.b[c]d", b"a_b[c]"),
                (b"a[b", b"a_b"),
                (b"a[b][c.d", b"a[b]_c.d"),
                (b"[]", b"[]"),
            ],
        );
    }
}
