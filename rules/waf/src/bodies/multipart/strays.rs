//! Tests of stray delimiters: what is one, that a form with one is refused, and that a file that passes in pieces is read
//! as the same file in a form that is held whole.

use proptest::prelude::*;

use super::*;

const TYPE: &[u8] = b"multipart/form-data; boundary=B-B";
const HEAD: &str = "--B-B\r\nContent-Disposition: form-data; name=f; filename=g\r\n\r\n";

fn delimiter() -> Delimiter {
    Delimiter::of(TYPE).unwrap()
}

/// A part with this beginning of a Content-Disposition and these bytes, in a whole form.
fn read(disposition: &str, data: &str) -> Form {
    let text = format!("--B-B\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{data}\r\n--B-B--\r\n");
    parse(TYPE, text.as_bytes(), PARTS_LIMIT, true)
}

#[test]
fn what_some_reader_could_take_for_a_boundary_is_refused_in_files_and_fields() {
    let cases = [
        // Django takes it wherever it stands.
        ("x--B-B\r\ny", "within a line"),
        ("x\r\n --B-B\r\ny", "within a line"),
        ("---B-B", "within a line"),
        // Werkzeug ends a line at a carriage return, too.
        ("x\r--B-B\r\ny", "within a line"),
        ("x\n\r--B-B", "within a line"),
        ("-- B-B", "white space"),
        ("x\r\n--\t B-B--\r\ny", "white space"),
        ("x\n--\x0bB-Bx", "white space"),
        ("x\r--\x0cB-B", "white space"),
        ("x\r\n--\rB-B", "white space"),
        ("x\r\n--\"\" B-B", "white space"),
        ("--\"B-B\"", "quotes"),
        ("x\r\n-- 'B-B'", "quotes"),
        ("x\r\n-----BEGIN KEY-----\r\n--\"B-B", "quotes"),
        ("------\r\n-- -B\r\n-- B-\r\n-- B-B", "white space"),
    ];
    for (data, reason) in cases {
        for disposition in ["name=a", "name=a; filename=f"] {
            let form = read(disposition, data);
            assert!(
                form.error.is_some_and(|error| error.contains(reason)),
                "{disposition} {data:?}: {:?}",
                form.error
            );
            assert!(form.flags.unmatched_boundary && form.strict_error(), "{data:?}");
        }
        // Nothing that follows mends it.
        let cut = format!("{HEAD}{data}");
        assert_eq!(parse(TYPE, cut.as_bytes(), 9, false).error, read("name=a", data).error, "{data:?}");
    }
}

#[test]
fn it_is_refused_wherever_it_stands() {
    let field = "--B-B\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
    for body in [
        format!("x{field}{field}--B-B--\r\n"),
        format!("-- B-B\r\n{field}--B-B--\r\n"),
        format!("{field}--B-B--\r\nx{field}--B-B--\r\n"),
        format!("{field}--B-B--\r\n--\"B-B\"\r\n"),
        field.replace("name=a", "name=\"a--B-B\"") + "--B-B--\r\n",
        field.replace("name=a", "name=a\r\nX: --B-B") + "--B-B--\r\n",
    ] {
        let form = parse(TYPE, body.as_bytes(), PARTS_LIMIT, true);
        assert!(form.error.is_some_and(|error| error.contains("boundary")), "{body:?}: {:?}", form.error);
        assert!(form.flags.unmatched_boundary, "{body:?}");
    }
}

#[test]
fn key_files_patches_and_rows_of_dashes_are_data() {
    for data in [
        "-----BEGIN PRIVATE KEY-----\r\nTUlJ\r\n-----END PRIVATE KEY-----",
        "--- a/file\n+++ b/file\n@@ -1 +1 @@\n--old\n-- \nsignature",
        "-- SQL\r\n--\r\n--\t\r\n--\"quoted\"",
        "------------------------------\r\n--B\r\n--B-\r\n--b-b\r\n-- B\r\n-B-B\r\nB-B",
        "--other-boundary\r\n\r\n--other-boundary--",
        "-- \r\nB-B",
        "--\n B-B",
        "x-- B-B",
        "x--\"B-B\"",
    ] {
        for disposition in ["name=a", "name=a; filename=f"] {
            let form = read(disposition, data);
            assert_eq!((form.error, form.flags), (None, Flags::default()), "{disposition} {data:?}");
        }
        assert_eq!(read("name=a", data).fields, [("a".into(), data.to_owned().into())]);
    }
}

#[test]
fn a_boundary_about_which_readers_disagree_is_refused() {
    let read = |boundary: &str| {
        let content_type = format!("multipart/form-data; boundary={boundary}");
        parse(content_type.as_bytes(), b"--", 1, false).error
    };
    for boundary in ["a,b", "a b", "a=b", "a:b", "a/b", "a?b", "a(b", "a)b"] {
        assert_eq!(
            read(boundary),
            Some("the boundary has characters that stand in quotes only"),
            "{boundary}"
        );
        assert_eq!(read(&format!("\"{boundary}\"")), None, "{boundary}");
    }
    for boundary in ["'ab'", "'ab", "\" ab\"", "\"'ab'\""] {
        assert_eq!(read(boundary), Some("the boundary begins with a space or a single quote"), "{boundary}");
    }
    for boundary in ["----WebKitFormBoundaryABC", "a_b.c+d'", "\"----=_Part_1_2.3\""] {
        assert_eq!(read(boundary), None, "{boundary}");
    }
}

#[test]
fn a_part_header_that_readers_end_elsewhere_is_refused() {
    for header in
        ["X: a\r\rattack", "X: a\rY: b", "X: a\0b", "Content-Type: text/plain\r\r\n", "X: a\r\n b\0c"]
    {
        let form = read(&format!("name=a\r\n{header}"), "1");
        assert_eq!(form.error, Some("a part's header holds a carriage return or a NUL"), "{header:?}");
    }
    assert_eq!(read("name=a\r\nX: a\tb\x7f", "1").error, None);
}

#[test]
fn lines_that_end_in_two_ways_are_refused() {
    let crlf = format!(
        "{HEAD}fine\r\n--B-B\r\nContent-Disposition: form-data; name=a\r\nX: b\r\n\r\n1\r\n--B-B--\r\n"
    );
    assert_eq!(parse(TYPE, crlf.as_bytes(), 9, true).error, None);
    let ends: Vec<usize> = crlf.match_indices("\r\n").map(|(at, _)| at).collect();
    for (index, end) in ends.iter().enumerate() {
        let mut mixed = crlf.clone();
        mixed.remove(*end);
        let form = parse(TYPE, mixed.as_bytes(), 9, true);
        // What follows the last boundary is nobody's.
        let expected = (index + 1 < ends.len()).then_some("lines end in two ways");
        assert_eq!((form.error, form.flags.crlf_lf_lines), (expected, true), "{mixed:?}");
    }
    let lf = parse(TYPE, crlf.replace("\r\n", "\n").as_bytes(), 9, true);
    assert_eq!((lf.error, lf.flags.lf_line, lf.flags.crlf_lf_lines), (None, true, false));
    let form = read("name=a", "lines\nof\ndata\n");
    assert_eq!((form.error, form.flags), (None, Flags::default()));
}

/// What a file that passes in these pieces comes to: the delimiter that ends it, and the bytes of it, counted and kept.
fn passed<'a>(
    form: &str,
    open: usize,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Option<Option<Stray>>, Vec<u8>, u64) {
    let mut form = form.as_bytes().to_vec();
    let mut passing = Passing::new(delimiter());
    passing.begin(&mut form, open);
    let mut pieces = pieces.into_iter();
    let found = pieces.by_ref().find_map(|piece| {
        let found = passing.feed(piece);
        assert!(found.is_some() || passing.kept() <= passing.mark() + 2, "{} are kept", passing.kept());
        found
    });
    let rest = passing.end();
    form.extend(rest.kept);
    pieces.for_each(|piece| form.extend_from_slice(piece));
    (found.map(|found| found.stray), form, rest.gone)
}

#[test]
fn white_space_without_end_is_not_kept() {
    let spaces = vec![b' '; 1 << 20];
    let begun = format!("{HEAD}xxxxxxxx\r\n--");
    for end in ["B-B", "\tB-B\r\n", "\rB-B"] {
        let pieces = spaces.chunks(1000).chain(std::iter::once(end.as_bytes()));
        let (found, form, gone) = passed(&begun, 12, pieces);
        assert_eq!(found, Some(Some(Stray::WhiteSpace)));
        assert!(gone as usize >= spaces.len() && form.len() < 100, "{gone}");
        assert_eq!(parse(TYPE, &form, 9, false).error, Some("white space stands in a boundary"));
    }
    let pieces = spaces.chunks(1000).chain([b"B-".as_slice(), b"\r\n--B-B--\r\n"]);
    let (found, form, _) = passed(&begun, 12, pieces);
    assert_eq!(found, Some(None), "no boundary after all, and then the last one");
    assert_eq!(parse(TYPE, &form, 9, true).error, None);
}

/// The first delimiter by its definition, place by place.
fn defined(bytes: &[u8]) -> Option<(usize, Option<Stray>)> {
    (0..bytes.len()).find_map(|at| {
        let before = if at == 0 { b'\n' } else { bytes[at - 1] };
        let rest = bytes[at..].strip_prefix(b"--")?;
        if rest.starts_with(b"B-B") {
            return Some((at, (before != b'\n').then_some(Stray::WithinLine)));
        }
        let bare = rest.iter().position(|byte| !b"\"' \t\x0b\x0c\r".contains(byte))?;
        let begins = matches!(before, b'\n' | b'\r') && bare > 0 && rest[bare..].starts_with(b"B-B");
        let quote = begins && b"\"'".contains(&rest[bare - 1]);
        begins.then_some((at, Some(if quote { Stray::Quote } else { Stray::WhiteSpace })))
    })
}

const DATA: &str = "(--|-|B-B|B|\r\n|\n|\r| |\"|'|\t|x){0,14}";

proptest! {
    #[test]
    fn what_is_found_is_what_is_defined(data in DATA) {
        let look = delimiter().look(data.as_bytes(), true);
        prop_assert_eq!(look.found.map(|found| (found.at, found.stray)), defined(data.as_bytes()));
    }

    #[test]
    fn a_file_that_passes_in_any_pieces_is_read_as_in_the_whole_form(
        first in DATA,
        data in DATA,
        last in prop::sample::select(vec!["", "\r\n--B-B--\r\n", "\n--B-B\r\nContent-Disposition: form-data; name=b\r\n\r\n1\r\n--B-B--\r\n"]),
    ) {
        // Enough for the watch to begin in.
        let form = format!("{HEAD}{first}");
        let begun = parse(TYPE, form.as_bytes(), 9, false);
        let Some(open) = begun.open_file.filter(|open| begun.error.is_none() && *open > 5) else { return Ok(()) };
        let rest = format!("{data}{last}");
        let text = format!("{form}{rest}");
        let whole = parse(TYPE, text.as_bytes(), 9, true);
        let expected = defined(&text.as_bytes()[HEAD.len()..]).map(|(_, stray)| stray);
        let bytes = rest.as_bytes();
        let splits = (0..=bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]);
        for pieces in splits.chain([bytes.chunks(1).collect(), bytes.chunks(2).collect(), bytes.chunks(3).collect()]) {
            let (found, form, gone) = passed(&form, open, pieces.iter().copied());
            prop_assert_eq!(found, expected, "{:?} of {:?}", pieces, form.escape_ascii().to_string());
            let read = parse(TYPE, &form, 9, true);
            match found {
                None => prop_assert_eq!(whole.error, Some("the last boundary is missing")),
                Some(Some(stray)) => {
                    prop_assert_eq!(whole.error, Some(stray.reason()));
                    prop_assert_eq!(read.error, whole.error);
                }
                Some(None) => {
                    prop_assert_eq!((read.error, read.flags, &read.fields), (whole.error, whole.flags, &whole.fields));
                    prop_assert_eq!(text.len() as u64, form.len() as u64 + gone);
                }
            }
        }
    }
}
