//! Promise: no charset and no bytes in it make decoding panic; decoded text is UTF-8 of bounded length; ASCII stays as it
//! is; what was written in UTF-16 or UTF-32 is read back.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use palisade_fuzz::input::Input;
use palisade_waf::bodies::charset::{Charset, declared, named};

/// A text in a charset of several bytes.
fn written(text: &str, name: &str) -> Vec<u8> {
    let units = text.encode_utf16();
    match name {
        "utf-16le" => units.flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => units.flat_map(u16::to_be_bytes).collect(),
        "utf-32le" => text.chars().flat_map(|letter| u32::from(letter).to_le_bytes()).collect(),
        _ => text.chars().flat_map(|letter| u32::from(letter).to_be_bytes()).collect(),
    }
}

fn read(charset: Charset, bytes: &[u8]) {
    let value = charset.text(bytes);
    // A two-byte character of an old charset may be four bytes of UTF-8, or three for one.
    assert!(value.len() <= bytes.len() * 3, "{} bytes from {}", value.len(), bytes.len());
    if let Cow::Owned(text) = &value {
        assert!(std::str::from_utf8(text).is_ok() && !bytes.is_ascii());
    }
    for complete in [true, false] {
        match charset.body(bytes, complete) {
            Ok(Some(text)) => {
                assert!(std::str::from_utf8(&text).is_ok());
                assert!(text.len() <= bytes.len() * 2, "{} bytes from {}", text.len(), bytes.len());
            }
            Ok(None) => assert!(!matches!(charset, Charset::Wide(_))),
            Err(why) => assert!(!why.is_empty() && matches!(charset, Charset::Wide(_))),
        }
    }
}

// The first line is a Content-Type and a charset's name by itself; the rest is text.
fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let line = input.line();
    read(declared(line), input.rest());
    read(named(line), input.rest());
    let Ok(text) = std::str::from_utf8(input.rest()) else { return };
    for name in ["utf-16le", "utf-16be", "utf-32le", "utf-32be"] {
        let wire = written(text, name);
        let marked = text.starts_with('\u{feff}');
        match named(name.as_bytes()).body(&wire, true) {
            Ok(Some(found)) if marked => assert_eq!(found, text.as_bytes().get(3..).unwrap_or_default()),
            Ok(Some(found)) => assert_eq!(found, text.as_bytes(), "{name}"),
            // Bytes that are UTF-8 without a NUL are taken for a lie.
            other => assert!(!wire.contains(&0) && std::str::from_utf8(&wire).is_ok(), "{name}: {other:?}"),
        }
    }
});
