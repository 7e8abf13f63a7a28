//! Commands and the requests they are.

use proptest::prelude::*;

use super::*;

fn read(line: &str) -> Result<Sample, SampleError> {
    parse(line, &mut Files::below(Path::new(env!("CARGO_MANIFEST_DIR"))))
}

fn text(line: &str) -> String {
    let sample = read(line).unwrap();
    format!("{}{}", String::from_utf8_lossy(&sample.head), String::from_utf8_lossy(&sample.body))
}

#[test]
fn a_command_copied_from_a_browser_is_read() {
    let line = "curl 'https://shop.example/search?q=a' \\\n  -X 'POST' \\\n  -H 'accept: application/json' \\\n  \
                -H 'cookie: a=b; c=d' -b 'e=f' \\\n  --data-raw $'{\"q\":\"it\\'s\"}' \\\n  -H 'content-type: application/json' --compressed -k";
    assert_eq!(
        text(line),
        "POST /search?q=a HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8.5.0\r\nAccept-Encoding: deflate, gzip, \
         br, zstd\r\nCookie: e=f\r\naccept: application/json\r\ncookie: a=b; c=d\r\ncontent-type: \
         application/json\r\nContent-Length: 12\r\n\r\n{\"q\":\"it's\"}"
    );
    assert!(read(line).unwrap().tls);
    assert!(read(line).unwrap().request_head().is_ok());
}

#[test]
fn data_makes_a_post_and_with_g_a_query() {
    let posted = text("curl -sSd a=b --data-urlencode 'c=d e&' http://h/p");
    assert!(posted.starts_with("POST /p HTTP/1.1\r\nHost: h\r\n"), "{posted}");
    assert!(posted.contains("Content-Type: application/x-www-form-urlencoded\r\n"), "{posted}");
    assert!(posted.ends_with("\r\n\r\na=b&c=d%20e%26"), "{posted}");
    assert!(text("curl -G -d a=b -d c=d h/p?x=y").starts_with("GET /p?x=y&a=b&c=d HTTP/1.1\r\n"));
    assert!(text("curl -XPUT -d '' h").starts_with("PUT / HTTP/1.1\r\n"));
    assert!(text("curl -I h").starts_with("HEAD / HTTP/1.1\r\n"));
    assert!(
        text("curl --json '{}' h").contains("Accept: application/json\r\nContent-Type: application/json")
    );
}

#[test]
fn headers_replace_and_remove_what_curl_adds() {
    let read =
        text("curl -H 'User-Agent:' -H 'Host: other' -H 'X-Empty;' -e http://r/ -u me:pw h:8080/p#part");
    assert_eq!(
        read,
        "GET /p HTTP/1.1\r\nAccept: */*\r\nHost: other\r\nX-Empty: \r\nReferer: http://r/\r\nAuthorization: Basic \
         bWU6cHc=\r\n\r\n"
    );
    assert!(
        text("curl -A mine http://me:pw@h/").contains("User-Agent: mine\r\nAuthorization: Basic bWU6cHc=")
    );
}

#[test]
fn no_option_brings_a_line_end_into_the_head() {
    for options in [
        r"-H $'A: b\nC: d'",
        r"-b $'a=1\r\n'",
        r"-b $'a=b\nC: d' -b e=f",
        r"-A $'a\0b'",
        r"-e $'a\nB: c'",
        r"-X $'A\rB'",
    ] {
        let error = read(&format!("curl {options} http://h/")).unwrap_err();
        assert!(error.0.contains("line end"), "{options}: {error}");
    }
}

#[test]
fn a_form_is_a_multipart_body() {
    let read =
        text("curl -F 'a=b;type=text/plain' -F 'f=@src/clock.rs;filename=../x.php' --form-string 'c=@d;e' h");
    for piece in [
        "Content-Type: multipart/form-data; boundary=",
        "name=\"a\"\r\nContent-Type: text/plain\r\n\r\nb\r\n",
        "name=\"f\"; filename=\"../x.php\"\r\nContent-Type: application/octet-stream\r\n\r\n//! ",
        "name=\"c\"\r\n\r\n@d;e\r\n",
    ] {
        assert!(read.contains(piece), "{piece}: {read}");
    }
}

#[test]
fn files_are_read_below_the_working_directory_only() {
    assert!(text("curl -d @src/clock.rs h").contains("//!"));
    for name in ["/etc/passwd", "../Cargo.toml", "src/../../Cargo.toml", "src", "missing"] {
        assert!(read(&format!("curl -d @{name} h")).is_err(), "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
    let linked = parse("curl -d @link h", &mut Files::below(folder.path()));
    assert!(linked.unwrap_err().0.contains("below the working directory"));
}

#[test]
fn files_are_bounded_together() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("half"), vec![b'x'; SAMPLE_BYTES / 2]).unwrap();
    std::fs::write(folder.path().join("more"), b"x").unwrap();
    let with = |line: &str| parse(line, &mut Files::below(folder.path()));
    assert!(with("curl -d @half --data-binary @half h").is_ok(), "at the limit");
    assert!(with("curl -d @half -d @half -d @more h").is_err(), "one over");
    assert!(read(&format!("curl h {}", " ".repeat(SAMPLE_BYTES))).is_err());
}

#[test]
fn what_is_not_known_is_an_error_that_names_it() {
    for (line, named) in [
        ("curl --upload-file x h", "--upload-file"),
        ("curl -sT x h", "-T"),
        ("curl -H", "-H"),
        ("curl -b cookies.txt h", "cookies"),
        ("curl -H @file h", "headers"),
        ("curl -H 'no colon' h", "Name: value"),
        ("curl a b", "more than one URL"),
        ("curl -s", "no URL"),
        ("curl ftp://h/", "http"),
        ("curl 'h/a b'", "blank"),
        ("curl http:///path", "no host"),
        ("curl -F a=b -d c=d h", "-F and -d"),
        ("curl -F a h", "name=value"),
    ] {
        let error = read(line).unwrap_err();
        assert!(error.0.contains(named), "{line}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_sample_or_an_error(line in "[ -~\\n\\\\'\"$]{0,80}", tail in any::<String>()) {
        for line in [line.clone(), format!("curl -d '{line}' h{tail}"), tail] {
            if let Ok(sample) = read(&line) {
                let _ = sample.request_head();
            }
        }
    }

    #[test]
    fn any_bytes_are_a_request_or_an_error(bytes in any::<Vec<u8>>()) {
        for text in [bytes.clone(), [b"GET / HTTP/1.1\nHost: a\n", bytes.as_slice()].concat()] {
            if let Ok(sample) = super::super::raw::parse(&text) {
                let _ = sample.request_head();
            }
        }
    }

    #[test]
    fn what_is_quoted_arrives_unchanged(body in "[ -~]{0,40}") {
        let quoted = body.replace('\'', "'\\''");
        let sample = read(&format!("curl --data-raw '{quoted}' http://h/")).unwrap();
        prop_assert_eq!(sample.body, body.into_bytes());
    }
}
