//! `t:normalizePath`: collapses slashes, removes `.` segments, resolves `..` segments. An absolute path never leaves
//! the root; a relative one keeps the `..` that have nothing left to remove. A trailing slash stays if there was one.

use std::borrow::Cow;

use super::bytes::{buffer, settle};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"/.")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    if is_normal(input) { Cow::Borrowed(input) } else { settle(input, normalize(input, |byte| byte == b'/')) }
}

/// Whether nothing is to be removed: no empty segment between others, and none of dots. What is left is rare.
pub(super) fn is_normal(input: &[u8]) -> bool {
    let is_slash_or_end = |at: Option<usize>| at.and_then(|at| input.get(at)).is_none_or(|byte| *byte == b'/');
    let begins = |at: usize| at == 0 || is_slash_or_end(at.checked_sub(1));
    memchr::memmem::find(input, b"//").is_none()
        && !memchr::memchr_iter(b'.', input).filter(|at| begins(*at)).any(|at| {
            let two = input.get(at + 1) == Some(&b'.');
            is_slash_or_end(Some(at + 1)) || two && is_slash_or_end(Some(at + 2))
        })
}

/// The normal form of a path whose segments `slash` bytes end. What is written is also the list of segments, so that a
/// path of nothing but dots costs no more memory than its bytes.
pub(super) fn normalize(input: &[u8], slash: impl Fn(u8) -> bool) -> Vec<u8> {
    let root = usize::from(input.first().is_some_and(|byte| slash(*byte)));
    let mut output = buffer(input.len() + 1);
    output.extend(std::iter::repeat_n(b'/', root));
    // Each segment is written with a slash behind it.
    for segment in input.split(|byte| slash(*byte)) {
        match segment {
            b"" | b"." => {}
            b".." => match last_segment(&output, root) {
                Some(from) if output.get(from..) != Some(b"../") => output.truncate(from),
                None if root == 1 => {}
                _ => output.extend_from_slice(b"../"),
            },
            _ => {
                output.extend_from_slice(segment);
                output.push(b'/');
            }
        }
    }
    if output.len() > root && !input.last().is_some_and(|byte| slash(*byte)) {
        output.pop();
    }
    output
}

/// Where the last segment begins; none if nothing is left.
fn last_segment(written: &[u8], root: usize) -> Option<usize> {
    let (_, segments) = written.get(root..)?.split_last()?;
    Some(memchr::memrchr(b'/', segments).map_or(root, |slash| root + slash + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn dot_segments_and_slashes_are_resolved() {
        check(
            apply,
            &[
                (b"", b""),
                (b"/", b"/"),
                (b"/a/b", b"/a/b"),
                (b"/a/b/", b"/a/b/"),
                (b"//a///b", b"/a/b"),
                (b"/a/./b", b"/a/b"),
                (b"/a/../b", b"/b"),
                (b"/a/b/../../c", b"/c"),
                (b"/../../etc/passwd", b"/etc/passwd"),
                (b"/..", b"/"),
                (b"/.", b"/"),
                (b"/a/..", b"/"),
                (b"/a/b/..", b"/a"),
                (b"/a/b/../", b"/a/"),
                (b"a/b", b"a/b"),
                (b"./a", b"a"),
                (b"./", b""),
                (b".", b""),
                (b"..", b".."),
                (b"../", b"../"),
                (b"../../a", b"../../a"),
                (b"a/../..", b".."),
                (b"a/..", b""),
                (b"a/../../b", b"../b"),
                (b"...", b"..."),
                (b"/.../a", b"/.../a"),
                (b"/a/.b/..c", b"/a/.b/..c"),
                (b"a/./././b//../c", b"a/c"),
                (b"a\\..\\b", b"a\\..\\b"),
                (b"/a\0/../b", b"/b"),
            ],
        );
    }
}
