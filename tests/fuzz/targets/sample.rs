//! Promise: no request file and no curl command makes the tool panic; a sample that is accepted is one request: its head
//! ends where its body begins, and written down and read again it is the same.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use palisade_fuzz::sample::curl::Files;
use palisade_fuzz::sample::{Sample, curl, raw};

fn check(sample: &Sample) {
    assert!(sample.head.ends_with(b"\r\n\r\n"));
    let end = sample.head.windows(4).position(|part| part == b"\r\n\r\n").map(|at| at + 4);
    assert_eq!(end, Some(sample.head.len()), "two heads: {}", sample.head.escape_ascii());
    let Ok(head) = sample.request_head() else { return };
    let _ = sample.response_head(&head);
    let length = head.headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    assert!(
        length.is_none_or(|length: usize| length == sample.body.len()),
        "{length:?} {}",
        sample.body.len()
    );
    if sample.response.is_some() {
        return;
    }
    let text = [sample.head.as_slice(), &sample.body].concat();
    if let Ok(again) = raw::parse(&text)
        && again.response.is_none()
    {
        assert_eq!((&again.head, &again.body), (&sample.head, &sample.body));
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(sample) = raw::parse(data) {
        check(&sample);
    }
    let Ok(line) = std::str::from_utf8(data) else { return };
    let mut files = Files::below(Path::new("/nonexistent/fuzz"));
    match curl::parse(line, &mut files) {
        Ok(sample) => check(&sample),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
