//! Promise: no multipart body makes the reader panic or pass its limits; what a strict client writes is read as it was
//! written; a form that is cut off gives the beginning of the whole one; a file that passes in pieces, unheld, comes to
//! what the whole form comes to, and next to nothing of it is kept.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_fuzz::input::{Input, pieces};
use palisade_waf::bodies::multipart::{Delimiter, Form, PART_HEADERS_LIMIT, PARTS_LIMIT, Passing, parse};

const TYPE: &[u8] = b"multipart/form-data; boundary=palisade";
/// What a value of a written form cannot hold.
const MARK: &[u8] = b"palisade";

fn bounded(form: &Form, body: &[u8], parts: usize) {
    assert!(form.fields.len() + form.files.len() <= parts);
    assert!(form.part_headers.len() <= parts.saturating_mul(PART_HEADERS_LIMIT));
    let fields: usize = form.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    let files: usize = form.files.iter().map(|file| file.name.len() + file.filename.len() + file.size).sum();
    assert!(fields + files <= body.len(), "{} of {}", fields + files, body.len());
    assert!(form.open_file.is_none_or(|bytes| bytes <= body.len()));
    assert!(form.error.is_none() || form.strict_error());
}

/// Any bytes; `line` is the content type.
fn read(line: &[u8], body: &[u8]) {
    for complete in [true, false] {
        bounded(&parse(line, body, 8, complete), body, 8);
        let form = parse(line, body, PARTS_LIMIT, complete);
        bounded(&form, body, PARTS_LIMIT);
        // Where there is no delimiter there is no form.
        assert!(Delimiter::of(line).is_some() || form.error.is_some());
    }
}

/// A form that begins with a file which holds the bytes, read whole, and with the file passing in pieces.
fn passed(data: &[u8], cuts: &[u8]) {
    let head = b"--palisade\r\nContent-Disposition: form-data; name=f; filename=g\r\n\r\nxxxxxxxxxxxxxxxx";
    let open = 16;
    let Some(delimiter) = Delimiter::of(TYPE) else { panic!("the type has a boundary") };
    let mut form = head.to_vec();
    let mut passing = Passing::new(delimiter);
    passing.begin(&mut form, open);
    let mut pieces = pieces(data, cuts);
    let found = pieces.by_ref().find_map(|piece| {
        let found = passing.feed(piece);
        assert!(found.is_some() || passing.kept() <= passing.mark() + 2, "{} are kept", passing.kept());
        found
    });
    let rest = passing.end();
    form.extend(rest.kept);
    pieces.for_each(|piece| form.extend_from_slice(piece));
    let whole = [head, data].concat();
    for complete in [true, false] {
        let (whole, parted) =
            (parse(TYPE, &whole, PARTS_LIMIT, complete), parse(TYPE, &form, PARTS_LIMIT, complete));
        assert_eq!(parted.error, whole.error, "{}", data.escape_ascii());
        let files = |form: &Form| form.files.iter().map(|file| file.filename.clone()).collect::<Vec<_>>();
        assert_eq!((files(&parted), &parted.fields), (files(&whole), &whole.fields));
        assert_eq!(parted.flags, whole.flags);
    }
    match found.map(|found| found.stray) {
        // Where the file ends nothing else is missing.
        Some(None) => assert_eq!(form.len() as u64 + rest.gone, whole.len() as u64),
        Some(Some(stray)) => {
            assert_eq!(parse(TYPE, &whole, PARTS_LIMIT, true).error, Some(stray.reason()));
        }
        None => assert!(parse(TYPE, &whole, PARTS_LIMIT, true).error.is_some(), "it has no end"),
    }
}

/// A form whose fields are the lines; a line that begins with `@` is a file.
fn written(lines: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let (name, value) = line.split_at(line.len() / 3);
        let quoted =
            |text: &[u8]| text.escape_ascii().to_string().replace('\\', "/").replace(['"', '\''], "_");
        let file =
            if line.starts_with(b"@") { "; filename=\"f.txt\"\r\nContent-Type: text/plain" } else { "" };
        let head = format!(
            "--palisade\r\nContent-Disposition: form-data; name=\"{number}{}\"{file}\r\n\r\n",
            quoted(name)
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--palisade--\r\n");
    body
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let line = input.line();
    read(line, input.rest());
    read(TYPE, input.rest());
    passed(input.rest(), line);
    let lines: Vec<&[u8]> = input.rest().split(|byte| *byte == b'\n').take(PARTS_LIMIT).collect();
    if data.windows(MARK.len()).any(|part| part == MARK) {
        return;
    }
    let body = written(&lines);
    let whole = parse(TYPE, &body, PARTS_LIMIT, true);
    assert_eq!((whole.error, whole.over_limit), (None, false), "{}", body.escape_ascii());
    let files = lines.iter().filter(|line| line.starts_with(b"@")).count();
    assert_eq!((whole.files.len(), whole.fields.len()), (files, lines.len() - files));
    let value = |line: &&[u8]| line.split_at(line.len() / 3).1.to_vec();
    let values: Vec<Vec<u8>> = lines.iter().filter(|line| !line.starts_with(b"@")).map(value).collect();
    assert!(whole.fields.iter().map(|(_, value)| value).eq(&values));
    let cut = line.len() * 37 % body.len();
    let begun = parse(TYPE, &body[..cut], PARTS_LIMIT, false);
    assert_eq!(begun.error, None, "cut at {cut}");
    // The part that was cut is there as far as it came, perhaps with a piece of its end.
    let complete = begun.fields.len().saturating_sub(1);
    assert_eq!(begun.fields.get(..complete), whole.fields.get(..complete));
});
