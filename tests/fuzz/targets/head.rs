//! Promise: whatever head a server decodes, reading it never panics, and a canonical head is read as itself.
#![no_main]

use http::{Request, Version};
use libfuzzer_sys::fuzz_target;
use palisade_http::{EncodedSlash, HeadLimits, head};
use palisade_model::Scheme;

// Lines: method, target, version digit, then `name: value`.
fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (method, target, version) = (next(), next(), next());
    let version = match version.first() {
        Some(b'0') => Version::HTTP_10,
        Some(b'2') => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let mut request = Request::builder().method(method).uri(target).version(version);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        request = request.header(name, value.get(1..).unwrap_or_default());
    }
    let Ok(request) = request.body(()) else { return };
    let parts = request.into_parts().0;
    for encoded_slash in [EncodedSlash::Refuse, EncodedSlash::Keep] {
        let limits = HeadLimits { encoded_slash, ..HeadLimits::default() };
        let read = |parts| head::canonical(parts, None, Scheme::Http, false, &limits);
        let Ok((once, _)) = read(parts.clone()) else { continue };
        assert!(once.path == "*" || once.path.starts_with('/'));
        assert!(!once.path.contains("//") && !once.path.contains('\\') && once.path.is_ascii());
        assert!(once.path.split('/').all(|segment| segment != "." && segment != ".."));
        let mut again = Request::builder()
            .method(once.method.clone())
            .uri(once.path_and_query())
            .version(once.version)
            .body(())
            .expect("a canonical head is a request")
            .into_parts()
            .0;
        again.headers = once.headers.clone();
        let (twice, _) = read(again).expect("a canonical head is accepted");
        assert_eq!(once.path, twice.path);
        assert_eq!(once.query, twice.query);
        assert_eq!(once.authority, twice.authority);
        assert_eq!(once.headers, twice.headers);
    }
});
