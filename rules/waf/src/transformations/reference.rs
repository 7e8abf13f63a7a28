//! The straightforward form of the transformations that have a fast one, byte by byte: the truth they are tested against.

use palisade_seclang::Transformation as T;

use super::bytes::{NBSP, hex_digit, hex_pair, is_space, run};
use super::{css_decode, escape_seq_decode, html_entity_decode, js_decode, url_decode_uni};

/// Those that have one.
pub(super) const FAST: &[T] = &[
    T::CmdLine,
    T::CompressWhitespace,
    T::CssDecode,
    T::EscapeSeqDecode,
    T::HtmlEntityDecode,
    T::JsDecode,
    T::Lowercase,
    T::NormalizePath,
    T::NormalizePathWin,
    T::RemoveNulls,
    T::RemoveWhitespace,
    T::ReplaceComments,
    T::UrlDecode,
    T::UrlDecodeUni,
    T::Utf8ToUnicode,
];

/// Applies one of [`FAST`].
pub(super) fn apply(transformation: T, input: &[u8]) -> Vec<u8> {
    match transformation {
        T::CmdLine => cmd_line(input),
        T::CompressWhitespace => compress_whitespace(input),
        T::CssDecode => css_decode(input),
        T::EscapeSeqDecode => escapes(input, escape_seq_decode::escape),
        T::HtmlEntityDecode => html_entity_decode(input),
        T::JsDecode => escapes(input, js_decode::escape),
        T::Lowercase => input.to_ascii_lowercase(),
        T::NormalizePath => normalize_path(input, b"/"),
        T::NormalizePathWin => normalize_path(input, b"/\\"),
        T::RemoveNulls => input.iter().copied().filter(|byte| *byte != 0).collect(),
        T::RemoveWhitespace => {
            input.iter().copied().filter(|byte| !is_space(*byte) && *byte != NBSP).collect()
        }
        T::ReplaceComments => replace_comments(input),
        T::UrlDecode => url_decode(input, |_, _| None),
        T::UrlDecodeUni => url_decode(input, |input, at| url_decode_uni::wide(input, at, |_| None)),
        T::Utf8ToUnicode => utf8_to_unicode(input),
        other => panic!("{} has no fast form", other.name()),
    }
}

/// With a list of the segments that are left.
fn normalize_path(input: &[u8], slashes: &[u8]) -> Vec<u8> {
    let is_slash = |byte: &u8| slashes.contains(byte);
    let absolute = input.first().is_some_and(is_slash);
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in input.split(is_slash).filter(|segment| !matches!(*segment, b"" | b".")) {
        let back = segment == b"..";
        if back && segments.last().is_some_and(|last| *last != b"..") {
            segments.pop();
        } else if !(back && absolute) {
            segments.push(segment);
        }
    }
    let mut output = if absolute { b"/".to_vec() } else { Vec::new() };
    output.extend(segments.join(&b'/'));
    if !segments.is_empty() && input.last().is_some_and(is_slash) {
        output.push(b'/');
    }
    output
}

fn cmd_line(input: &[u8]) -> Vec<u8> {
    let (mut output, mut space) = (Vec::new(), false);
    for &byte in input {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if !space {
                    output.push(b' ');
                }
                space = true;
            }
            _ => {
                if space && matches!(byte, b'/' | b'(') {
                    output.pop();
                }
                output.push(byte.to_ascii_lowercase());
                space = false;
            }
        }
    }
    output
}

fn compress_whitespace(input: &[u8]) -> Vec<u8> {
    let (mut output, mut space) = (Vec::new(), false);
    for &byte in input {
        let white = is_space(byte) || byte == NBSP;
        if !white {
            output.push(byte);
        } else if !space {
            output.push(b' ');
        }
        space = white;
    }
    output
}

fn css_decode(input: &[u8]) -> Vec<u8> {
    let (mut output, mut at) = (Vec::new(), 0);
    while let Some(&byte) = input.get(at) {
        at += 1;
        if byte != b'\\' {
            output.push(byte);
            continue;
        }
        let digits = run(input, at, 6, |byte| hex_digit(*byte).is_some());
        if digits > 0 {
            output.push(css_decode::escaped(input.iter().skip(at).take(digits)));
            at += digits;
            at += run(input, at, 1, |byte| is_space(*byte));
        } else if let Some(&next) = input.get(at) {
            if next != b'\n' {
                output.push(next);
            }
            at += 1;
        }
    }
    output
}

fn escapes(input: &[u8], escape: fn(&[u8], usize, u8) -> (u8, usize)) -> Vec<u8> {
    let (mut output, mut at) = (Vec::new(), 0);
    while let Some(&byte) = input.get(at) {
        let (Some(&letter), b'\\') = (input.get(at + 1), byte) else {
            output.push(byte);
            at += 1;
            continue;
        };
        let (value, taken) = escape(input, at + 1, letter);
        output.push(value);
        at += 1 + taken;
    }
    output
}

fn html_entity_decode(input: &[u8]) -> Vec<u8> {
    let (mut output, mut at) = (Vec::new(), 0);
    while let Some(&byte) = input.get(at) {
        at += 1;
        let entity = if byte == b'&' { html_entity_decode::entity(&input[at..]) } else { None };
        let Some((value, taken)) = entity else {
            output.push(byte);
            continue;
        };
        output.push(value);
        at += taken;
        at += run(input, at, 1, |byte| *byte == b';');
    }
    output
}

fn replace_comments(input: &[u8]) -> Vec<u8> {
    let (mut output, mut rest) = (Vec::new(), input);
    while let Some(byte) = rest.first() {
        if !rest.starts_with(b"/*") {
            output.push(*byte);
            rest = &rest[1..];
            continue;
        }
        output.push(b' ');
        let end = (2..rest.len()).find(|at| rest[*at..].starts_with(b"*/"));
        rest = end.map_or(&[][..], |at| &rest[at + 2..]);
    }
    output
}

fn url_decode(input: &[u8], other: impl Fn(&[u8], usize) -> Option<(u8, usize)>) -> Vec<u8> {
    let (mut output, mut at) = (Vec::new(), 0);
    while let Some(&byte) = input.get(at) {
        at += 1;
        match byte {
            b'+' => output.push(b' '),
            b'%' => match hex_pair(input, at).map(|value| (value, 2)).or_else(|| other(input, at)) {
                Some((value, taken)) => {
                    output.push(value);
                    at += taken;
                }
                None => output.push(b'%'),
            },
            _ => output.push(byte),
        }
    }
    output
}

fn utf8_to_unicode(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    for chunk in input.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character.is_ascii() {
                true => output.push(character as u8),
                false => output.extend(format!("%u{:04x}", u32::from(character)).bytes()),
            }
        }
        output.extend(chunk.invalid());
    }
    output
}
