//! Promise: no form or query makes the reader panic or pass its limit; what was written is read; two forms behind one
//! another are read as one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_fuzz::input::escaped;
use palisade_waf::bodies::urlencoded::{SEPARATOR, parse};

const LIMIT: usize = 20;

fuzz_target!(|data: &[u8]| {
    for separator in [SEPARATOR, b';'] {
        let read = parse(data, separator, LIMIT);
        assert!(read.pairs.len() <= LIMIT);
        let kept: usize = read.pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(kept <= data.len(), "{kept} bytes of {}", data.len());
    }
    // Every line is a name and a value, written as a client writes them.
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = data
        .split(|byte| *byte == b'\n')
        .map(|line| line.split_at(line.iter().position(|byte| *byte == b'=').unwrap_or(line.len())))
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    let segments: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    let read = parse(segments.join("&").as_bytes(), SEPARATOR, usize::MAX);
    assert!(!read.invalid_encoding && !read.over_limit);
    assert_eq!(read.pairs, pairs);
    // Cut at a separator, both halves come to the same.
    let whole = parse(data, SEPARATOR, usize::MAX);
    let Some(middle) = data.iter().skip(data.len() / 2).position(|byte| *byte == SEPARATOR) else { return };
    let (first, second) = data.split_at(data.len() / 2 + middle);
    let halves = [first, &second[1..]].map(|half| parse(half, SEPARATOR, usize::MAX));
    // At an end a separator begins nothing; an empty half has no parameter.
    if first.is_empty() || first.ends_with(b"&") || matches!(second, b"&" | b"&&") {
        return;
    }
    assert_eq!(whole.pairs, halves.map(|half| half.pairs).concat());
});
