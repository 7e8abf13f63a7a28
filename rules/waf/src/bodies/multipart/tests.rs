//! Forms, their flags, what is refused, and the limits.

use proptest::prelude::*;

use super::*;

const TYPE: &[u8] = b"multipart/form-data; boundary=B";

/// A body from its lines.
fn body(lines: &[&str]) -> Vec<u8> {
    lines.join("\r\n").into_bytes()
}

fn part(disposition: &str, data: &str) -> Vec<u8> {
    body(&["--B", &format!("Content-Disposition: {disposition}"), "", data, "--B--", ""])
}

fn read(body: &[u8]) -> Form {
    parse(TYPE, body, PARTS_LIMIT, true)
}

fn pair(name: &str, value: &str) -> Pair {
    (name.to_owned().into(), value.to_owned().into())
}

#[test]
fn fields_and_files_are_told_apart() {
    let form = read(&body(&[
        "--B",
        "Content-Disposition: form-data; name=\"a\"",
        "",
        "1",
        "--B",
        "content-disposition: form-data; name=\"up\"; filename=\"x.php\"",
        "Content-Type: text/plain",
        "",
        "<?php\r\n\r\n?>",
        "--B",
        "Content-Disposition:form-data;name=token",
        "",
        "two",
        "lines\r\n",
        "--B--",
        "",
    ]));
    assert_eq!(form.error, None);
    assert_eq!(form.flags, Flags::default());
    assert!(!form.strict_error());
    assert_eq!(form.fields, [pair("a", "1"), pair("token", "two\r\nlines\r\n")]);
    assert_eq!(form.files, [File { name: "up".into(), filename: "x.php".into(), size: 11, start: 146 }]);
    assert_eq!(
        form.part_headers,
        [
            pair("a", "Content-Disposition: form-data; name=\"a\""),
            pair("up", "content-disposition: form-data; name=\"up\"; filename=\"x.php\""),
            pair("up", "Content-Type: text/plain"),
            pair("token", "Content-Disposition:form-data;name=token"),
        ]
    );
}

#[test]
fn an_empty_value_and_an_empty_form_are_read() {
    assert_eq!(read(&part("form-data; name=a", "")).fields, [pair("a", "")]);
    assert_eq!(read(b"--B\r\nContent-Disposition: form-data; name=a\r\n\r\n--B--").fields, [pair("a", "")]);
    let form = read(b"--B--\r\n");
    assert_eq!((form.error, form.fields.len()), (None, 0));
}

#[test]
fn quoted_names_are_unescaped_and_nothing_else_is() {
    for (written, name) in [
        (r#"name="a b""#, "a b"),
        (r#"name="a\"b""#, "a\"b"),
        (r#"name="a\\b""#, "a\\b"),
        (r#"name="C:\path""#, "C:\\path"),
        (r#"name="a%22+b;c=d""#, "a%22+b;c=d"),
        (r#"name = "a" "#, "a"),
        (r#"name="""#, ""),
    ] {
        let form = read(&part(&format!("form-data; {written}"), "1"));
        assert_eq!((form.error, form.fields), (None, vec![pair(name, "1")]), "{written}");
    }
    let form = read(&part(r#"form-data; name="a"; filename="""#, "1"));
    assert_eq!(form.files[0].filename, "", "an empty file name is a file");
}

#[test]
fn each_malformation_has_its_flag() {
    let plain = String::from_utf8(part("form-data; name=a", "1")).unwrap();
    let flagged = |set: fn(&mut Flags)| {
        let mut flags = Flags::default();
        set(&mut flags);
        flags
    };
    let cases: Vec<(&[u8], String, Flags)> = vec![
        (
            b"multipart/form-data; boundary=\"B\"",
            plain.clone(),
            flagged(|flags| flags.boundary_quoted = true),
        ),
        (
            b"multipart/form-data; boundary =B",
            plain.clone(),
            flagged(|flags| flags.boundary_whitespace = true),
        ),
        (
            b"multipart/form-data; boundary= B",
            plain.clone(),
            flagged(|flags| flags.boundary_whitespace = true),
        ),
        (TYPE, format!("x\r\n{plain}"), flagged(|flags| flags.data_before = true)),
        (TYPE, format!("\r\n{plain}\r\n\r\n"), Flags::default()),
        (TYPE, format!("\r\n \r\n{plain}"), flagged(|flags| flags.data_before = true)),
        (TYPE, format!("{plain}x"), flagged(|flags| flags.data_after = true)),
        (TYPE, format!("{plain}\r\nx"), flagged(|flags| flags.data_after = true)),
        (TYPE, plain.replace("; name", ";\r\n name"), flagged(|flags| flags.header_folding = true)),
        (TYPE, plain.replace("\r\n", "\n"), flagged(|flags| flags.lf_line = true)),
        (
            TYPE,
            plain.replace("--B--\r\n", "--B--\n"),
            flagged(|flags| (flags.lf_line, flags.crlf_lf_lines) = (true, true)),
        ),
        (TYPE, plain.replace("; name", " name"), flagged(|flags| flags.missing_semicolon = true)),
        (TYPE, plain.replace("name=a", "name='a'"), flagged(|flags| flags.invalid_quoting = true)),
        // In every key file: nobody takes it for a boundary.
        (TYPE, plain.replace("1\r\n", "1\r\n--b\r\n"), Flags::default()),
    ];
    for (content_type, body, flags) in cases {
        let form = parse(content_type, body.as_bytes(), PARTS_LIMIT, true);
        assert_eq!((form.error, form.flags), (None, flags), "{body:?}");
        assert_eq!(form.strict_error(), flags != Flags::default(), "{body:?}");
        assert_eq!(form.fields.len(), 1, "{body:?}");
    }
}

#[test]
fn what_is_not_a_form_is_refused() {
    for (disposition, reason) in [
        ("form-data", "no name"),
        ("form-data; filename=x", "no name"),
        ("attachment; name=a", "not form-data"),
        ("form-data; name=a; name=b", "twice"),
        ("form-data; name=a; filename=b; filename=c", "twice"),
        ("form-data; name=a; filename*=UTF-8''x", "unknown"),
        ("form-data; name=a; x=y", "unknown"),
        ("form-data; name", "malformed"),
        ("form-data; name=", "malformed"),
        ("form-data; =a", "malformed"),
        ("form-data; name=\"a", "no end"),
        ("form-data; name=a\r\nContent-Disposition: form-data; name=b", "twice"),
        ("form-data; name=a\r\nno header", "colon missing"),
        ("form-data; name=a\r\n: x", "header name missing"),
        ("form-data; name=a\r\nb c: x", "contains invalid character"),
    ] {
        let form = read(&part(disposition, "1"));
        assert!(form.error.is_some_and(|error| error.contains(reason)), "{disposition}: {:?}", form.error);
        assert!(form.strict_error() && form.fields.is_empty());
    }
    for (bytes, reason) in [
        ("", "last boundary"),
        ("x", "last boundary"),
        ("--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1", "last boundary"),
        ("--B\r\n\r\n1\r\n--B--", "no Content-Disposition"),
        ("--B\r\n folded\r\n", "continued header"),
        ("--B\r\nContent-Disposition: form-data; name=a\r\n--B--", "in its headers"),
        ("--B \r\n", "follows a boundary"),
        ("--Bx\r\n", "follows a boundary"),
        ("--B-", "follows a boundary"),
        ("--B\r\nContent-Disposition: form-data; name=a\r\n\r\n-- B\r\n", "white space"),
        ("--B\r\nContent-Disposition: form-data; name=a\r\n\r\n--\tB--\r\n", "white space"),
        ("--B\r\nContent-Disposition: form-data; name=a\r\n\x0b; filename=x\r\n", "other white space"),
        ("--B--\r\n--B--\r\n", "follows the last"),
        ("--B--\r\n--B\r\n", "follows the last"),
    ] {
        let form = read(bytes.as_bytes());
        assert!(form.error.is_some_and(|error| error.contains(reason)), "{bytes:?}: {:?}", form.error);
    }
}

#[test]
fn a_part_that_has_no_name_when_it_ends_is_invalid() {
    let with_name = "--B\r\nContent-Disposition: form-data; name=a";
    for (bytes, invalid, folding) in [
        (format!("{with_name}\r\n\r\n1\r\n--B--\r\n"), false, false),
        (format!("{with_name}\r\n--B--\r\n"), true, false),
        ("--B\r\n\r\n1\r\n--B--\r\n".to_owned(), true, false),
        ("--B\r\nContent-Disposition: form-data\r\n\r\n1\r\n--B--\r\n".to_owned(), true, false),
        ("--B\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n1\r\n--B--\r\n".to_owned(), true, false),
        // It has a name, though it cannot be read to its end.
        (format!("{with_name}; x=y\r\n\r\n1\r\n--B--\r\n"), false, false),
        (format!("{with_name};\r\n \tfilename=b\r\n\r\n1\r\n--B--\r\n"), false, false),
        (format!("{with_name};\r\n\x0c filename=b\r\n\r\n1\r\n--B--\r\n"), false, true),
        (format!("{with_name};\r\n \x0bfilename=b\r\n\r\n1\r\n--B--\r\n"), false, true),
        (format!("{with_name};\r\n\rfilename=b\r\n\r\n1\r\n--B--\r\n"), false, true),
    ] {
        let form = read(bytes.as_bytes());
        assert_eq!(
            (form.flags.invalid_part, form.flags.invalid_header_folding),
            (invalid, folding),
            "{bytes:?}"
        );
        assert_eq!(
            form.strict_error(),
            form.error.is_some() || invalid || form.flags.header_folding,
            "{bytes:?}"
        );
    }
}

#[test]
fn a_boundary_that_readers_could_disagree_about_is_refused() {
    let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
    for content_type in [
        "multipart/form-data",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; xboundary=a; boundary=b",
        "multipart/form-data; boundary*=a",
        "multipart/form-data; boundary=\"a",
        "multipart/form-data; boundary=a\"b",
        "multipart/form-data; boundary=a<b",
        long.as_str(),
    ] {
        assert!(parse(content_type.as_bytes(), b"", 1, true).error.is_some(), "{content_type}");
    }
    let longest = format!("multipart/form-data; charset=x; BOUNDARY={}", "b".repeat(70));
    let body = format!("--{}--", "b".repeat(70));
    assert_eq!(parse(longest.as_bytes(), body.as_bytes(), 1, true).error, None);
}

#[test]
fn a_body_that_was_cut_off_keeps_what_it_has() {
    let whole = body(&["--B", "Content-Disposition: form-data; name=a", "", "1234", "--B--", ""]);
    for end in 0..whole.len() {
        let form = parse(TYPE, &whole[..end], PARTS_LIMIT, false);
        assert_eq!((form.error, form.flags), (None, Flags::default()), "{end}");
    }
    assert_eq!(parse(TYPE, &whole[..whole.len() - 10], PARTS_LIMIT, false).fields, [pair("a", "123")]);
}

#[test]
fn a_body_that_is_cut_in_a_boundary_is_in_no_file() {
    let begin = "--B\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\nx";
    for (tail, open) in [
        ("", Some(1)),
        ("\r", Some(2)),
        ("\r\n", Some(3)),
        ("\r\n--", Some(5)),
        ("\r\n--B", None),
        ("\r\n--B\r", None),
        ("\r\n--B-", None),
        ("\r\n--B--", None),
        ("\r\n--B--\r", None),
        ("\r\n--b", Some(6)),
        ("\n--B", None),
    ] {
        let form = parse(TYPE, format!("{begin}{tail}").as_bytes(), PARTS_LIMIT, false);
        assert_eq!((form.open_file, form.error), (open, None), "{tail:?}");
        assert_eq!(form.files[0].size, open.unwrap_or(1), "{tail:?}");
    }
    let field = b"--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--B";
    assert_eq!(parse(TYPE, field, PARTS_LIMIT, false).fields, [pair("a", "x")], "the boundary is no value");
}

#[test]
fn limits_hold_at_and_over() {
    let one = "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
    for (count, over) in [(PARTS_LIMIT - 1, false), (PARTS_LIMIT, false), (PARTS_LIMIT + 1, true)] {
        let form = read(format!("{}--B--", one.repeat(count)).as_bytes());
        assert_eq!((form.fields.len(), form.over_limit), (count.min(PARTS_LIMIT), over));
    }
    for (count, refused) in
        [(PART_HEADERS_LIMIT - 2, false), (PART_HEADERS_LIMIT - 1, false), (PART_HEADERS_LIMIT, true)]
    {
        let others: String = (0..count).map(|index| format!("\r\nX-{index}: 1")).collect();
        let form = read(&part(&format!("form-data; name=a{others}"), "1"));
        assert_eq!(form.error.is_some(), refused, "{count}");
    }
    for (length, refused) in
        [(PART_HEADER_BYTES - 1, false), (PART_HEADER_BYTES, false), (PART_HEADER_BYTES + 1, true)]
    {
        let other = format!("form-data; name=a\r\nX: {}", "x".repeat(length - 3));
        assert_eq!(read(&part(&other, "1")).error.is_some(), refused, "{length}");
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(fields in prop::collection::vec(("[a-z\"\\\\; ]{0,6}", "[a-z\r\n-]{0,12}"), 0..5)) {
        let mut text = String::new();
        for (name, value) in &fields {
            let name = name.replace('\\', "\\\\").replace('"', "\\\"");
            text += &format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        }
        text += "--B--\r\n";
        let form = read(text.as_bytes());
        prop_assert_eq!(form.error, None);
        prop_assert_eq!(form.fields, fields.iter().map(|(name, value)| pair(name, value)).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in "(--B|--|\r\n|\n|:|;|=|\"|name|form-data|Content-Disposition|[a-z ]){0,30}", complete: bool) {
        let form = parse(TYPE, body.as_bytes(), 3, complete);
        prop_assert!(form.fields.len() + form.files.len() <= 3);
    }
}
