//! Promise: the readers of bodies and cookies never panic, keep their limits, and keep no more bytes than came in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_waf::bodies::{cookies, json, multipart, urlencoded};

/// Small limits, so that a short input reaches them.
const LIMIT: usize = 20;
const DEPTH: usize = 10;

// The first line is the content type of the form; what follows is the body for every reader.
fuzz_target!(|data: &[u8]| {
    let line = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (content_type, body) = data.split_at(line);
    let body = body.get(1..).unwrap_or_default();

    for complete in [true, false] {
        let form = multipart::parse(content_type, body, LIMIT, complete);
        assert!(form.fields.len() + form.files.len() <= LIMIT);
        let kept: usize = form.files.iter().map(|file| file.size).sum();
        assert!(kept <= body.len(), "files of {kept} bytes in {}", body.len());
    }
    let parameters = urlencoded::parse(body, urlencoded::SEPARATOR, LIMIT);
    assert!(parameters.pairs.len() <= LIMIT);
    let document = json::parse(body, LIMIT, DEPTH);
    assert!(document.pairs.len() <= LIMIT);
    assert!(document.error.is_none_or(|error| error.offset <= body.len()));
    assert!(cookies::parse(body).pairs.len() <= cookies::COOKIES_LIMIT);
});
