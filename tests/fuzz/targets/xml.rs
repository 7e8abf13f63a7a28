//! Promise: no XML body makes the reader panic or pass its limits; of every document that a strict reader accepts, rules
//! see the same text and the same attributes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_waf::bodies::xml::{DEPTH_LIMIT, parse};
use roxmltree::Document;

const LIMIT: usize = 20;

/// Without what an XML reader normalises: line ends, and white space in attributes.
fn normal(text: &[u8]) -> Vec<u8> {
    text.iter().filter(|byte| !matches!(byte, b'\r' | b'\n' | b'\t' | b' ')).copied().collect()
}

fuzz_target!(|data: &[u8]| {
    let read = parse(data, LIMIT);
    assert!(read.attributes.len() <= LIMIT);
    // An old charset may come to three bytes for one, and places are those of the decoded text.
    assert!(read.error.is_none_or(|error| error.offset <= data.len() * 3), "{:?}", read.error);
    let kept: usize = read.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(kept + read.text.len() <= data.len() * 3);
    if read.over_limit {
        return;
    }
    let Ok(Ok(document)) = std::str::from_utf8(data).map(Document::parse) else { return };
    let deep = document
        .descendants()
        .any(|node| node.ancestors().filter(|above| above.is_element()).count() > DEPTH_LIMIT);
    // `:a` is a name of its own (XML 1.0, section 2.3); the other reader takes it for `a`.
    let colon = data.windows(3).any(|part| matches!(part, [b'<', b':', _] | [b'<', b'/', b':']));
    if deep || colon || data.windows(8).any(|part| part == b"encoding") {
        return;
    }
    assert_eq!(read.error, None, "{}", data.escape_ascii());
    let text: String =
        document.descendants().filter_map(|node| node.text().filter(|_| node.is_text())).collect();
    assert_eq!(normal(&read.text), normal(text.as_bytes()));
    let mut expected: Vec<Vec<u8>> = document
        .descendants()
        .flat_map(|node| {
            node.attributes().map(|attribute| normal(attribute.value().as_bytes())).collect::<Vec<_>>()
        })
        .collect();
    let mut found: Vec<Vec<u8>> = read.attributes.iter().map(|(_, value)| normal(value)).collect();
    // What declares a namespace is no attribute to that reader.
    expected.retain(|value| {
        let place = found.iter().position(|known| known == value);
        place.map(|place| found.swap_remove(place)).is_none()
    });
    assert!(expected.is_empty(), "{expected:?} of {}", data.escape_ascii());
});
