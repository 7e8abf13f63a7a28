//! Charsets: what their bytes become, and which texts are refused.

use super::*;

fn utf16(text: &str, big: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

fn utf32(text: &str, big: bool) -> Vec<u8> {
    let unit = |c: char| if big { u32::from(c).to_be_bytes() } else { u32::from(c).to_le_bytes() };
    text.chars().flat_map(unit).collect()
}

#[test]
fn the_declared_charset_is_found_in_every_spelling() {
    let wide = |unit, big| Charset::Wide(Wide { unit, big });
    for (content_type, charset) in [
        ("text/plain", Charset::Utf8),
        ("text/plain; charset=utf-8", Charset::Utf8),
        ("text/plain;CHARSET=\"UTF-8\"", Charset::Utf8),
        ("text/plain; charset=us-ascii", Charset::Utf8),
        ("text/plain; charset='iso-8859-1'", Charset::Ascii(encoding_rs::WINDOWS_1252)),
        ("text/plain; charset = windows-1251", Charset::Ascii(encoding_rs::WINDOWS_1251)),
        ("text/plain; charset=utf-16", wide(2, None)),
        ("text/plain; charset=UTF-16LE", wide(2, Some(false))),
        ("text/plain; charset=utf-16be", wide(2, Some(true))),
        ("text/plain; charset=utf-32", wide(4, None)),
        ("text/plain; x=y; charset=latin1", Charset::Ascii(encoding_rs::WINDOWS_1252)),
        ("text/plain; charset=utf-8; charset=utf8", Charset::Utf8),
    ] {
        assert_eq!(declared(content_type.as_bytes()), charset, "{content_type}");
    }
    for unknown in ["utf-7", "ibm037", "iso-2022-jp", "hz-gb-2312", "x", "", "utf-8, utf-16"] {
        let content_type = format!("text/plain; charset={unknown}");
        if unknown.contains(',') {
            continue;
        }
        assert!(matches!(declared(content_type.as_bytes()), Charset::Unknown(_)), "{unknown}");
    }
    let several = declared(b"text/plain; charset=utf-8; charset=utf-16");
    assert!(matches!(several, Charset::Unknown(why) if why.contains("several")));
}

#[test]
fn a_value_is_decoded_where_no_ascii_is_lost_and_judged_as_bytes_where_it_is() {
    let text = |name: &str, value: &[u8]| named(name.as_bytes()).text(value).into_owned();
    assert_eq!(text("iso-8859-1", b"caf\xe9 <x>"), "café <x>".as_bytes());
    assert_eq!(text("windows-1251", b"\xcf\xf0\xe8"), "При".as_bytes());
    assert_eq!(text("shift_jis", b"\x93\xfa\x96{ok"), b"\x93\xfa\x96{ok", "the brace is half a character");
    assert_eq!(text("shift_jis", b"\x93\xfa"), "日".as_bytes());
    assert_eq!(text("gbk", b"\xbf' or 1=1"), b"\xbf' or 1=1", "an invalid pair hides no quote");
    assert_eq!(text("utf-8", b"\xff<x>"), b"\xff<x>");
}

#[test]
fn wide_text_is_decoded_with_and_without_its_mark() {
    let body = "a=<script>&b=é日😀";
    for big in [true, false] {
        let order = if big { "be" } else { "le" };
        for (name, bytes) in [("utf-16", utf16(body, big)), ("utf-32", utf32(body, big))] {
            for label in [name.to_owned(), format!("{name}{order}")] {
                let read = named(label.as_bytes()).body(&bytes, true);
                assert_eq!(read, Ok(Some(body.as_bytes().to_vec())), "{label} {big}");
            }
            let mark = if name == "utf-16" { utf16("\u{feff}", big) } else { utf32("\u{feff}", big) };
            let marked = [mark, bytes.clone()].concat();
            assert_eq!(named(name.as_bytes()).body(&marked, true), Ok(Some(body.as_bytes().to_vec())));
        }
    }
}

#[test]
fn wide_text_that_is_utf_8_too_or_not_whole_is_refused() {
    let body = |name: &str, bytes: &[u8]| named(name.as_bytes()).body(bytes, true);
    assert_eq!(
        body("utf-16", b"a=attack"),
        Err(MISMATCH),
        "a reader that ignores the charset sees an attack"
    );
    assert_eq!(body("utf-32", b"a=attack"), Err(MISMATCH));
    assert_eq!(body("utf-16le", b"a\0b"), Err(MISMATCH));
    assert_eq!(body("utf-16le", b"a\0\x00\xd8"), Err(MISMATCH), "half a surrogate pair");
    assert_eq!(body("utf-32le", b"a\0\0\0\0\0\x11\0"), Err(MISMATCH), "over the last character");
    assert_eq!(body("utf-16", b""), Ok(Some(Vec::new())));
}

#[test]
fn wide_text_that_was_cut_off_is_read_as_far_as_it_goes() {
    let bytes = utf16("ab😀", false);
    for (length, text) in [(8, "ab😀"), (7, "ab"), (6, "ab"), (5, "ab"), (4, "ab"), (3, "a")] {
        let read = named(b"utf-16le").body(&bytes[..length], false);
        assert_eq!(read, Ok(Some(text.as_bytes().to_vec())), "{length}");
    }
}
