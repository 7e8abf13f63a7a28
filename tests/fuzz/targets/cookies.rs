//! Promise: no Cookie header makes the reader panic or pass its limit; what a browser writes is read; what servers without
//! quotes read in it comes to no more than the header three times over.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_waf::bodies::cookies::{COOKIES_LIMIT, parse};

fuzz_target!(|data: &[u8]| {
    let read = parse(data);
    assert!(read.pairs.len() <= COOKIES_LIMIT);
    assert!(read.pairs.iter().all(|(name, _)| !name.contains(&b'=') && !name.contains(&b';')));
    assert!(read.pairs.iter().all(|(name, value)| !name.is_empty() || !value.is_empty()));
    // Each cookie as it is written, once more alone, and its name again with a value that ends in a later one.
    let kept: usize = read.pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(kept <= 4 * data.len());
    if data.contains(&b'"') {
        return;
    }
    assert!(kept <= data.len());
    // Written as browsers do, they are read as they were.
    let written: Vec<Vec<u8>> =
        read.pairs.iter().map(|(name, value)| [name.as_slice(), b"=", value].concat()).collect();
    let again = parse(&written.join(&b"; "[..]));
    if !read.over_limit && read.pairs.last().is_none_or(|(_, value)| value.trim_ascii_end() == value) {
        assert_eq!(again, read);
    }
});
