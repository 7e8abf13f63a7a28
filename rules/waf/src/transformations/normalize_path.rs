//! `t:normalizePath`: collapses slashes, removes `.` segments, resolves `..` segments. An absolute path never leaves
//! the root; a relative one keeps the `..` that have nothing left to remove. A trailing slash stays if there was one.

use std::borrow::Cow;

use super::bytes::{buffer, settle};
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::listed(b"/.")];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    if is_normal(input) { Cow::Borrowed(input) } else { settle(input, normalize(input)) }
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

/// The normal form of a path with forward slashes.
pub(super) fn normalize(input: &[u8]) -> Vec<u8> {
    let absolute = input.first() == Some(&b'/');
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in input.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => match segments.last() {
                Some(&last) if last != b".." => {
                    segments.pop();
                }
                _ if absolute => {}
                _ => segments.push(segment),
            },
            _ => segments.push(segment),
        }
    }
    let mut output = buffer(input.len());
    if absolute {
        output.push(b'/');
    }
    output.extend_from_slice(&segments.join(&b'/'));
    if !segments.is_empty() && input.last() == Some(&b'/') {
        output.push(b'/');
    }
    output
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
