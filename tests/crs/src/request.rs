//! A stage's input as the bytes that are sent, completed as the suite's own runner (go-ftw) completes it.
//!
//! A body without a type is a form, and a form that is not escaped yet is escaped; a body, or a method that may have
//! one, has a length; the connection is closed afterwards; lines of a multipart body end with CR LF. What a test sets
//! itself stays as it is, right or wrong: the requests are meant to break HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::suite::Input;
use crate::template;

const FORM: &str = "application/x-www-form-urlencoded";

/// Text from bytes.
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Bytes from text, whose line ends do not count.
pub fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    let text: String = text.chars().filter(|letter| !matches!(letter, '\r' | '\n')).collect();
    STANDARD.decode(text).map_err(|error| format!("base64: {error}"))
}

/// The bytes of a request. `cookies` is what earlier stages saved.
pub fn bytes(input: &Input, cookies: &str) -> Result<Vec<u8>, String> {
    if let Some(encoded) = input.encoded_request.as_ref().filter(|encoded| !encoded.is_empty()) {
        if input.data.as_ref().is_some_and(|data| !data.is_empty()) {
            return Err("both data and encoded_request are set".into());
        }
        return from_base64(encoded);
    }
    let mut headers = input.headers.clone();
    headers.extend(input.ordered_headers.iter().cloned());
    let mut body = match (&input.data, &input.encoded_data) {
        (Some(data), _) => template::expand(data).into_bytes(),
        (None, Some(data)) => from_base64(data)?,
        (None, None) => Vec::new(),
    };
    if !cookies.is_empty() && !has(&headers, "cookie") {
        headers.push(("Cookie".into(), cookies.into()));
    }
    if !body.is_empty() && input.autocompletes() {
        if !has(&headers, "content-type") {
            headers.push(("Content-Type".into(), FORM.into()));
        }
        if headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("content-type") && value == FORM) {
            body = escaped_form(body);
        }
    }
    let multipart = |(name, value): &(String, String)| {
        name.eq_ignore_ascii_case("content-type") && value.contains("multipart/form-data;")
    };
    if headers.iter().any(multipart) {
        body = with_crlf(&body);
    }
    if input.autocompletes() {
        if !has(&headers, "connection") {
            headers.push(("Connection".into(), "close".into()));
        }
        if !has(&headers, "content-length") && (!body.is_empty() || may_have_a_body(&input.method)) {
            headers.push(("Content-Length".into(), body.len().to_string()));
        }
    }
    let mut bytes = format!("{} {} {}\r\n", input.method, input.uri, input.version).into_bytes();
    for (name, value) in &headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn has(headers: &[(String, String)], wanted: &str) -> bool {
    headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted))
}

fn may_have_a_body(method: &str) -> bool {
    matches!(method, "POST" | "PUT" | "PATCH" | "DELETE")
}

fn with_crlf(body: &[u8]) -> Vec<u8> {
    body.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(b"\r\n".as_slice())
}

/// A form with its names and values escaped, unless some of it is escaped already.
fn escaped_form(body: Vec<u8>) -> Vec<u8> {
    if body.contains(&b'%') || body.contains(&b'+') {
        return body;
    }
    let body = body.strip_suffix(b"&").unwrap_or(&body);
    let pairs = body.split(|byte| *byte == b'&').map(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=').map(escaped);
        match (parts.next(), parts.next()) {
            (Some(name), Some(value)) => format!("{name}={value}"),
            (name, _) => name.unwrap_or_default(),
        }
    });
    pairs.collect::<Vec<_>>().join("&").into_bytes()
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        match byte {
            b' ' => text.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) => text.push(char::from(*byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(yaml: &str) -> String {
        let input: Input = serde_saphyr::from_str(yaml).unwrap();
        String::from_utf8(bytes(&input, "").unwrap()).unwrap()
    }

    #[test]
    fn a_body_is_completed_to_a_form_with_its_length() {
        assert_eq!(
            sent("{method: POST, uri: /x, data: 'a=b c&d=<e>&f', headers: {Host: h}}"),
            "POST /x HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\
             Content-Length: 17\r\n\r\na=b+c&d=%3Ce%3E&f"
        );
        assert!(
            sent("{method: POST, data: 'a=%20&b=c d'}").ends_with("\r\n\r\na=%20&b=c d"),
            "escaped already"
        );
        assert!(
            sent("{method: POST, data: '<x>', headers: {content-type: text/xml}}").ends_with("\r\n\r\n<x>")
        );
    }

    #[test]
    fn a_method_that_may_have_a_body_has_a_length_and_others_have_none() {
        assert!(sent("{method: POST}").contains("\r\nContent-Length: 0\r\n"));
        assert!(!sent("{}").contains("Content-Length"));
        assert_eq!(sent("{}"), "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    }

    #[test]
    fn what_a_test_sets_stays_as_it_is() {
        let bare =
            sent("{method: POST, data: 'a b', autocomplete_headers: false, headers: {Content-Length: 99}}");
        assert_eq!(bare, "POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\na b");
        assert_eq!(sent("{stop_magic: true, version: HTTP/9.9}"), "GET / HTTP/9.9\r\n\r\n");
        assert_eq!(sent("{encoded_request: \"R0VU\\nIC8K\", method: POST}"), "GET /\n");
    }

    #[test]
    fn lines_of_a_multipart_body_end_with_cr_lf() {
        let text = sent(
            "{method: POST, headers: {Content-Type: multipart/form-data; boundary=x}, data: \"--x\\n\\na\\n\"}",
        );
        assert!(text.ends_with("\r\n\r\n--x\r\n\r\na\r\n"), "{text:?}");
    }
}
