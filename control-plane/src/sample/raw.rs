//! HTTP/1.1 as text: request line, headers, an empty line, the body; after a line `### response` a response.
//!
//! Lines may end with LF, since people write such files with editors; the head that is judged has CRLF. A missing
//! `Content-Length` is added, and a line end behind the last line of the body is the editor's.

use super::{SAMPLE_BYTES, Sample, SampleError};

/// The line between a request and its response.
pub const RESPONSE_MARK: &str = "### response";

/// Reads a text.
pub fn parse(text: &[u8]) -> Result<Sample, SampleError> {
    if text.len() > SAMPLE_BYTES {
        let problem = format!("the request has {} bytes; {SAMPLE_BYTES} are allowed", text.len());
        return Err(SampleError::new(problem));
    }
    let (request, response) = cut_response(text);
    let mut sample = Sample::default();
    let (lines, body) = cut_head(request)?;
    let mut lines: Vec<Vec<u8>> = lines.into_iter().map(<[u8]>::to_vec).collect();
    modern_version(&mut lines, &mut sample.notes);
    let mut body = body;
    let declared = |name: &str| {
        let found = lines.iter().skip(1).find(|line| is_header(line, name));
        found.map(|line| {
            String::from_utf8_lossy(line.get(name.len() + 1..).unwrap_or_default()).trim().to_owned()
        })
    };
    if declared("transfer-encoding").is_some() {
        return Err(SampleError::new(
            "Transfer-Encoding is not read here: write the body as it is, with Content-Length or without",
        ));
    }
    match declared("content-length").map(|length| length.parse::<usize>()) {
        // Not a number: the guard says so, in the proxy's words.
        Some(Err(_)) => {}
        Some(Ok(length)) => body = of_length(body, length)?,
        None => {
            let trimmed = without_line_end(body);
            if trimmed.len() < body.len() && !trimmed.is_empty() {
                sample.notes.push("the line end behind the body's last line is not part of it".to_owned());
            }
            body = trimmed;
            if !body.is_empty() {
                lines.push(format!("Content-Length: {}", body.len()).into_bytes());
                sample.notes.push(format!("Content-Length: {} was added", body.len()));
            }
        }
    }
    sample.head = joined(&lines);
    sample.body = body.to_vec();
    if let Some(response) = response {
        let (lines, body) = cut_head(response)?;
        let lines: Vec<Vec<u8>> = lines.into_iter().map(<[u8]>::to_vec).collect();
        sample.response = Some((joined(&lines), without_line_end(body).to_vec()));
    }
    Ok(sample)
}

/// `HTTP/2` and `HTTP/3`, as browsers show them, are judged as HTTP/1.1.
fn modern_version(lines: &mut [Vec<u8>], notes: &mut Vec<String>) {
    let Some(first) = lines.first_mut() else { return };
    for version in [" HTTP/2", " HTTP/2.0", " HTTP/3"] {
        if let Some(rest) = first.strip_suffix(version.as_bytes()) {
            *first = [rest, b" HTTP/1.1"].concat();
            notes.push(format!("{} is judged as HTTP/1.1", version.trim()));
            return;
        }
    }
}

fn is_header(line: &[u8], name: &str) -> bool {
    line.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
        && line.get(name.len()) == Some(&b':')
}

/// The part before the mark, and the part behind it.
fn cut_response(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if without_line_end(line) == RESPONSE_MARK.as_bytes() {
            let after = at + line.len();
            return (text.get(..at).unwrap_or_default(), text.get(after..));
        }
        at += line.len();
    }
    (text, None)
}

/// The lines of a head, and what follows the empty line.
fn cut_head(text: &[u8]) -> Result<(Vec<&[u8]>, &[u8]), SampleError> {
    let mut lines = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        let line = without_line_end(line);
        if line.is_empty() && !lines.is_empty() {
            break;
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
    if lines.is_empty() {
        return Err(SampleError::new("there is no request line, e.g. `GET /path HTTP/1.1`"));
    }
    Ok((lines, text.get(at..).unwrap_or_default()))
}

fn of_length(body: &[u8], length: usize) -> Result<&[u8], SampleError> {
    let wrong = || {
        let problem = format!("Content-Length says {length}, and the body has {} bytes", body.len());
        SampleError::new(problem)
    };
    let rest = body.get(length..).ok_or_else(wrong)?;
    if !rest.trim_ascii().is_empty() {
        return Err(wrong());
    }
    Ok(body.get(..length).unwrap_or_default())
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn joined(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut head = lines.join(&b"\r\n"[..]);
    head.extend_from_slice(b"\r\n\r\n");
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Sample {
        parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_request_with_lf_is_the_one_with_crlf() {
        let sample =
            read("POST /a?b=c HTTP/1.1\nHost: shop.example\nContent-Type: text/plain\n\nline\r\n\nend\n");
        assert!(sample.head.ends_with(b"\r\nContent-Length: 10\r\n\r\n"), "{sample:?}");
        assert_eq!(sample.body, b"line\r\n\nend");
        let head = sample.request_head().unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str()), ("POST", "/a"));
        assert_eq!(head.query.as_deref(), Some("b=c"));
        assert_eq!(sample.notes.len(), 2, "{:?}", sample.notes);
    }

    #[test]
    fn a_length_that_is_wrong_is_an_error_and_a_last_line_end_is_not() {
        let with = |length: usize| {
            parse(format!("POST / HTTP/1.1\nHost: a\nContent-Length: {length}\n\nabc\n").as_bytes())
        };
        assert_eq!(with(3).unwrap().body, b"abc");
        assert_eq!(with(4).unwrap().body, b"abc\n");
        assert!(with(2).is_err());
        assert!(with(5).unwrap_err().0.contains("has 4 bytes"));
    }

    #[test]
    fn what_the_proxy_refuses_is_refused_here() {
        for text in
            ["GET /\u{1} HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\nHost: a\nHost: b\n\n", "GET / HTTP/1.1\n\n"]
        {
            assert!(read(text).request_head().is_err(), "{text}");
        }
        let chunked = parse(b"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n0\n");
        assert!(chunked.unwrap_err().0.contains("Transfer-Encoding"));
        assert!(parse(b"\n\n").is_err());
    }

    #[test]
    fn a_response_stands_behind_its_mark() {
        let text = "GET / HTTP/2\nHost: a\n\n### response\nHTTP/1.1 500 Oops\nContent-Type: text/html\n\n<p>Fault</p>\n";
        let sample = read(text);
        assert!(sample.body.is_empty() && sample.notes[0].contains("HTTP/2"), "{sample:?}");
        let head = sample.request_head().unwrap();
        let (response, body) = sample.response_head(&head).unwrap().unwrap();
        assert_eq!((response.status.as_u16(), body), (500, &b"<p>Fault</p>"[..]));
        assert!(read("GET / HTTP/1.1\nHost: a\n\n### response\nnothing").response_head(&head).is_err());
    }

    #[test]
    fn a_sample_is_bounded() {
        let head = b"POST / HTTP/1.1\nHost: a\n\n";
        let text = |length: usize| [&head[..], &vec![b'x'; length - head.len()]].concat();
        assert!(parse(&text(SAMPLE_BYTES)).is_ok(), "at the limit");
        assert!(parse(&text(SAMPLE_BYTES + 1)).is_err(), "one over");
    }
}
